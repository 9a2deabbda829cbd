"""What Debian's kernel makes of the twins: its drivers, its sound cards, its nodes."""

import asyncio
import logging
import math
import os
import select
import subprocess
import time
from array import array
from pathlib import Path
from statistics import median
from typing import Final

import numpy as np
import pytest
import usb.core
import usb.util

from openturret.drivers.usb.present import present
from openturret.hal.hardware import UsbDevice
from openturret.lab.guest.machine import sysfs_name
from openturret.lab.hands.twins import BETWEEN_MOVES_S
from openturret.lab.hands.wire import WireHand

logger = logging.getLogger(__name__)

RATE_HZ: Final = 48_000
HID: Final = 3
HOOK_MOVES: Final = 40
PATIENCE_S: Final = 30


def at(port: str) -> UsbDevice:
    (found,) = [device for device in present() if device.port == port]
    return found


def card(port: str) -> str:
    number = at(port).alsa_card
    assert number is not None
    return f"hw:{number},0"


def driver_of(port: str, interface: int) -> str:
    return (Path("/sys/bus/usb/devices") / f"{port}:1.{interface}" / "driver").resolve().name


def hid_interface(device: UsbDevice) -> int:
    (number,) = [each.number for each in device.interfaces if each.usb_class == HID]
    return number


def loudest_tone(pcm: bytes) -> tuple[float, float]:
    """Frequency in hertz and level in dB of a full-scale sine."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    window = np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(samples * window)) / (window.sum() / 2)
    loudest = int(spectrum[1:].argmax()) + 1
    return loudest * RATE_HZ / len(samples), 20 * math.log10(spectrum[loudest] / 32767)


async def alsa(program: str, device: str, *more: str, pcm: bytes = b"") -> bytes:
    """Runs arecord or aplay on a card as it is, at 48 kHz in 16 bits."""
    argv = [program, "-q", "-D", device, "-t", "raw", "-f", "S16_LE", "-r", f"{RATE_HZ}", "-c", "1"]
    done = await asyncio.to_thread(
        subprocess.run, [*argv, *more], input=pcm, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    return bytes(done.stdout)


def test_every_twin_is_where_the_board_says() -> None:
    found = {device.port: (f"{device.vid:04x}:{device.pid:04x}", device.serial)
             for device in present()}  # fmt: skip
    assert found == {
        "1-1": ("1209:7701", "HS-0001"),
        "1-2": ("1209:7701", "HS-0002"),
        "2-1": ("1209:7702", "SP-0001"),
        "2-2": ("1209:7703", "GN-0001"),
        "3-1": ("1209:7704", "LS-0001"),
        "3-2": ("1209:7705", "PN-0001"),
    }


@pytest.mark.parametrize("port", [sysfs_name(number) for number in range(1, 7)])
def test_hid_generic_takes_the_controls_and_makes_a_node(port: str) -> None:
    device = at(port)
    interface = hid_interface(device)
    assert driver_of(port, interface) == "usbhid"
    assert Path(device.hidraw[interface]).is_char_device()
    (bound,) = Path(f"/sys/bus/usb/devices/{port}:1.{interface}").glob("0003:*")
    assert (bound / "driver").resolve().name == "hid-generic"


@pytest.mark.parametrize(
    ("port", "name"),
    [
        ("1-1", "Turret Handset"),
        ("1-2", "Turret Handset"),
        ("2-1", "Turret Speakerphone"),
        ("2-2", "Turret Gooseneck"),
        ("3-1", "Turret Speaker"),
    ],
)
def test_snd_usb_audio_makes_a_card_of_that_name(port: str, name: str) -> None:
    assert driver_of(port, 0) == "snd-usb-audio"
    cards = Path("/proc/asound/cards").read_text()
    assert f"USB-Audio - {name}" in cards
    assert (
        (Path("/proc/asound") / f"card{at(port).alsa_card}" / "usbid")
        .read_text()
        .startswith("1209:77")
    )


def test_a_panel_without_sound_has_no_card() -> None:
    assert at("3-2").alsa_card is None


@pytest.mark.parametrize(
    ("position", "port", "frequency_hz"),
    [("handset-left", "1-1", 1000), ("handset-right", "1-2", 440), ("gooseneck", "2-2", 2500)],
)
async def test_a_tone_at_a_microphone_is_recorded(
    hand: WireHand, position: str, port: str, frequency_hz: int
) -> None:
    await hand.tone(position, frequency_hz, -10)
    pcm = await alsa("arecord", card(port), "-d", "1")
    found_hz, level_dbfs = loudest_tone(pcm[-RATE_HZ:])
    assert found_hz == pytest.approx(frequency_hz, abs=4)
    assert level_dbfs == pytest.approx(-10, abs=0.2)


@pytest.mark.parametrize(
    ("position", "port"),
    [("handset-left", "1-1"), ("speakerphone", "2-1"), ("speaker-1", "3-1")],
)
async def test_a_tone_that_is_played_is_heard(hand: WireHand, position: str, port: str) -> None:
    step = 2 * math.pi * 440 / RATE_HZ
    tone = array("h", (round(8000 * math.sin(step * n)) for n in range(RATE_HZ))).tobytes()
    await hand.listen(position)
    await alsa("aplay", card(port), pcm=tone)
    heard = await hand.stop_listening(position)
    assert heard.rate_hz == RATE_HZ
    loud = np.flatnonzero(np.frombuffer(heard.pcm, dtype="<i2"))
    middle = int(loud[0] + loud[-1])
    found_hz, level_dbfs = loudest_tone(heard.pcm[middle - RATE_HZ // 2 : middle + RATE_HZ // 2])
    assert found_hz == pytest.approx(440, abs=4)
    assert level_dbfs == pytest.approx(20 * math.log10(8000 / 32767), abs=0.2)


async def test_a_hook_arrives_through_hidraw(hand: WireHand) -> None:
    device = at("1-1")
    with Path(device.hidraw[hid_interface(device)]).open("rb", buffering=0) as node:
        delays_s = [await _move(hand, node.fileno(), lifted=not n % 2) for n in range(HOOK_MOVES)]
    logger.info("hook to hidraw: median of %d is %.1f ms", HOOK_MOVES, 1000 * median(delays_s))


async def _move(hand: WireHand, node: int, *, lifted: bool) -> float:
    await asyncio.sleep(BETWEEN_MOVES_S)
    started = time.monotonic()
    move = asyncio.create_task((hand.lift if lifted else hand.cradle)("handset-left"))
    await asyncio.sleep(0)
    assert await asyncio.to_thread(select.select, [node], [], [], PATIENCE_S) != ([], [], [])
    delay_s = time.monotonic() - started
    report = os.read(node, 64)
    assert (report[0], report[1] & 1) == (1, lifted)
    await move
    return delay_s


async def test_a_hook_arrives_through_libusb(hand: WireHand) -> None:
    device = at("1-2")
    interface = hid_interface(device)
    opened = usb.core.find(custom_match=lambda each: (each.bus, each.address) == device.address)
    opened.detach_kernel_driver(interface)
    try:
        usb.util.claim_interface(opened, interface)
        await hand.lift("handset-right")
        report = await asyncio.to_thread(opened.read, 0x83, 64, 1000 * PATIENCE_S)
        assert (report[0], report[1] & 1) == (1, True)
    finally:
        usb.util.release_interface(opened, interface)
        opened.attach_kernel_driver(interface)
        usb.util.dispose_resources(opened)


async def test_a_pulled_cable_takes_card_and_node_and_a_plugged_one_brings_them_back(
    hand: WireHand,
) -> None:
    await hand.unplug("handset-left")
    await _becomes("1-1", there=False)
    await hand.plug("handset-left")
    await _becomes("1-1", there=True)
    async with asyncio.timeout(PATIENCE_S):
        while at("1-1").alsa_card is None or not at("1-1").hidraw:
            await asyncio.sleep(0.05)


async def _becomes(port: str, *, there: bool) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while (port in {device.port for device in present()}) is not there:
            await asyncio.sleep(0.05)
