"""Set-up does again only what changed."""

from pathlib import Path

from openturret.lab.setup.cache import Stamp, fingerprint, fingerprint_files


def test_a_stamp_holds_only_for_what_it_was_set_to(tmp_path: Path) -> None:
    stamp = Stamp(tmp_path / "deep" / "stamp")
    assert not stamp.holds("one")
    stamp.set("one")
    assert stamp.holds("one")
    assert not stamp.holds("two")


def test_moving_a_byte_between_parts_changes_the_fingerprint() -> None:
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_a_changed_file_changes_the_fingerprint(tmp_path: Path) -> None:
    source = tmp_path / "engine.c"
    source.write_text("int a;")
    before = fingerprint_files([source], tmp_path)
    source.write_text("int b;")
    assert fingerprint_files([source], tmp_path) != before


def test_the_same_files_in_another_checkout_have_the_same_fingerprint(tmp_path: Path) -> None:
    for name in ("one", "another"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "engine.c").write_text("int a;")
    marks = {
        fingerprint_files([tmp_path / name / "engine.c"], tmp_path / name)
        for name in ("one", "another")
    }
    assert len(marks) == 1
