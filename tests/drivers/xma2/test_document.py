"""docs/xma2.md: its session, its board and its ranges are what happens."""

import asyncio
import re
from pathlib import Path

from openturret.drivers.emulated.port_gate import PortGate
from openturret.drivers.emulated.serial_ports import TcpPort
from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.drivers.xma2.wire import Greeting
from openturret.hal.board import parse_board
from openturret.hal.xma import RANGES

DOCUMENT = (Path(__file__).parents[3] / "docs" / "xma2.md").read_text()
SECRET = b"5e71a0c4d2b94f0f8d3e6c1b7a925a44"


def block(kind: str) -> str:
    found = re.search(rf"```{kind}\n(.*?)```", DOCUMENT, re.DOTALL)
    assert found
    return found[1]


async def test_the_session_is_what_the_twin_answers() -> None:
    gate = PortGate("127.0.0.2", "127.0.0.1", RANGES[0])
    xma = Xma2Twin("XM-0007", SECRET, TcpPort(), gate)
    await xma.plug()
    host, _, port = xma.url.removeprefix("socket://").rpartition(":")
    reader, writer = await asyncio.open_connection(host, int(port))
    answer = ""
    async with asyncio.timeout(10):
        for line in block("session").splitlines():
            way, text = line[0], line[2:]
            if way == ">":
                writer.write(text.replace("{answer}", answer).encode() + b"\n")
                continue
            heard = (await reader.readline()).decode().rstrip()
            if "{challenge}" in text:
                greeting = Greeting.parse(heard)
                answer = greeting.answer(SECRET)
                text = text.replace("{challenge}", greeting.challenge)
            assert heard == text
    assert xma.lamps == {"channel-3"}
    writer.close()
    await xma.pull()


def test_the_board_of_the_document_is_one_where_the_module_mixes() -> None:
    board = parse_board(block("yaml").encode())
    assert board.mixer is board.devices["xma-1"]


def test_the_ranges_of_the_document_are_those_of_the_code() -> None:
    rows = re.findall(r"\| (\d+)-(\d+).*?\| (0x\w+) \| (0x\w+) \|", DOCUMENT)
    documented = [
        (int(first), int(last), int(ref, 16), int(mask, 16)) for first, last, ref, mask in rows
    ]
    assert documented == [
        (each.rtp_lower_port, each.rtp_upper_port, each.portref, each.netmask) for each in RANGES
    ]
