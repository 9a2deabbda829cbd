"""Keeps the unit's clock right by NTP, beside the boot and after it.

NTP is not authenticated, so it may not set the clock below a floor: the time of the last
verified metadata, or the time when this firmware was written.
"""

import asyncio
import contextlib
import ctypes
import logging
import random
import time
from collections.abc import Callable, Sequence
from ipaddress import IPv4Address
from pathlib import Path
from typing import Final, NoReturn, Protocol

from ...hal.backoff import Backoff, Waits
from ...hal.clock import Clock
from ..errors import NtpError
from ..status import StatusBoard
from .ntp import Sample, SntpClient

logger = logging.getLogger(__name__)

UNSYNCHRONISED: Final = "clock.unsynchronised"
"""The alarm when NTP servers are known but give no usable time."""

NOT_SET: Final = "clock.not_set"
"""The alarm when this process knows the time but may not set the system's clock."""

STEP_S: Final = 0.128
"""A clock that is wrong by more is stepped, by less it is slewed (STEPT of RFC 5905)."""

COMPLIANT_S: Final = 1.0
"""Recordings must carry a time that is this near to UTC."""

_FIRMWARE = Path(__file__)


class SystemTime(Protocol):
    """Sets the system's clock."""

    def step(self, moment: float) -> None:
        """Sets it to a time in seconds since 1970.

        Raises:
            OSError: This process may not.
        """

    def slew(self, offset_s: float) -> None:
        """Lets it run a little faster or slower until an offset is made up.

        Raises:
            OSError: This process may not.
        """


class LinuxTime:
    """CLOCK_REALTIME; needs CAP_SYS_TIME."""

    def step(self, moment: float) -> None:
        """Calls clock_settime(2)."""
        time.clock_settime(time.CLOCK_REALTIME, moment)

    def slew(self, offset_s: float) -> None:
        """Calls adjtime(3), which makes up half a millisecond in a second."""
        seconds, rest = divmod(offset_s, 1)
        delta = (ctypes.c_long * 2)(int(seconds), int(rest * 1_000_000))
        if ctypes.CDLL(None, use_errno=True).adjtime(delta, None):
            raise OSError(ctypes.get_errno(), "adjtime")


class CorrectedClock:
    """A clock that can be set: the system's own where that is allowed, else only this one."""

    def __init__(self, base: Clock, system: SystemTime) -> None:
        self._base = base
        self._system = system
        self._offset_s = 0.0

    @property
    def offset_s(self) -> float:
        """How far the system's clock is behind, as this process could not set it."""
        return self._offset_s

    def monotonic(self) -> float:
        """Returns seconds since an arbitrary start; never goes back."""
        return self._base.monotonic()

    def unix(self) -> float:
        """Returns corrected seconds since 1970."""
        return self._base.unix() + self._offset_s

    def correct(self, offset_s: float) -> None:
        """Adds an offset in seconds: at once when it is large, gently when it is small."""
        wanted_s = self._offset_s + offset_s
        try:
            if abs(wanted_s) > STEP_S:
                self._system.step(self._base.unix() + wanted_s)
            else:
                self._system.slew(wanted_s)
            self._offset_s = 0.0
        except OSError as error:
            logger.info("the system's clock is not set: %s", error)
            self._offset_s = wanted_s


def firmware_floor() -> float:
    """Returns when this firmware was written to the medium, in seconds since 1970."""
    return _FIRMWARE.stat().st_mtime


class TimeKeeper:
    """Asks for the time again and again, and shows how that goes."""

    def __init__(
        self,
        client: SntpClient,
        clock: CorrectedClock,
        floor: Callable[[], float],
        status: StatusBoard,
        rng: random.Random,
    ) -> None:
        """Takes care of one clock.

        Args:
            client: Measures the clock's offset.
            clock: The clock.
            floor: The earliest believable time.
            status: Shown the alarms, the offset and the server.
            rng: Jitter.
        """
        self._client = client
        self._clock = clock
        self._floor = floor
        self._status = status
        self._polls = Waits(Backoff(first_s=64, cap_s=1024, jitter=0.1, rng=rng))
        self._retries = Waits(Backoff(first_s=16, cap_s=1024, jitter=0.25, rng=rng))

    async def keep(self, servers: Callable[[], Sequence[IPv4Address]]) -> NoReturn:
        """Corrects the clock for ever: soon at first, every 17 minutes later.

        Args:
            servers: Whom to ask now; none is fine.
        """
        while True:
            await asyncio.sleep(await self.once(servers()))

    async def once(self, servers: Sequence[IPv4Address]) -> float:
        """Asks once, corrects the clock, and returns the seconds until the next time."""
        if not servers:
            self._status.clear_alarm(UNSYNCHRONISED)
            return self._retries.next_s()
        try:
            self._take(await self._client.ask(servers, self._floor()))
        except NtpError as error:
            self._status.raise_alarm(UNSYNCHRONISED, str(error), error.remedy)
            self._polls.reset()
            return self._retries.next_s()
        self._status.clear_alarm(UNSYNCHRONISED)
        self._retries.reset()
        return self._polls.next_s()

    def _take(self, sample: Sample) -> None:
        """Corrects the clock.

        Raises:
            NtpError: The time is before the floor.
        """
        moment, floor = self._clock.unix() + sample.offset_s, self._floor()
        if moment < floor:
            raise NtpError(
                f"it says {_date(moment)}, which is before {_date(floor)} when this unit "
                "last verified something or its firmware was written",
                "correct the clock of the NTP server; the time may be forged",
                server=str(sample.server),
            )
        self._clock.correct(sample.offset_s)
        logger.info("clock: %s says %+.6f s", sample.server, sample.offset_s)
        self._status.learn(
            clock_server=str(sample.server), clock_offset_s=round(sample.offset_s, 6)
        )
        self._show_offset()

    def _show_offset(self) -> None:
        if abs(self._clock.offset_s) <= COMPLIANT_S:
            self._status.clear_alarm(NOT_SET)
            return
        self._status.raise_alarm(
            NOT_SET,
            f"the system's clock is {-self._clock.offset_s:+.1f} s wrong, and the boot agent "
            "may not set it",
            "give the boot agent CAP_SYS_TIME, or run an NTP daemon",
        )


def _date(moment: float) -> str:
    with contextlib.suppress(ValueError, OverflowError, OSError):
        return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(moment))
    return f"{moment:.0f} s after 1970"
