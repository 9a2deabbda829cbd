"""The twins of a TouchPro, each in a USB port of the guest, and the hand that works them.

They live outside the guest, so they outlive whatever its kernel makes of them.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, Self

from ...drivers.emulated.usb.gooseneck import GooseneckModel
from ...drivers.emulated.usb.handset import HandsetModel
from ...drivers.emulated.usb.panel import PanelModel
from ...drivers.emulated.usb.peripheral import Peripheral
from ...drivers.emulated.usb.redirection import UsbPort
from ...drivers.emulated.usb.speaker import SpeakerModel
from ...drivers.emulated.usb.speakerphone import SpeakerphoneModel
from ..hands.server import serve
from ..hands.twins import TwinHand


@dataclass(frozen=True, slots=True)
class Place:
    """Where a twin is.

    Attributes:
        port: number of its port; `machine.sysfs_name` says what the guest calls it.
        make: makes the twin.
    """

    port: int
    make: Callable[[], Peripheral]


PLACES: Final[Mapping[str, Place]] = MappingProxyType(
    {
        "handset-left": Place(1, lambda: HandsetModel("HS-0001")),
        "handset-right": Place(2, lambda: HandsetModel("HS-0002")),
        "speakerphone": Place(3, SpeakerphoneModel),
        "gooseneck": Place(4, GooseneckModel),
        "speaker-1": Place(5, lambda: SpeakerModel(channels=8)),
        "panel": Place(6, PanelModel),
    }
)
"""By position; the port is all that tells the two handsets apart, and so is their serial."""


class Twins:
    """Every twin on a socket of a folder, from entering to leaving.

    Attributes:
        ports: the sockets, by the number of the port.
        hand: socket of the hand, which takes any number of callers.
    """

    def __init__(self, folder: Path) -> None:
        self.ports = {place.port: folder / f"{place.port}.usb" for place in PLACES.values()}
        self.hand = folder / "hand"
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        async with AsyncExitStack() as stack:
            twins = {position: place.make() for position, place in PLACES.items()}
            for position, place in PLACES.items():
                port = UsbPort(twins[position], _listener(self.ports[place.port]))
                await port.open()
                stack.push_async_callback(port.close)
            await self._lend(TwinHand(twins), stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(self, *_error: object) -> None:
        await self._stack.aclose()

    async def _lend(self, hand: TwinHand, stack: AsyncExitStack) -> None:
        async def caller(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await serve(hand, reader, writer)

        server = await asyncio.start_unix_server(caller, str(self.hand))
        stack.callback(server.close)


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener
