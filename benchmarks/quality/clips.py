"""Speech to judge by: sentences of several voices, spoken by espeak-ng, at 8 kHz."""

import subprocess
import tempfile
import wave
from pathlib import Path

import numpy as np
import numpy.typing as npt

from openturret.lab.speech import read_wav
from openturret.lab.tools import tool

RATE_HZ = 8000
PEAK = 0.5
LEAD_S = 0.3

TEXTS = (
    (
        "en-gb",
        "Good morning, this is the north desk. I buy five million at ninety, please confirm.",
    ),
    (
        "en-us",
        "South desk speaking. We sell twenty lots. The market is moving down this afternoon.",
    ),
    (
        "en-gb+f3",
        "Attention all floors: the euro opens higher. The bank rate decision comes at noon.",
    ),
    (
        "en-us+f2",
        "Oil is trading at seventy four, seventy four, seventy five. Send the papers today.",
    ),
    (
        "en-gb+m3",
        "The dealer counts his losses in the afternoon sun, and nobody knows how many remain.",
    ),
    (
        "en-us+f4",
        "How many thousand shares were sold before the bell? I take your offer at eleven.",
    ),
    (
        "en-gb+m5",
        "Left hand here. Please confirm the price of the ten year bond, then hold the line.",
    ),
    (
        "en-us+m7",
        "We will wait for the figures from the ministry; until then nothing moves at all.",
    ),
)
"""Voice and text; the variants (+f3) change pitch and formants."""

Pcm = npt.NDArray[np.int16]


def speak(voice: str, text: str) -> Pcm:
    """One sentence at 8 kHz, its peak at -6 dBFS, with silence around it.

    Raises:
        ToolMissingError: espeak-ng is not there.
    """
    program = tool("espeak-ng")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "spoken.wav"
        argv = [str(program.path), "-v", voice, "-s", "165", "-w", str(path), text]
        subprocess.run(argv, env=program.environment(), check=True, capture_output=True)
        with wave.open(str(path), "rb") as file:
            rate_hz = file.getframerate()
        samples = read_wav(path).astype(np.float64)
    wanted = round(len(samples) * RATE_HZ / rate_hz)
    narrow = np.fft.irfft(np.fft.rfft(samples)[: wanted // 2 + 1], wanted)
    narrow *= PEAK * 32767 / np.abs(narrow).max()
    silence = np.zeros(round(LEAD_S * RATE_HZ))
    return np.concatenate([silence, narrow, silence]).round().astype(np.int16)


def all_clips(count: int) -> list[Pcm]:
    """The first `count` sentences."""
    return [speak(voice, text) for voice, text in TEXTS[:count]]
