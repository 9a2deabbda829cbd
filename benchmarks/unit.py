"""How fast a unit is there, and what it costs to have it: boot time, memory, idle CPU.

    python benchmarks/unit.py [--units 5] [--idle-s 20] [--quick] [--json]

Every figure is the median of the units, with the range. "First boot" is a unit as it leaves the
factory; "next boot" is the same unit after its plug was pulled: it has a lease, a firmware and a
configuration. Memory is the resident set of the unit's three processes (boot agent, matrix,
runtime) with a dealer logged in and no call; idle CPU is their time over the clock's.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from openturret.lab import namespace, plan, settings
from openturret.lab.bench import Bench
from openturret.lab.dealer import Dealer
from openturret.lab.stopping import stoppable
from openturret.lab.unit import Unit

MEMORY_GOAL_MB = 150.0
IDLE_GOAL_PERCENT = 3.0
DEALER = plan.PEOPLE[1]
BENCHMARK = "unit"

Row = dict[str, str | float]
TICKS_PER_S = os.sysconf("SC_CLK_TCK")


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot: seconds from power-on to registered at both PBXs, and its stages."""

    seconds: float
    stages: dict[str, tuple[float, int]]

    @property
    def round_trips(self) -> int:
        """Round trips of all stages."""
        return sum(trips for _, trips in self.stages.values())


def say(text: str) -> None:
    """Write one line."""
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def spread(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """Median and range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f}…{high:.{digits}f})"


def row(subject: str, values: Sequence[float], unit: str) -> Row:
    """A figure for other programs; n is how many units it was drawn from."""
    middle, least, most = statistics.median(values), min(values), max(values)
    figure: Row = {"benchmark": BENCHMARK, "subject": subject, "n": len(values), "unit": unit}
    return {**figure, "median": middle, "least": least, "most": most}


async def boot(dealer: Dealer) -> Boot:
    """Power a unit on, log in, wait until both PBXs know it."""
    (dealer.unit.state / "status.json").unlink(missing_ok=True)
    began = time.monotonic()
    await dealer.power_on()
    await dealer.wait_for_panel()
    await dealer.log_in()
    await dealer.unit.reach("register")
    seconds = time.monotonic() - began
    stages = {
        stage["name"]: (float(stage["duration_s"] or 0), int(stage["round_trips"]))
        for stage in dealer.unit.status()["stages"]
    }
    return Boot(seconds, stages)


def memory_mb(pid: int) -> float:
    """Resident set of a process, MB (10^6 bytes)."""
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith("VmRSS:"):
            return int(line.split()[1]) * 1024 / 1e6
    return 0.0


def cpu_s(pid: int) -> float:
    """CPU seconds that a process has used, all threads."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / TICKS_PER_S


async def idle_percent(unit: Unit, seconds: float) -> dict[str, float]:
    """CPU of each process over some seconds, percent of one core."""
    running = unit.pids()
    before, began = {name: cpu_s(pid) for name, pid in running.items()}, time.monotonic()
    await asyncio.sleep(seconds)
    elapsed = time.monotonic() - began
    return {name: 100 * (cpu_s(pid) - before[name]) / elapsed for name, pid in running.items()}


def quiet_profile(bench: Bench) -> None:
    """Give the dealer of the benchmark a profile without open lines: an idle unit has no call."""
    profile = settings.profile(DEALER)
    kept = {key: value for key, value in profile.items() if ".speaker." not in key}
    bench.tss.add_user(DEALER.user, name=DEALER.name, profile=kept)
    bench.tss.publish()


def tell_boots(title: str, boots: Sequence[Boot]) -> None:
    """The stages of several boots."""
    say(f"\n{title}, {len(boots)} boots")
    for name in boots[0].stages:
        times = [boot.stages[name][0] * 1000 for boot in boots if name in boot.stages]
        trips = [boot.stages[name][1] for boot in boots if name in boot.stages]
        say(f"  {name:<10} {spread(times, 'ms', 0):<28} {statistics.median(trips):.0f} round trips")
    say(f"  {'registered':<10} {spread([boot.seconds for boot in boots], 's'):<28} "
        f"{statistics.median([boot.round_trips for boot in boots]):.0f} round trips")  # fmt: skip


def tell_parts(title: str, parts: Sequence[dict[str, float]], unit: str, goal: float) -> None:
    """A figure of each process, and of the three together against the goal."""
    say(f"\n{title}")
    for name in parts[0]:
        say(f"  {name:<10} {spread([part[name] for part in parts], unit)}")
    together = [sum(part.values()) for part in parts]
    verdict = "reached" if statistics.median(together) <= goal else "missed"
    say(f"  {'together':<10} {spread(together, unit)}; goal ≤ {goal:g} {unit}: {verdict}")


async def measure(
    units: int, idle_s: float, folder: Path, tell: Callable[[str], None]
) -> list[Row]:
    """The whole measurement."""
    async with Bench(folder, units=units) as bench:
        quiet_profile(bench)
        tell(f"the bench is up after {bench.seconds['all']:.1f} s")
        first, following, memory, idle = [], [], [], []
        for unit in bench.units.values():
            async with Dealer(bench, unit.name, DEALER) as dealer:
                first.append(await boot(dealer))
                memory.append({name: memory_mb(pid) for name, pid in unit.pids().items()})
                idle.append(await idle_percent(unit, idle_s))
                await unit.power_off()
                following.append(await boot(dealer))
                await unit.power_off()
    tell_boots("first boot, from the factory", first)
    tell_boots("next boot, after the plug was pulled", following)
    tell_parts("memory, logged in, no call", memory, "MB", MEMORY_GOAL_MB)
    tell_parts(f"idle CPU over {idle_s:g} s, of one core", idle, "%", IDLE_GOAL_PERCENT)
    return [
        row("first boot, power to registered", [boot.seconds for boot in first], "s"),
        row("next boot, power to registered", [boot.seconds for boot in following], "s"),
        row("memory", [sum(parts.values()) for parts in memory], "MB"),
        row("idle CPU, of one core", [sum(parts.values()) for parts in idle], "%"),
    ]


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--units", type=int, default=5, help="how many units (5)")
    parser.add_argument("--idle-s", type=float, default=20.0, help="seconds of idling (20)")
    parser.add_argument("--quick", action="store_true", help="one unit, five seconds")
    parser.add_argument("--json", action="store_true", help="an array of rows instead of lines")
    options = parser.parse_args()
    if not namespace.inside():
        return namespace.enter([sys.executable, __file__, *sys.argv[1:]])
    units, idle_s = (1, 5.0) if options.quick else (options.units, options.idle_s)
    lines = contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext()
    with tempfile.TemporaryDirectory(prefix="ot-") as folder, lines:
        rows = asyncio.run(stoppable(measure(units, idle_s, Path(folder), say)))
    if options.json:
        say(json.dumps(rows or [], indent=1))
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
