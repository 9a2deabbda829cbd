from pathlib import Path

import pytest

from openturret.firmware.matrix.settings import Settings, read_board, read_settings, unit_address
from openturret.hal.errors import BoardError

DEFAULTS = Settings(oldcb_address="127.0.0.1", rtp_lower=11000, rtp_upper=13000)


def test_without_a_file_the_registrys_defaults_serve(tmp_path: Path) -> None:
    assert read_settings(tmp_path / "unit.yaml") == DEFAULTS


def test_the_configured_range_and_address_are_used(tmp_path: Path) -> None:
    path = tmp_path / "unit.yaml"
    path.write_text(
        "application.mm.rtplowerport: 12000\napplication.mm.rtpupperport: 12100\n"
        "application.oldcb.address: 10.1.0.7\n"
    )
    assert read_settings(path) == Settings("10.1.0.7", 12000, 12100)


def test_a_file_that_cannot_be_used_is_logged_and_the_defaults_serve(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "unit.yaml"
    path.write_text("application.mm.rtplowerport: many\n")
    assert read_settings(path) == DEFAULTS
    assert "defaults apply" in caplog.text


def test_no_board_is_a_warning_and_a_bad_board_is_refused(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "board.yaml"
    assert read_board(path).audio_devices() == ()
    assert "give --board" in caplog.text
    path.write_text("bord: x\n")
    with pytest.raises(BoardError, match="line 1"):
        read_board(path)


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"address": 1.5}', '{"address": "x; rm"}'])
def test_what_is_no_address_is_loopback(tmp_path: Path, text: str) -> None:
    path = tmp_path / "network.json"
    path.write_text(text)
    assert unit_address(path) == "127.0.0.1"
