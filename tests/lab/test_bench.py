"""A unit on the bench, from the plug to a log-in, and the bench's command line."""

from __future__ import annotations

import contextlib
import importlib.util
import json
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.lab import namespace, plan
from openturret.lab.bench import Bench
from openturret.lab.errors import LabError, NamespaceError, ToolMissingError
from openturret.lab.tools import tool
from openturret.lab.unit import Unit, UnitError


@contextlib.asynccontextmanager
async def powered(bench: Bench) -> AsyncIterator[Unit]:
    if importlib.util.find_spec("pjsua2") is None:
        pytest.skip("pjsua2 is missing, so a unit cannot telephone: run `make setup`")
    await bench.factory_reset("touchpro-1")
    unit = await bench.power_on("touchpro-1")
    try:
        await unit.reach("running")
        yield unit
    finally:
        await unit.power_off()


@pytest.mark.bench
@pytest.mark.slow
async def test_a_unit_boots_from_the_bench_and_alice_logs_in(bench: Bench) -> None:
    async with powered(bench) as unit:
        stages = {stage["name"]: stage["state"] for stage in unit.status()["stages"]}
        del stages["health"]  # new firmware is judged for a while
        assert set(stages.values()) == {"done"}
        assert (unit.address() or "").startswith("10.1.0.")
        profile = await unit.login("alice", "correct horse")
        assert profile["user"] == "alice"
        assert (await unit.ask_boot("status"))["serial"] == "TP000001"


@pytest.mark.bench
@pytest.mark.slow
async def test_a_unit_that_is_on_is_not_powered_on_again(bench: Bench) -> None:
    async with powered(bench) as unit:
        with pytest.raises(UnitError, match="on already"):
            await bench.power_on(unit.name)


@pytest.mark.bench
@pytest.mark.slow
async def test_a_wrong_password_is_refused_by_name(bench: Bench) -> None:
    async with powered(bench) as unit:
        with pytest.raises(UnitError) as refused:
            await unit.login("alice", "wrong")
        assert refused.value.code == "bad_credentials"


@pytest.mark.bench
@pytest.mark.slow
async def test_a_pulled_plug_ends_every_process_and_keeps_the_state(bench: Bench) -> None:
    async with powered(bench) as unit:
        first = unit.address()
    assert bench.network.kill_all_in(unit.name) == []
    addresses = bench.network.run_in(unit.name, ["ip", "-4", "-o", "address", "show", "eth0"])
    assert addresses.stdout == ""
    await bench.power_on(unit.name)
    try:
        assert (unit.status(), unit.address()) == ({}, None), "left from before the plug was pulled"
        await unit.reach("running")
        assert unit.address() == first
    finally:
        await unit.power_off()


@pytest.mark.bench
async def test_a_unit_without_power_does_not_answer(bench: Bench) -> None:
    with pytest.raises(UnitError, match="does not answer"):
        await bench.units["touchpro-1"].ask_boot("status")


@pytest.mark.bench
async def test_there_is_no_unit_that_was_not_ordered(bench: Bench) -> None:
    with pytest.raises(LabError, match="no unit 'flexpro-9'; there are touchpro-1"):
        await bench.power_on("flexpro-9")


@pytest.mark.bench
def test_every_server_says_how_long_it_took(bench: Bench) -> None:
    assert {host.name for host in plan.HOSTS} - {"city"} <= set(bench.seconds)
    assert bench.seconds["all"] < 30


async def test_the_bench_refuses_to_touch_the_host(tmp_path: Path) -> None:
    with pytest.raises(NamespaceError, match="inside a namespace"):
        await Bench(tmp_path).__aenter__()


@pytest.fixture
def _allowed() -> None:
    try:
        namespace.check()
        tool("kamailio")
    except (NamespaceError, ToolMissingError) as error:
        pytest.skip(str(error))


def start_cli(folder: Path, *prefix: str) -> subprocess.Popen[str]:
    argv = [sys.executable, "-m", "openturret.lab.bench_cli", "up", "--json"]
    return subprocess.Popen(
        [*prefix, *argv, "--folder", str(folder)],
        stdout=subprocess.PIPE,
        text=True,
    )


def first_object(process: subprocess.Popen[str]) -> dict[str, dict[str, object]]:
    if process.stdout is None:
        raise RuntimeError("started without a pipe")
    found: dict[str, dict[str, object]] = json.loads(process.stdout.readline())
    return found


ANOTHER_USER = ("unshare", "--user", "--map-user=1000", "--map-group=1000")
"""Whoever runs the tests, without any capability: also root becomes a normal user."""


@pytest.mark.bench
@pytest.mark.slow
@pytest.mark.usefixtures("_allowed")
@pytest.mark.parametrize("prefix", [(), ANOTHER_USER], ids=["ourselves", "a normal user"])
def test_turret_bench_comes_up_says_so_and_leaves_nothing_behind(
    tmp_path: Path, prefix: tuple[str, ...]
) -> None:
    with start_cli(tmp_path / "b", *prefix) as process:
        said = first_object(process)
        assert said["addresses"]["tss1"] == "10.11.0.10"
        assert "gateway" in said["pids"]
        process.send_signal(signal.SIGTERM)
        assert process.wait(timeout=20) == 0
    assert processes_of(tmp_path / "b") == []


def processes_of(folder: Path) -> list[str]:
    """The command lines that name a folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with contextlib.suppress(OSError):
            line = (entry / "cmdline").read_bytes().replace(b"\0", b" ").decode()
            if entry.name.isdigit() and str(folder) in line:
                found.append(line)
    return found
