"""What the kernel says about network interfaces (rtnetlink(7)), as far as a cable needs it.

>>> list(LinkState.parse_all(b"", index=2))
[]
"""

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from .errors import TruncatedError

LINK_GROUP: Final = 1
"""The multicast group RTMGRP_LINK."""

_HEADER = struct.Struct("=IHHII")
_LINK = struct.Struct("=BxHiII")
_NEW_LINK, _DELETED_LINK = 16, 17
_RUNNING = 0x40
_ALIGNMENT = 4


@dataclass(frozen=True, slots=True)
class LinkState:
    """How an interface is now.

    Attributes:
        carrier: Whether it is up and its cable has a signal (IFF_RUNNING).
    """

    carrier: bool

    @classmethod
    def parse_all(cls, data: bytes, *, index: int) -> Iterator["LinkState"]:
        """Yields the states of one interface in a datagram of netlink messages.

        Args:
            data: One datagram.
            index: The interface, as `socket.if_nametoindex` numbers it.

        Raises:
            TruncatedError: A message runs past the end of the datagram.
        """
        at = 0
        while at + _HEADER.size <= len(data):
            length, kind, *_ = _HEADER.unpack_from(data, at)
            if length < _HEADER.size or at + length > len(data):
                raise TruncatedError(f"netlink message of {length} bytes at {at} of {len(data)}")
            if kind in (_NEW_LINK, _DELETED_LINK) and length >= _HEADER.size + _LINK.size:
                _, _, number, flags, _ = _LINK.unpack_from(data, at + _HEADER.size)
                if number == index:
                    yield cls(kind == _NEW_LINK and bool(flags & _RUNNING))
            at += -(-length // _ALIGNMENT) * _ALIGNMENT
