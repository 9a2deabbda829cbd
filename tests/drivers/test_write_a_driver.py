"""The driver of docs/write-a-driver.md, installed as a distribution of its own, keeps the rules."""

import asyncio
import json
import re
import sys
import tempfile
import tomllib
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from openturret.drivers.selftest.cli import main
from openturret.hal import (
    AttachedEvent,
    AudioPort,
    DetachedEvent,
    EventQueue,
    Handset,
    HookEvent,
    HookState,
    Lamp,
    SystemClock,
)
from openturret.hal.board import DeviceSpec, parse_board
from openturret.hal.errors import AudioFormatError, BoardError, DeviceGoneError, DriverMissingError
from openturret.hal.registry import GROUP, Registry, installed_drivers

DOCUMENT = (Path(__file__).parents[2] / "docs" / "write-a-driver.md").read_text()


def block(language: str) -> str:
    (found,) = re.findall(rf"```{language}\n(.*?)```", DOCUMENT, re.DOTALL)
    return str(found)


@pytest.fixture
def registry(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Registry]:
    """The example, where Python finds what is installed."""
    (tmp_path / "tin_can.py").write_text(block("python"))
    points = tomllib.loads(block("toml"))["project"]["entry-points"][GROUP]
    folder = tmp_path / "tin_can-1.0.dist-info"
    folder.mkdir()
    (folder / "METADATA").write_text("Metadata-Version: 2.1\nName: tin-can\nVersion: 1.0\n")
    listed = "".join(f"{name} = {value}\n" for name, value in points.items())
    (folder / "entry_points.txt").write_text(f"[{GROUP}]\n{listed}")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield Registry(installed_drivers)
    sys.modules.pop("tin_can", None)


class Box:
    """The tin can's own side of its wire."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.orders: asyncio.Queue[bytes] = asyncio.Queue()
        self.state = b"cradled\n"
        self.met = asyncio.Event()
        self._hosts: list[asyncio.StreamWriter] = []

    def say(self, word: bytes) -> None:
        self.state = word
        for host in self._hosts:
            host.write(word)

    @asynccontextmanager
    async def plugged(self) -> AsyncIterator[None]:
        server = await asyncio.start_unix_server(self._serve, str(self.path))
        yield
        server.close()
        for host in self._hosts:
            host.transport.abort()
        self._hosts.clear()
        self.path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(self.state)
        self._hosts.append(writer)
        self.met.set()
        async for line in reader:
            self.orders.put_nowait(line)


@pytest.fixture
def box() -> Iterator[Box]:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        yield Box(Path(folder) / "can")


def board_text(box: Box) -> str:
    return block("yaml").replace("/run/can", str(box.path))


def spec(box: Box) -> DeviceSpec:
    return parse_board(board_text(box).encode()).devices["handset-left"]


async def soon(events: EventQueue) -> object:
    async with asyncio.timeout(10):
        return await anext(events)


async def test_it_reports_its_hook_and_comes_back_with_its_lamps(
    registry: Registry, box: Box
) -> None:
    handset = registry.handset(spec(box), SystemClock())
    events = handset.events()
    await handset.open()
    await handset.set_lamp(Lamp.RING, lit=True)
    assert not handset.attached
    async with box.plugged():
        assert isinstance(await soon(events), AttachedEvent)
        assert await box.orders.get() == b"lamp ring on\n"
        box.say(b"lifted\n")
        event = await soon(events)
        assert isinstance(event, HookEvent)
        assert (event.position, event.state) == ("handset-left", HookState.OFF_HOOK)
        assert handset.hook is HookState.OFF_HOOK
    assert isinstance(await soon(events), DetachedEvent)
    box.state = b"cradled\n"
    async with box.plugged():
        assert isinstance(await soon(events), AttachedEvent)
        event = await soon(events)
        assert isinstance(event, HookEvent)
        assert event.state is HookState.ON_HOOK
        assert await box.orders.get() == b"lamp ring on\n"
    await handset.close()
    assert [each async for each in events if not isinstance(each, DetachedEvent)] == []


@pytest.mark.parametrize("said", [b"x" * 100_000, b"\xff\xfe\n", b"lifted", b"\n"])
async def test_nonsense_from_the_box_neither_ends_the_driver_nor_moves_the_hook(
    registry: Registry, box: Box, said: bytes
) -> None:
    handset = registry.handset(spec(box), SystemClock())
    events = handset.events()
    box.state = said
    async with box.plugged():
        await handset.open()
        await asyncio.wait_for(box.met.wait(), 10)
    box.state = b"lifted\n"
    async with box.plugged():
        assert isinstance(await soon(events), AttachedEvent)
        assert isinstance(await soon(events), HookEvent)
    await handset.close()


async def test_what_is_played_comes_back_and_a_close_wakes_the_reader(
    registry: Registry, box: Box
) -> None:
    port = registry.audio(spec(box))
    assert isinstance(port, AudioPort)
    with pytest.raises(DeviceGoneError):
        port.read()
    port.open()
    spoken = b"\1\2" * port.frame_samples
    port.write(spoken)
    assert await asyncio.to_thread(lambda: [port.read() for _ in range(3)][-1]) == spoken
    with pytest.raises(AudioFormatError):
        port.write(b"\0")

    def read_until_closed() -> None:
        while True:
            port.read()

    reading = asyncio.create_task(asyncio.to_thread(read_until_closed))
    port.close()
    with pytest.raises(DeviceGoneError):
        await reading


def test_it_is_what_its_position_asks_for_and_nothing_else(registry: Registry, box: Box) -> None:
    assert isinstance(registry.device(spec(box), SystemClock()), Handset)
    panel = parse_board(b"board: x\ndevices: {p: {type: panel, driver: tin-can}}").devices["p"]
    with pytest.raises(DriverMissingError, match=r"no driver 'tin-can\.panel'"):
        registry.device(panel, SystemClock())


def test_without_a_socket_it_says_what_to_add(registry: Registry) -> None:
    text = block("yaml").replace("match: {socket: /run/can}", "match: {}").encode()
    with pytest.raises(BoardError, match="names no socket; add match"):
        registry.handset(parse_board(text).devices["handset-left"], SystemClock())


@pytest.mark.slow
async def test_the_selftest_measures_it_whole(registry: Registry, box: Box, tmp_path: Path) -> None:
    path = tmp_path / "board.yaml"
    path.write_text(board_text(box))
    said: list[str] = []
    words = ["--board", str(path), "--no-hands", "--json"]
    async with box.plugged():
        code = await asyncio.to_thread(main, words, said.append, lambda: (), registry)
    found = json.loads("".join(said))
    assert (code, found["passed"]) == (0, True)
    checks = {check["check"]: check for check in found["devices"][0]["checks"]}
    assert checks["attached"]["outcome"] == "passed"
    assert checks["lift"]["outcome"] == "skipped"
    loop = checks["loop"]
    assert loop["outcome"] == "passed"
    assert loop["figures"]["frequency_hz"] == pytest.approx(1000, abs=1)
    assert loop["figures"]["level_dbfs"] == pytest.approx(-20, abs=0.2)
    assert loop["figures"]["latency_ms"] == pytest.approx(20, abs=1)
    assert {b"lamp ring on\n", b"lamp ring off\n"} <= {
        box.orders.get_nowait() for _ in range(box.orders.qsize())
    }
