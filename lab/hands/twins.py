"""A hand at the models of USB devices in its own process."""

import asyncio
from collections.abc import Mapping
from typing import ClassVar, Final, Protocol, runtime_checkable

from ...drivers.emulated.sound import Speech
from ...drivers.emulated.usb.gooseneck import GooseneckModel
from ...drivers.emulated.usb.handset import HandsetModel
from ...drivers.emulated.usb.peripheral import Peripheral
from ...drivers.emulated.usb.voices import SOURCE_RATE_HZ, Quiet, Spoken, Tone
from ...drivers.errors import EmulationError
from ...hal.errors import AudioFormatError
from ...hal.ring import Colour
from .hand import Ability, Sound

BETWEEN_MOVES_S: Final = 0.05
"""Nobody is faster; drivers take what is for a bouncing contact."""


@runtime_checkable
class _Cradled(Protocol):
    """A model with something to lift."""

    def lift(self) -> None: ...
    def cradle(self) -> None: ...


class TwinHand:
    """One person at some twins.

    Args:
        twins: Models by the position that each has on the board.
    """

    ABILITIES: ClassVar[frozenset[Ability]] = frozenset(
        {Ability.CABLE, Ability.TURN, Ability.SPEAK, Ability.HEAR}
    )
    """A kernel between device and driver may resample and start in mid-frame: nothing is exact."""

    def __init__(self, twins: Mapping[str, Peripheral]) -> None:
        self._twins = twins
        self._ready: dict[str, float] = {}
        self._held: set[tuple[str, str]] = set()

    @property
    def abilities(self) -> frozenset[Ability]:
        """What USB twins can be made to do."""
        return self.ABILITIES

    async def lift(self, position: str) -> None:
        """Takes it off its cradle."""
        await self._reach(position)
        self._cradled(position).lift()

    async def cradle(self, position: str) -> None:
        """Puts it back."""
        await self._reach(position)
        self._cradled(position).cradle()

    async def press(self, position: str, key: str) -> None:
        """Presses and holds a key."""
        await self._reach(position)
        self._twin(position).press(key)
        self._held.add((position, key))

    async def release(self, position: str, key: str) -> None:
        """Lets go of a key."""
        await self._reach(position)
        self._twin(position).release(key)
        self._held.discard((position, key))

    async def mute(self, position: str, *, muted: bool = True) -> None:
        """Presses the mute key when that changes something."""
        await self._reach(position)
        self._twin(position).mute(muted=muted)

    async def turn(self, position: str, steps: int, *, channel: int = 0) -> None:
        """Turns a knob."""
        self._twin(position).turn(steps, channel)

    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None:
        """Makes a sine at the microphone."""
        self._twin(position).speak(Tone(frequency_hz, level_dbfs))

    async def speak(self, position: str, sound: Sound, *, loop: bool = False) -> None:
        """Says something of 8 kHz into the microphone."""
        if sound.rate_hz != SOURCE_RATE_HZ:
            raise AudioFormatError(f"a sound of {sound.rate_hz} Hz; use {SOURCE_RATE_HZ} Hz")
        self._twin(position).speak(Spoken(Speech(sound.pcm, loop=loop)))

    async def silence(self, position: str) -> None:
        """Says nothing from now on."""
        self._twin(position).speak(Quiet())

    async def listen(self, position: str) -> None:
        """Puts an ear to the earpiece."""
        self._twin(position).listen()

    async def stop_listening(self, position: str) -> Sound:
        """Takes it away and returns what it heard."""
        heard = self._twin(position).stop_listening()
        return Sound(heard.pcm, heard.rate_hz)

    async def lamps(self, position: str) -> dict[str, bool]:
        """Returns the lamps that are lit, and the colour of a light ring that is not dark."""
        twin = self._twin(position)
        lit = set(twin.lamps)
        if isinstance(twin, GooseneckModel) and twin.ring.colour is not Colour.OFF:
            lit.add(f"the ring {twin.ring.colour}")
        return dict.fromkeys(sorted(lit), True)

    async def counters(self, position: str) -> dict[str, int]:
        """Refuses: a model counts nothing.

        Raises:
            EmulationError: Always.
        """
        raise EmulationError(f"{position} counts nothing")

    async def unplug(self, position: str) -> None:
        """Pulls the cable."""
        self._twin(position).unplug()

    async def plug(self, position: str) -> None:
        """Puts the cable back."""
        self._twin(position).plug()

    async def tidy(self) -> None:
        """Puts everything back."""
        for position, key in tuple(self._held):
            await self.release(position, key)
        for twin in self._twins.values():
            _put_back(twin)

    async def close(self) -> None:
        """Goes away."""

    async def _reach(self, position: str) -> None:
        """Waits as long as a person takes between two moves at one device."""
        loop = asyncio.get_running_loop()
        await asyncio.sleep(self._ready.get(position, 0.0) - loop.time())
        self._ready[position] = loop.time() + BETWEEN_MOVES_S

    def _twin(self, position: str) -> Peripheral:
        if position not in self._twins:
            there = ", ".join(self._twins)
            raise EmulationError(f"no {position[:40]!r}; there are {there}")
        return self._twins[position]

    def _cradled(self, position: str) -> _Cradled:
        twin = self._twin(position)
        if not isinstance(twin, _Cradled):
            raise EmulationError(f"{position} has no hook")
        return twin


def _put_back(twin: Peripheral) -> None:
    """A toggle has no place to be put back to: dark lamps say that nobody uses the device."""
    twin.restore_power()
    twin.plug()
    if isinstance(twin, HandsetModel):
        twin.cradle()
    with twin.lock:
        twin.controls.darken()
    if twin.audio is not None:
        twin.speak(Quiet())
        twin.stop_listening()
