"""Who lifts, presses, speaks, listens and looks while a device is tested.

:class:`Nobody` for a machine that is alone, :class:`~.person.Person` at a terminal,
:class:`~.emulation.Emulation` at emulated hardware.  Where nobody is there to do a thing,
``UnattendedError`` says so and the check is skipped.
"""

import enum
from collections.abc import Awaitable, Callable, Collection, Mapping
from dataclasses import dataclass
from typing import NoReturn, Protocol, TypeAlias

from ...hal.board import DeviceSpec
from ..errors import UnattendedError
from .sound import Sound

Play: TypeAlias = Callable[[], Awaitable[None]]


class Action(enum.StrEnum):
    """What a hand does to a device."""

    LIFT = "lift it"
    CRADLE = "put it back"
    TALK = "press and hold its talk key"
    RELEASE_TALK = "let go of its talk key"
    MUTE = "mute it"
    UNMUTE = "unmute it"
    LATCH = "switch its latch on"
    UNLATCH = "switch its latch off"
    PRESS = "press and hold a key"
    RELEASE = "let go of the key"
    LOUDER = "turn its volume up"


@dataclass(frozen=True, slots=True)
class Hearing:
    """What somebody heard from a device.

    Attributes:
        heard: Whether it was what was played.
        figures: What was measured.
        text: What was heard, in words.
    """

    heard: bool
    text: str
    figures: Mapping[str, float]


class Voice(Protocol):
    """What is said into a microphone."""

    @property
    def seconds(self) -> float:
        """How long it takes to be recognised."""
        ...

    def recognised(self, sound: Sound, noise_dbfs: float) -> bool:
        """Whether it is this that was captured, above the noise that was there before."""
        ...


class Hands(Protocol):
    """Somebody at the devices; everything raises ``UnattendedError`` where nobody can do it."""

    @property
    def patience_s(self) -> float:
        """How long an action may take until its event comes."""
        ...

    @property
    def prompt(self) -> bool:
        """Whether they act the moment they are asked, so that latencies mean something."""
        ...

    async def act(self, spec: DeviceSpec, action: Action) -> None:
        """Does it, or asks for it to be done now."""
        ...

    async def sees(self, spec: DeviceSpec, lamps: Collection[str]) -> bool:
        """Whether these lamps are lit now, and no others."""
        ...

    async def speaks(self, spec: DeviceSpec) -> Voice:
        """Starts to speak into the microphone and returns what is said."""
        ...

    async def hushes(self, spec: DeviceSpec) -> None:
        """Stops to speak."""
        ...

    async def hears(self, spec: DeviceSpec, play: Play) -> Hearing:
        """Listens while a tone is played and returns what was heard."""
        ...

    async def close(self) -> None:
        """Goes away."""
        ...


class Nobody:
    """Nobody is there: only what needs no hands is tested."""

    patience_s = 0.0
    prompt = False

    async def act(self, spec: DeviceSpec, action: Action) -> None:
        """Nobody does it."""
        _nobody(f"to {action}")

    async def sees(self, spec: DeviceSpec, lamps: Collection[str]) -> bool:
        """Nobody looks."""
        _nobody("to look")

    async def speaks(self, spec: DeviceSpec) -> Voice:
        """Nobody speaks."""
        _nobody("to speak")

    async def hushes(self, spec: DeviceSpec) -> None:
        """It is quiet."""

    async def hears(self, spec: DeviceSpec, play: Play) -> Hearing:
        """Nobody listens."""
        _nobody("to listen")

    async def close(self) -> None:
        """There is nothing to let go of."""


def _nobody(purpose: str) -> NoReturn:
    raise UnattendedError(f"nobody was there {purpose}")
