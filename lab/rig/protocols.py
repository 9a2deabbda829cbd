"""What a rig's drivers can do, as abstract classes that labgrid's bindings look for.

Power is labgrid's own ``PowerProtocol``: whatever labgrid can switch can power a real unit.
"""

from __future__ import annotations

import abc
from pathlib import Path

from ...hal.board import Board
from ..hands.hand import Ability, Hand


class HandProtocol(abc.ABC):
    """A hand at the hardware of a unit: a program's, an actuator's or an operator's."""

    @abc.abstractmethod
    def lift(self, position: str) -> None:
        """Take a handset off its cradle."""

    @abc.abstractmethod
    def cradle(self, position: str) -> None:
        """Put a handset back."""

    @abc.abstractmethod
    def press(self, position: str, key: str) -> None:
        """Press and hold a key; ``ptt`` is the push-to-talk bar."""

    @abc.abstractmethod
    def release(self, position: str, key: str) -> None:
        """Let go of a key."""

    @abc.abstractmethod
    def unplug(self, position: str) -> None:
        """Pull the cable of a device."""

    @abc.abstractmethod
    def plug(self, position: str) -> None:
        """Put the cable of a device back."""


class AudioListenerProtocol(abc.ABC):
    """An ear at a device: keeps what it hears."""

    @abc.abstractmethod
    def listen(self, wav: Path, *, seconds: float) -> None:
        """Keep the next seconds in a WAV file, mono, 16 bits.

        Raises:
            SoundError: nothing could be recorded.
        """


class AudioSpeakerProtocol(abc.ABC):
    """A mouth at a device: says what a file holds."""

    @abc.abstractmethod
    def speak(self, wav: Path) -> None:
        """Say a WAV file, mono, 16 bits, once.

        Raises:
            SoundError: it could not be played.
        """


class UnitProtocol(abc.ABC):
    """A unit as the dealer in front of it sees it; every wait has a deadline."""

    @abc.abstractmethod
    def wait_until_up(self) -> None:
        """Wait until its panel answers.

        Raises:
            LabError: it does not in time.
        """

    @abc.abstractmethod
    def log_in(self) -> None:
        """Log the dealer in and wait until every PBX knows the unit.

        Raises:
            LabError: the directory refuses, or a PBX does not answer in time.
        """

    @abc.abstractmethod
    def log_out(self) -> None:
        """Log the dealer out.

        Raises:
            LabError: nobody is logged in, or the panel does not answer.
        """

    @abc.abstractmethod
    def dial(self, side: str, number: str) -> None:
        """Dial on the ``left`` or ``right`` handset, which is off-hook, and wait for the answer.

        Raises:
            LabError: the panel refuses, or nobody answers in time.
        """

    @abc.abstractmethod
    def wait_until_free(self, side: str) -> None:
        """Wait until a handset has no call.

        Raises:
            LabError: it still has one after a while.
        """

    @abc.abstractmethod
    def situation(self) -> str:
        """What the panel shows, in a line, for people; never raises."""


class BoardProtocol(abc.ABC):
    """Hardware to test by itself: a board, and a hand at its devices."""

    @abc.abstractmethod
    def board(self) -> Board:
        """The devices, by position.

        Raises:
            BoardError: its description is refused.
            ElsewhereError: it hangs on another machine.
        """

    @abc.abstractmethod
    def abilities(self) -> frozenset[Ability]:
        """What the hand can do, known before it is there.

        Raises:
            DeviceError: its actuators do not say.
        """

    @abc.abstractmethod
    async def hand(self) -> Hand:
        """A hand at the devices; the caller closes it.

        Raises:
            DeviceGoneError: nobody is there.
        """
