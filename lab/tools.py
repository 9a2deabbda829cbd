"""Finds the server programs of the bench: unpacked privately, or installed.

The set-up unpacks Debian packages into a private folder, the sysroot, and installs
nothing. A program found there runs with an environment that points at its own
libraries; a program found on the PATH needs none.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from .errors import ToolMissingError

PACKAGES: Mapping[str, str] = {
    "aplay": "alsa-utils",
    "arecord": "alsa-utils",
    "atftp": "atftp",
    "atftpd": "atftpd",
    "baresip": "baresip-core",
    "busybox": "busybox-static",
    "chronyd": "chrony",
    "curl": "curl",
    "dbus-daemon": "dbus-daemon",
    "depmod": "kmod",
    "dfu-suffix": "dfu-util",
    "dhcpd": "isc-dhcp-server",
    "dhcrelay": "isc-dhcp-relay",
    "dnsmasq": "dnsmasq-base",
    "espeak-ng": "espeak-ng",
    "haproxy": "haproxy",
    "in.tftpd": "tftpd-hpa",
    "ip": "iproute2",
    "jack_wait": "jackd2",
    "jackd": "jackd2",
    "kamailio": "kamailio",
    "kea-dhcp4": "kea-dhcp4-server",
    "ldapsearch": "ldap-utils",
    "lftp": "lftp",
    "mksquashfs": "squashfs-tools",
    "mount": "mount",
    "nginx": "nginx",
    "nsenter": "util-linux",
    "proftpd": "proftpd-core",
    "qemu-system-x86_64": "qemu-system-x86",
    "rauc": "rauc",
    "ser2net": "ser2net",
    "setpriv": "util-linux",
    "sipp": "sip-tester",
    "slapadd": "slapd",
    "slapd": "slapd",
    "sox": "sox",
    "swig4.0": "swig4.0",
    "tcpdump": "tcpdump",
    "tftp": "tftp-hpa",
    "unshare": "util-linux",
    "vsftpd": "vsftpd",
}
"""The Debian package that brings each program."""

_GUEST = frozenset({"busybox", "depmod", "qemu-system-x86_64"})
"""Programs that only a QEMU guest needs."""

_PEERS = frozenset(
    {"atftp", "chronyd", "curl", "dbus-daemon", "dhcpd", "dhcrelay", "in.tftpd", "kea-dhcp4"}
    | {"lftp", "mksquashfs", "nginx", "proftpd", "rauc", "tftp", "vsftpd"}
)
"""Programs that only tests and measurements meet."""

_BINARY_FOLDERS = ("usr/bin", "usr/sbin", "bin", "sbin")
_LIBRARY_FOLDERS = (
    "usr/lib/*-linux-*",
    "lib/*-linux-*",
    "usr/lib/*-linux-*/pulseaudio",
    "usr/lib/*-linux-*/kamailio",
)
_LOGIN_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Tool:
    """A program and what it needs to run.

    Attributes:
        path: the executable.
        env: variables to add to the environment of the process.
        root: the tree that it was installed into, ``/`` or the sysroot; modules and
            schemas are found below it.
    """

    path: Path
    env: dict[str, str] = field(default_factory=dict)
    root: Path = Path("/")

    def environment(self, base: Mapping[str, str] | None = None) -> dict[str, str]:
        """The whole environment of a process: ``base`` (default: ours) plus ``env``."""
        return {**(os.environ if base is None else base), **self.env}

    def find(self, pattern: str) -> Path:
        """The first path below ``root`` that matches, such as ``usr/lib/*/kamailio/modules``.

        Raises:
            ToolMissingError: nothing matches, so the package is incomplete.
        """
        for found in sorted(self.root.glob(pattern)):
            return found
        raise ToolMissingError(f"{self.path.name}: {pattern} is missing below {self.root}")


def cache_folder() -> Path:
    """Where what is made once is kept: ``~/.cache/openturret``, or below $XDG_CACHE_HOME."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path.home() / ".cache") / "openturret"


def sysroot() -> Path:
    """Where the set-up unpacks packages: $OPENTURRET_SYSROOT, else the cache folder's sysroot."""
    chosen = os.environ.get("OPENTURRET_SYSROOT")
    return Path(chosen) if chosen else cache_folder() / "sysroot"


def guest_folder() -> Path:
    """Where the set-up keeps what a QEMU guest is made of."""
    return cache_folder() / "guest"


def guest_tools() -> Path:
    """Where the set-up unpacks QEMU and the programs that run in the guest."""
    return cache_folder() / "guest-tools"


def peers() -> tuple[Path, ...]:
    """Where the set-up unpacks the servers and clients that only tests meet."""
    return cache_folder() / "peers", cache_folder() / "rivals"


def tool(name: str) -> Tool:
    """Find a program by its name, in the sysroots first and then on the PATH.

    Raises:
        ToolMissingError: it is in neither; the message names the package and the remedy.
    """
    for root in _roots(name):
        for folder in _BINARY_FOLDERS:
            path = root / folder / name
            if os.access(path, os.X_OK):
                return Tool(path, _sysroot_environment(root), root)
    return Tool(_on_path(name))


def _roots(name: str) -> tuple[Path, ...]:
    """Where to look first: atftpd calls itself in.tftpd too."""
    ours, others = (sysroot(), guest_tools()), peers()
    return (*others, *ours) if name in _PEERS else (*ours, *others)


def _on_path(name: str) -> Path:
    search = os.pathsep.join([os.environ.get("PATH", ""), _LOGIN_PATH])
    found = shutil.which(name, path=search)
    if found is None:
        package = PACKAGES.get(name, name)
        raise ToolMissingError(
            f"{name} is missing (Debian package {package}): run `{_setup_of(name)}`, "
            f"or `apt-get install --no-install-recommends {package}`"
        )
    return Path(found)


def _setup_of(name: str) -> str:
    if name in _PEERS:
        return "python3 -m openturret.lab.setup --tests"
    return "make kernel-setup" if name in _GUEST else "make setup"


def _sysroot_environment(root: Path) -> dict[str, str]:
    folders = [path for pattern in _LIBRARY_FOLDERS for path in sorted(root.glob(pattern))]
    environment = {"LD_LIBRARY_PATH": os.pathsep.join(str(path) for path in folders)}
    for speech in sorted(root.glob("usr/lib/*/espeak-ng-data")):
        environment["ESPEAK_DATA_PATH"] = str(speech.parent)
    for drivers in sorted(root.glob("usr/lib/*/jack")):
        environment["JACK_DRIVER_DIR"] = str(drivers)
    return environment
