"""Asks for every port before anything starts, and says who has it or what right is missing."""

from __future__ import annotations

import contextlib
import errno
import os
import socket
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .errors import PortError

TCP, UDP = "tcp", "udp"
_KINDS: Final = {TCP: socket.SOCK_STREAM, UDP: socket.SOCK_DGRAM}
_LISTENS: Final = {TCP: "0A", UDP: "07"}
"""How /proc/net writes the state of a socket that waits for others."""

_REMEDY: Final = "run it as root: sudo env PATH=$PATH turret tss …"


@dataclass(frozen=True, slots=True)
class Port:
    """A port that is needed.

    Attributes:
        use: what for, such as ``TFTP``.
        protocol: ``tcp`` or ``udp``.
        number: 1 to 65535.
    """

    use: str
    protocol: str
    number: int


def check_ports(address: str, ports: Sequence[Port]) -> None:
    """Try every port for a moment.

    Raises:
        PortError: ports are taken or may not be used; every one is told, with its remedy.
    """
    problems = [problem for port in ports for problem in _problem(address, port)]
    if problems:
        raise PortError("\n".join(problems))


def check_raw(interface: str) -> None:
    """Try whether this user may send raw frames, which asking the LAN for a DHCP server needs.

    Raises:
        PortError: not allowed.
    """
    try:
        with socket.socket(socket.AF_PACKET, socket.SOCK_RAW) as link:
            link.bind((interface, 0))
    except PermissionError as error:
        raise PortError(f"raw frames on {interface} need CAP_NET_RAW: {_REMEDY}") from error


def _problem(address: str, port: Port) -> Iterator[str]:
    name = f"{port.use} needs {port.protocol.upper()} {port.number} on {address or 'every address'}"
    try:
        with socket.socket(socket.AF_INET, _KINDS[port.protocol]) as trial:
            if port.protocol == TCP:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address, port.number))
    except OSError as error:
        if error.errno == errno.EADDRINUSE:
            yield f"{name}: it is taken by {holder(port)}; stop that, or serve another address"
        elif error.errno == errno.EACCES:
            yield f"{name}: ports below 1024 need CAP_NET_BIND_SERVICE; {_REMEDY}"
        else:
            yield f"{name}: {error.strerror}"


def holder(port: Port) -> str:
    """Who has a port: program and process; "another program" when it cannot be seen."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and wanted & set(_open_files(process)):
            with contextlib.suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return "another program (root can see which)"


def _inodes(port: Port) -> Iterator[str]:
    """The sockets that have the port, as /proc/net/tcp and /proc/net/udp list them."""
    for line in Path(f"/proc/net/{port.protocol}").read_text().splitlines()[1:]:
        fields = line.split()
        local, state, inode = fields[1], fields[3], fields[9]
        if int(local.rpartition(":")[2], 16) == port.number and state == _LISTENS[port.protocol]:
            yield inode


def _open_files(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield os.readlink(entry)  # noqa: PTH115 - a socket is no path
