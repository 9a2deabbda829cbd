"""Makes sure that an address is used by this unit alone (RFC 5227).

The address is used before all probes are out, because a boot cannot wait six seconds:

    probe ─ 0.1 s ─ used, announced ─ 1..2 s ─ probe ─ 1..2 s ─ probe ─ 2 s ─ announced ─ defended

Until the last announcement whoever else uses the address keeps it; after that the unit
defends what it has.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address
from typing import NoReturn

from ...hal.clock import Clock
from ..errors import AddressConflictError
from ..wire.frame import ArpPacket
from .link import ArpPort

logger = logging.getLogger(__name__)

_AFTER_ERROR_S = 1.0


@dataclass(frozen=True, slots=True)
class ArpTiming:
    """How an address is probed and defended; the names and numbers of RFC 5227 §1.1.

    Attributes:
        answer_s: How long after the first probe a new address is not used yet.
        known_answer_s: The same for an address that was ours before and that the server
            confirms.
        probes: PROBE_NUM.
        probe_min_s: PROBE_MIN.
        probe_max_s: PROBE_MAX.
        announce_wait_s: ANNOUNCE_WAIT, between the last probe and the last announcement.
        defend_interval_s: DEFEND_INTERVAL: a second conflict within it ends the defence.
        max_conflicts: MAX_CONFLICTS: after so many, new addresses are asked for rarely.
        rate_limit_s: RATE_LIMIT_INTERVAL: how rarely.
    """

    answer_s: float = 0.1
    known_answer_s: float = 0.01
    probes: int = 3
    probe_min_s: float = 1.0
    probe_max_s: float = 2.0
    announce_wait_s: float = 2.0
    defend_interval_s: float = 10.0
    max_conflicts: int = 10
    rate_limit_s: float = 60.0


class AddressGuard:
    """Watches over one address, from the first probe for as long as it is used."""

    def __init__(
        self, port: ArpPort, *, clock: Clock, rng: random.Random, timing: ArpTiming
    ) -> None:
        self._port = port
        self._clock = clock
        self._rng = rng
        self._timing = timing
        self._probed_at = clock.monotonic()

    @property
    def address(self) -> IPv4Address:
        """What is watched over."""
        return self._port.address

    async def probe(self) -> None:
        """Sends the first probe; what can go on meanwhile may do so.

        Raises:
            OSError: The interface fails.
        """
        self._probed_at = self._clock.monotonic()
        await self._port.probe()

    async def settle(self, answer_s: float) -> None:
        """Waits until ``answer_s`` after the first probe, and announces the address.

        Raises:
            AddressConflictError: Another machine uses the address, or probes for it too.
            OSError: The interface fails.
        """
        rival = await self._rival(self._probed_at + answer_s - self._clock.monotonic())
        if rival is not None:
            raise _conflict(rival, self.address)
        await self._port.announce()

    async def watch(self, on_defence: Callable[[AddressConflictError], None]) -> NoReturn:
        """Probes and announces for the rest of the time that it takes, then defends.

        The address is defended once in ten seconds; a rival that persists gets it
        (RFC 5227 §2.4 (b)).

        Args:
            on_defence: Told of every conflict that is answered by a defence.

        Raises:
            AddressConflictError: The address may not be used any more.
        """
        await self._probe_on()
        while True:
            error = await self.defend()
            on_defence(error)
            again = await self._user(self._timing.defend_interval_s)
            if again is not None:
                raise _conflict(again, self.address)

    async def defend(self) -> AddressConflictError:
        """Waits for a rival, announces the address against it, and returns the conflict."""
        rival = None
        while rival is None:
            rival = await self._user(None)
        await self.announce()
        return _conflict(rival, self.address)

    async def _probe_on(self) -> None:
        timing = self._timing
        for _ in range(timing.probes - 1):
            await self._undisputed(self._rng.uniform(timing.probe_min_s, timing.probe_max_s))
            with contextlib.suppress(OSError):
                await self._port.probe()
        await self._undisputed(timing.announce_wait_s)
        await self.announce()

    async def _undisputed(self, seconds: float) -> None:
        rival = await self._user(seconds)
        if rival is not None:
            raise _conflict(rival, self.address)

    async def announce(self) -> None:
        """Tells the LAN that the address is ours."""
        with contextlib.suppress(OSError):  # the cable is out; its return is announced again
            await self._port.announce()

    async def _user(self, seconds: float | None) -> ArpPacket | None:
        """Returns who uses the address; who only probes for it learns from the kernel's answer."""
        try:
            async with asyncio.timeout(seconds):
                while True:
                    rival = await self._next_rival()
                    if not rival.is_probe:
                        return rival
        except TimeoutError:
            return None

    async def _rival(self, seconds: float) -> ArpPacket | None:
        try:
            async with asyncio.timeout(max(0.0, seconds)):
                return await self._port.rival()
        except TimeoutError:
            return self._port.heard()

    async def _next_rival(self) -> ArpPacket:
        """An interface that is down says so once and is heard again when it is up."""
        while True:
            try:
                return await self._port.rival()
            except OSError as error:
                logger.info("no ARP for %s: %s", self.address, error)
                await asyncio.sleep(_AFTER_ERROR_S)

    def close(self) -> None:
        """Stops watching."""
        self._port.close()


class Watch:
    """Keeps the guard of the address in use at work, in a task of its own."""

    def __init__(self, on_defence: Callable[[AddressConflictError], None]) -> None:
        self._on_defence = on_defence
        self._guard: AddressGuard | None = None
        self._task: asyncio.Task[NoReturn] | None = None

    @property
    def address(self) -> IPv4Address | None:
        """What is watched over."""
        return None if self._guard is None else self._guard.address

    def has(self, guard: AddressGuard) -> bool:
        """Returns whether a guard is at work, so that it must not be closed."""
        return guard is self._guard

    def start(self, guard: AddressGuard) -> None:
        """Puts a guard to work, in place of the earlier one unless both have the same address."""
        if self.address == guard.address and self._task is not None and not self._task.done():
            return
        self.stop()
        self._guard = guard
        self._task = asyncio.create_task(guard.watch(self._on_defence), name="arp")
        self._task.add_done_callback(partial(_end, guard))

    async def lost(self) -> AddressConflictError:
        """Waits until a rival has the address."""
        if self._task is not None:
            await asyncio.wait([self._task])
            if not self._task.cancelled() and isinstance(
                error := self._task.exception(), AddressConflictError
            ):
                return error
        never: asyncio.Future[AddressConflictError] = asyncio.get_running_loop().create_future()
        return await never

    def stop(self) -> None:
        """Lets the address go."""
        if self._task is not None:
            self._task.cancel()
        self._guard = self._task = None


def _end(guard: AddressGuard, task: "asyncio.Task[NoReturn]") -> None:
    """Closes the guard; a conflict that nobody waits for any more is no news."""
    guard.close()
    if not task.cancelled():
        task.exception()


def _conflict(rival: ArpPacket, address: IPv4Address) -> AddressConflictError:
    return AddressConflictError(
        f"another machine, {rival.sender_mac.hex(':')}, uses {address}",
        f"find it, or exclude {address} from the range of the DHCP server",
    )
