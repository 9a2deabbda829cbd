import os
from pathlib import Path

import pytest

from openturret.lab.setup.errors import SetupError
from openturret.lab.setup.guest import GuestKernel, GuestTools, merge_into_usr, newest_image
from openturret.lab.setup.shell import Shell

DEPENDS = """\
linux-image-amd64
  Depends: linux-image-6.1.0-56-amd64
  Recommends: firmware-linux-free
"""
APT_GET = """\
#!/bin/sh
echo "$@" >> {log}
touch linux-image-6.1.0-56-amd64_6.1.192-2_amd64.deb
"""
APT_CACHE = """\
#!/bin/sh
case "$1" in
depends) printf '%s\\n' linux-image-amd64 '  Depends: linux-image-6.1.0-56-amd64' ;;
show) cat {version} ;;
esac
"""
DPKG_DEB = """\
#!/bin/sh
mkdir -p "$3/boot" "$3/lib/modules/6.1.0-56-amd64"
touch "$3/boot/vmlinuz-6.1.0-56-amd64"
"""
DEPMOD = """\
#!/bin/sh
touch "$2/lib/modules/$3/modules.dep"
"""


def program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A machine whose apt, dpkg and depmod are scripts that do what those do to files."""
    programs = tmp_path / "bin"
    programs.mkdir()
    names = {"log": tmp_path / "apt.log", "version": tmp_path / "version"}
    names["version"].write_text("Version: 6.1.192-2")
    program(programs / "apt-get", APT_GET.format(**names))
    program(programs / "apt-cache", APT_CACHE.format(**names))
    program(programs / "dpkg-deb", DPKG_DEB)
    program(programs / "depmod", DEPMOD)
    monkeypatch.setenv("PATH", f"{programs}:{os.environ['PATH']}")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path


def test_the_kernel_is_the_one_that_the_metapackage_depends_on() -> None:
    assert newest_image(DEPENDS) == "linux-image-6.1.0-56-amd64"
    assert newest_image("") == ""
    assert newest_image("  Depends: linux-image-amd64\n") == ""


def test_the_kernel_is_unpacked_indexed_and_kept_until_debian_has_another(place: Path) -> None:
    shell, kernel = Shell(place / "log"), GuestKernel()
    assert kernel.unpack(shell) == "linux-image-6.1.0-56-amd64 unpacked"
    assert (kernel.path / "lib/modules/6.1.0-56-amd64/modules.dep").is_file()
    assert kernel.unpack(shell) == "cached"
    (place / "version").write_text("Version: 6.1.200-1")
    assert kernel.unpack(shell) == "linux-image-6.1.0-56-amd64 unpacked"
    assert len((place / "apt.log").read_text().splitlines()) == 2


def test_a_machine_whose_apt_knows_no_kernel_is_told_what_to_do(place: Path) -> None:
    program(place / "bin" / "apt-cache", "#!/bin/sh\n")
    with pytest.raises(SetupError, match="apt-get update"):
        GuestKernel().unpack(Shell(place / "log"))


def test_another_processor_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(SetupError, match="amd64"):
        GuestTools().unpack(Shell(tmp_path / "log"))


def test_what_archives_have_outside_usr_moves_there(tmp_path: Path) -> None:
    for name in ("bin/udevadm", "usr/bin/aplay", "lib/udev/rules.d/50.rules"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(name)
    (tmp_path / "lib" / "link").symlink_to("/bin/udevadm")
    for _ in range(2):
        for name in ("bin", "lib", "lib64"):
            merge_into_usr(tmp_path, name)
    assert (tmp_path / "usr/bin/udevadm").read_text() == "bin/udevadm"
    assert (tmp_path / "usr/bin/aplay").exists()
    assert (tmp_path / "usr/lib/link").readlink() == Path("/bin/udevadm")
    assert (tmp_path / "bin").readlink() == Path("usr/bin")
    assert not (tmp_path / "lib64").exists()
