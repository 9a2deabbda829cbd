"""Sentences that the people and lines of the bench speak, as 8 kHz WAV files.

Each speaker has a sentence of its own, so that what is heard tells who spoke. They are
made once by espeak-ng at set-up and kept in a cache folder.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import wave
from collections.abc import Iterable, Mapping
from pathlib import Path

import numpy as np
import numpy.typing as npt

from .errors import SpeechError
from .tools import Tool, cache_folder, tool

RATE_HZ = 8000
"""The rate of the line: G.711."""

SENTENCES: Mapping[str, tuple[str, str]] = {
    "party-2001": ("en-gb", "Good morning, this is the north desk. I buy five million at ninety."),
    "party-2002": ("en-us", "South desk speaking. We sell twenty lots, the market is moving down."),
    "hoot-1": ("en-gb", "Attention all floors: the euro opens higher this morning."),
    "hoot-2": ("en-us", "Oil is trading at seventy four, seventy four, seventy five."),
    "hoot-3": ("en-gb", "The bank rate decision comes at noon, stand by please."),
    "dealer-left": ("en-us", "Left hand here, please confirm the price of the ten year bond."),
    "dealer-right": ("en-gb", "Right hand here, I take your offer and send the papers today."),
}
"""Who speaks: the voice and the text."""

_PEAK = 0.5
_LEAD_SECONDS = 0.15
_WORDS_PER_MINUTE = 165


def speech_folder() -> Path:
    """Where the sentences are kept."""
    return cache_folder() / "speech"


def make_all(
    names: Iterable[str] = tuple(SENTENCES), folder: Path | None = None
) -> dict[str, Path]:
    """Make every sentence that is not there yet.

    Args:
        names: which of `SENTENCES`.
        folder: where to keep them; the cache folder by default.

    Returns:
        The WAV file (8 kHz, mono, 16 bits) of each name.

    Raises:
        SpeechError: espeak-ng failed.
        ToolMissingError: espeak-ng is not there.
    """
    return {name: make(name, folder or speech_folder()) for name in names}


def make(name: str, folder: Path) -> Path:
    """Make one sentence unless it is there, even while another bench makes it; see `make_all`."""
    voice, text = SENTENCES[name]
    fingerprint = hashlib.sha256(f"{voice} {text} {_WORDS_PER_MINUTE}".encode()).hexdigest()[:12]
    path = folder / f"{name}-{fingerprint}.wav"
    if not path.exists():
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder) as own:
            partial = Path(own, path.name)
            write_wav(partial, _at_line_rate(*_speak(tool("espeak-ng"), voice, text)))
            partial.replace(path)
    return path


def read_wav(path: Path) -> npt.NDArray[np.int16]:
    """The samples of a mono 16-bit WAV file.

    Raises:
        SpeechError: it is another kind of file.
    """
    with wave.open(str(path), "rb") as file:
        if (file.getnchannels(), file.getsampwidth()) != (1, 2):
            raise SpeechError(f"{path} is not mono with 16 bits")
        return np.frombuffer(file.readframes(file.getnframes()), dtype="<i2").astype(np.int16)


def write_wav(path: Path, samples: npt.NDArray[np.int16], *, rate_hz: int = RATE_HZ) -> None:
    """Write mono 16-bit samples."""
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(rate_hz)
        file.writeframes(samples.astype("<i2").tobytes())


def repeat(source: Path, target: Path, *, seconds: float) -> Path:
    """A file that speaks a sentence again and again for about ``seconds``."""
    samples = read_wav(source)
    times = max(1, round(seconds * RATE_HZ / len(samples)))
    write_wav(target, np.tile(samples, times))
    return target


def _speak(program: Tool, voice: str, text: str) -> tuple[npt.NDArray[np.float64], int]:
    with tempfile.TemporaryDirectory() as folder:
        spoken = Path(folder) / "spoken.wav"
        argv = [str(program.path), "-v", voice, "-s", str(_WORDS_PER_MINUTE), "-w", str(spoken)]
        done = subprocess.run(
            [*argv, text], env=program.environment(), capture_output=True, text=True, check=False
        )
        if done.returncode or not spoken.exists():
            raise SpeechError(f"espeak-ng failed: {done.stderr.strip()}")
        with wave.open(str(spoken), "rb") as file:
            return read_wav(spoken).astype(np.float64), file.getframerate()


def _at_line_rate(samples: npt.NDArray[np.float64], rate_hz: int) -> npt.NDArray[np.int16]:
    """Resample by cutting the spectrum, put silence before, and set the peak to -6 dBFS."""
    wanted = round(len(samples) * RATE_HZ / rate_hz)
    spectrum = np.fft.rfft(samples)[: wanted // 2 + 1]
    narrow = np.fft.irfft(spectrum, wanted)
    narrow *= _PEAK * 32767 / max(1.0, float(np.abs(narrow).max()))
    silence = np.zeros(round(_LEAD_SECONDS * RATE_HZ))
    return np.concatenate([silence, narrow, silence]).round().astype(np.int16)
