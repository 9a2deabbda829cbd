"""Writes the report: everything on one page that opens without a server."""

import html
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib import resources
from itertools import groupby
from pathlib import Path

from ..timeline import Moment
from ..verdict import Row
from .waveform import waveform_svg


@dataclass(frozen=True, slots=True)
class Clip:
    """A recording on the page; `group` says whose ear or which recorder it is."""

    group: str
    title: str
    wav: Path


@dataclass(frozen=True, slots=True)
class Attachment:
    """A file to be kept and linked; `group` says whose it is."""

    group: str
    path: Path


@dataclass(frozen=True, slots=True)
class Span:
    """A bar of the power-on chart, in seconds from power-on."""

    name: str
    begin_s: float
    duration_s: float


@dataclass(frozen=True, slots=True)
class Report:
    """All that the page shows."""

    title: str
    summary: str
    passed: bool
    rows: Sequence[Row]
    moments: Sequence[Moment]
    stages: Sequence[Span]
    clips: Sequence[Clip]
    attachments: Sequence[Attachment]


def write_report(folder: Path, report: Report) -> Path:
    """Copy the recordings and files into `folder` and write `index.html` there.

    Raises:
        OSError: the folder cannot be written.
        UnreadableAudioError: a clip is not a 16-bit mono WAV file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    clips = [_keep(clip, folder / "audio") for clip in report.clips]
    attachments = [_attach(each, folder / "files") for each in report.attachments]
    body = "".join(
        (
            _header(report),
            _table(report.rows),
            _stages(report.stages),
            _moments(report.moments),
            _clips(clips, folder),
            _files(attachments, folder),
        )
    )
    page = folder / "index.html"
    page.write_text(_document(report.title, body), encoding="utf-8")
    return page


def _attach(attachment: Attachment, folder: Path) -> Attachment:
    target = folder / _slug(attachment.group)
    target.mkdir(parents=True, exist_ok=True)
    copy = shutil.copy2(attachment.path, target / attachment.path.name)
    return Attachment(attachment.group, Path(copy))


def _slug(text: str) -> str:
    """A name for files: ``Recorder A`` becomes ``recorder-a``."""
    return text.lower().replace(" ", "-").replace("/", "-")


def _keep(clip: Clip, folder: Path) -> Clip:
    folder.mkdir(parents=True, exist_ok=True)
    name = _slug(f"{clip.group}-{clip.title}")
    return Clip(clip.group, clip.title, Path(shutil.copy2(clip.wav, folder / f"{name}.wav")))


def _document(title: str, body: str) -> str:
    style = resources.files(__package__).joinpath("style.css").read_text(encoding="utf-8")
    return (
        '<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width,initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{style}</style><main>{body}</main></html>\n"
    )


def _header(report: Report) -> str:
    mark = "passed" if report.passed else "failed"
    return (
        f'<header><h1>{html.escape(report.title)}</h1><p class="verdict {mark}">{mark}</p>'
        f"<p>{html.escape(report.summary)}</p></header>"
    )


def _table(rows: Sequence[Row]) -> str:
    parts = ["<section><h2>What was measured</h2><table>"]
    for section, members in groupby(rows, key=lambda row: row.section):
        parts.append(f'<tr><th colspan="4" scope="colgroup">{html.escape(section)}</th></tr>')
        parts.extend(_row(row) for row in members)
    return "".join((*parts, "</table></section>"))


def _row(row: Row) -> str:
    mark = "" if not row.bound else "✓" if row.passed else "✗"
    kind = "" if row.passed else ' class="failed"'
    cells = (mark, row.name, row.value, row.bound)
    return f"<tr{kind}>" + "".join(f"<td>{html.escape(cell)}</td>" for cell in cells) + "</tr>"


def _stages(stages: Sequence[Span]) -> str:
    end_s = max((span.begin_s + span.duration_s for span in stages), default=0.0) or 1.0
    bars = "".join(_bar(span, end_s) for span in stages)
    return f'<section><h2>From power-on to registered</h2><ol class="stages">{bars}</ol></section>'


def _bar(span: Span, end_s: float) -> str:
    left = 100 * span.begin_s / end_s
    width = max(0.4, 100 * span.duration_s / end_s)
    return (
        f'<li><span class="name">{html.escape(span.name)}</span><span class="track">'
        f'<span class="bar" style="margin-left:{left:.2f}%;width:{width:.2f}%"></span></span>'
        f'<span class="figure">{span.duration_s * 1000:.0f} ms</span></li>'
    )


def _moments(moments: Iterable[Moment]) -> str:
    items = "".join(
        f"<li><time>{moment.at_s:.2f} s</time><b>{html.escape(moment.actor)}</b>"
        f"<span>{html.escape(moment.text)}</span></li>"
        for moment in moments
    )
    return f'<section><h2>Timeline</h2><ol class="moments">{items}</ol></section>'


def _clips(clips: Sequence[Clip], folder: Path) -> str:
    parts = ["<section><h2>Listen</h2>"]
    for group, members in groupby(clips, key=lambda clip: clip.group):
        parts.append(f"<h3>{html.escape(group)}</h3>")
        parts.extend(_clip(clip, folder) for clip in members)
    return "".join((*parts, "</section>"))


def _clip(clip: Clip, folder: Path) -> str:
    source = clip.wav.relative_to(folder).as_posix()
    label = html.escape(f"{clip.group}, {clip.title}")
    return (
        f"<figure><figcaption>{html.escape(clip.title)}</figcaption>"
        f"{waveform_svg(clip.wav, label=label)}"
        f'<audio controls preload="none" src="{html.escape(source)}" aria-label="{label}"></audio>'
        "</figure>"
    )


def _files(attachments: Sequence[Attachment], folder: Path) -> str:
    parts = ["<section><h2>Files</h2>"]
    for group, members in groupby(attachments, key=lambda attachment: attachment.group):
        links = ", ".join(_link(attachment.path, folder) for attachment in members)
        parts.append(f"<p><b>{html.escape(group)}:</b> {links}</p>")
    return "".join((*parts, "</section>"))


def _link(path: Path, folder: Path) -> str:
    target = html.escape(path.relative_to(folder).as_posix())
    size_kb = path.stat().st_size / 1000
    return f'<a href="{target}">{html.escape(path.name)}</a> ({size_kb:.1f} kB)'
