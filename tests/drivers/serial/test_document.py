"""docs/serial.md: its session, its board and its example are what happens."""

import asyncio
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from openturret.drivers.emulated.serial_box import SerialBoxTwin
from openturret.drivers.emulated.serial_ports import TcpPort
from openturret.drivers.serial.frame import Frame
from openturret.drivers.serial.messages import Change
from openturret.hal import Colour, RingLight
from openturret.hal.board import Capability, DeviceType, parse_board

DOCUMENT = (Path(__file__).parents[3] / "docs" / "serial.md").read_text()


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    return found[1]


def frames(way: str) -> list[Frame]:
    """The frames that go that way, in order; the document leaves their checksums out."""
    lines = [line[3:].split() for line in block("session").splitlines() if line[0] == way]
    return [Frame(int(number, 16), verb, tuple(words)) for number, verb, *words in lines]


async def test_the_session_is_what_the_twin_says_byte_by_byte() -> None:
    box = SerialBoxTwin(DeviceType.GOOSENECK, "GN-0001", TcpPort())
    await box.plug()
    host, _, port = box.url.removeprefix("socket://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    lines = [line[0] for line in block("session").splitlines()]
    told, answered = iter(frames(">")), iter(frames("<"))
    pressed = False
    async with asyncio.timeout(10):
        for way in lines:
            if way == ">":
                writer.write(bytes(next(told)))
                continue
            promised = next(answered)
            if promised.text == "ptt 1" and not pressed:
                box.move(Change("ptt", on=True))
                pressed = True
            assert await said(reader, promised), promised
    assert box.ring == RingLight(Colour.RED, blinking=True)
    assert box.lamps == {"talk"}
    writer.close()
    await box.pull()


async def said(reader: asyncio.StreamReader, promised: Frame) -> bool:
    """Whether the frame comes; repeats of what the host has not answered yet may come before."""
    while (line := await reader.readline()) != bytes(promised):
        assert line, promised
    return True


def test_the_frame_of_the_document_is_a_frame() -> None:
    assert Frame.parse(block("").strip().encode()) == Frame(7, "key", ("line-1", "1"))


def test_the_board_of_the_document_is_a_board() -> None:
    devices = parse_board(block("yaml").encode()).devices
    assert Capability.CAPTURE not in devices["gooseneck"].capabilities
    assert devices["panel"].usb == {"vid": 0x1209, "pid": 0x7705, "port": "1-2"}


async def test_the_example_lights_the_ring(folder: Path) -> None:
    found: dict[str, Any] = {}
    exec(compile(block("python"), "serial.md", "exec"), found)
    on_air: Callable[[Path], Any] = found["on_air"]
    async with asyncio.timeout(10):
        assert await on_air(folder) == RingLight(Colour.RED)
