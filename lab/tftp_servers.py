"""Debian's TFTP servers, one command to start each: what the unit's client is tried against.

They serve a folder on UDP port 69 until they are stopped. All of them run as root of a namespace,
where there is nobody else to become::

    with serving("tftpd-hpa", folder, "127.0.0.1"):
        …
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final

from . import pretend
from .errors import ServiceError
from .tools import tool

TFTP_PORT: Final = 69
_START_S = 10.0
_POLL_S = 0.01


@dataclass(frozen=True, slots=True)
class TftpServer:
    """A server program.

    Attributes:
        program: its executable.
        arguments: for a folder and an address.
        largest_window: the most that it agrees to (RFC 7440); 1 when it knows no windows.
    """

    program: str
    arguments: Callable[[Path, str], Sequence[str]]
    largest_window: int


def _atftpd(folder: Path, address: str) -> list[str]:
    return ["--daemon", "--no-fork", "--logfile", "-", "--bind-address", address,
            "--user", "root", "--group", "root", str(folder)]  # fmt: skip


def _dnsmasq(folder: Path, address: str) -> list[str]:
    return ["--no-daemon", "--conf-file=/dev/null", "--port=0", "--bind-interfaces",
            f"--listen-address={address}", "--user=root", "--enable-tftp",
            f"--tftp-root={folder}", "--tftp-no-fail", "--log-facility=-"]  # fmt: skip


def _tftpd_hpa(folder: Path, address: str) -> list[str]:
    return ["--foreground", "--user", "root", "--address", address, "--secure", str(folder)]


SERVERS: Final[Mapping[str, TftpServer]] = {
    "atftpd": TftpServer("atftpd", _atftpd, 65_535),
    "dnsmasq": TftpServer("dnsmasq", _dnsmasq, 1),
    "tftpd-hpa": TftpServer("in.tftpd", _tftpd_hpa, 1),
}
"""By the name of the Debian package that most people know."""


@contextlib.contextmanager
def serving(
    name: str,
    folder: Path,
    address: str,
    *,
    place: Callable[[Sequence[str]], list[str]] = list,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server until the end of the block.

    Args:
        name: one of `SERVERS`.
        folder: what it serves; it and its files must be readable by everybody.
        address: where it listens.
        place: turns a command line into one that runs elsewhere, such as the ``command`` of a
            `openturret.lab.delay.DelayedLink`.

    Raises:
        ToolMissingError: the program is not installed.
        ServiceError: it ended, or did not listen in time; carries what it said.
    """
    server = SERVERS[name]
    program = tool(server.program)
    command = place(pretend.command([str(program.path), *server.arguments(folder, address)]))
    with subprocess.Popen(
        command, env=program.environment(), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as process:
        try:
            _wait_until_it_listens(process, name, address)
            yield process
        finally:
            process.kill()


def _wait_until_it_listens(process: subprocess.Popen[bytes], name: str, address: str) -> None:
    deadline = time.monotonic() + _START_S
    while not _listens(process.pid, address):
        if process.poll() is not None or time.monotonic() > deadline:
            process.kill()
            said = process.communicate()[0].decode("utf-8", "replace")
            raise ServiceError(f"{name} does not listen on {address}:{TFTP_PORT}: {said[-500:]}")
        time.sleep(_POLL_S)


def _listens(pid: int, address: str) -> bool:
    """Whether somebody in the process's network does: UDP has no better sign of life."""
    number = int.from_bytes(IPv4Address(address).packed, sys.byteorder)
    try:
        table = Path(f"/proc/{pid}/net/udp").read_text()
    except OSError:
        return False
    return f" {number:08X}:{TFTP_PORT:04X} " in table
