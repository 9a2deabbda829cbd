"""Captures packets into pcap files that Wireshark opens, one file per interface, and merges files.

Our own on AF_PACKET, because tcpdump insists on becoming another user, which a namespace
without privilege cannot do. A capture ends with its process; the file is written packet by
packet, so it can be opened at any time.
"""

from __future__ import annotations

import argparse
import heapq
import os
import socket
import struct
import sys
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .processes import Service, logged

_GLOBAL_HEADER = struct.Struct("<IHHiIII")
_RECORD_HEADER = struct.Struct("<IIII")
_MICROSECONDS = 0xA1B2C3D4
_MAX_PACKET = 262_144
_ETHERNET = 1
_ALL_PROTOCOLS = 0x0003
_SO_TIMESTAMPNS = 35
_TIMESPEC = struct.Struct("@qq")
_BUFFER_BYTES = 4 << 20


class CaptureError(LabError, ValueError):
    """A file is not a capture that can be merged."""


@dataclass(frozen=True, slots=True)
class Record:
    """One packet of a capture.

    Attributes:
        seconds: whole seconds of its time.
        microseconds: the rest of its time.
        original_bytes: its length on the wire.
        data: what was captured of it.
    """

    seconds: int
    microseconds: int
    original_bytes: int
    data: bytes

    @property
    def time(self) -> tuple[int, int]:
        """What captures are sorted by."""
        return self.seconds, self.microseconds

    def __bytes__(self) -> bytes:
        header = _RECORD_HEADER.pack(
            self.seconds, self.microseconds, len(self.data), self.original_bytes
        )
        return header + self.data


def service(name: str, namespace: str, file: Path, *, interface: str = "eth0") -> Service:
    """The capture of an interface as a process.

    Args:
        name: what the bench calls it.
        namespace: the host whose interface it is.
        file: the pcap to write.
        interface: which one.
    """
    argv = [sys.executable, "-m", "openturret.lab.capture", interface, str(file)]
    return Service(name, namespace, argv, ready=logged("capturing"))


def open_socket(interface: str) -> socket.socket:
    """A raw socket that gets every frame of an interface, both ways, with the kernel's time.

    Raises:
        OSError: there is no such interface, or raw sockets are not allowed here.
    """
    raw = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, 0)  # hears nothing until it is bound
    try:
        raw.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _BUFFER_BYTES)
        raw.setsockopt(socket.SOL_SOCKET, _SO_TIMESTAMPNS, 1)
        raw.bind((interface, _ALL_PROTOCOLS))
    except OSError:
        raw.close()
        raise
    return raw


def receive(raw: socket.socket) -> Record:
    """The next frame of a socket that `open_socket` made."""
    data, ancillary, _, _ = raw.recvmsg(_MAX_PACKET, socket.CMSG_SPACE(_TIMESPEC.size))
    seconds, nanoseconds = _TIMESPEC.unpack(ancillary[0][2])
    return Record(seconds, nanoseconds // 1000, len(data), data)


def capture(raw: socket.socket, file: Path) -> None:
    """Write every frame to a pcap file until the process ends."""
    target = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o644)
    os.write(target, global_header())
    while True:
        os.write(target, bytes(receive(raw)))


def global_header(link_type: int = _ETHERNET) -> bytes:
    """The beginning of a pcap file."""
    return _GLOBAL_HEADER.pack(_MICROSECONDS, 2, 4, 0, 0, _MAX_PACKET, link_type)


def merge(files: Iterable[Path], target: Path) -> int:
    """Merge captures by time into one.

    Args:
        files: captures of the same link type, as tcpdump writes them on this machine.
        target: the file to write.

    Returns:
        The number of packets in it.

    Raises:
        CaptureError: a file is no capture, or they are of different link types.
    """
    contents = [path.read_bytes() for path in files]
    link_types = {_link_type(content) for content in contents}
    if len(link_types) != 1:
        raise CaptureError(f"captures of {len(link_types)} link types cannot be merged")
    streams = [records(content) for content in contents]
    merged = list(heapq.merge(*streams, key=lambda record: record.time))
    header = global_header(link_types.pop())
    target.write_bytes(header + b"".join(bytes(record) for record in merged))
    return len(merged)


def records(content: bytes) -> Iterator[Record]:
    """The packets of a capture; a record cut off at the end is left out.

    Raises:
        CaptureError: it is no capture.
    """
    _link_type(content)
    position = _GLOBAL_HEADER.size
    while position + _RECORD_HEADER.size <= len(content):
        seconds, microseconds, kept, original = _RECORD_HEADER.unpack_from(content, position)
        position += _RECORD_HEADER.size
        if position + kept > len(content):
            return
        yield Record(seconds, microseconds, original, content[position : position + kept])
        position += kept


def _link_type(content: bytes) -> int:
    if len(content) < _GLOBAL_HEADER.size:
        raise CaptureError("too short for a capture")
    magic, *_, link_type = _GLOBAL_HEADER.unpack_from(content)
    if magic != _MICROSECONDS:
        raise CaptureError(f"magic {magic:#x} is not that of a capture of this machine")
    return int(link_type)


def main(argv: Sequence[str] | None = None) -> int:
    """Capture until SIGTERM; 1 when the interface cannot be captured."""
    parser = argparse.ArgumentParser(prog=f"python -m {__name__}", description=capture.__doc__)
    parser.add_argument("interface")
    parser.add_argument("file", type=Path)
    options = parser.parse_args(argv)
    try:
        raw = open_socket(options.interface)
    except OSError as error:
        sys.stderr.write(f"{options.interface} cannot be captured: {error}\n")
        return 1
    sys.stdout.write("capturing\n")
    sys.stdout.flush()
    capture(raw, options.file)
    return 0


if __name__ == "__main__":
    sys.exit(main())
