"""The runtime as a process: hardware twin, real matrix, real SIP to a hoot, a browser."""

import asyncio
import contextlib
import dataclasses
import json
import os
import shutil
import signal
import socket
import sys
import tempfile
import tomllib
from array import array
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any, Self, TypeAlias

import aiohttp
import pytest
import yaml

from openturret.boot.control import ControlServer
from openturret.boot.errors import BadCredentialsError
from openturret.drivers.emulated.hand import Hand
from openturret.drivers.emulated.hardware import Hardware
from openturret.drivers.oldcb import OldcbMatrix
from openturret.hal.board import load_board
from openturret.hal.clock import SystemClock
from openturret.hal.wire.json_lines import JsonObject, field
from openturret.lab.recorder.server import RecorderServer
from openturret.lab.recorder.session import Where as Shelf
from openturret.lab.tpo.call import Where
from openturret.lab.tpo.hoot import Hoot
from openturret.lab.tpo.server import TurretProxy

pytest.importorskip("pjsua2", reason="pjsua2 is not installed; the extra unit brings it")

ROOT = Path(__file__).parents[2]
SPEECH = array("h", [(n * 37) % 9_000 - 4_500 for n in range(160 * 50)])
PATIENCE_S = 15.0
State: TypeAlias = dict[str, Any]
pytestmark = pytest.mark.slow


def free_port() -> int:
    """A port that is free for TCP and UDP."""
    with socket.socket() as tcp, socket.socket(type=socket.SOCK_DGRAM) as udp:
        tcp.bind(("127.0.0.1", 0))
        udp.bind(tcp.getsockname())
        return int(tcp.getsockname()[1])


def free_pair() -> int:
    """The first of two TCP ports that are free and follow each other, as a module has them."""
    while True:
        with socket.socket() as first, socket.socket() as second, contextlib.suppress(OSError):
            first.bind(("127.0.0.1", 0))
            port = int(first.getsockname()[1])
            second.bind(("127.0.0.1", port + 1))
            return port


def installed(folder: Path) -> None:
    """What `pip install` leaves for the registry: the entry points of the drivers."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    group = "openturret.drivers"
    lines = [f"{name} = {value}" for name, value in project["entry-points"][group].items()]
    info = folder / "openturret-0.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: openturret\nVersion: 0\n")
    (info / "entry_points.txt").write_text("\n".join([f"[{group}]", *lines]))


@dataclasses.dataclass(frozen=True, slots=True)
class Ports:
    sip: int = dataclasses.field(default_factory=free_port)
    web: int = dataclasses.field(default_factory=free_port)
    control: int = dataclasses.field(default_factory=free_port)
    events: int = dataclasses.field(default_factory=free_port)
    syslog: int = dataclasses.field(default_factory=free_port)


HAL = "6 of 6 devices"


class Floor:
    """One turret with its hardware, its matrix and a proxy to call; boot is played by a socket."""

    def __init__(
        self, folder: Path, proxy: TurretProxy, hand: Hand, recorders: dict[str, RecorderServer]
    ) -> None:
        self.state = folder / "state"
        self.recorders = recorders
        self.proxy = proxy
        self.hand = hand
        self.ports = Ports()
        self.reports: list[JsonObject] = []
        self._folder = folder
        self._processes: dict[str, asyncio.subprocess.Process] = {}
        self._boot = ControlServer(
            self.state / "run" / "boot.sock",
            {"login": self._login, "logout": self._logout, "report": self._report},
        )

    async def open(self) -> None:
        installed(self._folder / "site")
        base = 20_000 + os.getpid() % 400 * 20
        self.write(
            "config/unit.yaml",
            {
                "application.sip.connection.port": self.ports.sip,
                "application.web.port": self.ports.web,
                "application.mm.rtplowerport": base,
                "application.mm.rtpupperport": base + 19,
                "application.syslog.server": f"127.0.0.1:{self.ports.syslog}",
                **{
                    f"application.recording.recorder.{role}": "sip:recorder@127.0.0.1:"
                    f"{recorder.sip.port};transport=tcp"
                    for role, recorder in self.recorders.items()
                },
            },
        )
        status = {
            "stage": "running",
            "stages": [],
            "alarms": [],
            "serial": "TP-7",
            "model": "TouchPro",
        }
        (self.state / "status.json").write_text(json.dumps(status))
        await self._boot.start()
        matrix = "openturret.firmware.matrix"
        self._processes["matrix"] = await self._run(matrix)

    async def close(self) -> None:
        for process in self._processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
        await self._boot.stop()

    def write(self, name: str, keys: Mapping[str, object]) -> None:
        path = self.state / name
        path.parent.mkdir(parents=True, exist_ok=True)
        new = path.with_suffix(".new")
        new.write_text(yaml.safe_dump(dict(keys)))
        new.replace(path)

    def profile(self, name: str = "Alice") -> dict[str, object]:
        return {
            "profile.user.name": name,
            "profile.sip.username": "1001",
            "profile.sip.password": "canary-password",
            "profile.speaker.1.label": "Desk hoot",
            "profile.speaker.1.uri": f"sip:hoot-1@127.0.0.1:{self.proxy.sip.port}",
            "profile.speeddial.1.label": "Broker",
            "profile.speeddial.1.number": "2001",
        }

    async def start_runtime(self) -> None:
        self._processes["runtime"] = await self._run("openturret.firmware")

    async def restart_matrix(self) -> None:
        """Kills the matrix and starts it again, as the boot agent's supervisor does."""
        await self.kill_matrix()
        self._processes["matrix"] = await self._run("openturret.firmware.matrix")

    async def mix_by_xma(self) -> OldcbMatrix:
        """Puts an XMA2 on the board and starts what answers for its matrix; returns a client."""
        port = free_pair()
        await self.kill_matrix()
        (self._folder / "xma").mkdir()
        shutil.copy(self.state / "board.yaml", self._folder / "xma")
        self._processes["xma"] = await self._spawn(
            "openturret.firmware.matrix", self._folder / "xma", port, port + 1
        )
        with (self.state / "board.yaml").open("a") as board:
            match = f"{{url: /dev/absent, secret: /dev/absent, matrix: '127.0.0.1:{port}'}}"
            board.write(f"\n  xma-1: {{type: xma2, driver: xma2, match: {match}}}\n")
        self._processes["matrix"] = await self._run("openturret.firmware.matrix")
        return OldcbMatrix(control_port=port, event_port=port + 1)

    async def kill_matrix(self) -> None:
        self._processes["matrix"].kill()
        await self._processes["matrix"].wait()

    async def end_runtime(self, number: signal.Signals) -> int:
        process = self._processes.pop("runtime")
        process.send_signal(number)
        async with asyncio.timeout(PATIENCE_S):
            return await process.wait()

    def ledger(self) -> list[State]:
        lines = (self.state / "ledger" / "calls.jsonl").read_text().splitlines()
        return [json.loads(line) for line in lines]

    def log(self) -> str:
        return (self._folder / "runtime.log").read_text()

    async def _run(self, module: str) -> asyncio.subprocess.Process:
        return await self._spawn(module, self.state, self.ports.control, self.ports.events)

    async def _spawn(
        self, module: str, state: Path, control: int, events: int
    ) -> asyncio.subprocess.Process:
        path = os.pathsep.join(
            filter(None, [os.environ.get("PYTHONPATH"), str(self._folder / "site")])
        )
        name = "matrix" if module.endswith("matrix") else "runtime"
        with (self._folder / f"{name}.log").open("a") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                module,
                *("--state", str(state)),
                *("--control-port", str(control)),
                *("--event-port", str(events)),
                env={**os.environ, "PYTHONPATH": path},
                stdout=log,
                stderr=log,
            )

    async def _login(self, params: JsonObject) -> Mapping[str, object]:
        user = field(params, "user", str)
        if field(params, "password", str) != "correct horse":
            raise BadCredentialsError("user or password is wrong", "type them again")
        profile = self.profile() | ({"application.web.port": 1} if user == "mallory" else {})
        self.write("profile/current.yaml", profile)
        return {"user": user, "name": user, "profile": str(self.state / "profile/current.yaml")}

    async def _logout(self, _: JsonObject) -> Mapping[str, object]:
        (self.state / "profile/current.yaml").unlink(missing_ok=True)
        return {}

    async def replace_boot(self) -> None:
        await self._boot.stop()
        await self._boot.start()

    async def until_reported(self, stage: str, count: int) -> None:
        async with asyncio.timeout(20):
            while sum(report["stage"] == stage for report in self.reports) < count:
                await asyncio.sleep(0.02)

    async def _report(self, params: JsonObject) -> Mapping[str, object]:
        self.reports.append(params)
        return {}


class Browser:
    """A browser at the panel."""

    def __init__(self, port: int) -> None:
        self._http = aiohttp.ClientSession(
            f"http://127.0.0.1:{port}",
            cookie_jar=aiohttp.CookieJar(unsafe=True),
            headers={"X-OpenTurret": "panel"},
            timeout=aiohttp.ClientTimeout(total=PATIENCE_S),
        )

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def get(self, path: str) -> State:
        async with self._http.get(f"/api/{path}") as answer:
            found: State = await answer.json()
            return found

    async def post(self, path: str, body: object = None) -> tuple[int, State]:
        async with self._http.post(f"/api/{path}", json=body or {}) as answer:
            return answer.status, await answer.json()

    async def log_in(
        self, user: str = "alice", password: str = "correct horse"
    ) -> tuple[int, State]:
        return await self.post("login", {"user": user, "password": password})

    def events(self) -> AbstractAsyncContextManager[aiohttp.ClientWebSocketResponse]:
        return self._http.ws_connect("/api/events")

    async def until(self, what: Callable[[State], object]) -> State:
        """The first state that fits."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                with contextlib.suppress(aiohttp.ClientConnectionError):
                    state = await self.get("state")
                    if what(state):
                        return state
                await asyncio.sleep(0.05)


@pytest.fixture
async def floor() -> AsyncIterator[Floor]:
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        folder = Path(name)
        board = board_in(folder)
        hardware = Hardware(load_board(board), folder / "hw")
        await hardware.open()
        proxy = TurretProxy(
            [Hoot.of("hoot-1", SPEECH), Hoot.of("hoot-2", SPEECH)],
            Where("127.0.0.1", range(29_000, 29_400), folder),
            port=0,
            clock=SystemClock(),
        )
        await proxy.start()
        async with await Hand.connect(folder / "hw") as hand:
            recorders = {
                role: RecorderServer(
                    Shelf(role, "127.0.0.1", range(first, first + 200), folder / role, 0.05),
                    port=0,
                    clock=SystemClock(),
                )
                for role, first in (("a", 28_000), ("b", 28_400))
            }
            for recorder in recorders.values():
                await recorder.start()
            floor = Floor(folder, proxy, hand, recorders)
            await floor.open()
            yield floor
            await floor.close()
            for recorder in recorders.values():
                await recorder.close()
        await proxy.close()
        await hardware.close()


def board_in(folder: Path) -> Path:
    """A TouchPro whose sockets lie in the folder."""
    (folder / "hw").mkdir()
    (folder / "state").mkdir()
    shipped = (ROOT / "hal/boards/emulated.yaml").read_text()
    path = folder / "state" / "board.yaml"
    path.write_text(shipped.replace("/run/openturret/hardware", str(folder / "hw")))
    return path


@pytest.fixture
async def browser(floor: Floor) -> AsyncIterator[Browser]:
    async with Browser(floor.ports.web) as browser:
        yield browser


def channel_is_open(state: State) -> bool:
    return any(item["state"] == "connected" for item in state.get("speakers", []))


def call_is_up(state: State) -> bool:
    return any(
        call["state"] == "connected" and call["kind"] == "call" for call in state.get("calls", [])
    )


async def call_hoot_2(floor: Floor, browser: Browser) -> State:
    """Alice lifts the left handset and calls hoot-2; returns the state with the call up."""
    assert (await browser.log_in())[0] == 200
    await floor.hand.lift("handset-left")
    await browser.until(lambda state: state["handsets"]["left"]["off_hook"])
    number = f"sip:hoot-2@127.0.0.1:{floor.proxy.sip.port}"
    status, answer = await browser.post("handsets/left/dial", {"number": number})
    assert status == 200, answer
    return await browser.until(lambda state: call_is_up(state) and channel_is_open(state))


async def test_before_a_login_the_panel_shows_unit_and_boot_only(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    state = await browser.until(lambda state: state["unit"])
    assert state["unit"]["serial"] == "TP-7"
    assert state["boot"]["stage"] == "running"
    assert "calls" not in state
    assert await browser.post("handsets/left/dial", {"number": "2001"}) == (
        401,
        {"error": {"code": "no_session", "message": "log in first", "remedy": "POST /api/login"}},
    )


async def test_a_login_opens_channels_and_a_call_is_heard_by_the_proxy(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    state = await call_hoot_2(floor, browser)
    assert state["user"] == {"id": "1001", "name": "Alice"}
    assert state["speed_dials"] == [{"label": "Broker", "number": "2001"}]
    assert len(floor.proxy.calls) == 2
    legs = (await browser.get("legs"))["legs"]
    assert {leg["tag"]["kind"] for leg in legs} == {"call", "channel"}
    assert any(report["stage"] == "register" for report in floor.reports)
    devices = [report for report in floor.reports if report["stage"] == "hal"]
    assert [(report["state"], report["detail"]) for report in devices] == [("done", HAL)]


async def test_a_boot_agent_that_takes_anothers_place_is_told_again(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    await floor.until_reported("hal", 1)
    await floor.replace_boot()
    await floor.until_reported("hal", 2)


async def test_levels_of_the_call_reach_the_browser(floor: Floor, browser: Browser) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    await call_hoot_2(floor, browser)
    loudest = -96.0
    async with asyncio.timeout(PATIENCE_S), browser.events() as events:
        while loudest < -40:
            message = await events.receive_json()
            if message["type"] == "levels":
                loudest = max([loudest, *(level[0] for level in message["levels"].values())])
    assert loudest > -40


async def test_putting_the_handset_back_ends_the_call(floor: Floor, browser: Browser) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    await call_hoot_2(floor, browser)
    await floor.hand.cradle("handset-left")
    await browser.until(lambda state: not call_is_up(state))
    await eventually(lambda: len(floor.proxy.calls) == 1)


async def test_after_sigkill_calls_session_and_user_come_back_and_no_packet_is_lost(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    before = await call_hoot_2(floor, browser)
    call_ids = {call["id"] for call in before["calls"]}
    legs = {leg["leg"] for leg in (await browser.get("legs"))["legs"]}
    await floor.end_runtime(signal.SIGKILL)
    await floor.start_runtime()
    after = await browser.until(lambda state: call_is_up(state) and channel_is_open(state))
    assert {call["id"] for call in after["calls"]} == call_ids
    assert after["user"]["name"] == "Alice"
    kept = (await browser.get("legs"))["legs"]
    assert {leg["leg"] for leg in kept} == legs
    assert all(leg["stats"]["packets_lost"] == 0 for leg in kept)
    await floor.hand.cradle("handset-left")
    await browser.until(lambda state: not call_is_up(state))
    await eventually(lambda: len(floor.proxy.calls) == 1)


def both_record(state: State) -> bool:
    return bool(state.get("recording", {}).get("state") == "recording")


async def test_both_recorders_get_the_calls_and_go_on_through_a_kill(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    await call_hoot_2(floor, browser)
    state = await browser.until(both_record)
    assert [item["name"] for item in state["recording"]["recorders"]] == ["a", "b"]
    await floor.end_runtime(signal.SIGKILL)
    await floor.start_runtime()
    await browser.until(lambda state: both_record(state) and call_is_up(state))
    assert await floor.end_runtime(signal.SIGTERM) == 0
    await eventually(lambda: not any(recorder.sessions for recorder in floor.recorders.values()))
    entries = floor.ledger()
    kinds = [entry["kind"] for entry in entries]
    assert kinds.count("recording.started") == 2
    assert kinds[-1] == "recording.stopped"
    started = {entry["call_id"] for entry in entries if entry["kind"] == "call.started"}
    ended = {entry["call_id"] for entry in entries if entry["kind"] == "call.ended"}
    assert started == ended
    assert len(started) == 2


async def test_a_lost_recorder_is_an_alarm_and_the_call_goes_on(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    await call_hoot_2(floor, browser)
    await browser.until(both_record)
    await floor.recorders["b"].close()
    state = await browser.until(lambda state: state["recording"]["state"] == "degraded")
    assert call_is_up(state)
    assert [alarm["subject"] for alarm in state["alarms"]] == ["b"]


async def test_sigterm_says_goodbye_to_everybody(floor: Floor, browser: Browser) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    await call_hoot_2(floor, browser)
    assert await floor.end_runtime(signal.SIGTERM) == 0
    await eventually(lambda: not floor.proxy.calls)


async def test_a_logout_ends_calls_and_sessions(floor: Floor, browser: Browser) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    await call_hoot_2(floor, browser)
    assert (await browser.post("logout"))[0] == 200
    await eventually(lambda: not floor.proxy.calls)
    assert "user" not in await browser.get("state")
    assert (await browser.post("handsets/left/hangup"))[0] == 401


async def test_a_login_that_came_another_way_is_followed(floor: Floor, browser: Browser) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    floor.write("profile/current.yaml", floor.profile())
    await eventually(lambda: len(floor.proxy.calls) == 1)
    (floor.state / "profile/current.yaml").unlink()
    await eventually(lambda: not floor.proxy.calls)


@pytest.mark.parametrize(
    ("user", "password", "status", "code"),
    [
        ("alice", "wrong", 401, "bad_credentials"),
        ("mallory", "correct horse", 503, "bad_profile"),
    ],
)
async def test_a_refused_login_lets_nobody_in(
    floor: Floor, browser: Browser, user: str, password: str, status: int, code: str
) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    answered, answer = await browser.log_in(user, password)
    assert (answered, answer["error"]["code"]) == (status, code)
    assert "user" not in await browser.get("state")
    assert not (floor.state / "profile/current.yaml").exists()


async def test_no_secret_reaches_the_log_or_the_panel(floor: Floor, browser: Browser) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    state = await call_hoot_2(floor, browser)
    await floor.end_runtime(signal.SIGTERM)
    assert "canary-password" not in floor.log() + json.dumps(state)
    assert "correct horse" not in floor.log()


async def test_the_log_goes_to_the_syslog_server_too(floor: Floor, browser: Browser) -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as server:
        server.bind(("127.0.0.1", floor.ports.syslog))
        server.setblocking(False)
        await floor.start_runtime()
        await browser.until(lambda state: True)
        line = await asyncio.get_running_loop().sock_recv(server, 4096)
    assert b">1 " in line
    assert b" TP-7 runtime " in line


async def test_without_a_matrix_the_panel_opens_and_says_so(floor: Floor) -> None:
    floor.ports = dataclasses.replace(floor.ports, control=free_port())
    await floor.start_runtime()
    async with Browser(floor.ports.web) as browser:
        state = await browser.until(lambda state: state["alarms"])
    assert state["alarms"][0]["code"] == "matrix.gone"
    assert state["alarms"][0]["remedy"]


def codes(state: State) -> set[str]:
    return {alarm["code"] for alarm in state["alarms"]}


async def test_with_an_xma2_its_matrix_mixes_and_oldcb_of_the_unit_is_closed(
    floor: Floor, browser: Browser
) -> None:
    module = await floor.mix_by_xma()
    await floor.start_runtime()
    await browser.until(lambda state: state["unit"])
    assert (await browser.log_in())[0] == 200
    state = await browser.until(channel_is_open)
    assert len(await module.leg_list()) == 1
    with pytest.raises(ConnectionRefusedError):
        await asyncio.open_connection("127.0.0.1", floor.ports.control)
    alarms = {alarm["code"]: alarm["message"] for alarm in state["alarms"]}
    said = "application.xma.enable is false, but by the board xma-1 mixes"
    assert alarms["xma.disagrees"] == said
    await module.close()


async def test_calls_of_a_matrix_that_restarts_end_and_everything_begins_anew(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    before = await call_hoot_2(floor, browser)
    old = {call["id"] for call in before["calls"]}
    await browser.until(both_record)
    await floor.restart_matrix()
    state = await browser.until(
        lambda state: "matrix.restarted" in codes(state) and channel_is_open(state)
    )
    assert not old & {call["id"] for call in state["calls"]}
    assert not call_is_up(state)
    await eventually(lambda: len(floor.proxy.calls) == 1)
    await browser.until(lambda state: both_record(state) and codes(state) == {"matrix.restarted"})
    recordings = [session for each in floor.recorders.values() for session in each.sessions]
    assert len(recordings) == 2
    number = f"sip:hoot-2@127.0.0.1:{floor.proxy.sip.port}"
    assert (await browser.post("handsets/left/dial", {"number": number}))[0] == 200
    await browser.until(call_is_up)
    await eventually(lambda: len(floor.proxy.calls) == 2)


async def test_calls_of_a_matrix_that_stays_away_are_not_shown(
    floor: Floor, browser: Browser
) -> None:
    await floor.start_runtime()
    await browser.until(lambda state: True)
    await call_hoot_2(floor, browser)
    await floor.kill_matrix()
    state = await browser.until(lambda state: not call_is_up(state))
    assert "matrix.gone" in codes(state)
    await eventually(lambda: not floor.proxy.calls)


async def test_a_damaged_call_log_is_an_alarm_and_goes_on(floor: Floor, browser: Browser) -> None:
    path = floor.state / "ledger" / "calls.jsonl"
    path.parent.mkdir()
    path.write_bytes(b'{"torn')
    await floor.start_runtime()
    state = await browser.until(codes)
    assert codes(state) == {"recording.ledger.damaged"}
    assert [entry["kind"] for entry in floor.ledger()] == ["ledger.recovered"]


async def eventually(what: Callable[[], object]) -> None:
    async with asyncio.timeout(PATIENCE_S):
        while not what():
            await asyncio.sleep(0.02)
