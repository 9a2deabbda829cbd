"""Drivers of a hand: a program's at emulated hardware, a person's or actuators' at a real unit."""

from __future__ import annotations

import abc
import asyncio
import contextlib
import shlex
import wave
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

import attr

from ...hal.errors import DeviceError, WireError
from ..hands.hand import Hand
from ..hands.operator import OperatorHand, Terminal
from ..hands.port import Wire
from ..hands.sockets import read_wav, write_wav
from ..hands.wire import WireHand
from ._labgrid import Driver, proxymanager, step, target_factory
from .bridge import Bridge
from .errors import SoundError
from .protocols import AudioListenerProtocol, AudioSpeakerProtocol, HandProtocol
from .resources import EmulatedHand

_TEXT = attr.validators.instance_of(str)


@attr.s(eq=False)
class _HandDriver(Driver, HandProtocol):
    """What both hands do, each at a hand of its own."""

    def on_activate(self) -> None:
        """Get ready; the devices are reached when something is done."""
        self._bridge = Bridge()

    def on_deactivate(self) -> None:
        """Let go; the devices stay as they are."""
        self._bridge.close()

    @Driver.check_active
    @step(args=["position"])
    def lift(self, position: str) -> None:
        """Take a handset off its cradle."""
        self._do(lambda hand: hand.lift(position))

    @Driver.check_active
    @step(args=["position"])
    def cradle(self, position: str) -> None:
        """Put a handset back."""
        self._do(lambda hand: hand.cradle(position))

    @Driver.check_active
    @step(args=["position", "key"])
    def press(self, position: str, key: str) -> None:
        """Press and hold a key."""
        self._do(lambda hand: hand.press(position, key))

    @Driver.check_active
    @step(args=["position", "key"])
    def release(self, position: str, key: str) -> None:
        """Let go of a key."""
        self._do(lambda hand: hand.release(position, key))

    @Driver.check_active
    @step(args=["position"])
    def unplug(self, position: str) -> None:
        """Pull the cable of a device."""
        self._do(lambda hand: hand.unplug(position))

    @Driver.check_active
    @step(args=["position"])
    def plug(self, position: str) -> None:
        """Put the cable of a device back."""
        self._do(lambda hand: hand.plug(position))

    def _do(self, work: Callable[[Hand], Awaitable[None]]) -> None:
        self._bridge.run(self._work(work))

    async def _work(self, work: Callable[[Hand], Awaitable[None]]) -> None:
        async with self._reach() as hand:
            await work(hand)

    @abc.abstractmethod
    def _reach(self) -> AbstractAsyncContextManager[Hand]:
        """The hand, for as long as one thing is done."""


@target_factory.reg_driver
@attr.s(eq=False)
class EmulatedHandDriver(_HandDriver, AudioListenerProtocol, AudioSpeakerProtocol):
    """The hand at a unit's emulated hardware, with an ear and a mouth at one of its devices.

    Attributes:
        position: where it listens and speaks.
    """

    bindings: ClassVar = {"hand": {EmulatedHand}}
    hand: EmulatedHand
    position: str = attr.ib(default="handset-left", validator=_TEXT)

    @Driver.check_active
    @step(args=["wav", "seconds"])
    def listen(self, wav: Path, *, seconds: float) -> None:
        """Keep what the device plays for some seconds, at the device's rate."""
        with _sound(self.position):
            self._do(lambda hand: _listen(hand, self.position, wav, seconds))

    @Driver.check_active
    @step(args=["wav"])
    def speak(self, wav: Path) -> None:
        """Begin to say a WAV file, mono, of the device's rate, into its microphone."""
        with _sound(self.position):
            sound = read_wav(wav)
            self._do(lambda hand: hand.speak(self.position, sound))

    @contextlib.asynccontextmanager
    async def _reach(self) -> AsyncIterator[Hand]:
        host, port = proxymanager.get_host_and_port(self.hand)
        hand = WireHand(Wire(*await asyncio.open_connection(host, port)), first_id=0)
        try:
            yield hand
        finally:
            await hand.close()


async def _listen(hand: Hand, position: str, wav: Path, seconds: float) -> None:
    await hand.listen(position)
    await asyncio.sleep(seconds)
    write_wav(wav, await hand.stop_listening(position))


@contextlib.contextmanager
def _sound(position: str) -> Iterator[None]:
    try:
        yield
    except (DeviceError, WireError, OSError, EOFError, wave.Error) as error:
        raise SoundError(f"{position}: {error}") from error


@target_factory.reg_driver
@attr.s(eq=False)
class OperatorHandDriver(_HandDriver):
    """A person at the rig, who presses Enter when it is done, or actuators.

    Attributes:
        actuator: command line of the program that works them (`openturret.lab.hands.operator`);
            "" asks a person for everything.
    """

    bindings: ClassVar = {}
    actuator: str = attr.ib(default="", validator=_TEXT)

    @contextlib.asynccontextmanager
    async def _reach(self) -> AsyncIterator[Hand]:
        hand = OperatorHand(Terminal(), shlex.split(self.actuator), frozenset())
        try:
            yield hand
        finally:
            await hand.close()
