"""Measures sound through PortAudio on a private JACK server, with emulated devices.

    python -m benchmarks.sound [--repeats 10] [--quick] [--json]

How evenly four devices deliver their frames while the interpreter is busy with something else; how
long a refresh of PortAudio's list silences the other streams; and how long a call is without its
handset when that is unplugged, and when it is plugged in again.  About a minute.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import sys
import tempfile
import threading
import time
import tomllib
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import aclosing, asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.oldcb import OldcbMatrix
from openturret.drivers.portaudio.jack import PORTAUDIO, jack_audio
from openturret.firmware.matrix.process import SWITCH_S, MatrixProcess, Setup
from openturret.firmware.matrix.settings import Settings
from openturret.hal import AudioPort, SystemClock
from openturret.hal.board import Board, load_board
from openturret.hal.matrix import MatrixEvent, Topic, device_port
from openturret.hal.registry import GROUP, Registry
from openturret.lab.jack_bench import JackBench

from .figures import Figure, Row, tell

BENCHMARK = "sound"
ROOT = Path(__file__).resolve().parents[1]
FRAMES = 500
SETTLE_FRAMES = 25
BOARD = """
board: rig
devices:
  handset-left:
    {type: handset, driver: portaudio, match: {name: Handset 1}, fallback: handset-right}
  handset-right: {type: handset, driver: portaudio, match: {name: Handset 2}}
  gooseneck: {type: gooseneck, driver: portaudio, match: {name: Gooseneck}}
  speakerphone: {type: speakerphone, driver: portaudio, match: {name: Speakerphone}}
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Measures and says what was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.sound", description=__doc__)
    parser.add_argument("--repeats", type=int, default=10, help="of unplugging (default: 10)")
    parser.add_argument("--quick", action="store_true", help="two of them")
    parser.add_argument("--json", action="store_true", help="an array of rows instead of lines")
    options = parser.parse_args(arguments)
    sys.setswitchinterval(SWITCH_S)
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        rows = asyncio.run(_measure(Path(folder), 2 if options.quick else options.repeats))
    tell(rows, as_json=options.json)
    return 0


async def _measure(folder: Path, repeats: int) -> list[Row]:
    (folder / "board.yaml").write_text(BOARD)
    async with JackBench(folder / "board.yaml", folder) as bench, await bench.hand() as hand:
        os.environ.update(bench.environment)
        board = load_board(folder / "board.yaml")
        rows = await _periods(board)
        rows += await _refreshes(board, hand, repeats)
        rows += await _absences(board, hand, folder, repeats)
        await asyncio.to_thread(PORTAUDIO.end)
        return rows


async def _periods(board: Board) -> list[Row]:
    ports = [jack_audio(spec) for spec in board.devices.values()]
    for port in ports:
        await asyncio.to_thread(port.open)
    done = threading.Event()
    busy = threading.Thread(target=_keep_busy, args=(done,))
    busy.start()
    found = await asyncio.gather(*(asyncio.to_thread(_times, port) for port in ports))
    done.set()
    busy.join()
    lost = sum(port.xruns.input_overflows + port.xruns.output_underflows for port in ports)
    for port in ports:
        await asyncio.to_thread(port.close)
    periods = sorted(1e3 * period for each in found for period in each)
    return [
        _exactly("read of 20 ms, p50", periods[len(periods) // 2], "ms"),
        _exactly("read of 20 ms, p99", periods[len(periods) * 99 // 100], "ms"),
        _exactly("read of 20 ms, worst", periods[-1], "ms"),
        _exactly("xruns", lost, f"in {len(periods):,} frames"),
    ]


def _exactly(subject: str, value: float, unit: str) -> Row:
    return Figure.of(BENCHMARK, f"four streams beside a busy thread: {subject}", 4, [value], unit)


def _keep_busy(done: threading.Event) -> None:
    while not done.is_set():
        sum(range(1000))


def _times(port: AudioPort) -> list[float]:
    times = [time.monotonic()]
    for _ in range(FRAMES):
        port.write(port.read())
        times.append(time.monotonic())
    return [b - a for a, b in itertools.pairwise(times)][SETTLE_FRAMES:]


async def _refreshes(board: Board, hand: Hand, repeats: int) -> list[Row]:
    *steady, late = (jack_audio(spec) for spec in board.devices.values())
    for port in steady:
        await asyncio.to_thread(port.open)
    interrupted_ms = []
    for _ in range(repeats):
        await hand.unplug("speakerphone")
        await asyncio.to_thread(PORTAUDIO.refresh)
        await hand.plug("speakerphone")
        await asyncio.to_thread(late.open)
        interrupted_ms.append(1e3 * PORTAUDIO.interrupted_s)
        late.close()
    for port in steady:
        port.close()
    subject = "three other devices silent while PortAudio looks again"
    return [Figure.of(BENCHMARK, subject, repeats, interrupted_ms, "ms")]


async def _absences(board: Board, hand: Hand, folder: Path, repeats: int) -> list[Row]:
    away_ms, back_ms = [], []
    async with _in_call(board, folder) as events:
        for _ in range(repeats):
            away_ms.append(await _until_told(hand.unplug, events, "handset-right"))
            back_ms.append(await _until_told(hand.plug, events, ""))
    away, back = "unplugged in mid-call until the fallback speaks", "plugged in until it speaks"
    return [
        Figure.of(BENCHMARK, away, repeats, away_ms, "ms"),
        Figure.of(BENCHMARK, back, repeats, back_ms, "ms"),
    ]


@asynccontextmanager
async def _in_call(board: Board, folder: Path) -> AsyncIterator[AsyncIterator[MatrixEvent]]:
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"][GROUP]
    drivers = [EntryPoint(name=name, value=value, group=GROUP) for name, value in points.items()]
    setup = Setup(folder, Settings("127.0.0.1", 11000, 13000), board, 0, 0)
    process = MatrixProcess(setup, Registry(lambda: drivers), SystemClock())
    control, port = await process.open()
    client = OldcbMatrix(control_port=control, event_port=port)
    async with aclosing(client.events({Topic.DEVICES})) as events:  # type: ignore[type-var]
        await anext(events)
        await client.bus_join("call", device_port("handset-left"), talk_db=0, listen_db=0)
        await anext(events)
        yield events
    await client.close()
    await process.close()


async def _until_told(
    act: Callable[[str], Awaitable[None]], events: AsyncIterator[MatrixEvent], stand_in: str
) -> float:
    started = time.monotonic()
    await act("handset-left")
    async for event in events:
        if event.event == "device.fallback" and event.details["stand_in"] == stand_in:
            break
    return 1e3 * (time.monotonic() - started)


if __name__ == "__main__":
    sys.exit(main())
