"""The gains of one device as its host wants them, kept while the device is away."""

import logging
from collections.abc import Mapping

from ...hal.errors import DeviceGoneError, GainError, HalError
from ...hal.gain import Gain, GainRange
from .gains import Gains

logger = logging.getLogger(__name__)


class Levels:
    """What is wanted, and the device to want it of; its calls block, on one thread.

    Args:
        position: The device's place on the board, for messages.
    """

    def __init__(self, position: str) -> None:
        self._position = position
        self._wanted: dict[Gain, float] = {}
        self._gains: Gains | None = None
        self.ranges: Mapping[Gain, GainRange] = {}

    def attach(self, gains: Gains | None) -> None:
        """The device answers: sets what is wanted; what it refuses is logged."""
        self._gains = gains
        self.ranges = {} if gains is None else dict(gains.ranges)
        for gain in self._wanted.keys() & self.ranges.keys():
            try:
                self.set(gain, self._wanted[gain])
            except HalError as error:
                logger.warning("%s: %s: %s", self._position, gain, error)

    def detach(self) -> None:
        """The device is away."""
        gains, self._gains = self._gains, None
        if gains is not None:
            gains.close()

    def set(self, gain: Gain, gain_db: float) -> float:
        """Sets a gain and returns what the device took.

        Raises:
            GainError: The device has no such gain.
            TransferError: The device refuses.
            DeviceGoneError: The device is away; the gain is set when it is back.
        """
        if self.ranges and gain not in self.ranges:
            has = ", ".join(sorted(self.ranges))
            raise GainError(f"{self._position} has no gain {gain}; it has {has}")
        self._wanted[gain] = gain_db
        if self._gains is None:
            raise DeviceGoneError(f"{self._position} does not answer; {gain} is set when it does")
        return self._gains.set(gain, gain_db)
