"""What the kernel says about network interfaces (rtnetlink(7)), as far as a cable needs it.

>>> list(LinkState.parse_all(b"", index=2))
[]
"""

import struct
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .errors import TruncatedError

LINK_GROUP: Final = 1
"""The multicast group RTMGRP_LINK."""

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_ATTRIBUTE = struct.Struct("=HH")
_NEW_LINK, _DELETED_LINK, _GET_LINK = 16, 17, 18
_REQUEST = 1
_RUNNING = 0x40
_CARRIER_DOWN_COUNT = 48
_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class LinkState:
    """How an interface is now.

    Attributes:
        carrier: Whether it is up and its cable has a signal (IFF_RUNNING).
        losses: How often the signal has been lost; the kernel may tell of a short loss by
            this alone.  None where it does not count.
    """

    carrier: bool
    losses: int | None = None

    @classmethod
    def parse_all(cls, data: bytes, *, index: int) -> Iterator["LinkState"]:
        """Yields the states of one interface in a datagram of netlink messages.

        Args:
            data: One datagram.
            index: The interface, as `socket.if_nametoindex` numbers it.

        Raises:
            TruncatedError: A message or an attribute runs past its end.
        """
        for kind, body in _messages(data):
            if kind not in (_NEW_LINK, _DELETED_LINK) or len(body) < _LINK.size:
                continue
            _, _, number, flags, _ = _LINK.unpack_from(body)
            if number == index:
                running = kind == _NEW_LINK and bool(flags & _RUNNING)
                yield cls(running, _losses(body[_LINK.size :]))


def question(index: int) -> bytes:
    """Returns what asks the kernel for the state of an interface."""
    body = _LINK.pack(0, 0, index, 0, 0)
    return _HEADER.pack(_HEADER.size + len(body), _GET_LINK, _REQUEST, 0, 0) + body


def _messages(data: bytes) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at + _HEADER.size <= len(data):
        length, kind, *_ = _HEADER.unpack_from(data, at)
        if length < _HEADER.size or at + length > len(data):
            raise TruncatedError(f"netlink message of {length} bytes at {at} of {len(data)}")
        yield kind, data[at + _HEADER.size : at + length]
        at += _aligned(length)


def _losses(attributes: bytes) -> int | None:
    at = 0
    while at + _ATTRIBUTE.size <= len(attributes):
        length, kind = _ATTRIBUTE.unpack_from(attributes, at)
        if length < _ATTRIBUTE.size or at + length > len(attributes):
            raise TruncatedError(f"netlink attribute of {length} bytes at {at}")
        if kind == _CARRIER_DOWN_COUNT and length == _ATTRIBUTE.size + 4:
            return int.from_bytes(attributes[at + _ATTRIBUTE.size : at + length], sys.byteorder)
        at += _aligned(length)
    return None


def _aligned(length: int) -> int:
    return -(-length // _ALIGNMENT) * _ALIGNMENT
