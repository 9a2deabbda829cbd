"""A desk with twins on an emulated bus, and the drivers that answer for them.

``octets`` reads report descriptors from ``data/``: hexadecimal octets, # begins a remark.
"""

import asyncio
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import TypeVar

import pytest

from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.usb.bus import UsbBus
from openturret.hal import AttachedEvent, DeviceEvent, EventQueue, Overflow, VolumeEvent, clock
from openturret.hal.board import DEFAULTS, DeviceSpec, DeviceType
from openturret.hal.device import Device

DATA = Path(__file__).parent / "data"
PATIENCE_S = 10
UNIX_S = 1_700_000_000.0
D = TypeVar("D", bound=Device)
Make = Callable[[DeviceSpec, clock.Clock, UsbBus], D]


@pytest.fixture(scope="session")
def octets() -> Callable[[str], bytes]:
    def read(name: str) -> bytes:
        lines = (DATA / f"{name}.hex").read_text().splitlines()
        return bytes.fromhex(" ".join(line.partition("#")[0] for line in lines))

    return read


class Clock:
    """Of the drivers: a hand moves when the test says that time passes."""

    now_s = 1000.0

    def monotonic(self) -> float:
        return self.now_s

    def unix(self) -> float:
        return UNIX_S


class Desk:
    """Devices on ports 1-1, 1-2 and so on, and their drivers, which are closed at the end."""

    def __init__(self, *, kernel_drivers: bool = False) -> None:
        self.bus = EmulatedBus(kernel_drivers=kernel_drivers)
        self.backend = EmulatedBackend(self.bus)
        self.usb = UsbBus(self.backend)
        self.clock = Clock()
        self._models: list[Peripheral] = []
        self._opened: list[Device] = []

    def pause(self) -> None:
        """Lets as much time pass as a hand takes between two moves."""
        self.clock.now_s += 1

    async def breathe(self, model: Peripheral, reader: "Reader") -> None:
        """As :meth:`pause`, after the driver has read all that the twin has reported so far.

        The turn of a knob is the last report, and no contact that could bounce.
        """
        wrong = model.misbehaviour
        doubled, bounces = wrong.doubled, wrong.bounces
        wrong.doubled, wrong.bounces = False, 0
        model.turn(1)
        wrong.doubled, wrong.bounces = doubled, bounces
        assert isinstance(await reader.next(), VolumeEvent)
        self.pause()

    def connect(self, model: Peripheral) -> str:
        self._models.append(model)
        port = f"1-{len(self._models)}"
        self.bus.connect(model, port)
        return port

    def spec(self, kind: DeviceType, **match: str | int) -> DeviceSpec:
        match = {"vid": 0x1209, **match}
        return DeviceSpec(f"{kind}-1", kind, "usb", match, DEFAULTS[kind], channels=3)

    def driver(self, make: Make[D], kind: DeviceType, port: str) -> D:
        device = make(self.spec(kind, port=port), self.clock, self.usb)
        self._opened.append(device)
        return device

    async def attach(
        self,
        make: Make[D],
        kind: DeviceType,
        model: Peripheral,
    ) -> tuple[D, "Reader"]:
        device = self.driver(make, kind, self.connect(model))
        reader = Reader(device.events())
        await device.open()
        assert isinstance(await reader.next(), AttachedEvent)
        return device, reader

    async def close(self) -> None:
        """Pulls every cable, which ends reads at once, and closes the drivers."""
        for model in self._models:
            model.unplug()
        for device in self._opened:
            await device.close()


class Reader:
    """What a device tells, and how long a test waits for it."""

    def __init__(self, queue: EventQueue) -> None:
        self._queue = queue

    async def next(self) -> DeviceEvent | Overflow:
        async with asyncio.timeout(PATIENCE_S):
            return await anext(self._queue)

    async def rest(self) -> list[DeviceEvent | Overflow]:
        """Everything until the device is closed."""
        async with asyncio.timeout(PATIENCE_S):
            return [event async for event in self._queue]


async def _until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not condition():
            await asyncio.sleep(0)


@pytest.fixture
def until() -> Callable[[Callable[[], bool]], object]:
    """Waits for what a twin shows: it has nothing to wait for but its own state."""
    return _until


@pytest.fixture
async def desk() -> AsyncIterator[Desk]:
    desk = Desk()
    yield desk
    await desk.close()


@pytest.fixture
async def linux_desk() -> AsyncIterator[Desk]:
    """A desk whose kernel drivers take audio and HID interfaces, as Linux does."""
    desk = Desk(kernel_drivers=True)
    yield desk
    await desk.close()
