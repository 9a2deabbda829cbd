"""A few seconds with the audio of a device: something is played while everything is kept."""

import asyncio
from array import array
from dataclasses import dataclass
from typing import Final

from ...hal.audio import AudioPort, CountsXruns
from ...hal.errors import DeviceGoneError
from ..emulated.sound import Silence, Source, Tone
from .sound import samples_of

TONE_HZ: Final = 1000.0
TONE_DBFS: Final = -20.0
STARTING_S: Final = 0.1
"""Of a stream that is not looked at: devices click and run dry when they start."""

PATIENCE_S: Final = 5.0
"""How much longer than it lasts an exchange may take."""


@dataclass(frozen=True, slots=True)
class Plan:
    """What is played, at which time.

    Attributes:
        seconds: How long it all lasts.
        tone_from_s: When the tone begins; None plays nothing.
        playing: Whether the device plays anything.
    """

    seconds: float
    tone_from_s: float | None = None
    playing: bool = True


@dataclass(frozen=True, slots=True)
class Exchange:
    """What came of it.

    Attributes:
        rate_hz: Of the samples.
        samples: What the microphone said.
        tone_at: Number of the sample that was being read as the tone's first frame was given
            away; the number of samples without a tone.
        xruns: How often the device or its host was late once the stream ran; None where its
            driver does not count.
    """

    rate_hz: int
    samples: "array[int]"
    tone_at: int
    xruns: int | None


async def exchange(port: AudioPort, plan: Plan) -> Exchange:
    """Plays and keeps as planned, in a thread of its own.

    Raises:
        DeviceError: The device went away, or its audio does not start or stands still.
    """
    work = asyncio.create_task(asyncio.to_thread(_run, port, plan))
    done, _ = await asyncio.wait({work}, timeout=plan.seconds + PATIENCE_S)
    if not done:
        port.close()
    try:
        return await work
    except DeviceGoneError as error:
        if done:
            raise
        raise DeviceGoneError("its audio stands still") from error


def _run(port: AudioPort, plan: Plan) -> Exchange:
    port.open()
    try:
        return _exchanged(port, plan)
    finally:
        port.close()


def _exchanged(port: AudioPort, plan: Plan) -> Exchange:
    frames = _frame(port, plan.seconds)
    first = frames if plan.tone_from_s is None else _frame(port, plan.tone_from_s)
    tone = Tone(TONE_HZ, TONE_DBFS, port.rate_hz)
    kept, before = bytearray(), 0
    for number in range(frames):
        kept += port.read()
        source: Source = tone if number >= first else Silence()
        if plan.playing:
            port.write(source.frame(max(0, number - first), port.frame_samples))
        if number < _frame(port, STARTING_S):
            before = _xruns(port)
    tone_at = (first + 1) * port.frame_samples
    xruns = _xruns(port) - before if isinstance(port, CountsXruns) else None
    return Exchange(port.rate_hz, samples_of(bytes(kept)), tone_at, xruns)


def _frame(port: AudioPort, at_s: float) -> int:
    return round(at_s * port.rate_hz / port.frame_samples)


def _xruns(port: AudioPort) -> int:
    if not isinstance(port, CountsXruns):
        return 0
    return port.xruns.input_overflows + port.xruns.output_underflows
