"""Captures packets with tcpdump, one file per namespace, and merges files.

A capture ends cleanly (`ServiceProcess.stop`) or with the bench; the file is written packet
by packet, so it can be opened at any time.
"""

from __future__ import annotations

import heapq
import struct
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from .errors import LabError
from .processes import Service, logged
from .tools import tool

_GLOBAL_HEADER = struct.Struct("<IHHiIII")
_RECORD_HEADER = struct.Struct("<IIII")
_MICROSECONDS = 0xA1B2C3D4
_MAX_PACKET = 262_144


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


def service(
    name: str, namespace: str, file: Path, *, interface: str = "eth0", expression: str = ""
) -> Service:
    """The capture of an interface as a process.

    Args:
        name: what the bench calls it.
        namespace: the host whose interface it is.
        file: the pcap to write.
        interface: which one.
        expression: a pcap filter, such as ``udp``; everything by default.
    """
    program = tool("tcpdump")
    argv = [str(program.path), "-i", interface, "-n", "-U", "--immediate-mode", "-s", "0"]
    argv += ["-Z", "root", "-w", str(file), *expression.split()]
    return Service(name, namespace, argv, ready=logged("listening on"), env=program.env)


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
    header = _GLOBAL_HEADER.pack(_MICROSECONDS, 2, 4, 0, 0, _MAX_PACKET, link_types.pop())
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
