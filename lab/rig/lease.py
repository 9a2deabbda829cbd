"""Places that come back by themselves: ``turret rig hold`` and ``turret rig janitor``.

In labgrid a place stays acquired, and its reservation alive, until somebody releases it: a test
machine that dies keeps a rig for ever. A holder therefore counts a tag of its place up, as long
as it lives: ``lease_beat=w7hq2ifn0e_12`` is beat 12 of reservation W7HQ2IFN0E. The janitor takes
a place back whose tag has stood still for too long by its own clock, so no two clocks are
compared. Places that were acquired in any other way are left alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Self

from ._labgrid import (
    AcquirePlaceRequest,
    AioRpcError,
    CancelReservationRequest,
    ClientSession,
    CreateReservationRequest,
    Error,
    Place,
    PollReservationRequest,
    ReleasePlaceRequest,
    Reservation,
    ReservationState,
    SetPlaceTagsRequest,
)
from .errors import LeaseError

TAG = "lease_beat"
POLL_S = 0.2
ENDED_STATES = (ReservationState.expired, ReservationState.invalid)


@dataclass(frozen=True, slots=True)
class Held:
    """A place that is ours, and the reservation that brought it."""

    place: str
    token: str


class Coordinator:
    """A session at labgrid's coordinator.

    Example::

        async with Coordinator.session("127.0.0.1:20408") as coordinator:
            async with coordinator.held({"board": "turret"}) as held:
                ...
    """

    def __init__(self, session: ClientSession, address: str) -> None:
        self._session = session
        self.address = address

    @classmethod
    @contextlib.asynccontextmanager
    async def session(cls, address: str) -> AsyncIterator[Self]:
        """Connect, and disconnect at the end.

        Raises:
            LeaseError: nobody answers there.
        """
        session = ClientSession(address, asyncio.get_running_loop())
        try:
            await session.start()
        except Error as error:
            await session.close()
            message = f"no coordinator at {address}; start `labgrid-coordinator -l {address}`"
            raise LeaseError(message) from error
        try:
            yield cls(session, address)
        finally:
            await session.stop()
            await session.close()

    def places(self) -> Mapping[str, Place]:
        """Every place as last reported, kept current."""
        return self._session.places

    @contextlib.asynccontextmanager
    async def held(self, filters: Mapping[str, str]) -> AsyncIterator[Held]:
        """Wait for a place with the given tags, hold it, and let go of it at the end.

        Raises:
            LeaseError: the coordinator refuses, or part of the place is missing.
        """
        with _refusals():
            held = await self._reserve(filters)
            try:
                await self._acquire(held.place)
                yield held
            finally:
                await self.let_go(held.place, self._me(), held.token)

    async def beat(self, held: Held, number: int) -> None:
        """Say that we still live.

        Raises:
            LeaseError: the place is no longer ours.
        """
        with _refusals():
            place = self._session.places[held.place]
            if (place.acquired, place.reservation) != (self._me(), held.token):
                raise LeaseError(f"place {held.place} was taken away")
            tags = {TAG: f"{held.token.lower()}_{number}"}
            await self._session.stub.SetPlaceTags(
                SetPlaceTagsRequest(placename=held.place, tags=tags)
            )

    async def let_go(self, place: str, holder: str, token: str | None) -> None:
        """Release a place of a holder, and end its lease and its reservation."""
        stub = self._session.stub
        await stub.ReleasePlace(ReleasePlaceRequest(placename=place, fromuser=holder))
        await stub.SetPlaceTags(SetPlaceTagsRequest(placename=place, tags={TAG: ""}))
        if token:
            with contextlib.suppress(AioRpcError):
                await stub.CancelReservation(CancelReservationRequest(token=token))

    def _me(self) -> str:
        return f"{self._session.gethostname()}/{self._session.getuser()}"

    async def _reserve(self, filters: Mapping[str, str]) -> Held:
        wanted = Reservation.Filter(filter=dict(filters))
        request = CreateReservationRequest(filters={"main": wanted}, prio=0.0)
        found = (await self._session.stub.CreateReservation(request)).reservation
        try:
            return Held(await self._allocation(found), found.token)
        except BaseException:
            with contextlib.suppress(AioRpcError):
                cancel = CancelReservationRequest(token=found.token)
                await self._session.stub.CancelReservation(cancel)
            raise

    async def _allocation(self, reservation: Reservation) -> str:
        poll = PollReservationRequest(token=reservation.token)
        while not reservation.allocations:
            if ReservationState(reservation.state) in ENDED_STATES:
                raise LeaseError(f"reservation {reservation.token} ended before a place was free")
            await asyncio.sleep(POLL_S)
            reservation = (await self._session.stub.PollReservation(poll)).reservation
        return reservation.allocations["main"]

    async def _acquire(self, name: str) -> None:
        await self._session.sync_with_coordinator()
        self._session.check_matches(self._session.places[name])
        await self._session.stub.AcquirePlace(AcquirePlaceRequest(placename=name))
        await self._session.sync_with_coordinator()


@contextlib.contextmanager
def _refusals() -> Iterator[None]:
    try:
        yield
    except AioRpcError as error:
        raise LeaseError(f"the coordinator refused: {error.details()}") from error
    except Error as error:
        raise LeaseError(str(error)) from error


async def hold(
    address: str, filters: Mapping[str, str], command: Sequence[str], *, beat_s: float
) -> int:
    """Hold a place while a command runs, which finds it in ``LG_PLACE``.

    Returns:
        The exit status of the command, 128 + n when signal n ended it.

    Raises:
        LeaseError: no place could be had, or it was taken away; the command is then ended.
    """
    async with Coordinator.session(address) as coordinator, coordinator.held(filters) as held:
        await coordinator.beat(held, 0)
        environment = {**os.environ, "LG_PLACE": held.place, "LG_COORDINATOR": address}
        process = await asyncio.create_subprocess_exec(*command, env=environment)
        try:
            status = await _beaten(coordinator, held, process, beat_s)
        finally:
            await _end(process)
    return 128 - status if status < 0 else status


async def _beaten(
    coordinator: Coordinator, held: Held, process: asyncio.subprocess.Process, beat_s: float
) -> int:
    number = 0
    while True:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(beat_s):
                return await process.wait()
        number += 1
        await coordinator.beat(held, number)


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        process.terminate()
        await process.wait()


@dataclass(slots=True)
class Leases:
    """Which leases stand still, by one clock.

    Attributes:
        lease_s: for how long a beat is good.
    """

    lease_s: float
    _seen: dict[str, tuple[str, float]] = field(default_factory=dict)

    def expired(self, places: Mapping[str, Place], now_s: float) -> list[Place]:
        """The places that are held on a lease whose last beat is too old.

        Args:
            places: as reported now.
            now_s: seconds of a clock that does not go back.
        """
        beats = {name: beat for name, place in places.items() if (beat := _beat(place))}
        self._seen = {
            name: self._seen[name] if self._seen.get(name, ("", 0.0))[0] == beat else (beat, now_s)
            for name, beat in beats.items()
        }
        return [places[name] for name, (_, at) in self._seen.items() if now_s - at > self.lease_s]


def _beat(place: Place) -> str:
    """The last beat of a place that is held on a lease, "" of one that is not."""
    beat = place.tags.get(TAG, "")
    leased = place.acquired and beat.startswith(f"{(place.reservation or '').lower()}_")
    return beat if leased else ""


async def watch(address: str, *, lease_s: float, say: Callable[[str], None]) -> None:
    """Take places back whose holders are gone, until cancelled.

    Raises:
        LeaseError: the coordinator does not answer, or went away.
    """
    leases = Leases(lease_s)
    async with Coordinator.session(address) as coordinator:
        say(f"watching the places of {address}; a lease is good for {lease_s:g} s")
        while True:
            for place in leases.expired(coordinator.places(), time.monotonic()):
                with _refusals():
                    await coordinator.let_go(place.name, place.acquired or "", place.reservation)
                say(f"took {place.name} back: its holder {place.acquired} is gone")
            await asyncio.sleep(POLL_S)
