"""The examples of docs/drivers.md run."""

import asyncio
import re
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.hardware import Hardware
from openturret.hal import AudioPort
from openturret.hal.board import DeviceSpec, parse_board
from openturret.hal.errors import DeviceGoneError

DOCUMENT = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()
BOARD = parse_board(b"board: x\ndevices: {handset-left: {type: handset, driver: quiet}}")


def example(name: str) -> Callable[..., Any]:
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        exec(compile(block, "drivers.md", "exec"), found)
    made: Callable[..., Any] = found[name]
    return made


def spec() -> DeviceSpec:
    return BOARD.devices["handset-left"]


async def test_the_example_driver_is_an_audio_port_that_wakes_its_reader() -> None:
    port = example("QuietAudio")(spec())
    assert isinstance(port, AudioPort)
    port.open()
    assert await asyncio.to_thread(port.read) == bytes(320)

    def read_until_closed() -> None:
        while True:
            port.read()

    reading = asyncio.create_task(asyncio.to_thread(read_until_closed))
    port.close()
    with pytest.raises(DeviceGoneError):
        await reading


async def test_the_example_hand_lifts_speaks_and_listens() -> None:
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        folder = Path(name)
        with wave.open(str(folder / "a.wav"), "wb") as file:
            file.setparams((1, 2, 8000, 0, "NONE", ""))
            file.writeframes(bytes(160))
        hardware = Hardware(BOARD, folder)
        await hardware.open()
        await example("order")(folder, folder / "a.wav", folder / "heard.wav")
        async with await Hand.connect(folder) as hand:
            assert await hand.devices() == ["handset-left"]
            assert hardware.devices["handset-left"].control.state.off_hook
        await hardware.close()
        assert (folder / "heard.wav").exists()
