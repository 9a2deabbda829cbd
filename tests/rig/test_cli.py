from __future__ import annotations

import pytest

from openturret.lab.rig.cli import WORDS, main
from openturret.lab.rig.lease_cli import hold_main
from openturret.lab.rig.up import main as up_main


@pytest.mark.parametrize("word", WORDS)
def test_every_word_teaches_in_its_help(word: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main([word, "--help"])
    assert leaving.value.code == 0
    assert f"usage: turret rig {word}" in capsys.readouterr().out


def test_the_help_names_every_word(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    shown = capsys.readouterr().out
    assert all(summary in shown for _, _, summary in WORDS.values())


@pytest.mark.parametrize("arguments", [[], ["fly"]])
def test_a_word_that_is_none_is_a_usage_error(arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as leaving:
        main(arguments)
    assert leaving.value.code == 2


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["board=touchpro"], "no command"),
        (["touchpro", "--", "true"], "'touchpro' is not TAG=VALUE"),
        (["board=", "--", "true"], "'board=' is not TAG=VALUE"),
        (["--", "true"], "the following arguments are required"),
    ],
)
def test_what_hold_cannot_do_is_told(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        hold_main(arguments)
    assert leaving.value.code == 2
    assert complaint in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (["--units", "0"], "'0' is not a number from 1 to 16"),
        (["--units", "17"], "'17' is not a number from 1 to 16"),
        (["--units", "two"], "'two' is not a number from 1 to 16"),
        (["--address", "0.0.0.0"], "0.0.0.0 is nowhere; name the address that others reach"),
        (["--address", "rig-7"], "'rig-7' is not an IPv4 address"),
    ],
)
def test_what_up_cannot_do_is_told(
    arguments: list[str], complaint: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as leaving:
        up_main(arguments)
    assert leaving.value.code == 2
    assert complaint in capsys.readouterr().err
