import asyncio
import os
import random
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import pytest

from openturret.boot.errors import ServiceError
from openturret.boot.supervision.process import is_running
from openturret.boot.supervision.supervisor import (
    Death,
    Places,
    Service,
    Supervisor,
    python_path_of,
    service_environment,
)
from openturret.hal.backoff import Backoff
from openturret.hal.clock import SystemClock

IDLE = "import time; print('up', flush=True); time.sleep(600)"
FAILING = "raise SystemExit(3)"


BEATING = """
import asyncio, os
from openturret.hal.notify import Heartbeat
async def main():
    async def pulse():
        print("beat", flush=True)
        return "2 calls"
    async with Heartbeat(os.environ, pulse):
        await asyncio.Event().wait()
asyncio.run(main())
"""
STUCK_AFTER_ONE_BEAT = BEATING.replace(
    'return "2 calls"',
    "await asyncio.sleep(600 if os.environ.setdefault('BEATEN', 'no') == 'yes' else 0)\n"
    "        os.environ['BEATEN'] = 'yes'\n"
    '        return "2 calls"',
)


class Deaths:
    """What the supervisor tells about processes that ended."""

    def __init__(self) -> None:
        self.all: list[Death] = []
        self.serving = 0
        self.hold_after: int | None = None
        self.news = asyncio.Event()
        self.supervisors: list[Supervisor] = []

    @property
    def codes(self) -> list[int | None]:
        return [death.code for death in self.all]

    @property
    def delays(self) -> list[float]:
        return [death.delay_s for death in self.all]

    def serves(self, service: Service) -> None:
        self.serving += 1
        self.news.set()

    def died(self, death: Death) -> bool:
        self.all.append(death)
        self.news.set()
        return len(self.all) != self.hold_after

    async def wait(self, number: int) -> None:
        async with asyncio.timeout(20):
            while len(self.all) < number:
                self.news.clear()
                await self.news.wait()


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path / "run", tmp_path / "log")


def supervisor(places: Places, deaths: Deaths) -> Supervisor:
    backoff = Backoff(first_s=0.01, cap_s=0.02, jitter=0, rng=random.Random(1))
    made = Supervisor(places, clock=SystemClock(), backoff=backoff, listener=deaths)
    deaths.supervisors.append(made)
    return made


@pytest.fixture
async def deaths() -> AsyncIterator[Deaths]:
    deaths = Deaths()
    yield deaths
    for supervisor in deaths.supervisors:
        await supervisor.stop(grace_s=0.1)


def service(folder: Path, source: str, *, ready_port: int | None = None) -> Service:
    (folder / "turretservice.py").write_text(source)
    return Service("runtime", "turretservice", ready_port=ready_port)


def environment(folder: Path) -> dict[str, str]:
    base = {name: os.environ[name] for name in ("PATH", "PYTHONPATH") if name in os.environ}
    return service_environment(base, folder)


async def until_logged(places: Places, text: str) -> None:
    log = places.log / "runtime.log"
    async with asyncio.timeout(10):
        while not log.exists() or text not in log.read_text():
            await asyncio.sleep(0)


async def test_a_killed_process_is_started_again_at_once(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    await under_test.start(service(tmp_path, IDLE), environment(tmp_path), timeout_s=5)
    first = under_test.pid("runtime")
    assert first is not None
    os.kill(first, signal.SIGKILL)
    await deaths.wait(1)
    await until_logged(places, "up")
    assert deaths.delays == [0.0]
    assert deaths.codes == [-signal.SIGKILL]
    assert under_test.pid("runtime") != first
    await under_test.stop()


async def test_deaths_that_follow_each_other_are_answered_more_slowly(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    await under_test.start(service(tmp_path, FAILING), environment(tmp_path), timeout_s=5)
    await deaths.wait(4)
    await under_test.stop()
    assert deaths.codes[:4] == [3, 3, 3, 3]
    assert deaths.delays[:4] == [0.0, 0.01, 0.02, 0.02]


async def test_a_stop_ends_the_whole_process_group(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    source = (
        "import os, subprocess, sys, time\n"
        "child = subprocess.Popen([sys.executable, '-c', 'import time; time.sleep(600)'])\n"
        "print('child', child.pid, flush=True)\ntime.sleep(600)\n"
    )
    under_test = supervisor(places, deaths)
    await under_test.start(service(tmp_path, source), environment(tmp_path), timeout_s=5)
    await until_logged(places, "child")
    child = int((places.log / "runtime.log").read_text().split()[1])
    await under_test.stop()
    async with asyncio.timeout(10):
        while _lives(child):
            await asyncio.sleep(0)
    assert not (places.run / "runtime.pid").exists()
    assert deaths.codes == []


def _lives(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except OSError:
        return False
    return state != "Z"


async def test_a_process_that_ignores_sigterm_is_killed(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    source = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n" + IDLE
    under_test = supervisor(places, deaths)
    await under_test.start(service(tmp_path, source), environment(tmp_path), timeout_s=5)
    await until_logged(places, "up")
    pid = under_test.pid("runtime")
    await under_test.stop(grace_s=0.05)
    with pytest.raises(ProcessLookupError):
        os.kill(pid or 0, 0)


async def test_the_process_of_an_earlier_agent_is_taken_over(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    idle = service(tmp_path, IDLE)
    first, second = supervisor(places, deaths), supervisor(places, deaths)
    await first.start(idle, environment(tmp_path), timeout_s=5)
    await until_logged(places, "up")
    await second.start(idle, environment(tmp_path), timeout_s=5)
    assert second.pid("runtime") == first.pid("runtime")
    os.kill(second.pid("runtime") or 0, signal.SIGKILL)
    await deaths.wait(2)
    await second.stop()
    await first.stop()


async def test_a_process_that_runs_other_firmware_is_ended_and_started_from_the_right_one(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    idle = service(tmp_path, IDLE)
    first, second = supervisor(places, deaths), supervisor(places, deaths)
    await first.start(idle, {**environment(tmp_path)}, timeout_s=5)
    await until_logged(places, "up")
    old = first.pid("runtime")
    (tmp_path / "b").mkdir()
    await second.start(idle, service_environment(environment(tmp_path), tmp_path / "b"), 5)
    await deaths.wait(1)
    async with asyncio.timeout(10):
        while second.pid("runtime") in (None, old):
            await asyncio.sleep(0)
    path = python_path_of(second.pid("runtime") or 0)
    assert path is not None
    assert path.startswith(f"{tmp_path / 'b'}{os.pathsep}")
    await second.stop()
    await first.stop()


async def test_a_process_that_hangs_is_ended_and_started_again(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    beating = replace(service(tmp_path, BEATING), patience_s=0.5)
    await under_test.start(beating, environment(tmp_path), timeout_s=5)
    await until_logged(places, "beat")
    stopped = under_test.pid("runtime") or 0
    os.kill(stopped, signal.SIGSTOP)
    await deaths.wait(1)
    assert deaths.all[0].hung
    assert deaths.all[0].doing == "2 calls"
    assert str(deaths.all[0]).startswith("runtime hung and was ended after")
    assert not _lives(stopped)
    await until_runs(under_test)
    assert under_test.pid("runtime") != stopped
    await under_test.stop()


async def test_a_part_that_is_stuck_ends_the_process_too(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    stuck = replace(service(tmp_path, STUCK_AFTER_ONE_BEAT), patience_s=0.5)
    await under_test.start(stuck, environment(tmp_path), timeout_s=5)
    await deaths.wait(1)
    assert deaths.all[0].hung
    assert deaths.all[0].code == -signal.SIGABRT
    await under_test.stop()


async def test_a_process_that_never_serves_is_ended_after_its_time_to_start(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    deaf = replace(service(tmp_path, IDLE, ready_port=1), patience_s=0.05, start_s=0.2)
    with pytest.raises(ServiceError, match="does not answer"):
        await under_test.start(deaf, environment(tmp_path), timeout_s=0.01)
    await deaths.wait(2)
    assert all(death.hung for death in deaths.all)
    await under_test.stop()


async def test_a_process_that_serves_without_a_sign_of_life_is_trusted(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    old = replace(service(tmp_path, IDLE), patience_s=0.01, start_s=0.05)
    await under_test.start(old, environment(tmp_path), timeout_s=5)
    await until_logged(places, "up")
    assert (deaths.all, deaths.serving) == ([], 1)
    await under_test.stop()


async def test_a_process_of_an_earlier_agent_is_heard_by_the_new_one(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    beating = replace(service(tmp_path, BEATING), patience_s=60)
    left = environment(tmp_path) | {"NOTIFY_SOCKET": str(places.run / "runtime.notify")}
    orphan = subprocess.Popen(
        beating.command, env=left | {"WATCHDOG_USEC": "100000"}, stdout=subprocess.DEVNULL,
        start_new_session=True,
    )  # fmt: skip
    await until_runs_as(orphan.pid, beating)
    places.run.mkdir()
    (places.run / "runtime.pid").write_text(str(orphan.pid))
    under_test = supervisor(places, deaths)
    await under_test.start(beating, environment(tmp_path), timeout_s=5)
    assert under_test.pid("runtime") == orphan.pid
    async with asyncio.timeout(10):
        while under_test.doing("runtime") != "2 calls":
            await asyncio.sleep(0.01)
    orphan.kill()
    orphan.wait()
    await deaths.wait(1)
    assert deaths.all[0].doing == "2 calls"


async def until_runs_as(pid: int, service: Service) -> None:
    """A process has its name a moment after it has its number."""
    async with asyncio.timeout(10):
        while not is_running(pid, service.command):
            await asyncio.sleep(0.01)


async def test_a_service_that_is_held_back_starts_when_it_is_asked_for_again(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    deaths.hold_after = 2
    await under_test.start(service(tmp_path, FAILING), environment(tmp_path), timeout_s=5)
    await deaths.wait(2)
    await asyncio.sleep(0)
    assert under_test.pid("runtime") is None
    await under_test.start(service(tmp_path, IDLE), environment(tmp_path), timeout_s=5)
    await until_logged(places, "up")
    await under_test.stop()


async def test_a_service_may_be_held_back_from_the_beginning(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    idle = service(tmp_path, IDLE)
    under_test.hold(idle, environment(tmp_path))
    await asyncio.sleep(0)
    assert under_test.pid("runtime") is None
    await under_test.start(idle, environment(tmp_path), timeout_s=5)
    await until_logged(places, "up")
    other = supervisor(places, deaths)
    other.hold(idle, environment(tmp_path))
    assert other.pid("runtime") == under_test.pid("runtime"), "what runs is taken over"
    await other.stop()
    await under_test.stop()


async def test_a_pid_file_of_somebody_else_is_not_believed(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    places.run.mkdir()
    for content in (str(os.getpid()), "1", "0", "-1", "999999999", "x", ""):
        (places.run / "runtime.pid").write_text(content)
        under_test = supervisor(places, deaths)
        await under_test.start(service(tmp_path, IDLE), environment(tmp_path), timeout_s=5)
        assert under_test.pid("runtime") not in (os.getpid(), 1)
        await under_test.stop()


async def test_a_silent_service_is_an_error_and_is_kept_running(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    under_test = supervisor(places, deaths)
    silent = service(tmp_path, IDLE, ready_port=1)
    with pytest.raises(ServiceError, match="does not answer on port 1"):
        await under_test.start(silent, environment(tmp_path), timeout_s=0.05)
    assert under_test.pid("runtime") is not None
    await under_test.stop()


async def test_a_program_that_does_not_exist_is_an_error_and_is_tried_again(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    missing = Service("runtime", "x", python=str(tmp_path / "python"))
    under_test = supervisor(places, deaths)
    with pytest.raises(ServiceError, match="does not start"):
        await under_test.start(missing, environment(tmp_path), timeout_s=5)
    (tmp_path / "python").symlink_to(sys.executable)
    await until_runs(under_test)
    await under_test.stop()


def test_the_slot_comes_first_on_the_path() -> None:
    slot = Path("/state/slots/a")
    assert service_environment({"A": "1"}, slot) == {"A": "1", "PYTHONPATH": "/state/slots/a"}
    assert service_environment({"PYTHONPATH": "x"}, slot)["PYTHONPATH"] == "/state/slots/a:x"


def test_a_service_runs_under_this_python() -> None:
    assert Service("matrix", "m", ("--state", "s")).command == (
        sys.executable, "-m", "m", "--state", "s",
    )  # fmt: skip


async def test_a_medium_that_takes_no_pid_file_costs_no_supervision(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    places.run.write_text("a file where the folder should be")
    under_test = supervisor(places, deaths)
    await under_test.start(service(tmp_path, IDLE), environment(tmp_path), timeout_s=5)
    for number in (1, 2):
        await until_runs(under_test)
        os.kill(under_test.pid("runtime") or 0, signal.SIGKILL)
        await deaths.wait(number)
    await until_runs(under_test)
    await under_test.stop()


async def until_runs(under_test: Supervisor) -> None:
    async with asyncio.timeout(10):
        while under_test.pid("runtime") is None:
            await asyncio.sleep(0)


async def test_a_process_that_is_stopped_may_end_in_order(
    tmp_path: Path, places: Places, deaths: Deaths
) -> None:
    source = (
        "import signal, sys, time\n"
        "signal.signal(signal.SIGTERM, lambda *_: (print('bye', flush=True), sys.exit()))\n"
    )
    under_test = supervisor(places, deaths)
    await under_test.start(service(tmp_path, source + IDLE), environment(tmp_path), timeout_s=5)
    await until_logged(places, "up")
    os.kill(under_test.pid("runtime") or 0, signal.SIGSTOP)
    await under_test.stop(grace_s=20)
    assert "bye" in (places.log / "runtime.log").read_text()
