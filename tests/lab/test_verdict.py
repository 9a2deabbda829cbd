"""The closing table says what failed and never passes empty."""

from openturret.lab.verdict import Verdict, as_text


def test_an_empty_table_has_not_passed() -> None:
    assert not Verdict().passed


def test_one_failed_line_fails_the_table() -> None:
    verdict = Verdict()
    verdict.at_least("voice", "signal to noise", 31.2, 20, "dB")
    assert verdict.passed
    verdict.within("voice", "gap", 120.0, 60, "ms", digits=0)
    assert not verdict.passed


def test_a_note_has_no_bound_and_cannot_fail() -> None:
    verdict = Verdict()
    verdict.note("boot", "dhcp", "12 ms")
    assert verdict.passed


def test_the_text_marks_what_failed() -> None:
    verdict = Verdict()
    verdict.holds("recorders", "payloads identical", False, "no", "yes")
    assert "NO payloads identical" in as_text(verdict.rows)


def test_rows_are_plain_data_for_machines() -> None:
    verdict = Verdict()
    verdict.at_least("voice", "correlation", 0.98, 0.9, "", digits=2)
    assert verdict.rows[0].as_json() == {
        "section": "voice",
        "name": "correlation",
        "value": "0.98",
        "bound": "≥ 0.90",
        "passed": True,
        "timed": False,
    }
