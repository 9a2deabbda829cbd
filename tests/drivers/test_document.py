"""The examples of docs/drivers.md run."""

import re
import tempfile
import wave
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.hardware import Hardware
from openturret.hal.board import parse_board

DOCUMENT = (Path(__file__).parents[2] / "docs" / "drivers.md").read_text()
BOARD = parse_board(b"board: x\ndevices: {handset-left: {type: handset, driver: quiet}}")


def example(name: str) -> Callable[..., Any]:
    found: dict[str, Any] = {}
    for block in re.findall(r"```python\n(.*?)```", DOCUMENT, re.DOTALL):
        exec(compile(block, "drivers.md", "exec"), found)
    made: Callable[..., Any] = found[name]
    return made


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
