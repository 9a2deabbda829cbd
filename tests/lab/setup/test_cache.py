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
    before = fingerprint_files([source])
    source.write_text("int b;")
    assert fingerprint_files([source]) != before
