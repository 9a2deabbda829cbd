"""The audio of a device: frames of mono 16-bit samples at the device's rate, by blocking calls.

A thread of the matrix reads and writes; the device's clock sets the pace.  An open
port streams, a closed one costs nothing, like alternate settings 1 and 0 of USB Audio.
"""

from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

RATE_HZ: Final = 8000
"""The rate of a device that has no better one."""

SAMPLE_BYTES: Final = 2


@dataclass(frozen=True, slots=True)
class Xruns:
    """How often a device and its host lost hold of each other.

    Attributes:
        input_overflows: Times that the microphone's frames came while nobody took them.
        output_underflows: Times that the loudspeaker had nothing to play.
    """

    input_overflows: int = 0
    output_underflows: int = 0


@runtime_checkable
class AudioPort(Protocol):
    """Microphone and earpiece of one device; used by one thread, closed by any."""

    @property
    def rate_hz(self) -> int:
        """Samples in a second, each way: 8000, 16000 or 48000; ``open`` may settle on another."""
        ...

    @property
    def frame_samples(self) -> int:
        """Samples in every frame, each way: 10 or 20 ms of them."""
        ...

    def open(self) -> None:
        """Starts the stream.

        Raises:
            DeviceGoneError: The device does not answer.
        """
        ...

    def read(self) -> bytes:
        """Blocks until the microphone has a frame and returns it, little-endian.

        Raises:
            DeviceGoneError: The device went away, or another thread closed the port.
        """
        ...

    def write(self, frame: bytes) -> None:
        """Queues a frame for the earpiece; a full device queue drops it and never blocks.

        Raises:
            AudioFormatError: The frame has the wrong length.
            DeviceGoneError: The device went away, or another thread closed the port.
        """
        ...

    def close(self) -> None:
        """Stops the stream and wakes a reader that is blocked."""
        ...


@runtime_checkable
class CountsXruns(Protocol):
    """An audio port that knows how often it was too late; any thread may ask."""

    @property
    def xruns(self) -> Xruns:
        """What was counted since the port was made."""
        ...
