"""The audio twin at its edges: too many frames, wrong frames, a second host, a second listener."""

import asyncio
import socket
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from openturret.drivers.emulated.microphone import PLAYBACK_FRAMES, AudioTwin
from openturret.drivers.errors import EmulationError

FRAME = 160


@pytest.fixture
async def twin() -> AsyncIterator[AudioTwin]:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        found = AudioTwin(Path(folder) / "x.audio", frame_ms=10)
        found.plug()
        yield found
        found.close()


@pytest.fixture
async def path(twin: AudioTwin) -> Path:
    return twin.path


def host(path: Path) -> socket.socket:
    stream = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    stream.connect(str(path))
    stream.setblocking(False)
    return stream


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(5):
        while not condition():
            await asyncio.sleep(0)


async def test_a_queue_that_runs_over_drops_the_oldest_frames(twin: AudioTwin, path: Path) -> None:
    with host(path) as stream:
        for _ in range(PLAYBACK_FRAMES + 3):
            stream.send(bytes(FRAME))
        await until(lambda: twin.counters["played"] == PLAYBACK_FRAMES)
    assert twin.counters["dropped"] == 3


async def test_a_frame_of_the_wrong_length_is_dropped_and_counted(
    twin: AudioTwin, path: Path
) -> None:
    with host(path) as stream:
        for length in (1, FRAME - 2, FRAME + 2, 4000):
            stream.send(bytes(length))
        await until(lambda: twin.counters["dropped"] == 4)
    assert twin.counters["played"] == 0


async def test_the_newest_host_has_the_device(twin: AudioTwin, path: Path) -> None:
    loop = asyncio.get_running_loop()
    with host(path) as first:
        assert len(await loop.sock_recv(first, 1000)) == FRAME
        with host(path) as second:
            assert len(await loop.sock_recv(second, 1000)) == FRAME
            async with asyncio.timeout(5):
                while await loop.sock_recv(first, 1000):
                    pass
            assert twin.streaming


async def test_a_host_that_goes_away_ends_the_stream(twin: AudioTwin, path: Path) -> None:
    with host(path):
        await until(lambda: twin.streaming)
    await until(lambda: not twin.streaming)


async def test_two_listeners_or_none_are_refused(twin: AudioTwin, path: Path) -> None:
    with pytest.raises(EmulationError, match="nobody is listening"):
        twin.stop_listening()
    twin.listen(path.with_suffix(".wav"))
    with pytest.raises(EmulationError, match="stop listening first"):
        twin.listen(path.with_suffix(".wav"))
