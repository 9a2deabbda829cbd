"""Compares what was heard with what was spoken: correlation and signal-to-noise ratio.

The spoken sentence is looked for in the recording by normalised cross-correlation.
Where it is found, the best gain is fitted and what remains counts as noise.
"""

import wave
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import LabError

Samples = npt.NDArray[np.float64]
SILENCE_POWER = 1.0


class UnreadableAudioError(LabError, ValueError):
    """A WAV file is missing, damaged or not 16-bit mono."""


@dataclass(frozen=True, slots=True)
class Heard:
    """How well a sentence came across.

    Attributes:
        correlation: normalised cross-correlation at the best place, 0…1.
        snr_db: power of the fitted sentence over the power of the rest, decibels.
        offset_s: where in the recording it begins, seconds.
        times: how often the sentence was found (correlation above 0.5).
        seconds: length of the recording.
    """

    correlation: float
    snr_db: float
    offset_s: float
    times: int
    seconds: float


def read_wav(path: Path) -> tuple[Samples, int]:
    """Samples of a mono 16-bit WAV file and its rate in hertz.

    Raises:
        UnreadableAudioError: it is not such a file.
    """
    try:
        with wave.open(str(path), "rb") as source:
            if (source.getnchannels(), source.getsampwidth()) != (1, 2):
                raise UnreadableAudioError(f"{path}: expected 16-bit mono")
            data = source.readframes(source.getnframes())
            rate_hz = source.getframerate()
    except (OSError, EOFError, wave.Error) as error:
        raise UnreadableAudioError(f"{path}: {error}") from error
    return np.frombuffer(data, dtype="<i2").astype(np.float64), rate_hz


def trim_silence(samples: Samples, *, threshold: float = 64.0) -> Samples:
    """The samples without the quiet at both ends."""
    loud = np.flatnonzero(np.abs(samples) > threshold)
    return samples[loud[0] : loud[-1] + 1] if loud.size else samples[:0]


def similarity(spoken: Samples, heard: Samples) -> Samples:
    """Normalised cross-correlation of `spoken` with every place in `heard`, -1…1."""
    size = 1 << int(np.ceil(np.log2(len(heard) + len(spoken))))
    product = np.fft.rfft(heard, size) * np.conj(np.fft.rfft(spoken, size))
    places = len(heard) - len(spoken) + 1
    crossed = np.fft.irfft(product, size)[:places]
    energy = np.concatenate([[0.0], np.cumsum(heard**2)])
    local = np.sqrt(np.maximum(energy[len(spoken) :] - energy[:places], SILENCE_POWER))
    matches: Samples = crossed / (local * np.sqrt(max(float(spoken @ spoken), SILENCE_POWER)))
    return matches


def snr_db(spoken: Samples, heard: Samples) -> float:
    """Signal-to-noise ratio of `heard` after the best gain is fitted, decibels."""
    gain = float(spoken @ heard) / max(float(spoken @ spoken), SILENCE_POWER)
    noise = heard - gain * spoken
    signal_power = gain**2 * float(spoken @ spoken)
    return float(10 * np.log10(max(signal_power, SILENCE_POWER) / max(float(noise @ noise), 1e-3)))


def _peaks(matches: Samples, spacing: int) -> list[int]:
    """Places of the best matches, best first, no two nearer than `spacing` samples."""
    left, found = matches.copy(), []
    while left.size and left.max() > 0.5:
        best = int(left.argmax())
        found.append(best)
        left[max(0, best - spacing) : best + spacing] = 0.0
    return found


def compare(spoken: Path, heard: Path) -> Heard:
    """Look for the sentence of one WAV file in another; the median over its repetitions.

    Raises:
        UnreadableAudioError: a file is unreadable or their rates differ.
    """
    sentence, spoken_rate = read_wav(spoken)
    recording, rate_hz = read_wav(heard)
    if spoken_rate != rate_hz:
        raise UnreadableAudioError(f"{heard}: {rate_hz} Hz, but {spoken} has {spoken_rate} Hz")
    return compare_samples(trim_silence(sentence), recording, rate_hz)


def compare_samples(sentence: Samples, recording: Samples, rate_hz: int) -> Heard:
    """Look for a sentence in a recording of the same rate."""
    seconds = len(recording) / rate_hz
    if not len(sentence) or len(recording) < len(sentence):
        return Heard(0.0, float("-inf"), 0.0, 0, seconds)
    matches = similarity(sentence, recording)
    places = _peaks(matches, len(sentence) // 2)
    if not places:
        return Heard(float(matches.max()), float("-inf"), 0.0, 0, seconds)
    ratios = [snr_db(sentence, recording[at : at + len(sentence)]) for at in places]
    return Heard(
        correlation=float(np.median(matches[places])),
        snr_db=float(np.median(ratios)),
        offset_s=min(places) / rate_hz,
        times=len(places),
        seconds=seconds,
    )
