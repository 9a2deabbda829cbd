"""The devices of this unit as the runtime sees them: hooks, keys and lamps, by position.

Their audio belongs to the matrix process and is not touched here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping
from types import MappingProxyType

from ..hal.board import Board, DeviceType
from ..hal.clock import Clock
from ..hal.device import Device
from ..hal.errors import HalError
from ..hal.handset import Handset
from ..hal.registry import Registry

logger = logging.getLogger(__name__)


class Devices:
    """Opens what the board lists; what cannot be made or opened is logged and left out.

    Args:
        board: The board description.
        registry: Knows the drivers.
        clock: Stamps the events.
    """

    def __init__(self, board: Board, registry: Registry, clock: Clock) -> None:
        self._board = board
        self._registry = registry
        self._clock = clock
        self._devices: dict[str, Device] = {}

    @property
    def all(self) -> Mapping[str, Device]:
        """Every device that was opened, by position."""
        return MappingProxyType(self._devices)

    @property
    def handsets(self) -> dict[str, Handset]:
        """The handsets, by position."""
        return {
            position: device
            for position, device in self._devices.items()
            if self._board.devices[position].type is DeviceType.HANDSET
            and isinstance(device, Handset)
        }

    async def open(self) -> None:
        """Opens every device; one that is not plugged in attaches later."""
        await asyncio.gather(*(self._open(position) for position in self._board.devices))

    async def close(self) -> None:
        """Lets go of every device."""
        devices, self._devices = self._devices, {}
        await asyncio.gather(*(device.close() for device in devices.values()))

    async def _open(self, position: str) -> None:
        try:
            device = self._registry.device(self._board.devices[position], self._clock)
            await device.open()
        except (HalError, OSError) as error:
            logger.error("%s cannot be used: %s", position, error)  # noqa: TRY400 - the reason is whole
            return
        self._devices[position] = device
