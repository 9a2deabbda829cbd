"""Gains of feature units: what is measured, set, and left alone."""

from typing import Protocol

import pytest

from openturret.drivers.emulated.usb import gains as twin
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.panel import PanelModel
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.errors import StallError
from openturret.drivers.usb import alsa
from openturret.drivers.usb.bus import UsbBus
from openturret.drivers.usb.gains import Gains
from openturret.drivers.usb.levels import Levels
from openturret.hal import Gain, GainRange
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.errors import DeviceGoneError, GainError


class Desk(Protocol):
    usb: UsbBus

    def connect(self, model: Peripheral) -> str: ...
    def spec(self, kind: DeviceType, **match: str | int) -> DeviceSpec: ...


def gains_of(desk: Desk, model: Peripheral) -> Gains | None:
    found = desk.usb.find(desk.spec(DeviceType.HANDSET, port=desk.connect(model)))
    return desk.usb.gains(found, Gain.EARPIECE)


async def test_ranges_are_the_devices_own(desk: Desk) -> None:
    gains = gains_of(desk, HandsetModel())
    assert gains is not None
    assert dict(gains.ranges) == {
        Gain.EARPIECE: GainRange(-40.0, 0.0, 1.0),
        Gain.MICROPHONE: GainRange(-20.0, 12.0, 0.5),
        Gain.SIDETONE: GainRange(-40.0, 0.0, 1.0),
    }
    gains.close()


async def test_a_range_that_begins_at_silence_begins_at_its_least_decibel(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(twin.RANGES, Gain.EARPIECE, GainRange(-128.0, 0.0, 1 / 256))
    model = HandsetModel()
    gains = gains_of(desk, model)
    assert gains is not None
    assert gains.ranges[Gain.EARPIECE].minimum_db == -32767 / 256
    assert gains.set(Gain.EARPIECE, -200) == model.gains[Gain.EARPIECE] == -32767 / 256
    gains.close()


async def test_a_range_without_extent_is_no_gain(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(twin.RANGES, Gain.SIDETONE, GainRange(0.0, -10.0, 1.0))
    gains = gains_of(desk, HandsetModel())
    assert gains is not None
    assert Gain.SIDETONE not in gains.ranges
    gains.close()


async def test_a_gain_that_refuses_to_be_measured_is_left_out(desk: Desk) -> None:
    model = HandsetModel()
    found = desk.usb.find(desk.spec(DeviceType.HANDSET, port=desk.connect(model)))
    model.misbehaviour.stalls = 1
    gains = desk.usb.gains(found, Gain.EARPIECE)
    assert gains is not None
    assert len(gains.ranges) == 2
    gains.close()


async def test_a_device_without_audio_has_no_gains(desk: Desk) -> None:
    assert gains_of(desk, PanelModel()) is None


async def test_a_refused_gain_is_tried_again_after_the_next_attach(desk: Desk) -> None:
    model = HandsetModel()
    levels = Levels("handset-1")
    levels.attach(gains_of(desk, model))
    model.misbehaviour.stalls = 1
    with pytest.raises(StallError, match="feature unit 7 refused"):
        levels.set(Gain.SIDETONE, -12)
    levels.detach()
    with pytest.raises(DeviceGoneError, match="microphone is set when it does"):
        levels.set(Gain.MICROPHONE, 3)
    with pytest.raises(GainError, match="has no gain loudspeaker"):
        levels.set(Gain.LOUDSPEAKER, -3)
    found = desk.usb.find(desk.spec(DeviceType.HANDSET, port="1-1"))
    levels.attach(desk.usb.gains(found, Gain.EARPIECE))
    assert (model.gains[Gain.SIDETONE], model.gains[Gain.MICROPHONE]) == (-12, 3)
    levels.detach()


def test_a_sound_card_that_left_is_a_device_that_is_gone() -> None:
    pytest.importorskip("alsaaudio")
    with pytest.raises(DeviceGoneError, match="sound card 31"):
        alsa.open_mixer(31, Gain.EARPIECE)


def test_without_pyalsaaudio_a_card_has_no_gains_and_the_log_says_what_brings_them(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(alsa, "alsaaudio", None)
    assert alsa.open_mixer(0, Gain.EARPIECE) is None
    assert 'pip install "openturret[rig]"' in caplog.text
