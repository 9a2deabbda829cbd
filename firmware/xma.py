"""Keeps the XMA2 of the unit at the unit's port filter, and says when it is not."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Final

from ..hal.errors import HalError
from ..hal.events import AttachedEvent, DetachedEvent, DeviceEvent, Overflow
from ..hal.xma import PortFilter, Xma
from .alarms import AlarmBoard
from .config.store import Configuration

GONE: Final = "xma.gone"
FILTER: Final = "xma.filter"
PATIENCE_S: Final = 5.0
"""How long an XMA2 may take to attach after the start before it is missed."""


def port_filter_of(configuration: Configuration) -> PortFilter | None:
    """Returns the filter that a configuration wants; None where it enables no XMA2."""
    if not configuration.flag("application.xma.enable"):
        return None
    prefix = "application.xma.trafficin."
    return PortFilter(
        configuration.integer(prefix + "portef"), configuration.integer(prefix + "netmask")
    )


class XmaWatch:
    """Follows the modules of a unit.

    Args:
        modules: By position.
        ports: The filter that each must have; None leaves it as it is.
        alarms: Is told.
        patience_s: How long a module may take to attach after the start, seconds.
    """

    def __init__(
        self,
        modules: Mapping[str, Xma],
        ports: PortFilter | None,
        alarms: AlarmBoard,
        *,
        patience_s: float = PATIENCE_S,
    ) -> None:
        self._modules = modules
        self._ports = ports
        self._alarms = alarms
        self._patience_s = patience_s

    async def run(self) -> None:
        """Watches until it is cancelled, or every module is closed."""
        async with asyncio.TaskGroup() as tasks:
            for module in self._modules.values():
                tasks.create_task(self._follow(module))
                tasks.create_task(self._miss(module))

    async def _miss(self, module: Xma) -> None:
        await asyncio.sleep(self._patience_s)
        if not module.attached:
            self._raise_gone(module)

    async def _follow(self, module: Xma) -> None:
        events = module.events()
        if module.attached:
            await self._meet(module)
        async for event in events:
            await self._hear(module, event)

    async def _hear(self, module: Xma, event: DeviceEvent | Overflow) -> None:
        if isinstance(event, DetachedEvent):
            self._raise_gone(module)
        elif isinstance(event, AttachedEvent) or (isinstance(event, Overflow) and module.attached):
            await self._meet(module)

    async def _meet(self, module: Xma) -> None:
        """Gives the module its filter; one that goes meanwhile is met again when it comes."""
        self._alarms.clear(GONE, module.position)
        if self._ports is None:
            return
        try:
            await module.set_port_filter(self._ports)
        except HalError as error:
            remedy = "correct application.xma.trafficin at the TSS, or look at the module's console"
            self._alarms.raise_(FILTER, module.position, str(error), remedy)
        else:
            self._alarms.clear(FILTER, module.position)

    def _raise_gone(self, module: Xma) -> None:
        remedy = "check its cable and power; the log says why its console does not answer"
        self._alarms.raise_(GONE, module.position, f"{module.position} does not answer", remedy)
