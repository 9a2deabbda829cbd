"""The report opens without a server and shows what it was given."""

import wave
from html.parser import HTMLParser
from pathlib import Path

import pytest

from openturret.lab.report import Attachment, Clip, Report, Span, write_report
from openturret.lab.timeline import Moment
from openturret.lab.verdict import Row


class Links(HTMLParser):
    """Collects what a page refers to."""

    def __init__(self) -> None:
        super().__init__()
        self.targets: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.targets += [value for name, value in attrs if name in ("src", "href") and value]


@pytest.fixture
def page(tmp_path: Path) -> Path:
    wav = tmp_path / "ear.wav"
    with wave.open(str(wav), "wb") as target:
        target.setparams((1, 2, 8000, 0, "NONE", ""))
        target.writeframes(b"\x00\x10\x00\xf0" * 2000)
    metadata = tmp_path / "metadata.xml"
    metadata.write_text("<recording/>")
    report = Report(
        title="First <light>",
        summary="one unit",
        passed=True,
        rows=[Row("voice", "gap", "20 ms", "≤ 60 ms")],
        moments=[Moment(1.25, "unit", "registered & ready")],
        stages=[Span("dhcp", 0.1, 0.2)],
        clips=[Clip("Left handset", "what it heard", wav)],
        attachments=[Attachment("Recorder A", metadata), Attachment("Recorder B", metadata)],
    )
    return write_report(tmp_path / "report", report)


def test_every_link_leads_to_a_file_of_the_report(page: Path) -> None:
    links = Links()
    links.feed(page.read_text())
    assert len(set(links.targets)) == 3
    assert all((page.parent / target).is_file() for target in links.targets)


def test_text_is_escaped(page: Path) -> None:
    text = page.read_text()
    assert "First &lt;light&gt;" in text
    assert "registered &amp; ready" in text


def test_the_waveform_is_drawn(page: Path) -> None:
    assert page.read_text().count("<path d=") == 2
