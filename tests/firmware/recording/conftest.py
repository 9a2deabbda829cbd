"""A real matrix, two real recorders, and the recording part of a runtime, on loopback."""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import os
import random
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any, TypeVar

import pytest

from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.wire.rtp import RtpPacket
from openturret.hal.matrix import LegTarget, leg_port

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
DEADLINE_S = 15.0
Json = dict[str, Any]
T = TypeVar("T")
_networks = itertools.count(os.getpid() % 200)


class Process:
    """A process of the test that can be stopped, killed and started again."""

    def __init__(self, *words: str, log: Path) -> None:
        self._words, self._log = words, log
        self.process: asyncio.subprocess.Process
        self.lines: asyncio.StreamReader

    async def start(self) -> None:
        with self._log.open("ab") as log:
            self.process = await asyncio.create_subprocess_exec(
                *(sys.executable, *self._words),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                stderr=log,
            )
        assert self.process.stdout is not None
        self.lines = self.process.stdout

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self.process.send_signal(signal.SIGCONT)
                self.process.send_signal(number)
        await self.process.communicate()


class Recorder(Process):
    def __init__(self, name: str, address: str, folder: Path, *options: str) -> None:
        self.uri = f"sip:recorder@{address}:5060;transport=tcp"
        self.folder = folder / f"recorder-{name}"
        words = ("-m", "openturret.lab.recorder", "--address", address, "--name", name)
        place = ("--directory", str(self.folder))
        super().__init__(*words, *options, *place, log=folder / f"{name}.log")

    async def start(self) -> None:
        await super().start()
        assert await self.lines.readline()

    def sessions(self) -> list[Path]:
        return sorted(path.parent for path in self.folder.glob("*/session.json"))

    def session(self) -> Json:
        """The newest session's sidecar."""
        found: Json = json.loads((self.sessions()[-1] / "session.json").read_text())
        return found


class Runtime(Process):
    """Recording, in a process."""

    def __init__(
        self, address: str, ports: tuple[int, int], state: Path, recorders: tuple[str, str]
    ) -> None:
        words = (str(HERE / "unit_process.py"), "--address", address, "--state", str(state))
        matrix = ("--control-port", str(ports[0]), "--event-port", str(ports[1]))
        a, b = recorders
        super().__init__(*words, *matrix, "--a", a, "--b", b, log=state / "runtime.log")
        self.report: Json = {}

    def tell(self, word: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(f"{word}\n".encode())

    async def shows(self, condition: Callable[[Json], T]) -> T:
        """Waits for a report that satisfies the condition; returns what that gave."""
        async with asyncio.timeout(DEADLINE_S):
            while not (self.report and (found := condition(self.report))):
                line = await self.lines.readline()
                assert line, "the process has ended"
                self.report = json.loads(line)
        return found

    async def leave(self) -> None:
        """Ends it in order, as a logout does."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        async with asyncio.timeout(DEADLINE_S):
            await self.process.communicate()


def states(report: Json) -> list[str]:
    return [recorder["state"] for recorder in report["snapshot"]["recorders"]]


class Voice:
    """Speaks into a bus through a leg, one random frame every 20 ms."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._task: asyncio.Task[None] | None = None

    async def speak(self, matrix: OldcbMatrix, bus: str, address: str) -> None:
        self._socket.bind((address, 0))
        leg = await matrix.leg_open()
        await matrix.leg_connect(leg.leg, LegTarget(address, self._socket.getsockname()[1]))
        await matrix.bus_join(bus, leg_port(leg.leg), talk_db=0.0)
        self._task = asyncio.create_task(self._send(leg.address, leg.rtp_port))

    async def _send(self, address: str, port: int) -> None:
        rng, begin = random.Random(5), time.monotonic()
        for n in itertools.count():
            packet = RtpPacket(0, n & 0xFFFF, 160 * n & 0xFFFFFFFF, 9, rng.randbytes(160))
            self._socket.sendto(bytes(packet), (address, port))
            await asyncio.sleep(max(0.0, begin + 0.02 * (n + 1) - time.monotonic()))

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        self._socket.close()


class Bench:
    """Matrix, recorders and runtime of one test."""

    def __init__(self, folder: Path) -> None:
        prefix = f"127.78.{next(_networks) % 254 + 1}"
        self.folder, self.address = folder, f"{prefix}.1"
        self.state = folder / "state"
        self.a = Recorder("A", f"{prefix}.30", folder)
        self.b = Recorder("B", f"{prefix}.31", folder, "--no-replaces")
        self.ports = control, events = _free_port(), _free_port()
        recorders = (self.a.uri, self.b.uri)
        self.runtime = Runtime(self.address, self.ports, self.state, recorders)
        self.matrix = OldcbMatrix(self.address, control_port=control, event_port=events)
        self.voice = Voice()

    async def start(self) -> None:
        await self._start_matrix()
        await self.voice.speak(self.matrix, "handset-left", self.address)
        await asyncio.gather(self.a.start(), self.b.start())

    async def _start_matrix(self) -> None:
        (self.state / "config").mkdir(parents=True)
        (self.state / "network.json").write_text(json.dumps({"address": self.address}))
        unit = f"application.oldcb.address: {self.address}\n"
        (self.state / "config" / "unit.yaml").write_text(unit)
        (self.state / "board.yaml").write_text("board: touchpro\ndevices: {}\n")
        control, events = self.ports
        words = ("-m", "openturret.firmware.matrix", "--state", str(self.state))
        ports = ("--control-port", str(control), "--event-port", str(events))
        self._matrix_process = Process(*words, *ports, log=self.folder / "matrix.log")
        await self._matrix_process.start()
        async with asyncio.timeout(DEADLINE_S):
            while not await _accepts(self.address, control):
                await asyncio.sleep(0.02)

    async def recording(self) -> None:
        """Starts the runtime and waits until both recorders record."""
        await self.runtime.start()
        await self.runtime.shows(lambda r: states(r) == ["recording", "recording"])

    async def heard(self, recorder: Recorder, packets: int) -> None:
        """Waits until a recorder has so many packets of the handsets."""
        async with asyncio.timeout(DEADLINE_S):
            while not recorder.sessions() or recorder.session()["streams"][0]["packets"] < packets:
                await asyncio.sleep(0.05)

    async def close(self) -> None:
        for process in (self.runtime, self.a, self.b, self._matrix_process):
            if hasattr(process, "process"):
                await process.end()
        await self.voice.close()
        await self.matrix.close()


def _free_port() -> int:
    """The matrix listens on 127.0.0.1 too, where another test's matrix may be."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return int(free.getsockname()[1])


async def _accepts(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True


@pytest.fixture
def _wheel() -> None:
    pytest.importorskip("pjsua2", reason="build the wheel with firmware/calls/pjsip/build.py")


@pytest.fixture
async def bench(tmp_path: Path, _wheel: None) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    try:
        await made.start()
        yield made
    finally:
        await made.close()
