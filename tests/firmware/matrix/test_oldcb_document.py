"""docs/oldcb.md: every method has an example, and every example is answered as it says."""

import asyncio
import re
import wave
from pathlib import Path
from typing import Protocol

from openturret.firmware.matrix.methods import METHODS, SLOW_METHODS
from openturret.hal.wire.json_lines import JsonValue, decode, encode

DOCUMENT = (Path(__file__).parents[3] / "docs" / "oldcb.md").read_text()
BLOCKS = re.findall(r"```json\n(.*?)```", DOCUMENT, re.DOTALL)
LINES = [decode(line.encode()) for block in BLOCKS for line in block.splitlines()]
EXAMPLES = list(zip(LINES[::2], LINES[1::2], strict=True))


class Unit(Protocol):
    @property
    def folder(self) -> Path: ...
    @property
    def control_port(self) -> int: ...


def missing(promised: JsonValue, given: JsonValue) -> list[str]:
    """Names what the document promises and the answer does not have."""
    if isinstance(promised, dict) and isinstance(given, dict):
        inside = [f"{key}.{m}" for key in promised.keys() & given.keys()
                  for m in missing(promised[key], given[key])]  # fmt: skip
        return inside + sorted(promised.keys() - given.keys())
    if isinstance(promised, list) and isinstance(given, list) and promised:
        return missing(promised[0], given[0]) if given else ["an item"]
    return []


def test_every_method_is_documented_by_an_example() -> None:
    assert {request["method"] for request, _ in EXAMPLES} == {*METHODS, *SLOW_METHODS}


def put_notice(folder: Path) -> None:
    """The sound file that the document names: half a second at 16 kHz."""
    (folder / "sounds").mkdir()
    with wave.open(str(folder / "sounds" / "notice.wav"), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(2)
        file.setframerate(16000)
        file.writeframes(bytes(16000))


async def test_every_example_is_answered_as_the_document_says(unit: Unit) -> None:
    put_notice(unit.folder)
    reader, writer = await asyncio.open_connection("127.0.0.1", unit.control_port, limit=1 << 20)
    for request, promised in EXAMPLES:
        writer.write(encode(request))
        reply = decode(await reader.readline())
        assert "error" not in reply, (request, reply)
        assert missing(promised, reply) == [], request
    writer.close()
    await writer.wait_closed()
