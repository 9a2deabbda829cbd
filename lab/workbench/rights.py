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

    def __str__(self) -> str:
        return f"{self.use} needs {self.protocol.upper()} {self.number}"


def check_ports(address: str, ports: Sequence[Port]) -> None:
    """Try every port for a moment.

    Raises:
        PortError: ports are taken or may not be used; every one is told, with its remedy.
    """
    errors = {port: error for port in ports if (error := _obstacle(address, port))}
    problems = [
        f"{port} on {address or 'every address'}: {_reason(port, error)}"
        for port, error in errors.items()
        if error.errno != errno.EACCES
    ]
    forbidden = [str(port) for port, error in errors.items() if error.errno == errno.EACCES]
    if forbidden:
        problems.append(f"{', '.join(forbidden)}: CAP_NET_BIND_SERVICE is missing; {_REMEDY}")
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


def _obstacle(address: str, port: Port) -> OSError | None:
    """Why a port cannot be had; None when it can."""
    try:
        with socket.socket(socket.AF_INET, _KINDS[port.protocol]) as trial:
            if port.protocol == TCP:
                trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            trial.bind((address, port.number))
    except OSError as error:
        return error
    return None


def _reason(port: Port, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"it is taken by {holder(port)}; stop that, or serve another address"
    return error.strerror or str(error)


def holder(port: Port) -> str:
    """Who has a port: program and process; "another program" when it cannot be seen."""
    wanted = {f"socket:[{inode}]" for inode in _inodes(port)}
    for process in Path("/proc").iterdir():
        if process.name.isdigit() and wanted & set(_open_files(process)):
            with contextlib.suppress(OSError):
                return f"{(process / 'comm').read_text().strip()} (process {process.name})"
    return "another program (root can see which)"


def _inodes(port: Port) -> Iterator[str]:
    """The sockets that have the port, as /proc/net lists them; those of IPv6 take IPv4 too."""
    tables = (Path(f"/proc/net/{port.protocol}{version}") for version in ("", "6"))
    lines = [line for table in tables if table.exists() for line in table.read_text().splitlines()]
    for line in lines:
        fields = line.split()
        if not fields[0].endswith(":"):
            continue  # the headline
        local, state, inode = fields[1], fields[3], fields[9]
        if int(local.rpartition(":")[2], 16) == port.number and state == _LISTENS[port.protocol]:
            yield inode


def _open_files(process: Path) -> Iterator[str]:
    with contextlib.suppress(OSError):
        for entry in (process / "fd").iterdir():
            with contextlib.suppress(OSError):
                yield os.readlink(entry)  # noqa: PTH115 - a socket is no path
