"""What `make kernel-test` needs beside the rest: Debian's kernel, QEMU, and the guest's tools.

All of it is unpacked below the user's cache folder and nothing is installed. What Debian
already has installed here is used from there.
"""

import platform
import re
import shutil
from pathlib import Path
from typing import Final

from ..tools import guest_folder, tool
from .cache import Stamp
from .debian import NETWORK_REMEDY, ServerSysroot
from .errors import SetupError
from .shell import Shell, output_of

KERNEL_PACKAGE: Final = "linux-image-amd64"
"""The cloud kernel would be smaller, but it has neither USB nor sound."""

GUEST_PACKAGES: Final = (
    "alsa-utils",
    "busybox-static",
    "dfu-util",
    "kmod",
    "qemu-system-x86",
    "udev",
    "usbutils",
)
_IMAGE: Final = re.compile(r"linux-image-\d[\w.+~-]*")
_MERGED: Final = ("bin", "lib", "lib64", "sbin")


class GuestTools:
    """QEMU and what runs in the guest, from Debian, unpacked privately."""

    def __init__(self) -> None:
        self._sysroot = ServerSysroot(GUEST_PACKAGES, "guest-tools")

    def unpack(self, shell: Shell) -> str:
        """Download and unpack what is neither installed nor unpacked yet.

        Raises:
            SetupError: this is no amd64 machine, or apt cannot download.
        """
        if platform.machine() != "x86_64":
            raise SetupError(
                f"the guest is made for amd64, and this machine is {platform.machine()}",
                "run `make kernel-test` on an amd64 machine",
            )
        result = self._sysroot.unpack(shell)
        for name in _MERGED:
            merge_into_usr(self._sysroot.path, name)
        return result


def merge_into_usr(root: Path, name: str) -> None:
    """Move what archives have in /bin, /lib … to /usr, as in every Debian since version 12."""
    old, new = root / name, root / "usr" / name
    if old.is_symlink() or not old.is_dir():
        return
    shutil.copytree(old, new, symlinks=True, dirs_exist_ok=True)
    shutil.rmtree(old)
    old.symlink_to(Path("usr") / name)


class GuestKernel:
    """Debian's own kernel for real machines, unpacked with its modules."""

    def __init__(self) -> None:
        self.path = guest_folder() / "kernel"
        self._stamp = Stamp(guest_folder() / "kernel.stamp")

    def unpack(self, shell: Shell) -> str:
        """Download and unpack the kernel that Debian has now, unless it is there.

        Raises:
            SetupError: apt knows no kernel or cannot download it, or it does not unpack.
        """
        package = newest_image(output_of("apt-cache", "depends", KERNEL_PACKAGE))
        if not package:
            raise SetupError(f"apt knows no {KERNEL_PACKAGE}", "run `apt-get update` first")
        version = output_of("apt-cache", "show", "--no-all-versions", package)
        if self._stamp.holds(version) and self.path.is_dir():
            return "cached"
        self._replace(shell, package)
        self._stamp.set(version)
        return f"{package} unpacked"

    def _replace(self, shell: Shell, package: str) -> None:
        fresh, archives = self.path.with_name("kernel.new"), guest_folder() / "archives"
        for folder in (fresh, archives, self.path):
            shutil.rmtree(folder, ignore_errors=True)
        archives.mkdir(parents=True)
        shell.run(
            "apt-get", "--option=Debug::NoLocking=1", "--option=APT::Sandbox::User=",
            "download", package, remedy=NETWORK_REMEDY, cwd=archives,
        )  # fmt: skip
        for archive in sorted(archives.glob("*.deb")):
            shell.run("dpkg-deb", "-x", archive, fresh, remedy=NETWORK_REMEDY)
        shutil.rmtree(archives)
        self._index(shell, fresh)
        fresh.rename(self.path)

    def _index(self, shell: Shell, root: Path) -> None:
        depmod = tool("depmod")
        for modules in sorted((root / "lib" / "modules").iterdir()):
            shell.run(
                depmod.path, "-b", root, modules.name, remedy="read the log", env=depmod.env
            )  # fmt: skip


def newest_image(depends: str) -> str:
    """The package that `apt-cache depends` of the kernel names, "" when there is none."""
    words = (line.strip().removeprefix("Depends: ") for line in depends.splitlines())
    return next((word for word in words if _IMAGE.fullmatch(word)), "")
