"""A floor of units that other processes reach: power by lines of JSON, panels and hands by TCP.

The units stand in the bench's namespace. The sockets listen on the host, are made before the
namespace is entered, and carry three things in: a power switch for all units, and for each
unit its panel (HTTP) and the hand at its emulated hardware (`openturret.lab.hands.server`). A
line of the power switch::

    {"id": 1, "method": "power_on", "params": {"unit": "touchpro-1"}}
    {"id": 1, "result": {"on": true}}   or   {"id": 1, "error": "there is no unit …"}

Methods are ``power_on``, ``power_off`` and ``is_on``; each is answered when it is done.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from functools import partial
from typing import Self

from ...hal.errors import DeviceGoneError, FieldError, HalError
from ...hal.line_service import answered, serve_lines
from ...hal.wire.json_lines import JsonObject, field
from ..bench import Bench
from ..errors import LabError
from ..forward import Streams, adopt, forward_to, listen
from ..hands.server import serve
from ..hands.sockets import SocketHand
from ..unit import Unit

logger = logging.getLogger(__name__)

PANEL_PORT = 80


@dataclass(frozen=True, slots=True)
class FloorSockets:
    """The sockets that a floor listens on.

    Attributes:
        power: the power switch of all units.
        panels: the panel of each unit, in the order of their numbers.
        hands: the hand at each unit.
    """

    power: socket.socket
    panels: tuple[socket.socket, ...]
    hands: tuple[socket.socket, ...]

    @classmethod
    def listen(cls, units: int, address: str = "127.0.0.1") -> Self:
        """Listen for so many units on free ports of an address of this machine.

        Raises:
            OSError: this machine has no such address.
        """
        return cls._split([listen(address) for _ in range(1 + 2 * units)])

    @classmethod
    def adopt(cls, descriptors: Sequence[int]) -> Self:
        """The sockets that were inherited as the given `descriptors`."""
        return cls._split([adopt(descriptor) for descriptor in descriptors])

    @classmethod
    def _split(cls, sockets: list[socket.socket]) -> Self:
        power, *others = sockets
        middle = len(others) // 2
        return cls(power, tuple(others[:middle]), tuple(others[middle:]))

    def descriptors(self) -> list[int]:
        """Their file descriptors, for whoever inherits them."""
        return [item.fileno() for item in (self.power, *self.panels, *self.hands)]

    def close(self) -> None:
        """Stop listening here; who inherited them still does."""
        for item in (self.power, *self.panels, *self.hands):
            item.close()


class Floor:
    """Serves the units of a bench.

    Args:
        bench: the bench, up.
        sockets: where to listen; closed with the floor.
    """

    def __init__(self, bench: Bench, sockets: FloorSockets) -> None:
        self._bench = bench
        self._sockets = sockets
        self._servers: list[asyncio.Server] = []
        self._switching = {name: asyncio.Lock() for name in bench.units}

    async def open(self) -> None:
        """Begin to serve."""
        self._servers.append(await asyncio.start_server(self._serve, sock=self._sockets.power))
        units = self._bench.units.values()
        for unit, panel, hand in zip(units, self._sockets.panels, self._sockets.hands, strict=True):
            self._servers.append(await forward_to(panel, partial(_panel, unit)))
            lend = partial(_lend, unit)
            self._servers.append(await asyncio.start_server(lend, sock=hand))

    def close(self) -> None:
        """Stop listening; the units stay as they are."""
        for server in self._servers:
            server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await serve_lines(reader, writer, self._answer, peer="power switch")

    async def _answer(self, line: bytes) -> dict[str, object]:
        return await answered(line, self._do, (LabError, HalError))

    async def _do(self, method: str, params: JsonObject) -> object:
        unit = self._unit(field(params, "unit", str))
        async with self._switching[unit.name]:
            await self._switch(unit, method)
        return {"on": unit.is_on}

    def _unit(self, name: str) -> Unit:
        if name not in self._bench.units:
            known = ", ".join(self._bench.units)
            raise FieldError(f"there is no unit {name[:40]!r}; there are {known}")
        return self._bench.units[name]

    async def _switch(self, unit: Unit, method: str) -> None:
        match method:
            case "power_on":
                if not unit.is_on:
                    await unit.power_on()
            case "power_off":
                if unit.is_on:
                    await unit.power_off()
            case "is_on":
                pass
            case _:
                raise FieldError(f"method {method[:40]!r} is not power_on, power_off or is_on")


async def _panel(unit: Unit) -> Streams:
    address = unit.address() if unit.is_on else None
    if address is None:
        raise ConnectionRefusedError(f"{unit.name} has no address")
    return await asyncio.open_connection(address, PANEL_PORT)


async def _lend(unit: Unit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Lend the hand at a unit's hardware, which is there once the unit has been switched on."""
    try:
        hand = await SocketHand.connect(unit.sockets)
    except DeviceGoneError as error:
        logger.warning("%s: %s", unit.name, error)
        writer.close()
        return
    try:
        await serve(hand, reader, writer)
    finally:
        await hand.close()
