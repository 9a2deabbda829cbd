"""A unit without its boot: emulated hardware, a real matrix process, a runtime to kill, real peers.

Every test has loopback addresses of its own, so that everybody keeps the documented ports.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import itertools
import json
import os
import random
import signal
import socket
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.oldcb import OldcbMatrix
from openturret.hal.matrix import Leg
from openturret.lab import party, pbx, speech
from openturret.lab.errors import ToolMissingError
from openturret.lab.plan import Host, Party
from openturret.lab.processes import Service
from openturret.lab.tools import tool

HERE = Path(__file__).parent
ROOT = HERE.parents[2]
DOMAIN = "turret.example"
PASSWORD = "cradle-and-hook"
DEADLINE_S = 15.0
POLL_S = 0.02
Json = dict[str, Any]
T = TypeVar("T")


async def until(
    condition: Callable[[], object | Awaitable[object]], *, deadline_s: float = DEADLINE_S
) -> None:
    """Polls a condition of another process until it is true."""
    async with asyncio.timeout(deadline_s):
        while True:
            value = condition()
            if inspect.isawaitable(value):
                value = await value
            if value:
                return
            await asyncio.sleep(POLL_S)


async def accepts(address: str, port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection(address, port)
    except OSError:
        return False
    writer.close()
    return True


class Program:
    """A process of the test, with its output in a file."""

    def __init__(self, process: asyncio.subprocess.Process, log: Path) -> None:
        self.process = process
        self.log = log

    def said(self) -> str:
        return self.log.read_text(errors="replace")

    def tell(self, number: signal.Signals) -> None:
        """Signals the program and its children."""
        os.killpg(self.process.pid, number)

    async def ended(self) -> int:
        async with asyncio.timeout(DEADLINE_S):
            return await self.process.wait()

    async def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        if self.process.returncode is None:
            self.process.send_signal(number)
            try:
                async with asyncio.timeout(3):
                    await self.process.wait()
            except TimeoutError:
                self.process.kill()
                await self.process.wait()


class Unit:
    """A runtime to talk to and to kill."""

    def __init__(self, start: Callable[[], Awaitable[asyncio.subprocess.Process]]) -> None:
        self._start = start
        self._numbers = itertools.count(1)
        self._answers: dict[int, asyncio.Future[Any]] = {}
        self._changed = asyncio.Event()
        self._reader: asyncio.Task[None] | None = None
        self.snapshot: Json = {}
        self.calls: list[list[str]] = []
        self.process: asyncio.subprocess.Process

    async def start(self) -> None:
        self.snapshot = {}
        self.process = await self._start()
        self._reader = asyncio.create_task(self._read())
        await self.shows(lambda s: True)

    async def kill(self) -> None:
        self.process.kill()
        await self.process.wait()
        await self._end_reader()

    async def close(self) -> None:
        if self.process.returncode is None:
            assert self.process.stdin is not None
            self.process.stdin.close()
            async with asyncio.timeout(DEADLINE_S):
                await self.process.wait()
        await self._end_reader()

    async def ask(self, method: str, *arguments: object) -> object:
        assert self.process.stdin is not None
        number = next(self._numbers)
        answer = self._answers[number] = asyncio.get_running_loop().create_future()
        line = json.dumps({"id": number, "method": method, "arguments": arguments})
        self.process.stdin.write(line.encode() + b"\n")
        async with asyncio.timeout(DEADLINE_S):
            return await answer

    async def shows(self, condition: Callable[[Json], T], *, deadline_s: float = DEADLINE_S) -> T:
        """Waits until the snapshot satisfies the condition; returns what that gave."""
        async with asyncio.timeout(deadline_s):
            while not (self.snapshot and (value := condition(self.snapshot))):
                self._changed.clear()
                await self._changed.wait()
        return value

    async def connected(self, count: int = 1) -> list[Json]:
        """Waits for so many calls to be connected."""

        def live(snapshot: Json) -> list[Json]:
            found = [call for call in snapshot["calls"] if call["state"] == "connected"]
            return found if len(found) == count else []

        return await self.shows(live)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        while line := await self.process.stdout.readline():
            message = json.loads(line)
            if "snapshot" in message:
                self.snapshot = message["snapshot"]
                self._changed.set()
            elif "call" in message:
                self.calls.append(message["call"])
            elif not (answer := self._answers.pop(message["id"])).done():
                self._settle(answer, message)

    def _settle(self, answer: asyncio.Future[Any], message: Json) -> None:
        if "error" in message:
            answer.set_exception(RuntimeError(message["error"]))
        else:
            answer.set_result(message["result"])

    async def _end_reader(self) -> None:
        if self._reader is not None:
            self._reader.cancel()
            await asyncio.gather(self._reader, return_exceptions=True)


class Bench:
    """Addresses, processes and the unit of one test."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._claim, self.prefix = claim_network()
        self.oldcb_ports = free_ports(2)
        self.hands: list[Hand] = []
        self.programs: list[Program] = []
        self.units: list[Unit] = []
        self.matrices: list[OldcbMatrix] = []

    def address(self, host: int) -> str:
        return f"{self.prefix}.{host}"

    @property
    def unit_address(self) -> str:
        return self.address(1)

    async def run(
        self, name: str, argv: list[str], env: dict[str, str] | None = None, cwd: Path | None = None
    ) -> Program:
        log = self.folder / f"{name}.log"
        with log.open("wb") as output:
            process = await asyncio.create_subprocess_exec(
                *argv,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                env={**os.environ, **(env or {})},
                cwd=cwd,
                start_new_session=True,
            )
        program = Program(process, log)
        self.programs.append(program)
        return program

    async def run_service(self, service: Service) -> Program:
        return await self.run(service.name, list(service.argv), dict(service.env))

    # ------------------------------------------------------------ the unit

    async def hardware(self) -> Path:
        """Runs the emulated hardware and returns the board that describes it."""
        sockets = self.folder / "hw"
        board = self.folder / "board.yaml"
        kinds = {"handset-left": "handset", "handset-right": "handset", "speaker-1": "speaker"}
        kinds["gooseneck"] = "gooseneck"
        devices = "".join(
            f"  {position}: {{type: {kind}, driver: emulated,"
            f" match: {{socket: {sockets / position}}}}}\n"
            for position, kind in kinds.items()
        )
        board.write_text(f"board: touchpro\ndevices:\n{devices}")
        python = [sys.executable, "-m", "openturret.drivers.emulated"]
        await self.run(
            "hardware",
            [*python, "--board", str(board), "--sockets", str(sockets)],
        )
        await until((sockets / "hand.sock").exists)
        return board

    async def matrix(self, board: Path) -> OldcbMatrix:
        """Runs the mixing matrix on the unit's address and returns a client."""
        state = self.folder / "state"
        state.mkdir()
        (state / "network.json").write_text(json.dumps({"address": self.unit_address}))
        control, event = self.oldcb_ports
        argv = [sys.executable, "-m", "openturret.firmware.matrix", "--state", str(state)]
        argv += ["--board", str(board)]
        argv += ["--control-port", str(control), "--event-port", str(event)]
        await self.run("matrix", argv)
        await until(lambda: accepts("127.0.0.1", control))
        client = OldcbMatrix(control_port=control, event_port=event)
        self.matrices.append(client)
        return client

    async def unit(self, *servers: str, peers: tuple[str, ...] = ()) -> tuple[Unit, OldcbMatrix]:
        """Runs hardware, matrix and runtime."""
        board = await self.hardware()
        matrix = await self.matrix(board)
        argv = [sys.executable, str(HERE / "unit_process.py"), "--board", str(board)]
        argv += ["--address", self.unit_address, "--matrix", str(self.oldcb_ports[0])]
        argv += ["--state", str(self.folder / "state")]
        argv += [word for server in servers for word in ("--server", server)]
        argv += [word for peer in peers for word in ("--peer", peer)]

        async def start() -> asyncio.subprocess.Process:
            with (self.folder / "runtime.log").open("ab") as log:
                return await asyncio.create_subprocess_exec(
                    *argv,
                    stdin=asyncio.subprocess.PIPE,
                    stdout=asyncio.subprocess.PIPE,
                    stderr=log,
                    limit=1 << 20,
                )

        unit = Unit(start)
        self.units.append(unit)
        await unit.start()
        return unit, matrix

    async def hand(self) -> Hand:
        """Returns the hand that works the emulated hardware."""
        hand = await Hand.connect(self.folder / "hw")
        self.hands.append(hand)
        return hand

    def profile(self, *channels: str) -> Json:
        return {"number": "1001", "password": PASSWORD, "domain": DOMAIN, "channels": channels}

    # ------------------------------------------------------------ peers

    async def kamailio(self, number: int) -> Program:
        """Runs a PBX that knows 1001, 2001 and 2002; its address is host 20 + number."""
        host = Host(f"pbx-{number}", "dc", self.address(20 + number))
        users = [pbx.PbxUser(user, PASSWORD) for user in ("1001", "2001", "2002")]
        service = pbx.service(host.name, host, self.folder / host.name, domain=DOMAIN, users=users)
        program = await self.run_service(service)
        await until(lambda: accepts(host.address, 5060))
        return program

    async def baresip(self, number: str, *registrars: int) -> Program:
        """Runs a party that answers by itself, registered at these PBXs."""
        host = Host("party", "city", self.address(40))
        service = party.service(
            Party(number, PASSWORD, "", 5060, 4444, (20_000, 20_100)),
            self.folder / f"party-{number}",
            sentence=self.tone(),
            host=host,
            registrars=[Host("", "", self.address(20 + each)) for each in registrars],
        )
        program = await self.run_service(service)
        await until(lambda: program.said().count("200 OK") >= len(registrars))
        return program

    async def sipp(self, scenario: str, host: int, *, pause_ms: int = 0) -> Program:
        """Runs a sipp scenario that plays the server on a host of its own, echoing RTP."""
        program = tool("sipp")
        address = self.address(host)
        argv = [str(program.path), "-sf", str(HERE / "scenarios" / scenario), "-i", address]
        argv += ["-mi", address, "-p", "5060", "-m", "1", "-nostdin", "-rtp_echo"]
        argv += ["-mp", "21000", "-trace_msg", "-message_file", "messages.log"]
        argv += ["-trace_err", "-error_file", "errors.log", "-timeout", "60", "-d", str(pause_ms)]
        folder = self.folder / f"sipp-{host}"
        folder.mkdir()
        running = await self.run(f"sipp-{host}", argv, program.env, folder)
        running.log = folder / "messages.log"
        await until(lambda: _bound(address))
        return running

    async def peer(self, host: int) -> Program:
        """Runs a second agent of ours as the far end."""
        argv = [sys.executable, str(HERE / "peer_process.py"), self.address(host)]
        program = await self.run(f"peer-{host}", argv)
        await until(lambda: _bound(self.address(host)))
        return program

    async def caller(self, host: int, target: str) -> Program:
        """Runs a second agent of ours that calls."""
        argv = [sys.executable, str(HERE / "peer_process.py"), self.address(host), target, PASSWORD]
        return await self.run(f"caller-{host}", argv)

    async def hoot(self, host: int) -> Program:
        """Runs a turret proxy whose hoot-1 sounds a tone."""
        argv = [sys.executable, "-m", "openturret.lab.tpo", "--address", self.address(host)]
        argv += ["--hoot", f"hoot-1={self.tone()}", "--directory", str(self.folder)]
        program = await self.run(f"hoot-{host}", argv)
        await until(lambda: _bound(self.address(host)))
        return program

    def tone(self) -> Path:
        """Writes two seconds of 440 Hz."""
        path = self.folder / "tone.wav"
        time_s = np.arange(speech.RATE_HZ * 2) / speech.RATE_HZ
        speech.write_wav(path, (8000 * np.sin(2 * np.pi * 440 * time_s)).astype(np.int16))
        return path

    # ------------------------------------------------------------ what is watched

    until = staticmethod(until)

    @staticmethod
    async def only_leg(matrix: OldcbMatrix) -> Leg:
        """Returns the one leg that there is."""
        (leg,) = await matrix.leg_list()
        return leg

    @staticmethod
    async def flowing(matrix: OldcbMatrix, *, packets: int) -> bool:
        """Whether every leg has received so many packets."""
        legs = await matrix.leg_list()
        return bool(legs) and all(leg.stats.packets_received >= packets for leg in legs)

    @staticmethod
    async def live(matrix: OldcbMatrix) -> bool:
        """Whether every leg sends and receives."""
        targets = [leg.target for leg in await matrix.leg_list()]
        return all(target and target.send and target.receive for target in targets)

    async def close(self) -> None:
        for hand in self.hands:
            await hand.close()
        for unit in self.units:
            with contextlib.suppress(ProcessLookupError):
                await unit.close()
        for matrix in self.matrices:
            await matrix.close()
        for program in reversed(self.programs):
            await program.end()
        self._claim.close()


def _bound(address: str) -> bool:
    wanted = "".join(f"{int(part):02X}" for part in reversed(address.split("."))) + ":13C4"
    return wanted in Path("/proc/net/udp").read_text()


def claim_network() -> tuple[socket.socket, str]:
    """Returns three quarters of an address that no other test uses, and what keeps it ours."""
    for _ in range(500):
        prefix = f"127.77.{random.SystemRandom().randrange(1, 255)}"
        claim = socket.socket()
        try:
            claim.bind((f"{prefix}.254", 77))
        except OSError:
            claim.close()
        else:
            return claim, prefix
    raise RuntimeError("every network is in use")


def free_ports(count: int) -> list[int]:
    """Returns TCP ports that were free on loopback a moment ago."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for each in sockets:
            each.bind(("127.0.0.1", 0))
        return [int(each.getsockname()[1]) for each in sockets]


@pytest.fixture
async def bench(tmp_path: Path) -> AsyncIterator[Bench]:
    made = Bench(tmp_path)
    try:
        yield made
    except ToolMissingError as error:
        pytest.skip(f"{error}")
    finally:
        await made.close()


@pytest.fixture(autouse=True)
def _wheel() -> None:
    pytest.importorskip("pjsua2", reason="build the wheel with firmware/calls/pjsip/build.py")
