"""Debian's packages: the few that must be installed, and the servers, which are only unpacked.

A server package that is installed starts its daemon.  So the bench's servers are
downloaded with apt (which checks their signatures and hashes) and unpacked into a
private folder; the host never knows them.  The fuzzers' library comes the same way:
6 MB instead of the 70 of a whole clang.
"""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ..tools import cache_folder
from .cache import Stamp, fingerprint
from .errors import SetupError, StepFailedError
from .shell import Shell, output_of

BUILD_PACKAGES = (
    "ca-certificates",
    "g++",
    "gcc",
    "git",
    "iproute2",
    "libc6-dev",
    "libjack-jackd2-dev",
    "libopus-dev",
    "libspandsp-dev",
    "libspeexdsp-dev",
    "libsrtp2-dev",
    "libssl-dev",
    "libusb-1.0-0",
    "make",
    "portaudio19-dev",
    "util-linux",
    "uuid-dev",
    "xz-utils",
)
TEST_PACKAGES = (
    "gcc-aarch64-linux-gnu",
    "libc6-dev-arm64-cross",
    "qemu-user",
)
"""What runs the engine's loops of another processor, NEON, here too."""
SYSTEM_PYTHON_PACKAGES = ("python3-dev", "python3-venv")
SERVER_PACKAGES = (
    "alsa-utils",
    "atftpd",
    "baresip-core",
    "dfu-util",
    "dnsmasq-base",
    "espeak-ng",
    "haproxy",
    "jackd2",
    "kamailio",
    "ldap-utils",
    "libclang-rt-dev",
    "nftables",
    "ser2net",
    "sip-tester",
    "slapd",
    "swig",
    "tcpdump",
)
PEER_PACKAGES = (
    "atftp",
    "busybox",
    "chrony",
    "curl",
    "dbus-daemon",
    "isc-dhcp-relay",
    "isc-dhcp-server",
    "kea-dhcp4-server",
    "lftp",
    "nginx",
    "proftpd-core",
    "proftpd-mod-crypto",
    "rauc",
    "rauc-service",
    "squashfs-tools",
    "tftp-hpa",
    "tftpd-hpa",
)
"""What the boot is tested against and compared with, beside the bench's own servers."""
RIVAL_PACKAGES = ("vsftpd",)
"""Peers that Debian does not install beside `PEER_PACKAGES`."""
NETWORK_REMEDY = "check that this machine reaches its Debian mirror, then run the command again"


def _is_installed(package: str) -> bool:
    return "install ok installed" in output_of("dpkg-query", "-W", "-f", "${Status}", package)


def _as_root() -> tuple[str, ...]:
    if os.geteuid() == 0:
        return ()
    if shutil.which("sudo"):
        return ("sudo", "--")
    raise SetupError(
        "apt needs root here, and sudo is not installed",
        "run the command as root, or install sudo",
    )


def _refresh_lists(shell: Shell) -> None:
    shell.run(*_as_root(), "apt-get", "update", remedy=NETWORK_REMEDY)


def _known_to_apt(packages: tuple[str, ...]) -> bool:
    return all(output_of("apt-cache", "show", "--no-all-versions", name) for name in packages)


def _may_become_root() -> bool:
    return os.geteuid() == 0 or shutil.which("sudo") is not None


def _get(shell: Shell, packages: tuple[str, ...], *command: str) -> None:
    """Run an `apt-get install`, once more with fresh lists when the ones here are too old."""
    if _known_to_apt(packages):
        try:
            shell.run(*command, *packages, remedy=NETWORK_REMEDY)
        except StepFailedError:
            if not _may_become_root():
                raise
        else:
            return
    _refresh_lists(shell)
    shell.run(*command, *packages, remedy=NETWORK_REMEDY)


class BuildTools:
    """The compiler and headers, installed only when missing and removed by `make clean`."""

    def __init__(self, *, system_python: bool, more: tuple[str, ...] = ()) -> None:
        self._wanted = BUILD_PACKAGES + (SYSTEM_PYTHON_PACKAGES if system_python else ()) + more
        self._record = cache_folder() / "installed-packages"

    def missing(self) -> tuple[str, ...]:
        """The packages that this machine lacks."""
        return tuple(name for name in self._wanted if not _is_installed(name))

    def install(self, shell: Shell) -> str:
        """Install what is missing and note it for `remove`.

        Raises:
            SetupError: apt cannot, or there is no way to become root.
        """
        missing = self.missing()
        if not missing:
            return "present"
        if shutil.which("apt-get") is None:
            raise SetupError("there is no apt-get here", "use a machine with Debian 12")
        before = _installed_packages()
        _get(
            shell, missing, *_as_root(), "env", "DEBIAN_FRONTEND=noninteractive",
            "apt-get", "install", "--yes", "--no-install-recommends",
        )  # fmt: skip
        self._note(_installed_packages() - before)
        return f"installed {' '.join(missing)}"

    def remove(self, shell: Shell) -> str:
        """Remove the packages that `install` brought, but for those that others need by now.

        Raises:
            SetupError: apt cannot, or there is no way to become root.
        """
        noted = self._record.read_text().split() if self._record.is_file() else []
        ours = {name for name in noted if _is_installed(name)}
        kept = _needed_by_others(ours)
        if gone := sorted(ours - kept):
            remedy = f"remove them by hand: {' '.join(gone)}"
            shell.run(*_as_root(), "apt-get", "purge", "--yes", *gone, remedy=remedy)
        self._record.unlink(missing_ok=True)
        if kept:
            self._note(kept)
        removed = f"removed {len(gone)} of our packages" if gone else "no package of ours"
        return f"{removed}; others need {' '.join(sorted(kept))}" if kept else removed

    def _note(self, packages: Iterable[str]) -> None:
        self._record.parent.mkdir(parents=True, exist_ok=True)
        with self._record.open("a") as record:
            record.writelines(f"{name}\n" for name in sorted(packages))


def _installed_packages() -> set[str]:
    return set(output_of("dpkg-query", "-W", "-f", "${Package}\n").split())


def _needed_by_others(ours: set[str]) -> set[str]:
    """Those of our packages whose removal would take a package along that is not ours."""
    if _removed_with(ours) <= ours:
        return set()
    return {name for name in ours if not _removed_with({name}) <= ours}


def _removed_with(packages: set[str]) -> set[str]:
    """What apt would remove together with some packages."""
    if not packages:
        return set()
    lines = output_of("apt-get", "--simulate", "purge", *sorted(packages)).splitlines()
    steps = (line.split() for line in lines)
    return {step[1] for step in steps if step[:1] in (["Purg"], ["Remv"])}


class ServerSysroot:
    """Servers from Debian, the bench's unless told otherwise, unpacked into the user's cache."""

    def __init__(self, packages: tuple[str, ...] = SERVER_PACKAGES, name: str = "sysroot") -> None:
        self.path = cache_folder() / name
        self._packages = packages
        self._archives = cache_folder() / f"{name}.archives"
        self._stamp = Stamp(cache_folder() / f"{name}.stamp")
        self._mark = fingerprint(*packages)

    def unpack(self, shell: Shell) -> str:
        """Download and unpack what is not there yet.

        Raises:
            SetupError: apt cannot download, or an archive does not unpack.
        """
        if self._stamp.holds(self._mark):
            return "cached"
        archives = self._download(shell)
        fresh = self.path.with_name(f"{self.path.name}.new")
        shutil.rmtree(fresh, ignore_errors=True)
        fresh.mkdir(parents=True)
        for archive in archives:
            shell.run("dpkg-deb", "-x", archive, fresh, remedy=NETWORK_REMEDY)
        shutil.rmtree(self.path, ignore_errors=True)
        fresh.rename(self.path)
        shutil.rmtree(self._archives)
        self._stamp.set(self._mark)
        return f"{len(archives)} packages unpacked"

    def _download(self, shell: Shell) -> list[Path]:
        folder = self._archives
        shutil.rmtree(folder, ignore_errors=True)
        (folder / "partial").mkdir(parents=True)
        _get(
            shell, self._packages, "apt-get", "--option=Debug::NoLocking=1",
            "--option=APT::Keep-Downloaded-Packages=true", "--option=APT::Sandbox::User=",
            f"--option=Dir::Cache::archives={folder}",
            "install", "--yes", "--no-install-recommends", "--download-only",
        )  # fmt: skip
        return sorted(folder.glob("*.deb"))
