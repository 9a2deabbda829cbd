"""Draws figures as SVG, by hand: two kinds of panels are enough, and text diffs well."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from xml.sax.saxutils import escape

from .figures import Figure

WIDTH = 820
MARGIN = 20
TITLE_HEIGHT = 30
BAR_HEIGHT, BAR_GAP = 16, 8
LABEL_WIDTH, VALUE_WIDTH = 250, 90
LINES_HEIGHT = 220
AXIS_WIDTH = 60
OURS, PEER, FLOOR, AXIS, TEXT = "#1a5fb4", "#c0bfbc", "#77767b", "#deddda", "#241f31"
FONT = 'font-family="sans-serif" font-size="12"'


@dataclass(frozen=True, slots=True)
class Panel:
    """A piece of the drawing: its height and its SVG, drawn with its top at 0."""

    height: int
    body: str


def colour(subject: str) -> str:
    """Ours is blue, what cannot be beaten dark, peers light."""
    if subject.lower().startswith(("engine", "openturret")):
        return OURS
    return FLOOR if subject.startswith(("bare", "memcpy")) else PEER


def text(x: float, y: float, words: str, *, anchor: str = "start", weight: str = "normal") -> str:
    """A line of text."""
    place = f'x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-weight="{weight}"'
    return f"<text {place}>{escape(words)}</text>"


def bars(title: str, figures: Sequence[Figure], *, logarithmic: bool = False) -> Panel:
    """A bar for each subject, with its range as a whisker."""
    length = WIDTH - 2 * MARGIN - LABEL_WIDTH - VALUE_WIDTH
    least = min(figure.least for figure in figures)
    most = max(figure.most for figure in figures)
    base = 10 ** math.floor(math.log10(least)) if logarithmic else 0.0

    def scale(value: float) -> float:
        if logarithmic:
            return length * math.log(max(value, base) / base) / math.log(most / base)
        return length * value / most

    left = MARGIN + LABEL_WIDTH
    lines = [text(MARGIN, 16, title, weight="bold")]
    for number, figure in enumerate(figures):
        top = TITLE_HEIGHT + number * (BAR_HEIGHT + BAR_GAP)
        middle = top + BAR_HEIGHT / 2
        low, high = left + scale(figure.least), left + scale(figure.most)
        lines += [
            text(left - 8, top + 12, figure.subject, anchor="end"),
            f'<rect x="{left}" y="{top}" width="{scale(figure.median):.1f}" '
            f'height="{BAR_HEIGHT}" fill="{colour(figure.subject)}"/>',
            f'<path d="M{low:.1f} {middle:.1f}H{high:.1f}" stroke="{TEXT}" stroke-width="1.5"/>',
            text(high + 6, top + 12, figure.middle),
        ]
    height = TITLE_HEIGHT + len(figures) * (BAR_HEIGHT + BAR_GAP) + MARGIN
    return Panel(height, "\n".join(lines))


def curves(title: str, figures: Sequence[Figure]) -> Panel:
    """A curve for each subject over n, both axes logarithmic."""
    left, right = MARGIN + AXIS_WIDTH, WIDTH - MARGIN - 150
    top, bottom = TITLE_HEIGHT + 10, TITLE_HEIGHT + LINES_HEIGHT
    sizes = sorted({figure.n for figure in figures})
    low = 10 ** math.floor(math.log10(min(figure.least for figure in figures)))
    high = max(figure.most for figure in figures)

    def across(n: int) -> float:
        span = math.log(sizes[-1] / sizes[0]) or 1.0
        return left + (right - left) * math.log(n / sizes[0]) / span

    def up(value: float) -> float:
        return bottom - (bottom - top) * math.log(value / low) / math.log(high / low)

    lines = [text(MARGIN, 16, title, weight="bold")]
    for value in (step * 10**power for power in range(9) for step in (1, 2, 5)):
        if low <= value <= high:
            lines += [
                f'<path d="M{left} {up(value):.1f}H{right}" stroke="{AXIS}"/>',
                text(left - 8, up(value) + 4, f"{value:,}", anchor="end"),
            ]
    lines += [text(across(n), bottom + 18, str(n), anchor="middle") for n in sizes]
    for subject in sorted({figure.subject for figure in figures}):
        points = sorted((f.n, f.median) for f in figures if f.subject == subject)
        steps = " ".join(f"{across(n):.1f},{up(value):.1f}" for n, value in points)
        dots = [
            f'<circle cx="{across(n):.1f}" cy="{up(value):.1f}" r="3" fill="{colour(subject)}"/>'
            for n, value in points
        ]
        line = f'fill="none" stroke="{colour(subject)}" stroke-width="2"'
        above = -4 if colour(subject) == OURS else 12
        ends = text(right + 10, up(points[-1][1]) + above, subject)
        lines += [f'<polyline points="{steps}" {line}/>', *dots, ends]
    return Panel(TITLE_HEIGHT + LINES_HEIGHT + 2 * MARGIN, "\n".join(lines))


def drawing(panels: Sequence[Panel]) -> str:
    """The panels, one below the other, as an SVG document."""
    at = MARGIN
    parts = []
    for panel in panels:
        parts.append(f'<g transform="translate(0 {at})">\n{panel.body}\n</g>')
        at += panel.height
    size = f'width="{WIDTH}" height="{at}" viewBox="0 0 {WIDTH} {at}"'
    head = f'<svg xmlns="http://www.w3.org/2000/svg" {size} {FONT} fill="{TEXT}">'
    ground = f'<rect width="{WIDTH}" height="{at}" fill="#ffffff"/>'
    return "\n".join([head, ground, *parts, "</svg>\n"])
