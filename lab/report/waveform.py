"""Draws a recording as an SVG path."""

from pathlib import Path

import numpy as np

from ..listening import read_wav

WIDTH = 960
HEIGHT = 64
FULL_SCALE = 32768.0


def waveform_svg(wav: Path, *, label: str) -> str:
    """An SVG of the lowest and highest sample under each of 960 columns.

    Raises:
        UnreadableAudioError: the file is not a 16-bit mono WAV file.
    """
    samples, _ = read_wav(wav)
    columns = np.array_split(samples / FULL_SCALE, WIDTH) if len(samples) >= WIDTH else []
    strokes = "".join(
        f"M{x} {_y(column.max()):.1f}V{_y(column.min()) + 0.6:.1f}"
        for x, column in enumerate(columns)
    )
    return (
        f'<svg class="wave" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" role="img" '
        f'aria-label="Waveform of {label}"><path d="M0 {HEIGHT / 2}H{WIDTH}" class="axis"/>'
        f'<path d="{strokes}"/></svg>'
    )


def _y(value: float) -> float:
    return HEIGHT / 2 * (1 - value)
