"""A device whose driver is missing or misbehaves costs that device, nothing else."""

import dataclasses
import logging
import threading
from collections.abc import AsyncIterator
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest

from openturret.c_ext import Engine
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.devices import AudioDevices
from openturret.firmware.matrix.process import MatrixProcess, Setup
from openturret.firmware.matrix.settings import Settings
from openturret.hal import SystemClock
from openturret.hal.board import Board
from openturret.hal.errors import MatrixError
from openturret.hal.matrix import device_port
from openturret.hal.registry import GROUP, Registry


@pytest.fixture
async def bare(folder: Path, board: Board, settings: Settings) -> AsyncIterator[OldcbMatrix]:
    """A matrix on a board that asks for PortAudio where it is not installed."""
    missing = EntryPoint("portaudio.audio", "openturret_no_such_module:PortAudio [rig]", GROUP)
    devices = {
        position: dataclasses.replace(spec, driver="portaudio")
        for position, spec in board.devices.items()
    }
    setup = Setup(folder, settings, dataclasses.replace(board, devices=devices), 0, 0)
    process = MatrixProcess(setup, Registry(lambda: [missing]), SystemClock())
    control, events = await process.open()
    client = OldcbMatrix(control_port=control, event_port=events)
    yield client
    await client.close()
    await process.close()


async def test_a_missing_driver_is_logged_at_the_start_with_its_remedy(
    caplog: pytest.LogCaptureFixture, bare: OldcbMatrix
) -> None:
    assert (await bare.hello()).protocol == 1
    logged = [r for r in caplog.get_records("setup") if r.levelno == logging.ERROR]
    assert ['pip install "openturret[rig]"' in record.getMessage() for record in logged] == [True]


async def test_a_missing_driver_is_an_error_of_the_join_and_the_rest_goes_on(
    bare: OldcbMatrix,
) -> None:
    with pytest.raises(MatrixError, match=r"openturret\[rig\]"):
        await bare.bus_join("x", device_port("handset-left"), talk_db=0)
    assert await bare.bus_list() == ()
    leg = await bare.leg_open()
    await bare.bus_join("x", f"leg:{leg.leg}", talk_db=0)
    assert len(await bare.bus_list()) == 1


class FickleAudio:
    """A driver with a mistake in it: its first stream fails in a way of its own."""

    rate_hz = 8000
    frame_samples = 160

    def __init__(self) -> None:
        self.opened = 0
        self.streamed = threading.Event()
        self.closed = threading.Event()

    def open(self) -> None:
        self.opened += 1
        self.closed.clear()

    def read(self) -> bytes:
        if self.opened == 1:
            raise ZeroDivisionError
        self.streamed.set()
        self.closed.wait(0.02)
        return bytes(320)

    def write(self, frame: bytes) -> None:
        assert len(frame) == 320

    def close(self) -> None:
        self.closed.set()


def test_a_driver_that_fails_in_its_own_way_is_tried_again(
    board: Board, caplog: pytest.LogCaptureFixture
) -> None:
    port = FickleAudio()
    specs = {"handset-left": board.devices["handset-left"]}
    devices = AudioDevices(Engine(), specs, lambda _: port, lambda _: None, lambda _: None)
    devices.open("handset-left")
    try:
        assert port.streamed.wait(20)
        assert "handset-left: its driver failed" in caplog.text
    finally:
        devices.close_all()


async def test_an_address_that_is_not_ours_costs_no_voice(
    folder: Path, board: Board, settings: Settings, caplog: pytest.LogCaptureFixture
) -> None:
    elsewhere = dataclasses.replace(settings, oldcb_address="192.0.2.1")
    setup = Setup(folder, elsewhere, board, control_port=0, event_port=0)
    process = MatrixProcess(setup, Registry(list), SystemClock())
    control, events = await process.open()
    client = OldcbMatrix(control_port=control, event_port=events)
    assert (await client.hello()).protocol == 1
    assert "OLDCB does not listen on 192.0.2.1" in caplog.text
    await client.close()
    await process.close()
