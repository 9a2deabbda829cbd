"""The devices that a guest flashes, as far as they can be seen without a guest."""

import asyncio
from pathlib import Path

import pytest

from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.flash.dfu import DfuDevice
from openturret.drivers.flash.dfu_file import DfuSuffix
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.flashing import Orders, Outcome, Result, flash
from openturret.drivers.flash.image import SignedImage
from openturret.drivers.flash.pace import SystemPace
from openturret.drivers.flash.version import Version
from openturret.drivers.usb.present import present
from openturret.hal.hardware import UsbDevice
from openturret.lab.guest.updatable import DEVICES, FIRST, NEVER_STARTS, updatable_devices
from openturret.lab.maker import Maker


def flashed(port: int, version: Version) -> Outcome:
    maker, kind, bus = Maker(), DEVICES[port], EmulatedBus()
    bus.connect(kind.make(maker), f"1-{port}")
    backend, pace = EmulatedBackend(bus), SystemPace()

    def look() -> tuple[UsbDevice, ...]:
        return present(backend=backend)

    unit = DfuDevice(look()[0], look, pace, backend=backend)
    image = SignedImage.parse(maker.sign(b"the next firmware", version))
    firmware = Firmware(image, DfuSuffix(0x1209, kind.pid))
    return flash(unit, firmware, pace, lambda _: None, Orders())


@pytest.mark.parametrize("port", DEVICES)
def test_every_device_can_be_flashed(port: int) -> None:
    outcome = flashed(port, Version(1, 1))
    assert (outcome.result, outcome.before, outcome.running) == (
        Result.FLASHED,
        FIRST,
        Version(1, 1),
    )


def test_one_firmware_never_starts() -> None:
    assert flashed(2, Version(1, 1, NEVER_STARTS)).result is Result.ROLLED_BACK


async def test_every_device_waits_at_its_socket(tmp_path: Path) -> None:
    async with updatable_devices(tmp_path) as sockets:
        assert list(sockets) == list(DEVICES)
        for path in sockets.values():
            reader, writer = await asyncio.open_unix_connection(str(path))
            assert await reader.readexactly(4) == bytes(4), "usbredir's hello"
            writer.close()
            await writer.wait_closed()
