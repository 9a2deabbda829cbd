"""The folder of a report is emptied only when it holds a report."""

from pathlib import Path

import pytest

from openturret.lab.report import ForeignFolderError, clear_folder


def test_an_earlier_report_makes_room(tmp_path: Path) -> None:
    (tmp_path / "audio").mkdir()
    (tmp_path / "audio" / "ear.wav").write_bytes(b"RIFF")
    (tmp_path / "index.html").write_text("passed")
    clear_folder(tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_missing_folder_is_made(tmp_path: Path) -> None:
    clear_folder(tmp_path / "deep" / "report")
    assert (tmp_path / "deep" / "report").is_dir()


def test_a_folder_with_anything_else_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text("my own page")
    (tmp_path / "thesis.tex").write_text("years of work")
    with pytest.raises(ForeignFolderError, match=r"thesis\.tex"):
        clear_folder(tmp_path)
    assert (tmp_path / "index.html").read_text() == "my own page"
    assert (tmp_path / "thesis.tex").read_text() == "years of work"
