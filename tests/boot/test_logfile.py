import os
from pathlib import Path

from openturret.boot.logfile import LogFile, older, rotate, trim


def test_a_log_keeps_itself_and_the_one_before(tmp_path: Path) -> None:
    path = tmp_path / "log" / "boot.log"
    log = LogFile(path, max_bytes=100)
    for number in range(100):
        log.append(f"line {number}")
    text = older(path).read_text() + path.read_text()
    assert text.endswith("line 98\nline 99\n")
    assert len(text) < 220
    assert log.lost == 0
    assert path.stat().st_mode & 0o777 == 0o600


def test_a_medium_that_is_full_loses_lines_and_counts_them(tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    path.symlink_to("/dev/full")
    log = LogFile(path)
    log.append("x")
    assert log.lost == 1, "a link is not followed"
    (tmp_path / "file").write_text("")
    log = LogFile(tmp_path / "file" / "boot.log")
    log.append("x")
    assert log.lost == 1


def test_a_log_that_has_grown_is_moved_aside_before_it_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "boot.log"
    rotate(path)
    path.write_text("x" * 11)
    rotate(path, max_bytes=11)
    assert path.exists()
    rotate(path, max_bytes=10)
    assert (path.exists(), older(path).read_text()) == (False, "x" * 11)


def test_a_log_that_a_process_holds_open_is_emptied_under_it(tmp_path: Path) -> None:
    path = tmp_path / "runtime.log"
    with path.open("ab", buffering=0) as process:
        process.write(b"x" * 11)
        trim(path, max_bytes=10)
        process.write(b"after\n")
    assert path.read_bytes() == b"after\n", "no hole of zeros"
    assert older(path).read_bytes() == b"x" * 11
    trim(path, max_bytes=10)
    assert path.read_bytes() == b"after\n"
    assert os.listdir(tmp_path)  # noqa: PTH208
