"""When a device is found there or away, by devices that do as they are told."""

import asyncio
import dataclasses
import threading
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.c_ext import Engine
from openturret.firmware.matrix import device_thread
from openturret.firmware.matrix.devices import AudioDevices
from openturret.firmware.matrix.fallback import Whereabouts
from openturret.firmware.matrix.process import MatrixProcess, Setup
from openturret.firmware.matrix.settings import Settings
from openturret.hal import AudioPort, SystemClock
from openturret.hal.audio import Xruns
from openturret.hal.board import Board, DeviceSpec
from openturret.hal.errors import DeviceGoneError
from openturret.hal.hotplug import Hotplug, PlugEvent
from openturret.hal.matrix import Membership, device_port
from openturret.hal.registry import Registry

LEFT = "handset-left"


class Obedient:
    """A device that opens and delivers frames when it is told to, at a rate that it is told."""

    def __init__(self, rate_hz: int = 8000) -> None:
        self.rate_hz = 8000
        self.real_rate_hz = rate_hz
        self.xruns = Xruns(3, 4)
        self.plugged = threading.Event()
        self.sounding = threading.Event()
        self.tried = threading.Semaphore(0)
        self.opened = threading.Semaphore(0)
        self._closed = threading.Event()

    @property
    def frame_samples(self) -> int:
        return self.rate_hz // 100

    def open(self) -> None:
        self._closed.clear()
        self.tried.release()
        if not self.plugged.is_set():
            raise DeviceGoneError("it is not plugged in")
        self.rate_hz = self.real_rate_hz
        self.opened.release()

    def read(self) -> bytes:
        while not self.sounding.wait(0.01):
            if self._closed.is_set():
                raise DeviceGoneError("closed")
        if self._closed.wait(0.01):
            raise DeviceGoneError("closed")
        return bytes(2 * self.frame_samples)

    def write(self, frame: bytes) -> None:
        assert len(frame) == 2 * self.frame_samples

    def close(self) -> None:
        self._closed.set()


class Found:
    """The devices of a board with one device, on the test's loop."""

    def __init__(self, spec: DeviceSpec, port: AudioPort) -> None:
        self.moved = asyncio.Event()
        later = asyncio.get_running_loop().call_soon_threadsafe
        self.devices = AudioDevices(
            Engine(), {LEFT: spec}, lambda _: port, later, lambda _: self.moved.set()
        )

    async def until(self, whereabouts: Whereabouts) -> None:
        async with asyncio.timeout(10):
            while self.devices.whereabouts(LEFT) is not whereabouts:
                self.moved.clear()
                await self.moved.wait()


@pytest.fixture
def port() -> Obedient:
    return Obedient()


@pytest.fixture
async def found(board: Board, port: Obedient) -> AsyncIterator[Found]:
    found = Found(board.devices[LEFT], port)
    yield found
    found.devices.close_all()
    await asyncio.sleep(0)


async def taken(semaphore: threading.Semaphore) -> None:
    assert await asyncio.to_thread(semaphore.acquire, timeout=10)


async def test_a_device_is_there_when_sound_has_come_not_when_it_has_opened(
    found: Found, port: Obedient
) -> None:
    port.plugged.set()
    found.devices.open(LEFT)
    await taken(port.opened)
    assert found.devices.whereabouts(LEFT) is Whereabouts.OPENING
    port.sounding.set()
    await found.until(Whereabouts.THERE)


async def test_a_device_that_does_not_open_is_away_and_says_why(
    found: Found, port: Obedient
) -> None:
    assert found.devices.whereabouts(LEFT) is Whereabouts.CLOSED
    found.devices.open(LEFT)
    await found.until(Whereabouts.AWAY)
    listed = found.devices.describe()[0]
    assert (listed["attached"], listed["why_away"]) == (False, "it is not plugged in")


async def test_a_device_that_is_away_is_looked_for_at_once_when_something_is_plugged_in(
    found: Found, port: Obedient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_thread, "RETRY_S", 3600)
    found.devices.open(LEFT)
    await found.until(Whereabouts.AWAY)
    port.plugged.set()
    port.sounding.set()
    found.devices.retry()
    await found.until(Whereabouts.THERE)


async def test_a_device_of_another_rate_gets_rings_of_that_rate(board: Board) -> None:
    wide = Obedient(rate_hz=16_000)
    wide.plugged.set()
    wide.sounding.set()
    found = Found(board.devices[LEFT], wide)
    before = found.devices.open(LEFT)
    await found.until(Whereabouts.THERE)
    assert before.rate_hz == 8000
    assert found.devices.open(LEFT).rate_hz == 16_000
    assert found.devices.describe()[0]["rate_hz"] == 16_000
    found.devices.close_all()
    await asyncio.sleep(0)


async def test_what_the_driver_counts_is_listed(found: Found, port: Obedient) -> None:
    found.devices.open(LEFT)
    listed = found.devices.describe()[0]["xruns"]
    assert listed == {"input_overflows": 3, "output_underflows": 4}


class Plugs:
    """Tells of a plug-in when it is told to."""

    def __init__(self) -> None:
        self.now = asyncio.Event()

    async def events(self) -> AsyncIterator[PlugEvent]:
        await self.now.wait()
        yield PlugEvent("1-1", plugged=True)


class Bench(Registry):
    """A registry of one audio port and one source of plug events, for every driver."""

    def __init__(self, port: AudioPort, plugs: Plugs) -> None:
        super().__init__(list)
        self._port = port
        self._plugs = plugs

    def audio(self, spec: DeviceSpec) -> AudioPort:
        return self._port

    def hotplug(self, driver: str) -> Hotplug | None:
        return self._plugs


async def test_the_matrix_listens_to_what_the_drivers_tell_of_plugs(
    folder: Path, board: Board, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(device_thread, "RETRY_S", 3600)
    port, plugs = Obedient(), Plugs()
    only = dataclasses.replace(board, devices={LEFT: board.devices[LEFT]})
    process = MatrixProcess(Setup(folder, settings, only, 0, 0), Bench(port, plugs), SystemClock())
    await process.open()
    process.matrix.buses.join("call", Membership(device_port(LEFT), talk_db=0))
    await taken(port.tried)
    port.plugged.set()
    plugs.now.set()
    await taken(port.opened)
    await process.close()
