"""Asks a LAN whether it has a DHCP server: a second one would hand out its addresses twice."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from ipaddress import IPv4Address
from typing import Final

from ...boot.wire.dhcp import BootpOp, DhcpMessage, MessageType, Option, Options
from ...boot.wire.errors import WireError
from ...boot.wire.frame import BROADCAST_ADDRESS, BROADCAST_MAC, UdpFrame
from .place import Place

_ETH_P_IP: Final = 0x0800
_SERVER_PORT, _CLIENT_PORT = 67, 68
_FRAME_BYTES: Final = 2048
_ANY: Final = IPv4Address(0)


async def dhcp_server(place: Place, *, wait_s: float = 3.0) -> IPv4Address | None:
    """The DHCP server that answers first; None when nobody does.

    The offer is left alone, so the server forgets it.

    Args:
        place: the interface to ask on.
        wait_s: how long an answer may take; servers ping an address before they offer it.

    Raises:
        OSError: the interface is down, or no right to send raw frames.
    """
    link = socket.socket(socket.AF_PACKET, socket.SOCK_RAW | socket.SOCK_NONBLOCK)
    with link:
        link.bind((place.interface, _ETH_P_IP))
        question = _discover(place.mac)
        loop = asyncio.get_running_loop()
        await loop.sock_sendall(link, bytes(_frame(place.mac, question)))
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(wait_s):
                return await _answer(link, question.xid)
    return None


async def _answer(link: socket.socket, xid: int) -> IPv4Address | None:
    while True:
        await asyncio.sleep(0)  # a flooded socket never suspends, and no deadline would come
        data = await asyncio.get_running_loop().sock_recv(link, _FRAME_BYTES)
        with contextlib.suppress(WireError):
            frame = UdpFrame.parse(data)
            if frame.source_port == _SERVER_PORT and frame.destination_port == _CLIENT_PORT:
                offer = DhcpMessage.parse(frame.payload)
                if offer.xid == xid and offer.type is MessageType.OFFER:
                    return offer.options.address(Option.SERVER_ID)


def _discover(mac: bytes) -> DhcpMessage:
    items = ((Option.MESSAGE_TYPE, bytes([MessageType.DISCOVER])),)
    return DhcpMessage(
        op=BootpOp.REQUEST, xid=secrets.randbits(32), hardware_address=mac, options=Options(items)
    )


def _frame(mac: bytes, message: DhcpMessage) -> UdpFrame:
    return UdpFrame(
        mac, BROADCAST_MAC, _ANY, BROADCAST_ADDRESS, _CLIENT_PORT, _SERVER_PORT, bytes(message)
    )
