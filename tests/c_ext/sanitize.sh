#!/bin/sh
# Builds the engine with AddressSanitizer and UndefinedBehaviorSanitizer into a temporary copy of
# the package and runs the engine's tests on it.  The installed module is not touched.
#   tests/c_ext/sanitize.sh [pytest arguments]     PYTHON=.venv/bin/python by default "python3"
set -eu

root=$(cd "$(dirname "$0")/../.." && pwd)
python=${PYTHON:-python3}
compiler=${CC:-gcc}
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT

asan=$($compiler -print-file-name=libasan.so)
ubsan=$($compiler -print-file-name=libubsan.so)
[ -e "$asan" ] || { echo "libasan is missing: apt-get install libasan8" >&2; exit 1; }
[ -e "$ubsan" ] || { echo "libubsan is missing: apt-get install libubsan1" >&2; exit 1; }

mkdir -p "$build/openturret"
cp -r "$root/c_ext" "$build/openturret/c_ext"
OPENTURRET_SANITIZE=address,undefined OPENTURRET_WERROR=1 \
    "$python" "$root/c_ext/engine_build.py" "$build/openturret/c_ext"

# With vm.mmap_rnd_bits above 28 the kernel puts things where sanitizers want their memory; a
# process may ask for fixed addresses, unless its container forbids that.
fixed="setarch $(uname -m) -R"
$fixed true 2>/dev/null || fixed=

# Python itself keeps memory at exit: leaks are looked for by the C program of test_race.py.
cd "$root"
# Tests that compile programs of their own choose the sanitizers for them; here they would only
# inherit ours a second time.
# The rest of the package comes from the checkout, the engine from the build before it.
$fixed env PYTHONPATH="$build:$root/.pkg" PYTHONMALLOC=malloc LD_PRELOAD="$asan $ubsan" \
    ASAN_OPTIONS=detect_leaks=0:abort_on_error=1 UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 \
    "$python" -m pytest -q -p no:cacheprovider -m "not slow" tests/c_ext \
    --ignore=tests/c_ext/test_purity.py --ignore=tests/c_ext/test_quiet.py \
    --ignore=tests/c_ext/test_race.py --ignore=tests/c_ext/test_variants.py "$@"
