#!/guest/busybox sh
# The first process of the guest: loads what carries the shared folders, mounts them, and turns
# into Python. Each line of /guest/shares: PLACE TAG [TAG], the first tag above the second.
export PATH=/guest
b=/guest/busybox
$b mount -t proc proc /proc
$b mount -t sysfs sys /sys
$b mount -t devtmpfs dev /dev
while read -r module; do $b insmod "/guest/modules/$module" || echo "guest: $module does not load"; done < /guest/modules/order
$b mount -t tmpfs -o mode=755 written /guest/written
while read -r place tags; do
    layers=
    for tag in $tags; do
        $b mkdir -p "/guest/layers/$tag"
        $b mount -t 9p -o trans=virtio,version=9p2000.L,msize=524288,cache=loose,ro "$tag" "/guest/layers/$tag" \
            || echo "guest: $tag is not there"
        layers="$layers${layers:+:}/guest/layers/$tag"
    done
    name=${tags%% *}
    $b mkdir -p "$place" "/guest/written/$name/upper" "/guest/written/$name/work"
    $b mount -t overlay -o "lowerdir=$layers,upperdir=/guest/written/$name/upper,workdir=/guest/written/$name/work" overlay "$place"
done < /guest/shares
. /guest/environment
exec "$PYTHON" -S -u "$INSIDE"
