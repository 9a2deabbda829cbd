"""The dealer's desk: hooks, digits and channels on one side, lines on the other.

This is what the panel, the web interface and the program of the runtime talk to::

    desk = Desk(DeskParts(agent, matrix, servers, journal, handsets, SystemClock(), Random()))
    await desk.start()                  # adopts what a former process left running
    await desk.open_profile(profile)    # registers, takes over, opens the speaker channels
    await desk.set_hook("left", True)
    call_id = await desk.dial("left", "2001")
    await desk.hang_up("left")

A number is dialled only off-hook.  Putting the handset back hangs up.
"""

from __future__ import annotations

import asyncio
import logging
import random
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import suppress
from dataclasses import dataclass

from ...hal.backoff import Backoff, Waits
from ...hal.clock import Clock
from ...hal.device import Lamp
from ...hal.errors import HalError
from ...hal.events import AttachedEvent, DetachedEvent, HookEvent, HookState, MuteEvent, Overflow
from ...hal.handset import Handset
from ...hal.matrix import MixingMatrix, device_port
from ...hal.wire.json_lines import JsonObject
from .agent import Agent, new_call_id
from .errors import CallsError, LineError
from .journal import Journal
from .line import CallKind, Line, LineState, Route
from .lines import Lines, Watchers
from .places import ChannelPlace, HandsetPlace, Side
from .profile import Profile, SpeakerChannel
from .recovery import Recovery
from .registration import DIRECT, Registration, Registrations
from .sources import Sources, host_of
from .voice import UNITY_DB, Voice

logger = logging.getLogger(__name__)
SPEAKER = "speaker-1"
GOOSENECK = "gooseneck"
CHANNEL_FIRST_RETRY_S = 0.5
CHANNEL_LAST_RETRY_S = 30.0
QUIETEST_DB, LOUDEST_DB = -60.0, 12.0

CallWatcher = Callable[[Line], None]


@dataclass(frozen=True, slots=True)
class DeskParts:
    """What a desk is made of.

    Attributes:
        agent: Started.
        matrix: Whoever mixes.
        servers: The PBXs, ``address:port`` in order of preference.
        journal: Of live dialogs.
        handsets: Opened; by side, a missing one is not there.
        clock: Says when.
        rng: Spreads retries.
        peers: Further addresses that may call: recorders and the like.
        expires_s: How long a registration is asked to last.
        strict_sources: Refuse what comes from addresses that are neither PBX, channel nor peer.
    """

    agent: Agent
    matrix: MixingMatrix
    servers: tuple[str, ...]
    journal: Journal
    handsets: Mapping[str, Handset]
    clock: Clock
    rng: random.Random
    peers: tuple[str, ...] = ()
    expires_s: int = 60
    strict_sources: bool = True


class Desk:
    """Two handsets and up to 32 speaker channels.

    Args:
        parts: What it is made of.
    """

    def __init__(self, parts: DeskParts) -> None:
        self._parts = parts
        self._voice = Voice(parts.matrix)
        self._registrations = Registrations(
            parts.agent, parts.servers, parts.rng, self._changed, expires_s=parts.expires_s
        )
        watchers = Watchers(self._changed, self._incoming, self._connected, self._ended)
        self._lines = Lines(parts.agent, self._voice, parts.clock, watchers)
        self._sources = Sources(parts.agent)
        self._recovery = Recovery(parts.agent, parts.matrix, parts.journal, self._lines)
        self._handsets = {side: HandsetPlace(side, parts.handsets.get(side.value)) for side in Side}
        self._channels: dict[int, ChannelPlace] = {}
        self._profile: Profile | None = None
        self._last_failure: JsonObject | None = None
        self._readers: set[asyncio.Event] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self._unfollow: Callable[[], None] | None = None
        self._started: list[CallWatcher] = []
        self._over: list[CallWatcher] = []

    # ------------------------------------------------------------ life

    async def start(self) -> None:
        """Takes back the calls that a former process left running, and listens to the hooks.

        Raises:
            MatrixError: The matrix is gone; try again.
        """
        if self._unfollow is None:
            self._unfollow = self._parts.journal.follow(self._parts.agent)
            self._lines.start()
        for line in await self._recovery.adopt():
            await self._settle_adopted(line)
        for place in self._handsets.values():
            if place.device is not None:
                self._spawn(self._watch(place, place.device))

    async def stop(self) -> None:
        """Lets go; calls, legs and dialogs stay as they are for the next process."""
        tasks, self._tasks = self._tasks, set()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await self._sources.stop()
        await self._lines.stop()
        if self._unfollow is not None:
            self._unfollow()

    async def open_profile(self, profile: Profile) -> None:
        """Logs a dealer in: registers, takes over adopted calls, opens the speaker channels.

        Raises:
            AgentError: PJSIP refused an account.
        """
        if self._profile is not None:
            await self.close_profile()
        self._profile = profile
        self._channels |= {each.number: self._channel(each) for each in profile.channels}
        await self._admit_sources()
        await self._registrations.start(profile.identity)
        await self._end_foreign_channels()
        await self._recovery.take_over()
        for channel in self._channels.values():
            self._spawn(self._open_channel(channel))
        self._changed()

    async def close_profile(self) -> None:
        """Logs the dealer out: ends every call and channel, unregisters."""
        self._profile = None
        channels, self._channels = self._channels, {}
        for line in self._lines:
            await self._lines.hang_up(line)
        for channel in channels.values():
            await self._clear(channel)
        await self._sources.stop()
        await self._registrations.stop()
        self._changed()

    async def end_silent(self, *, matrix_gone: bool = False) -> int:
        """Ends the lines whose leg the matrix does not have any more; returns how many.

        Speaker channels are then dialled again as after any other end.

        Args:
            matrix_gone: There is no matrix to ask: every leg has gone with it.

        Raises:
            MatrixError: The matrix does not answer.
        """
        legs = {line.line_id: line.leg for line in self._lines if line.leg is not None}
        there = frozenset() if matrix_gone else await self._voice.legs()
        silent = [line_id for line_id, leg in legs.items() if (leg.leg, leg.ssrc) not in there]
        for line_id in silent:
            with suppress(LineError):
                await self._lines.end_silent(self._lines[line_id])
        return len(silent)

    # ------------------------------------------------------------ what is shown

    @property
    def registrations(self) -> tuple[Registration, ...]:
        """How we stand with every PBX."""
        return self._registrations.states

    @property
    def profile(self) -> Profile | None:
        """Who is logged in."""
        return self._profile

    def lines(self) -> tuple[Line, ...]:
        """Returns every line in use."""
        return tuple(self._lines)

    def snapshot(self) -> JsonObject:
        """Returns everything that the panel shows of the desk."""
        return {
            "user": None if self._profile is None else self._profile.name,
            "registrations": [
                {
                    "account": each.account,
                    "server": each.server,
                    "registered": each.registered,
                    "status": each.status,
                    "reason": each.reason,
                }
                for each in self._registrations.states
            ],
            "handsets": {
                side.value: place.snapshot(self._line_id(side.position))
                for side, place in self._handsets.items()
            },
            "speakers": [self._shown(channel) for _, channel in sorted(self._channels.items())],
            "calls": [line.snapshot() for line in self._lines],
            "speed_dials": [
                {"label": each.label, "number": each.number}
                for each in (self._profile.speed_dials if self._profile else ())
            ],
            "last_failure": self._last_failure,
        }

    async def changes(self) -> AsyncIterator[None]:
        """Yields whenever the snapshot may have changed; several changes may come as one."""
        changed = asyncio.Event()
        self._readers.add(changed)
        try:
            while True:
                await changed.wait()
                changed.clear()
                yield
        finally:
            self._readers.discard(changed)

    def follow_calls(self, started: CallWatcher, ended: CallWatcher) -> None:
        """Tells of every call that is answered and of every line that ends, one by one.

        ``changes()`` may take an answer and an end together; here none is left out.
        """
        self._started.append(started)
        self._over.append(ended)

    # ------------------------------------------------------------ handsets

    async def set_hook(self, side: str, off_hook: bool, *, lifted_by: str = "panel") -> None:
        """Takes a handset off-hook, or puts it back, which hangs up.

        Raises:
            LineError: There is no such handset.
        """
        place = self._place(side)
        if place.off_hook == off_hook:
            return
        place.off_hook, place.lifted_by = off_hook, lifted_by if off_hook else ""
        self._changed()
        if not off_hook:
            await self.hang_up(side)
            await self._voice.device_off(place.side.position, place.side.position)
        await self._light(place, Lamp.OFF_HOOK, lit=off_hook)

    async def dial(self, side: str, number: str) -> str:
        """Calls a number through the PBXs, or a SIP URI directly; returns our call id.

        Raises:
            LineError: The handset is on-hook, busy, or the number is none.
            CallFailedError: No route took the call.
            MatrixError: There is no leg or device for it.
        """
        place = self._free(side)
        routes = self._routes(number)
        line = Line(new_call_id(), CallKind.CALL, place.side.position, number.strip())
        line.lifted_by = place.lifted_by
        self._last_failure = None
        await self._put_on(place)
        await self._lines.call(line, routes)
        return line.line_id

    async def answer(self, call_id: str, side: str | None = None) -> None:
        """Takes an incoming call onto a handset; the first free one off-hook by default.

        Raises:
            LineError: It does not ring, or no handset is free and off-hook.
            CallsError: The agent refused.
            MatrixError: There is no leg or device for it.
        """
        line = self._lines[call_id]
        place = self._free(side) if side else self._any_free()
        line.lifted_by = place.lifted_by
        await self._put_on(place)
        await self._lines.answer(line, place.side.position)
        await self._ring_lamps()

    async def hang_up(self, side: str) -> None:
        """Ends the live call of a handset; nothing when there is none.

        Raises:
            LineError: There is no such handset.
        """
        line = self._lines.on(self._place(side).side.position)
        if line is not None:
            await self._lines.hang_up(line)

    async def hang_up_call(self, call_id: str) -> None:
        """Ends a call, or refuses one that rings.

        Raises:
            LineError: There is no such call.
        """
        line = self._lines[call_id]
        await self._lines.hang_up(line, status=486 if line.state is LineState.INCOMING else None)
        await self._ring_lamps()

    async def hold(self, call_id: str) -> None:
        """Puts a call on hold.

        Raises:
            LineError: It is not connected, or adopted.
            AgentError: PJSIP refused.
        """
        await self._lines.hold(self._lines[call_id])

    async def resume(self, call_id: str, side: str | None = None) -> None:
        """Takes a held call back, onto this handset or the one it was on.

        Raises:
            LineError: It is not on hold, or the handset is not free and off-hook.
        """
        line = self._lines[call_id]
        place = self._free(side or line.bus.removeprefix("handset-"), besides=line)
        await self._put_on(place)
        await self._lines.resume(line, place.side.position)

    async def move(self, call_id: str, side: str) -> None:
        """Moves a live call to the other handset; the SIP dialog does not notice.

        Raises:
            LineError: That handset is on-hook or busy.
        """
        line = self._lines[call_id]
        place = self._free(side)
        await self._put_on(place)
        line.lifted_by = place.lifted_by
        await self._lines.move(line, place.side.position)

    # ------------------------------------------------------------ channels

    async def set_volume(self, channel: int, gain_db: float) -> None:
        """Sets how loud a channel plays, in dB.

        Raises:
            LineError: There is no such channel.
            MatrixError: The matrix refused.
        """
        place = self._speaker(channel)
        place.volume_db = min(max(float(gain_db), QUIETEST_DB), LOUDEST_DB)
        await self._play(place)

    async def set_mute(self, channel: int, muted: bool) -> None:
        """Silences a channel at the loudspeaker; it is still recorded.

        Raises:
            LineError: There is no such channel.
            MatrixError: The matrix refused.
        """
        place = self._speaker(channel)
        place.muted = muted
        await self._play(place)

    async def talk(self, channel: int, on: bool) -> None:
        """Lets the gooseneck talk into a channel, or stops it.

        Raises:
            LineError: There is no such channel.
            MatrixError: The matrix refused.
        """
        place = self._speaker(channel)
        if on:
            await self._voice.device_on(place.bus, GOOSENECK, talk_db=UNITY_DB, listen_db=None)
        else:
            await self._voice.device_off(place.bus, GOOSENECK)
        place.talking = on
        self._changed()

    # ------------------------------------------------------------ what Lines reports

    def _changed(self) -> None:
        for reader in self._readers:
            reader.set()

    def _incoming(self, line: Line) -> bool:
        if self._profile is None:
            return False
        logger.info("call from %s", line.remote)
        self._spawn(self._ring_lamps())
        return True

    def _connected(self, line: Line) -> None:
        logger.info("connected with %s over %s", line.remote, line.account)
        for channel in self._channels.values():
            if channel.bus == line.bus:
                channel.waits.reset()
        for watcher in self._started:
            watcher(line)

    def _ended(self, line: Line, status: int, reason: str) -> None:
        logger.info("%s ended: %d %s", line.remote, status, reason)
        if line.outgoing and line.connected_unix_s is None and status >= 300:
            self._last_failure = {"remote": line.remote, "status": status, "reason": reason}
        self._spawn(self._ring_lamps())
        for channel in self._channels.values():
            if channel.bus == line.bus:
                self._spawn(self._open_channel_later(channel))
        for watcher in self._over:
            watcher(line)

    # ------------------------------------------------------------ inside

    def _place(self, side: str) -> HandsetPlace:
        try:
            return self._handsets[Side(side)]
        except ValueError:
            raise LineError(f"there is no handset {side!r}", "left or right") from None

    def _free(self, side: str, *, besides: Line | None = None) -> HandsetPlace:
        place = self._place(side)
        if not place.off_hook:
            raise LineError(f"the {side} handset is on-hook", "take it off-hook first")
        line = self._lines.on(place.side.position)
        if line is not None and line is not besides and line.state is not LineState.HELD:
            raise LineError(f"the {side} handset is busy with {line.remote}", "hang up or hold")
        return place

    def _any_free(self) -> HandsetPlace:
        for side in Side:
            with suppress(LineError):
                return self._free(side.value)
        raise LineError("no handset is free", "take one off-hook that has no call")

    def _routes(self, number: str) -> list[Route]:
        number = number.strip()
        if number.startswith(("sip:", "sips:")):
            return [Route(DIRECT, number)]
        if not number or not all(c.isalnum() or c in "+*#-_." for c in number):
            raise LineError(f"{number!r} is no number", "digits, + * # or a SIP URI")
        dialled = number.replace("#", "%23")
        names = self._registrations.accounts()
        routes = [Route(n, f"sip:{dialled}@{self._registrations.server(n)}") for n in names]
        if self._profile is None or not routes:
            raise LineError("nobody is logged in", "log in first")
        return routes

    async def _put_on(self, place: HandsetPlace) -> None:
        position = place.side.position
        talk_db = None if place.muted else UNITY_DB
        await self._voice.device_on(position, position, talk_db=talk_db, listen_db=UNITY_DB)

    def _speaker(self, channel: int) -> ChannelPlace:
        place = self._channels.get(channel)
        if place is None:
            raise LineError(f"there is no speaker channel {channel}", "see the profile")
        return place

    def _channel(self, settings: SpeakerChannel) -> ChannelPlace:
        backoff = Backoff(
            first_s=CHANNEL_FIRST_RETRY_S,
            cap_s=CHANNEL_LAST_RETRY_S,
            jitter=0.5,
            rng=self._parts.rng,
        )
        return ChannelPlace(settings, Waits(backoff))

    async def _play(self, place: ChannelPlace) -> None:
        await self._voice.device_on(place.bus, SPEAKER, talk_db=None, listen_db=place.listen_db)
        self._changed()

    async def _clear(self, place: ChannelPlace) -> None:
        """Takes the devices off a channel; a matrix that is gone keeps nobody logged in."""
        try:
            await self._voice.device_off(place.bus, SPEAKER)
            await self._voice.device_off(place.bus, GOOSENECK)
        except HalError as error:
            logger.warning("channel %d: %s", place.settings.number, error)

    async def _end_foreign_channels(self) -> None:
        """Ends adopted channels that this dealer does not have."""
        buses = {channel.bus for channel in self._channels.values()}
        for line in self._lines:
            if line.kind is CallKind.CHANNEL and line.bus not in buses:
                await self._lines.hang_up(line)

    async def _open_channel(self, place: ChannelPlace) -> None:
        """Dials a channel unless it is open; an adopted one keeps its volume."""
        if self._lines.on(place.bus) is not None:
            await self._remember(place)
            return
        line = Line(new_call_id(), CallKind.CHANNEL, place.bus, place.settings.uri)
        line.label = place.settings.label
        try:
            await self._play(place)
            if place.talking:
                await self.talk(place.settings.number, on=True)
            await self._lines.call(line, self._routes(place.settings.uri))
        except (CallsError, HalError) as error:
            logger.warning("channel %d: %s", place.settings.number, error)
            self._spawn(self._open_channel_later(place))

    async def _open_channel_later(self, place: ChannelPlace) -> None:
        await asyncio.sleep(place.waits.next_s())
        if self._channels.get(place.settings.number) is place:
            await self._open_channel(place)

    async def _remember(self, place: ChannelPlace) -> None:
        """Reads back from the matrix how a channel played before a restart."""
        for bus in await self._parts.matrix.bus_list():
            for member in bus.members if bus.bus == place.bus else ():
                if member.port == device_port(SPEAKER):
                    place.muted = member.listen_db is None
                    place.volume_db = member.listen_db or 0.0
                if member.port == device_port(GOOSENECK):
                    place.talking = member.talk_db is not None
        self._changed()

    async def _admit_sources(self) -> None:
        if not self._parts.strict_sources:
            await self._parts.agent.allow_only(None)
            return
        places = (*self._parts.servers, *(c.settings.uri for c in self._channels.values()))
        hosts = {host for host in map(host_of, places) if host}
        await self._sources.admit(hosts | set(self._parts.peers))

    def _line_id(self, bus: str) -> str | None:
        line = self._lines.on(bus)
        return None if line is None else line.line_id

    def _shown(self, channel: ChannelPlace) -> JsonObject:
        line = self._lines.on(channel.bus)
        state = LineState.IDLE if line is None else line.state
        return channel.snapshot(state.value, None if line is None else line.line_id)

    # ------------------------------------------------------------ devices

    async def _settle_adopted(self, line: Line) -> None:
        for side, place in self._handsets.items():
            if side.position == line.bus:
                place.off_hook, place.lifted_by = True, line.lifted_by or "panel"
                await self._put_on(place)
                await self._cradled_meanwhile(place)

    async def _cradled_meanwhile(self, place: HandsetPlace) -> None:
        """Hangs up when the handset was put back while nobody watched it."""
        device = place.device
        if device is None or not device.attached or place.lifted_by != "device":
            return
        if device.hook is HookState.ON_HOOK:
            await self.set_hook(place.side.value, off_hook=False)

    async def _watch(self, place: HandsetPlace, device: Handset) -> None:
        events = device.events()
        if device.attached and device.hook is HookState.OFF_HOOK:
            await self.set_hook(place.side.value, off_hook=True, lifted_by="device")
        async for event in events:
            try:
                await self._on_device(place, device, event)
            except (CallsError, HalError) as error:
                logger.warning("handset %s: %s", place.side, error)

    async def _on_device(self, place: HandsetPlace, device: Handset, event: object) -> None:
        match event:
            case HookEvent(state=state):
                await self.set_hook(
                    place.side.value, state is HookState.OFF_HOOK, lifted_by="device"
                )
            case MuteEvent(muted=muted):
                await self._mute(place, muted=muted)
            case AttachedEvent() | Overflow():
                await self._cradled_meanwhile(place)
                if device.hook is HookState.OFF_HOOK:
                    await self.set_hook(place.side.value, off_hook=True, lifted_by="device")
                self._changed()
            case DetachedEvent():
                self._changed()
            case _:
                pass

    async def _mute(self, place: HandsetPlace, *, muted: bool) -> None:
        place.muted = muted
        if place.off_hook and self._lines.on(place.side.position) is not None:
            await self._put_on(place)
        await self._light(place, Lamp.MUTE, lit=muted)
        self._changed()

    async def _ring_lamps(self) -> None:
        ringing = any(line.state is LineState.INCOMING for line in self._lines)
        for place in self._handsets.values():
            await self._light(place, Lamp.RING, lit=ringing)

    async def _light(self, place: HandsetPlace, lamp: Lamp, *, lit: bool) -> None:
        if place.device is None:
            return
        with suppress(HalError):
            await place.device.set_lamp(lamp, lit=lit)

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        task = asyncio.get_running_loop().create_task(self._guard(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guard(self, work: Coroutine[None, None, None]) -> None:
        try:
            await work
        except (CallsError, HalError) as error:
            logger.warning("%s", error)
