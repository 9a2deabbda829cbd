"""Which sound card belongs to a USB device, by what the kernel shows."""

import dataclasses
from pathlib import Path

import pytest

from openturret.drivers.portaudio.library import buffer_frames, card_stamp
from openturret.drivers.portaudio.stream import Api, Direction, Target
from openturret.drivers.portaudio.usb import UsbPlace, usb_audio
from openturret.hal.audio import AudioPort, CountsXruns
from openturret.hal.board import Board, DeviceSpec
from openturret.hal.errors import DeviceGoneError, MatchError
from openturret.hal.hardware import UsbDevice

LEFT = UsbDevice(0x1209, 0x7701, "1-1", "TP-0001", alsa_card=3)
RIGHT = dataclasses.replace(LEFT, port="1-2", serial="TP-0002", alsa_card=1)


@pytest.fixture
def spec(board: Board) -> DeviceSpec:
    match: dict[str, str | int] = {"vid": 0x1209, "pid": 0x7701, "port": "1-1"}
    return dataclasses.replace(board.devices["handset-left"], driver="usb", match=match)


def show_card(asound: Path, number: int, usbid: str) -> Path:
    card = asound / f"card{number}"
    card.mkdir(parents=True)
    (card / "usbid").write_text(f"{usbid}\n")
    return card


def test_of_two_alike_the_card_on_the_boards_port_is_taken(
    spec: DeviceSpec, tmp_path: Path
) -> None:
    show_card(tmp_path, 3, "1209:7701")
    place = UsbPlace(spec, lambda: (RIGHT, LEFT), tmp_path)
    assert place.target() == Target(Api.ALSA, "hw:3", "1209:7701")


def test_the_number_is_looked_up_at_each_plug_in(spec: DeviceSpec, tmp_path: Path) -> None:
    present = [LEFT]
    place = UsbPlace(spec, lambda: present, tmp_path)
    assert place.target().name == "hw:3"
    present[0] = dataclasses.replace(LEFT, alsa_card=0)
    assert place.target().name == "hw:0"


def test_another_product_under_the_same_number_is_another_target(
    spec: DeviceSpec, tmp_path: Path
) -> None:
    card = show_card(tmp_path, 3, "1209:7701")
    before = UsbPlace(spec, lambda: (LEFT,), tmp_path).target()
    (card / "usbid").write_text("1209:7702")
    assert UsbPlace(spec, lambda: (LEFT,), tmp_path).target() != before


def test_a_card_that_goes_away_is_noticed_at_the_next_frame(
    spec: DeviceSpec, tmp_path: Path
) -> None:
    card = show_card(tmp_path, 3, "1209:7701")
    place = UsbPlace(spec, lambda: (LEFT,), tmp_path)
    place.target()
    place.check()
    (card / "usbid").unlink()
    card.rmdir()
    with pytest.raises(DeviceGoneError, match="handset-left: its sound card is gone"):
        place.check()


def test_a_device_without_a_card_is_refused_with_a_remedy(spec: DeviceSpec) -> None:
    silent = dataclasses.replace(LEFT, alsa_card=None)
    with pytest.raises(DeviceGoneError, match="modprobe snd-usb-audio"):
        UsbPlace(spec, lambda: (silent,)).target()


def test_two_that_answer_are_refused(spec: DeviceSpec) -> None:
    loose = dataclasses.replace(spec, match={"vid": 0x1209, "pid": 0x7701})
    with pytest.raises(MatchError, match="2 devices answer"):
        UsbPlace(loose, lambda: (RIGHT, LEFT)).target()


def test_a_card_that_is_not_there_has_no_stamp(tmp_path: Path) -> None:
    assert card_stamp("hw:7", tmp_path) == ""


def test_the_buffer_of_an_open_card_is_what_the_kernel_says(tmp_path: Path) -> None:
    for name, text in {"pcm0c": "closed\n", "pcm0p": "format: S16_LE\nbuffer_size: 1920\n"}.items():
        (tmp_path / "card1" / name / "sub0").mkdir(parents=True)
        (tmp_path / "card1" / name / "sub0" / "hw_params").write_text(text)
    assert buffer_frames("hw:1", Direction.PLAYBACK, tmp_path) == 1920
    assert buffer_frames("hw:1", Direction.CAPTURE, tmp_path) == 0
    assert buffer_frames("hw:2", Direction.PLAYBACK, tmp_path) == 0


def test_the_driver_makes_an_audio_port_that_opens_nothing_yet(spec: DeviceSpec) -> None:
    port = usb_audio(spec)
    assert isinstance(port, AudioPort)
    assert isinstance(port, CountsXruns)
    assert port.rate_hz == 48_000
