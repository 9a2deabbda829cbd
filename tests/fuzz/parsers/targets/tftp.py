"""TFTP packets: a datagram is one or a WireError."""

from openturret.boot.wire.errors import WireError
from openturret.boot.wire.tftp import Data, ReadRequest, parse

from ..data import captured

ERRORS = (WireError,)


def seeds() -> list[bytes]:
    request = ReadRequest("units/02-54.yaml", {"blksize": "1428", "tsize": "0", "windowsize": "8"})
    return [*captured("tftp_*.bin"), bytes(request), bytes(Data(1, b"content"))]


def run(data: bytes) -> None:
    packet = parse(data)
    if parse(bytes(packet)) != packet:
        raise AssertionError(f"{packet} does not survive its own bytes")
