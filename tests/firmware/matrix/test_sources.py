"""Sources and sinks end to end: what one says another keeps, and both outlive the client."""

import asyncio
import os
import wave
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.sinks import MAX_SINKS
from openturret.hal.errors import (
    MatrixConflictError,
    MatrixRequestError,
    PortsExhaustedError,
    UnknownPortError,
)
from openturret.hal.matrix import (
    MatrixEvent,
    Sink,
    Source,
    Tone,
    Topic,
    device_port,
    sink_port,
    source_port,
)
from openturret.lab.listening import compare

LEFT = device_port("handset-left")


class Unit(Protocol):
    @property
    def folder(self) -> Path: ...
    @property
    def hand(self) -> Hand: ...
    @property
    def client(self) -> OldcbMatrix: ...
    def newcomer(self) -> OldcbMatrix: ...
    def babble(self, name: str, seconds: float, *, rate_hz: int = 8000) -> Path: ...


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await condition():
            await asyncio.sleep(0.01)


class Told:
    """Reads events until one of a name comes."""

    def __init__(self, matrix: OldcbMatrix, topic: Topic, event: str) -> None:
        self._ready = asyncio.Event()
        self._task = asyncio.create_task(self._read(matrix, topic, event))

    async def listening(self) -> "Told":
        async with asyncio.timeout(5):
            await self._ready.wait()
        return self

    async def event(self) -> MatrixEvent:
        async with asyncio.timeout(15):
            return await self._task

    async def _read(self, matrix: OldcbMatrix, topic: Topic, event: str) -> MatrixEvent:
        async with aclosing(matrix.events([topic])) as events:  # type: ignore[type-var]
            while (found := await anext(events)).event != event:
                self._ready.set()
        return found


async def seconds_of(matrix: OldcbMatrix, name: str) -> float:
    return next(sink.seconds for sink in await matrix.sink_list() if sink.name == name)


async def test_a_sound_file_is_said_kept_and_its_end_is_told(unit: Unit) -> None:
    matrix = unit.client
    spoken = unit.babble("sounds/notice.wav", 1.004, rate_hz=16000)
    await matrix.source_open("notice", rate_hz=16000)
    await matrix.sink_open("memo", rate_hz=16000)
    await matrix.bus_join("b", source_port("notice"), talk_db=0, rate_hz=16000)
    await matrix.bus_join("b", sink_port("memo"), listen_db=0)
    ended = await Told(matrix, Topic.SOURCES, "source.ended").listening()
    await matrix.source_wav("notice", "notice.wav")
    assert (await matrix.source_list()) == (Source("notice", 16000, "wav notice.wav"),)
    assert (await ended.event()).details == {"name": "notice"}
    assert (await matrix.source_list()) == (Source("notice", 16000),)
    said_s = await seconds_of(matrix, "memo")

    async def kept() -> bool:
        return await seconds_of(matrix, "memo") > said_s + 0.5

    await until(kept)
    await matrix.sink_close("memo")
    file = unit.folder / "recordings" / "memo.wav"

    async def whole() -> bool:
        return compare(spoken, file).correlation > 0.95

    await until(whole)


async def test_a_tone_is_heard_by_a_device_and_stops(unit: Unit) -> None:
    matrix = unit.client
    await matrix.source_open("tone")
    await matrix.source_tone("tone", Tone(((440, -10),), ((100, 50), (50, 10)), 0))
    await matrix.bus_join("b", source_port("tone"), talk_db=0)
    await matrix.bus_join("b", LEFT, listen_db=0)

    async def level() -> float:
        devices = {found.device: found for found in await matrix.device_list()}
        found = devices["handset-left"].stats["playback_level_dbfs"]
        assert isinstance(found, float)
        return found

    async def loud() -> bool:
        return await level() > -20

    async def quiet() -> bool:
        return await level() < -80

    await until(loud)
    await matrix.source_stop("tone")
    await until(quiet)
    await matrix.source_tone("tone", "busy", zone="gb")
    assert (await matrix.source_list())[0].says == "tone busy"
    await until(loud)
    await matrix.source_close("tone")
    await until(quiet)
    assert [member.port for member in (await matrix.bus_list())[0].members] == [LEFT]


@pytest.mark.parametrize(
    ("tone", "message"),
    [
        ("no such tone", "no tone"),
        (Tone(()), "1 to 4 parts"),
        (Tone(((440, -10),) * 5), "1 to 4 parts"),
        (Tone(((440, -10),), ((100, 100),) * 5), "0 to 4 steps"),
        (Tone(((440, 0),)), "level_dbfs"),
        (Tone(((0, -10),)), "frequency_hz"),
        (Tone(((5000, -10),)), "source 'tone'"),
        (Tone(((440, -10),), ((0, 10),)), "on_ms"),
        (Tone(((440, -10),), ((10, 60_001),)), "off_ms"),
        (Tone(((440, -10),), repeats=-1), "repeats"),
    ],
)
async def test_what_is_no_tone_is_refused(unit: Unit, tone: str | Tone, message: str) -> None:
    await unit.client.source_open("tone")
    with pytest.raises(MatrixRequestError, match=message):
        await unit.client.source_tone("tone", tone)
    assert (await unit.client.source_list())[0].says == ""


async def test_what_does_not_fit_a_source_is_refused(unit: Unit) -> None:
    matrix = unit.client
    await matrix.source_open("x")
    with pytest.raises(MatrixConflictError, match="open already"):
        await matrix.source_open("x")
    with pytest.raises(MatrixRequestError, match="rate_hz 44100"):
        await matrix.source_open("y", rate_hz=44100)
    with pytest.raises(UnknownPortError, match=r"no sound missing\.wav"):
        await matrix.source_wav("x", "missing.wav")
    with pytest.raises(MatrixRequestError, match="without folders"):
        await matrix.source_wav("x", "../network.json")
    unit.babble("sounds/wide.wav", 0.1, rate_hz=16000)
    with pytest.raises(MatrixRequestError, match="16000 Hz"):
        await matrix.source_wav("x", "wide.wav")
    for call in (
        matrix.source_stop("nobody"),
        matrix.source_close("nobody"),
        matrix.source_tone("nobody", "dial"),
        matrix.source_wav("nobody", "wide.wav"),
        matrix.bus_join("b", source_port("nobody"), talk_db=0),
    ):
        with pytest.raises(UnknownPortError):
            await call
    assert await matrix.bus_list() == ()


async def test_a_pipe_in_the_sounds_folder_holds_up_nobody(unit: Unit) -> None:
    (unit.folder / "sounds").mkdir()
    os.mkfifo(unit.folder / "sounds" / "pipe.wav")
    await unit.client.source_open("x")
    with pytest.raises(UnknownPortError, match="no plain file"):
        await unit.client.source_wav("x", "pipe.wav")


async def test_sources_and_sinks_survive_the_client(unit: Unit) -> None:
    await unit.client.source_open("tone", rate_hz=48000)
    await unit.client.source_tone("tone", "ringback")
    await unit.client.sink_open("memo", path="other.wav")
    await unit.client.close()
    newcomer = unit.newcomer()
    assert await newcomer.source_list() == (Source("tone", 48000, "tone ringback"),)
    (sink,) = await newcomer.sink_list()
    assert (sink.name, sink.path, sink.ended) == ("memo", "other.wav", "")
    await newcomer.close()


async def test_a_sink_ends_when_its_file_is_long_enough_and_says_so(unit: Unit) -> None:
    ended = await Told(unit.client, Topic.SINKS, "sink.ended").listening()
    await unit.client.sink_open("memo", max_seconds=1)
    assert (await ended.event()).details["ended"] == "long enough"
    assert await unit.client.sink_list() == (Sink("memo", "memo.wav", 8000, 1.0, "long enough"),)
    with wave.open(str(unit.folder / "recordings" / "memo.wav"), "rb") as file:
        assert file.getnframes() == 8000
    await unit.client.sink_close("memo")
    assert await unit.client.sink_list() == ()


async def test_what_does_not_fit_a_sink_is_refused(unit: Unit) -> None:
    matrix = unit.client
    await matrix.sink_open("memo")
    with pytest.raises(MatrixConflictError, match="open already"):
        await matrix.sink_open("memo", path="another.wav")
    with pytest.raises(MatrixConflictError, match=r"memo\.wav is there already"):
        await matrix.sink_open("again", path="memo.wav")
    for path in ("../memo.wav", "a/b.wav", "/tmp/x.wav", ".x"):
        with pytest.raises(MatrixRequestError, match="without folders"):
            await matrix.sink_open("x", path=path)
    with pytest.raises(MatrixRequestError, match="path must be"):
        await matrix.sink_open("a name that makes no file/")
    with pytest.raises(MatrixRequestError, match="max_seconds"):
        await matrix.sink_open("x", max_seconds=0)
    for call in (matrix.sink_close("nobody"), matrix.bus_join("b", sink_port("nobody"))):
        with pytest.raises(UnknownPortError):
            await call
    assert [sink.name for sink in await matrix.sink_list()] == ["memo"]


async def test_there_are_only_so_many_sinks(unit: Unit) -> None:
    for number in range(MAX_SINKS):
        await unit.client.sink_open(f"s{number}")
    with pytest.raises(PortsExhaustedError, match="sinks"):
        await unit.client.sink_open("one-more")
    await unit.client.sink_close("s0")

    async def opened() -> bool:
        try:
            return (await unit.client.sink_open("one-more")).name == "one-more"
        except PortsExhaustedError:
            return False

    await until(opened)
