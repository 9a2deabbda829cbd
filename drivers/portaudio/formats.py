"""The format of a stream, and the way between it and the mono frames of 16 bits of the engine."""

import array
import enum
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from ...hal.errors import AudioFormatError

RATES_HZ: Final = (48_000, 16_000, 8_000)
"""The rates of the engine, the best first."""
_FULL_SCALE: Final = 32_768
_LARGEST: Final = 32_767
A = TypeVar("A", int, float)


class Samples(enum.Enum):
    """How a sample is stored, as ``array`` names it."""

    INT16 = "h"
    FLOAT32 = "f"


@dataclass(frozen=True, slots=True)
class StreamFormat:
    """What goes through a stream.

    Attributes:
        rate_hz: 8000, 16000 or 48000.
        channels: 1, or 2 of which both say the same.
        samples: How each is stored.
    """

    rate_hz: int
    channels: int = 1
    samples: Samples = Samples.INT16

    @property
    def frame_bytes(self) -> int:
        """Bytes of one sample of every channel: what PortAudio calls a frame.

        >>> StreamFormat(48_000, 2, Samples.FLOAT32).frame_bytes
        8
        """
        return self.channels * array.array(self.samples.value).itemsize


def best_rate(
    name: str,
    supports: Callable[[int], bool],
    wanted_hz: int | None,
    rates: Iterable[int] = RATES_HZ,
) -> int:
    """Returns the rate that the board asks for, else the best that device and engine share.

    Args:
        name: Of position and device, for the message.
        supports: Whether the device can do a rate.
        wanted_hz: What the board asks for.
        rates: Of the engine, the best first.

    Raises:
        AudioFormatError: The device cannot do that; the message says what it can do.
    """
    able = [rate for rate in rates if supports(rate)]
    if wanted_hz is None and able:
        return able[0]
    if wanted_hz is not None and wanted_hz in able:
        return wanted_hz
    can = " or ".join(map(str, able)) or "none of " + ", ".join(map(str, rates))
    if wanted_hz is None:
        raise AudioFormatError(f"{name} can do {can} Hz; use a device that can")
    remedy = f"write rate_hz: {able[0]}, or leave rate_hz out" if able else "use another device"
    raise AudioFormatError(f"{name} can do {can} Hz, not the board's rate_hz {wanted_hz}; {remedy}")


def to_mono(data: bytes, form: StreamFormat) -> bytes:
    """Returns the frames of a stream as the engine takes them: mono, 16 bits, little-endian.

    Two channels are mixed, each at half its strength, so that nothing can be too loud.
    """
    samples = array.array(form.samples.value, data)
    if form.channels == 1 and form.samples is Samples.INT16:
        return _little_endian(samples)
    scale = _FULL_SCALE if form.samples is Samples.FLOAT32 else 1
    if form.channels == 2:
        pairs = zip(samples[0::2], samples[1::2], strict=True)
        mono = [int((left + right) * scale / 2) for left, right in pairs]
    else:
        mono = [int(sample * scale) for sample in samples]
    if form.samples is Samples.FLOAT32:
        mono = [max(-_FULL_SCALE, min(_LARGEST, sample)) for sample in mono]
    return _little_endian(array.array("h", mono))


def from_mono(frame: bytes, form: StreamFormat) -> bytes:
    """Returns a frame of the engine as a stream takes it; two channels both say it."""
    mono = array.array("h", frame)
    if sys.byteorder == "big":
        mono.byteswap()
    if form.samples is Samples.FLOAT32:
        return _doubled(array.array("f", [sample / _FULL_SCALE for sample in mono]), form.channels)
    return _doubled(mono, form.channels)


def _doubled(mono: "array.array[A]", channels: int) -> bytes:
    if channels == 1:
        return mono.tobytes()
    stereo = mono + mono
    stereo[0::2] = stereo[1::2] = mono
    return stereo.tobytes()


def _little_endian(samples: "array.array[int] | array.array[float]") -> bytes:
    if sys.byteorder == "big":
        samples.byteswap()
    return samples.tobytes()
