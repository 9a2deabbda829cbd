"""What becomes of services that do not live: held back, shown, and tried again."""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Final

from ...hal.backoff import Backoff
from ...hal.clock import Clock
from ..bell import Bell
from ..errors import BootError
from ..events import Event
from ..provision import Provision
from ..status import StatusBoard
from .safe_mode import DEATHS_MAX, WINDOW_S, Deaths
from .supervisor import Death, Service

logger = logging.getLogger(__name__)

SAFE_MODE: Final = "safe.mode"
PANEL: Final = "runtime"
"""The service whose port the page of the boot may take while it is held back."""

SETTLED_S: Final = 30.0
"""How long services have to live after safe mode before it is over."""


@dataclass(frozen=True, slots=True)
class Means:
    """What a recovery works with.

    Attributes:
        show: Opens the page of the boot on the panel's port.
        other: Returns once the TSS gives something else than what is in force.
        start: Starts what is held back, from something else if it is given.
        is_judged: Whether new firmware is on trial: then its judge answers its deaths.
    """

    show: Callable[[], Awaitable[None]]
    other: Callable[[], Awaitable[Provision]]
    start: Callable[[Provision | None], Awaitable[None]]
    is_judged: Callable[[], bool]


class Recovery:
    """Listens to the supervisor; decides who is started again, and when.

    Args:
        status: Shown the alarm ``safe.mode`` and the deaths.
        clock: Tells how close together they are.
        patience: Delays between two attempts in safe mode.
        bell: Ends such a delay.
        means: What it works with.
        settled_s: How long services have to live after safe mode before it is over.
    """

    def __init__(
        self,
        status: StatusBoard,
        clock: Clock,
        patience: Backoff,
        bell: Bell,
        means: Means,
        settled_s: float = SETTLED_S,
    ) -> None:
        self._status = status
        self._deaths = Deaths(clock)
        self._patience = patience
        self._bell = bell
        self._means = means
        self._settled_s = settled_s
        self._held: set[str] = set()
        self._news = asyncio.Event()
        self._is_safe_mode = False

    @property
    def is_safe_mode(self) -> bool:
        """Whether something is held back, or has not yet lived for long after it was."""
        return self._is_safe_mode

    def serves(self, service: Service) -> None:
        """Takes note that a service answers."""
        self._status.clear_alarm(silent(service.name))

    def died(self, death: Death) -> bool:
        """Tells of a death; returns False when the service has died too often."""
        event = "hung" if death.hung else "ended"
        name = death.service.name
        self._status.tell(logging.ERROR, Event(event, name, message=str(death)))
        if self._means.is_judged() or self._deaths.count(name) < DEATHS_MAX:
            return True
        words = f"{death}; that was the {DEATHS_MAX}th time within {WINDOW_S / 60:.0f} minutes"
        remedy = f"read log/{name}.log, then publish a remedy or: turret boot retry"
        self._hold_back(name, words, remedy)
        return False

    def begin(self) -> None:
        """Takes note that everything is started: from now on deaths are counted anew."""
        self._deaths.forget()
        self._held.clear()
        self._news.set()

    async def run(self) -> None:
        """Brings back what is held back, whenever something is; until cancelled."""
        while True:
            while not self._held:
                await self._next_news()
            await self._recover()

    async def _recover(self) -> None:
        for delay_s in self._patience.delays():
            await self._try_after(delay_s)
            if await self._lasts():
                break
        self._is_safe_mode = False
        self._status.clear_alarm(SAFE_MODE)
        self._status.running()

    async def _try_after(self, delay_s: float) -> None:
        """Starts what is held back as soon as there is a reason, unless somebody else does."""
        if PANEL in self._held:
            await self._means.show()
        provision = await self._reason(delay_s)
        if not self._held:
            return
        try:
            await self._means.start(provision)
        except BootError as error:
            self._hold_back(PANEL, str(error), error.remedy)

    async def _reason(self, delay_s: float) -> Provision | None:
        """Returns when there is a reason to try again: something new, a wish, or the time."""
        logger.info("safe mode: trying again in %.0f s", delay_s)
        waiting = asyncio.create_task(self._bell.wait(delay_s))
        released = asyncio.create_task(self._until_released())
        other = asyncio.ensure_future(self._means.other())
        try:
            reasons = (waiting, released, other)
            await asyncio.wait(reasons, return_when=asyncio.FIRST_COMPLETED)
            return other.result() if other.done() else None
        finally:
            for reason in (waiting, released, other):
                reason.cancel()
            await asyncio.gather(waiting, released, other, return_exceptions=True)

    async def _until_released(self) -> None:
        while self._held:
            await self._next_news()

    async def _lasts(self) -> bool:
        """Returns whether nothing is held back for long enough."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(self._settled_s):
                while not self._held:
                    await self._next_news()
        return not self._held

    async def _next_news(self) -> None:
        self._news.clear()
        await self._news.wait()

    def _hold_back(self, name: str, why: str, remedy: str) -> None:
        self._is_safe_mode = True
        self._held.add(name)
        self._status.safe_mode()
        self._status.raise_alarm(SAFE_MODE, why, remedy)
        self._news.set()


def silent(service: str) -> str:
    """Returns the alarm of a service that does not answer."""
    return f"{service}.silent"
