"""Gains that a device sets itself: earpiece, microphone, side-tone, loudspeaker.

The matrix mixes in its own gains; these are the device's, in the analogue path or its codec
(USB Audio Class 1.0 section 5.2.2.4.3.2).
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


class Gain(enum.StrEnum):
    """What is made louder or quieter."""

    EARPIECE = "earpiece"
    MICROPHONE = "microphone"
    SIDETONE = "sidetone"
    LOUDSPEAKER = "loudspeaker"


@dataclass(frozen=True, slots=True)
class GainRange:
    """What a device can do, in dB; ``step_db`` is at least 1/256."""

    minimum_db: float
    maximum_db: float
    step_db: float

    def nearest(self, gain_db: float) -> float:
        """Returns the gain within the range that is nearest to what is asked for."""
        inside = min(max(gain_db, self.minimum_db), self.maximum_db)
        steps = round((inside - self.minimum_db) / self.step_db)
        return min(self.minimum_db + steps * self.step_db, self.maximum_db)


@runtime_checkable
class Adjustable(Protocol):
    """A device with gains of its own."""

    def gains(self) -> Mapping[Gain, GainRange]:
        """Returns what it can adjust; empty while it has not answered yet."""
        ...

    async def set_gain(self, gain: Gain, gain_db: float) -> float:
        """Sets a gain and returns the nearest that the device took; kept over a re-attach.

        Raises:
            GainError: The device has no such gain.
            DeviceGoneError: The device does not answer; the gain is set when it does again.
        """
        ...
