"""The devices of this unit as the runtime sees them: hooks, keys and lamps, by position.

Their audio belongs to the matrix process and is not touched here.
"""

from __future__ import annotations

import asyncio
import logging
from pathlib import Path

from ..hal.board import Board, DeviceSpec, DeviceType, load_board
from ..hal.clock import Clock
from ..hal.device import Device
from ..hal.errors import HalError
from ..hal.handset import Handset
from ..hal.registry import Registry
from ..hal.xma import Xma

logger = logging.getLogger(__name__)


class Devices:
    """The board's devices; what cannot be made or opened is logged and left out.

    Args:
        board: The board description.
        registry: Knows the drivers.
        clock: Stamps the events.
    """

    def __init__(self, board: Board, registry: Registry, clock: Clock) -> None:
        self._wanted = len(board.devices)
        self._opened = 0
        made = ((spec, _made(spec, registry, clock)) for spec in board.devices.values())
        self._devices = {spec.position: (spec, device) for spec, device in made if device}

    @property
    def handsets(self) -> dict[str, Handset]:
        """The handsets, by position."""
        return {
            position: device
            for position, (spec, device) in self._devices.items()
            if spec.type is DeviceType.HANDSET and isinstance(device, Handset)
        }

    @property
    def xmas(self) -> dict[str, Xma]:
        """The media adapters, by position."""
        return {
            position: device
            for position, (spec, device) in self._devices.items()
            if spec.type is DeviceType.XMA2 and isinstance(device, Xma)
        }

    async def open(self) -> None:
        """Opens every device; one that is not plugged in attaches later."""
        opening = (_open(device) for _, device in self._devices.values())
        self._opened = sum(await asyncio.gather(*opening))

    def tested(self) -> tuple[str, str]:
        """State and detail of the boot stage ``hal``: failed when no device of the board opened."""
        good = self._opened > 0 or self._wanted == 0
        return "done" if good else "failed", f"{self._opened} of {self._wanted} devices"

    async def close(self) -> None:
        """Lets go of every device."""
        await asyncio.gather(*(device.close() for _, device in self._devices.values()))


def read_board(path: Path) -> Board:
    """The board; one without devices when there is no description, so that the panel works.

    Raises:
        BoardError: The description says something that is not understood.
    """
    if path.exists():
        return load_board(path)
    logger.warning("no board description at %s: no handsets; give --board", path)
    return Board("none", {})


def _made(spec: DeviceSpec, registry: Registry, clock: Clock) -> Device | None:
    try:
        return registry.device(spec, clock)
    except HalError as error:
        logger.error("%s is left out: %s", spec.position, error)  # noqa: TRY400 - says it all
        return None


async def _open(device: Device) -> bool:
    try:
        await device.open()
    except (HalError, OSError) as error:
        logger.error("%s cannot be opened: %s", device.position, error)  # noqa: TRY400 - says it all
        return False
    return True
