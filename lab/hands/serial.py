"""A hand at emulated boxes on serial lines, and at an emulated XMA2."""

from collections.abc import Mapping
from typing import ClassVar, NoReturn, TypeAlias

from ...drivers.emulated.serial_box import SerialBoxTwin
from ...drivers.emulated.xma2 import Xma2Twin
from ...drivers.errors import EmulationError
from ...drivers.serial.messages import KEY, SWITCHES, BoxState, Change
from ...hal.speaker import channel_name
from .hand import Ability, Sound

Twin: TypeAlias = SerialBoxTwin | Xma2Twin


class SerialHand:
    """One person at some twins; none of them has a hook or a sound.

    Args:
        twins: By the position that each has on the board.
    """

    ABILITIES: ClassVar[frozenset[Ability]] = frozenset({Ability.CABLE, Ability.TURN})

    def __init__(self, twins: Mapping[str, Twin]) -> None:
        self._twins = twins

    @property
    def abilities(self) -> frozenset[Ability]:
        """What serial twins can be made to do."""
        return self.ABILITIES

    async def lift(self, position: str) -> None:
        """Refuses: nothing here has a hook."""
        self._refuse(position, "hook")

    async def cradle(self, position: str) -> None:
        """Refuses: nothing here has a hook."""
        self._refuse(position, "hook")

    async def press(self, position: str, key: str) -> None:
        """Presses and holds a key."""
        self._move(position, key, on=True)

    async def release(self, position: str, key: str) -> None:
        """Lets go of a key."""
        self._move(position, key, on=False)

    async def mute(self, position: str, *, muted: bool = True) -> None:
        """Switches the device's own mute."""
        self._box(position, "mute").move(Change("mute", muted))

    async def turn(self, position: str, steps: int, *, channel: int = 0) -> None:
        """Turns the knob of a channel."""
        twin = self._twin(position)
        if not isinstance(twin, Xma2Twin):
            self._refuse(position, "knob")
        twin.turn(channel, steps)

    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None:
        """Refuses: nothing here has a microphone."""
        self._refuse(position, "microphone")

    async def speak(self, position: str, sound: Sound, *, loop: bool = False) -> None:
        """Refuses: nothing here has a microphone."""
        self._refuse(position, "microphone")

    async def silence(self, position: str) -> None:
        """Refuses: nothing here has a microphone."""
        self._refuse(position, "microphone")

    async def listen(self, position: str) -> None:
        """Refuses: nothing here has an earpiece."""
        self._refuse(position, "earpiece")

    async def stop_listening(self, position: str) -> Sound:
        """Refuses: nothing here has an earpiece."""
        self._refuse(position, "earpiece")

    async def lamps(self, position: str) -> dict[str, bool]:
        """Returns the lamps that are lit."""
        return dict.fromkeys(sorted(self._twin(position).lamps), True)

    async def counters(self, position: str) -> dict[str, int]:
        """Refuses: nothing here moves frames."""
        self._refuse(position, "counters")

    async def unplug(self, position: str) -> None:
        """Pulls the cable."""
        await self._twin(position).pull()

    async def plug(self, position: str) -> None:
        """Puts the cable back."""
        await self._twin(position).plug()

    async def tidy(self) -> None:
        """Puts everything back."""
        for position, twin in self._twins.items():
            await self.plug(position)
            for key in held_keys(twin):
                self._move(position, key, on=False)

    async def close(self) -> None:
        """Goes away."""

    def _move(self, position: str, key: str, *, on: bool) -> None:
        twin = self._twin(position)
        if isinstance(twin, Xma2Twin):
            twin.press(_channel(position, key), pressed=on)
        elif key in SWITCHES:
            twin.move(Change(key, on))
        else:
            twin.move(Change(KEY, on, key))

    def _box(self, position: str, what: str) -> SerialBoxTwin:
        twin = self._twin(position)
        if not isinstance(twin, SerialBoxTwin):
            self._refuse(position, what)
        return twin

    def _twin(self, position: str) -> Twin:
        if position not in self._twins:
            there = ", ".join(self._twins)
            raise EmulationError(f"no {position[:40]!r}; there are {there}")
        return self._twins[position]

    def _refuse(self, position: str, what: str) -> NoReturn:
        self._twin(position)
        raise EmulationError(f"{position} has no {what}")


def held_keys(twin: Twin) -> list[str]:
    """Returns the keys and switches of a twin that are not as they lie when nobody works it."""
    if isinstance(twin, Xma2Twin):
        return [channel_name(channel) for channel in sorted(twin.held)]
    return [change.key or change.what for change in twin.state.since(BoxState())]


def _channel(position: str, key: str) -> int:
    name, _, number = key.rpartition("-")
    if name != "channel" or not number.isdecimal():
        raise EmulationError(f"{position} has no {key[:40]}")
    return int(number)
