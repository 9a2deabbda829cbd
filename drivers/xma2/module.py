"""The XMA2 at its console: speaker channels with knob, key and lamp, and what it administers."""

import logging
from collections.abc import Mapping
from functools import partial

from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.errors import DeviceError, DeviceGoneError, MatchError
from ...hal.events import (
    AttachedEvent,
    DetachedEvent,
    EventHub,
    EventQueue,
    KeyEvent,
    VolumeEvent,
)
from ...hal.speaker import channel_name
from ...hal.xma import PortFilter, XmaChannel
from ..errors import ConsoleError, ConsoleLineError
from ..serial.frame import check_word
from ..serial.places import place_of
from .console import Console
from .secret import read_secret, secret_file
from .wire import (
    Greeting,
    KeyNews,
    KnobNews,
    channel_line,
    filter_line,
    parse_channel,
    parse_counter,
    parse_filter,
)

logger = logging.getLogger(__name__)


class Xma2:
    """An XMA2 by its console; its matrix is :func:`.matrix.matrix_at`.

    Args:
        spec: With ``url`` of the console and ``secret``, the file that holds the module's.
        clock: Stamps the events.

    Raises:
        BoardError: The description lacks one of them.
    """

    def __init__(self, spec: DeviceSpec, clock: Clock) -> None:
        self._spec = spec
        self._clock = clock
        secret = partial(read_secret, secret_file(spec))
        self._console = Console(spec.position, place_of(spec), secret, self)
        self._hub = EventHub()
        self._held: frozenset[int] = frozenset()
        self._lamps: frozenset[str] = frozenset()
        self._attached = False

    @property
    def position(self) -> str:
        """The module's place on the board."""
        return self._spec.position

    @property
    def attached(self) -> bool:
        """Whether the module answers now, and has taken the login."""
        return self._attached

    @property
    def channels(self) -> int:
        """How many speaker channels the board gives it, from 1."""
        return self._spec.channels

    async def open(self) -> None:
        """Starts to look for the module; an AttachedEvent says when it answers."""
        self._console.start()

    async def close(self) -> None:
        """Lets go of the module and ends its events."""
        await self._console.close()
        self._hub.close()

    def events(self) -> EventQueue:
        """Returns an async iterator of what happens from now on."""
        return self._hub.subscribe()

    async def set_lamp(self, lamp: str, *, lit: bool) -> None:
        """Lights or darkens an activity lamp, ``channel-3``; shown again after a re-attach.

        Raises:
            FrameError: The name cannot be sent.
        """
        check_word(lamp)
        self._lamps = self._lamps | {lamp} if lit else self._lamps - {lamp}
        if self._attached:
            await self._show(lamp)

    async def port_filter(self) -> PortFilter:
        """Reads the filter in force.

        Raises:
            DeviceGoneError: The console does not answer.
            ConsoleLineError: The answer makes no sense.
        """
        return parse_filter(_only(await self._console.ask("filter")))

    async def set_port_filter(self, ports: PortFilter) -> None:
        """Sets the filter and reads it back.

        Raises:
            DeviceGoneError: The console does not answer.
            DeviceError: The module refused, or kept another filter.
        """
        await self._console.ask(filter_line(ports))
        kept = await self.port_filter()
        if kept != ports:
            wanted, found = (filter_line(each) for each in (ports, kept))
            raise DeviceError(f"{self.position} kept {found!r} when told {wanted!r}")

    async def switch_channels(self) -> tuple[XmaChannel, ...]:
        """Reads the channels of its switch administration.

        Raises:
            DeviceGoneError: The console does not answer.
            ConsoleLineError: The answer makes no sense.
        """
        return tuple(parse_channel(line) for line in await self._console.ask("channels"))

    async def set_channel(self, channel: int, *, enabled: bool, label: str | None = None) -> None:
        """Switches a channel on or off, and names it; None keeps the name.

        Raises:
            DeviceGoneError: The console does not answer.
            ConsoleError: There is no such channel.
            ConsoleLineError: The label is longer than 32 characters or cannot be printed.
        """
        if label is None:
            kept = {each.channel: each.label for each in await self.switch_channels()}
            label = kept.get(channel, "")
        await self._console.ask(channel_line(XmaChannel(channel, enabled, label)))

    async def counters(self) -> Mapping[str, int]:
        """Reads what the module counted since its power came, by name.

        Raises:
            DeviceGoneError: The console does not answer.
            ConsoleLineError: The answer makes no sense.
        """
        return dict(parse_counter(line) for line in await self._console.ask("counters"))

    # ------------------------------------------------------------ what the console tells

    def check(self, greeting: Greeting) -> None:
        """Refuses a module that is not the one that the board means.

        Raises:
            MatchError: It has another serial number, or too few channels.
        """
        serial = str(self._spec.match.get("serial", greeting.serial))
        if greeting.serial != serial:
            remedy = "swap the cables or correct the board"
            raise MatchError(f"{greeting.serial} answers, not {serial}", remedy=remedy)
        if greeting.channels < self.channels:
            remedy = f"write 'channels: {greeting.channels}' or less"
            raise MatchError(f"{serial} has {greeting.channels} channels", remedy=remedy)

    def begun(self, held: list[KeyNews]) -> None:
        """The console is in session."""
        self._attached = True
        self._hub.publish(AttachedEvent(self._clock.unix(), self.position))
        before, now = self._held, frozenset(news.channel for news in held if news.pressed)
        for channel in sorted(now - before):
            self.told(KeyNews(channel, pressed=True))
        for channel in sorted(before - now):
            self.told(KeyNews(channel, pressed=False))

    async def settle(self) -> None:
        """Shows the lamps anew."""
        for lamp in sorted(self._lamps):
            await self._show(lamp)

    def ended(self, reason: str) -> None:
        """The console is in no session any more."""
        if self._attached:
            self._attached = False
            self._hub.publish(DetachedEvent(self._clock.unix(), self.position))
            logger.info("%s: detached: %s", self.position, reason)

    def told(self, news: KeyNews | KnobNews) -> None:
        """A key or knob was moved; channels that the board does not use are passed over."""
        if news.channel > self.channels:
            return
        now = self._clock.unix()
        if isinstance(news, KnobNews):
            self._hub.publish(VolumeEvent(now, self.position, news.channel, news.steps))
        elif news.pressed is not (news.channel in self._held):
            self._held = self._held ^ {news.channel}
            name = channel_name(news.channel)
            self._hub.publish(KeyEvent(now, self.position, name, news.pressed))

    async def _show(self, lamp: str) -> None:
        """Shows a lamp as it is wanted; what is not shown now is shown after a re-attach."""
        try:
            await self._console.ask(f"lamp {lamp} {'on' if lamp in self._lamps else 'off'}")
        except (ConsoleError, DeviceGoneError) as error:
            logger.debug("%s: %s", self.position, error)


def _only(lines: list[str]) -> str:
    if len(lines) != 1:
        raise ConsoleLineError(f"{len(lines)} lines are no single answer")
    return lines[0]
