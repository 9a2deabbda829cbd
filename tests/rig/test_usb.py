"""Labgrid's udev finds USB devices and their sound cards; in a guest, whose kernel drives twins.

::

    tox run -e rig-kernel
"""

from __future__ import annotations

import asyncio
import os
import wave
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import TypeVar

import numpy as np
import pytest

from openturret.hal import AttachedEvent
from openturret.lab.hands.hand import Sound
from openturret.lab.hands.wire import WireHand
from openturret.lab.rig._labgrid import Resource, ResourceExport, Target, target_factory
from openturret.lab.rig.classes import AlsaAudioDriver, HandsetDriver, USBAudio, USBHandset
from openturret.lab.rig.exporter import USBAudioExport, USBHandsetExport

# labgrid 26 asks pyudev whether there is a device in a way that pyudev wants to give up.
pytestmark = pytest.mark.filterwarnings("ignore:Will be removed in 1.0:DeprecationWarning")

HAND = Path(os.environ["OPENTURRET_HAND"])
HANDSET: dict[str, object] = {"vid": 0x1209, "pid": 0x7701}
RATE_HZ = 48000
APPEARS_S = 20.0
R = TypeVar("R", bound=Resource)


@pytest.fixture
def target() -> Iterator[Target]:
    found = Target("rig")
    yield found
    found.cleanup()


@pytest.fixture
async def hand() -> AsyncIterator[WireHand]:
    """The hand at the twins, outside the guest."""
    lent = await WireHand.connect(HAND)
    yield lent
    await lent.tidy()
    await lent.close()


def found(target: Target, cls: type[R], **match: object) -> R:
    target_factory.make_resource(target, cls.__name__, None, {**HANDSET, **match})
    return target.get_resource(cls)


async def becomes(resource: Resource, *, available: bool) -> None:
    async with asyncio.timeout(APPEARS_S):
        while resource.avail is not available:
            resource.poll()
            await asyncio.sleep(0.05)


def tone(frequency_hz: float, seconds: float) -> bytes:
    time_s = np.arange(round(RATE_HZ * seconds)) / RATE_HZ
    return (8000 * np.sin(2 * np.pi * frequency_hz * time_s)).astype("<i2").tobytes()


def loudest_hz(pcm: bytes, rate_hz: int) -> float:
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
    return float(np.fft.rfftfreq(len(samples), 1 / rate_hz)[spectrum.argmax()])


@pytest.mark.parametrize(
    ("match", "port"),
    [
        ({"port": "1-1"}, "1-1"),
        ({"port": "1-2"}, "1-2"),
        ({"serial": "HS-0001"}, "1-1"),
        ({"serial": "HS-0002"}, "1-2"),
        ({"port": "1-2", "serial": "HS-0002"}, "1-2"),
    ],
)
def test_identical_handsets_are_told_apart(
    target: Target, match: dict[str, object], port: str
) -> None:
    assert found(target, USBHandset, **match).path == port


def test_a_handset_that_is_elsewhere_is_not_taken(target: Target) -> None:
    target_factory.make_resource(
        target, "USBHandset", None, {**HANDSET, "port": "1-1", "serial": "HS-0002"}
    )
    assert not target.get_resource(USBHandset, wait_avail=False).avail


async def test_a_pulled_cable_is_seen_and_a_handset_that_comes_back_too(
    target: Target, hand: WireHand
) -> None:
    handset = found(target, USBHandset, port="1-1")
    await hand.unplug("handset-left")
    await becomes(handset, available=False)
    await hand.plug("handset-left")
    await becomes(handset, available=True)
    assert handset.path == "1-1"


async def test_a_handset_found_by_udev_answers_to_our_driver(target: Target) -> None:
    found(target, USBHandset, port="1-2", position="handset-right")
    target_factory.make_driver(target, "HandsetDriver", None, {})
    handset = target.get_driver(HandsetDriver).handset()
    events = handset.events()
    await handset.open()
    async with asyncio.timeout(APPEARS_S):
        assert isinstance(await anext(events), AttachedEvent)
    assert handset.attached
    await handset.close()


async def test_each_handset_has_its_own_sound_card(
    target: Target, hand: WireHand, tmp_path: Path
) -> None:
    found(target, USBAudio, port="1-2")
    target_factory.make_driver(target, "AlsaAudioDriver", None, {})
    driver = target.get_driver(AlsaAudioDriver)
    await hand.tone("handset-left", 440.0, -12.0)
    await hand.tone("handset-right", 1000.0, -12.0)
    heard = tmp_path / "heard.wav"
    await asyncio.to_thread(driver.listen, heard, seconds=2.0)
    with wave.open(str(heard)) as file:
        rate_hz, pcm = file.getframerate(), file.readframes(file.getnframes())
    assert loudest_hz(pcm, rate_hz) == pytest.approx(1000.0, abs=2.0)


async def test_what_a_file_says_is_heard_at_the_earpiece(
    target: Target, hand: WireHand, tmp_path: Path
) -> None:
    found(target, USBAudio, serial="HS-0001")
    target_factory.make_driver(target, "AlsaAudioDriver", None, {})
    spoken = tmp_path / "spoken.wav"
    with wave.open(str(spoken), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(RATE_HZ)
        file.writeframes(tone(700.0, 2.0))
    await hand.listen("handset-left")
    await asyncio.to_thread(target.get_driver(AlsaAudioDriver).speak, spoken)
    sound: Sound = await hand.stop_listening("handset-left")
    assert loudest_hz(sound.pcm, sound.rate_hz) == pytest.approx(700.0, abs=2.0)


def published(make: Callable[..., ResourceExport], cls: str) -> dict[str, object]:
    """What an exporter says of the left handset, or of its card."""
    export = make({"avail": False, "cls": cls, "params": {**HANDSET, "port": "1-1"}}, host="rig-7")
    export.poll()
    assert export.data["avail"]
    return {"cls": export.data["cls"], **export.data["params"]}


def test_an_exporter_publishes_where_a_handset_and_its_card_are() -> None:
    handset = published(USBHandsetExport, "USBHandset")
    assert (handset["cls"], handset["host"], handset["port"]) == (
        "NetworkUSBHandset",
        "rig-7",
        "1-1",
    )
    card = published(USBAudioExport, "USBAudio")
    assert (card["cls"], card["host"]) == ("AlsaAudio", "rig-7")
    assert str(card["alsa_name"]).startswith("plughw:")
