"""From power-on to registered over a slow link: seconds and round trips of every stage.

    python benchmarks/boot/power_on.py [--boots 5] [--delay-ms 40] [--quick] [--json]

The bench's unit hangs on a cable of its own, which delays (half of ``--delay-ms`` each way) and
loses frames (0 and 1 %), so everything that it asks travels so far, DHCP too.  "Cold" is a unit as
it leaves the factory, where a dealer logs in as soon as the panel answers; "warm" is the same unit
after its plug was pulled: it has a lease, a firmware, a configuration and a dealer.  Then once with
each role's first server gone from the network: cold boots, because they need every role, but for
"dhcp", a warm one whose lease somebody else's server knows nothing of.

Figures are medians with the range; seconds are the unit's own (``turret boot status``), from its
first stage to the end of the last registration.  The runtime does not count the round trips of a
registration: two are added, REGISTER and REGISTER with the answer to the challenge.  Memory is the
boot agent's resident set.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from benchmarks.figures import Figure, say
from benchmarks.unit import memory_mb
from openturret.lab import namespace, plan
from openturret.lab.bench import Bench
from openturret.lab.delay import Relay, Way, switch_offloads_off
from openturret.lab.errors import LabError
from openturret.lab.panel_client import PanelClient, PanelError
from openturret.lab.stopping import stoppable

BENCHMARK: Final = "power on"
UNIT: Final = "touchpro-1"
DEALER: Final = plan.PEOPLE[0]
COLD_GOAL, WARM_GOAL, MEMORY_GOAL_MB = 25, 8, 60.0
REGISTRATION = 2
DEADLINE_S: Final = 180.0
NOBODY: Final = "10.1.0.3"
"""An address of the client LAN that nobody has."""

Row = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Boot:
    """One boot.

    Attributes:
        seconds: from the first stage to the last registration.
        stages: seconds and round trips by stage.
        memory_mb: of the boot agent, 10^6 bytes.
    """

    seconds: float
    stages: dict[str, tuple[float, int]]
    memory_mb: float

    @property
    def round_trips(self) -> int:
        """Of all stages."""
        return sum(trips for _, trips in self.stages.values())


@dataclass(slots=True)
class Subject:
    """The unit and the bench around it."""

    bench: Bench
    relay: Relay | None = None

    async def boot(self) -> Boot:
        """Power the unit on and wait until it is registered; its plug is pulled afterwards.

        Raises:
            LabError: it is not registered in time.
        """
        unit = self.bench.units[UNIT]
        await self.bench.power_on(UNIT)
        login = asyncio.create_task(self._log_in())
        try:
            status = await unit.reach("register", deadline_s=DEADLINE_S)
            memory = memory_mb(unit.pids()["boot"])
        finally:
            login.cancel()
            await asyncio.gather(login, return_exceptions=True)
            await unit.power_off()
        return boot_of(status, memory)

    async def cold(self) -> Boot:
        """A boot of a unit as it leaves the factory."""
        await self.bench.factory_reset(UNIT)
        return await self.boot()

    def slow_down(self, way: Way, seed: int) -> None:
        """Give the unit a cable that delays and loses."""
        if self.relay is not None:
            self.relay.close()
            self.relay = None
        lay_slow_cable(self.bench, "near", "eth0", UNIT)
        lay_slow_cable(self.bench, "far", f"p-{UNIT}", "lan")
        commands = [f"link set eth0 address {plan.unit(1).mac}", "link set eth0 up"]
        self.bench.network.configure(UNIT, commands)
        port = f"p-{UNIT}"[:15]
        self.bench.network.configure("lan", [f"link set {port} master br0 up"])
        self.relay = Relay("near", "far", way, seed=seed)

    async def _log_in(self) -> None:
        """What a dealer does who stands before the unit: logs in as soon as the panel answers."""
        unit = self.bench.units[UNIT]
        while True:
            address = unit.address()
            if address and unit.status().get("stage") == "running":
                with contextlib.suppress(PanelError):
                    async with PanelClient(address) as panel:
                        state = await panel.state()
                        if not state.get("user"):
                            await panel.login(DEALER.user, DEALER.password)
                        return
            await asyncio.sleep(0.02)


def lay_slow_cable(bench: Bench, near: str, far: str, host: str) -> None:
    """A cable from here to a host, whose interface is replaced; frames on it are as on a wire."""
    far = far[:15]
    with contextlib.suppress(LabError):
        bench.network.configure(host, [f"link delete {far}"])
    bench.network.configure("", [f"link add {near} type veth peer name {near}-end"])
    switch_offloads_off(f"{near}-end")
    bench.network.configure("", [f"link set {near}-end name {far} netns {host}"])


def boot_of(status: Row, memory: float) -> Boot:
    """Takes a status apart."""
    passed = [stage for stage in status["stages"] if stage["started"]]
    stages = {
        stage["name"]: (float(stage["duration_s"] or 0), int(stage["round_trips"]))
        for stage in passed
    }
    stages["register"] = (stages["register"][0], stages["register"][1] or REGISTRATION)
    end = max(stage["started"] + (stage["duration_s"] or 0) for stage in passed)
    return Boot(end - min(stage["started"] for stage in passed), stages, memory)


@contextlib.asynccontextmanager
async def gateway_with(bench: Bench, edits: Sequence[tuple[str, str]]) -> AsyncIterator[None]:
    """The gateway with lines of its configuration changed."""
    path = bench.folders["gateway"] / "dnsmasq.conf"
    before = path.read_text()
    text = before
    for old, new in edits:
        text = text.replace(old, new)
    path.write_text(text)
    await bench.processes["gateway"].restart()
    try:
        yield
    finally:
        path.write_text(before)
        await bench.processes["gateway"].restart()


@contextlib.asynccontextmanager
async def cut(bench: Bench, host: str) -> AsyncIterator[None]:
    """A host is off: its cable carries nothing."""
    with bench.faults.blackhole(host):
        yield


def without(bench: Bench, role: str) -> contextlib.AbstractAsyncContextManager[None]:
    """The first server of a role is gone."""
    gateway = plan.GATEWAY.address
    if role == "dns":
        option = "dhcp-option=option:dns-server,"
        return gateway_with(bench, [(f"{option}{gateway}", f"{option}{NOBODY},{gateway}")])
    if role == "tftp":
        both = f"dhcp-option=150,{NOBODY},{gateway}"
        vendor = f"dhcp-option=vendor:OpenTurret,1,{gateway}"
        return gateway_with(bench, [(vendor, ""), (f"dhcp-option=150,{gateway}", both)])
    if role == "dhcp":
        first, last = plan.DHCP_RANGE
        leases = f"dhcp-leasefile={bench.folders['gateway']}/leases"
        elsewhere = [(f"dhcp-range={first},{last}", "dhcp-range=10.1.0.200,10.1.0.220")]
        return gateway_with(bench, [*elsewhere, (leases, f"{leases}-of-another")])
    host = {"tss": plan.TSS[0], "directory": plan.DIRECTORIES[0], "pbx": plan.PBX[0]}[role]
    return cut(bench, host.name)


ROLES: Final = ("dhcp", "dns", "tftp", "tss", "directory", "pbx")


def tell(title: str, boots: Sequence[Boot], goal: int | None = None) -> None:
    """The stages of several boots, as a table."""
    say(f"\n{title}, {len(boots)} boots")
    for name in dict.fromkeys(name for boot in boots for name in boot.stages):
        found = [boot.stages[name] for boot in boots if name in boot.stages]
        times = [seconds * 1000 for seconds, _ in found]
        trips = statistics.median(trips for _, trips in found)
        say(f"  {name:<10} {spread(times, 'ms', 0):<30} {trips:3.0f} round trips")
    total = statistics.median(boot.round_trips for boot in boots)
    verdict = "" if goal is None else f"; goal ≤ {goal}: {'reached' if total <= goal else 'missed'}"
    seconds = spread([boot.seconds for boot in boots], "s", 2)
    say(f"  {'registered':<10} {seconds:<30} {total:3.0f} round trips{verdict}")


def spread(values: Sequence[float], unit: str, digits: int) -> str:
    """Median and range."""
    middle, low, high = statistics.median(values), min(values), max(values)
    return f"{middle:.{digits}f} {unit} ({low:.{digits}f}…{high:.{digits}f})"


def rows(title: str, boots: Sequence[Boot]) -> Iterator[Row]:
    """The figures of several boots, for other programs."""
    for subject, values, unit in (
        ("power on to registered", [boot.seconds for boot in boots], "s"),
        ("round trips", [float(boot.round_trips) for boot in boots], "round trips"),
        ("memory of the agent", [boot.memory_mb for boot in boots], "MB"),
    ):
        yield asdict(Figure.of(BENCHMARK, f"{title}: {subject}", len(boots), values, unit))
    for stage in dict.fromkeys(name for boot in boots for name in boot.stages):
        values = [boot.stages[stage][0] for boot in boots if stage in boot.stages]
        yield asdict(Figure.of(BENCHMARK, f"{title}: {stage}", len(values), values, "s"))


async def measure(options: argparse.Namespace, folder: Path, hear: Callable[[Row], None]) -> None:
    """All of it; a row at a time."""
    async with Bench(folder) as bench:
        subject = Subject(bench)
        for loss in options.loss:
            way = Way(delay_ms=options.delay_ms / 2, loss=loss / 100)
            subject.slow_down(way, seed=1)
            link = f"{options.delay_ms:g} ms, {loss:g} % loss"
            cold, warm = [], []
            for _ in range(options.boots):
                cold.append(await subject.cold())
                warm.append(await subject.boot())
            for title, boots, goal in ((f"cold, {link}", cold, COLD_GOAL),
                                       (f"warm, {link}", warm, WARM_GOAL)):  # fmt: skip
                tell(title, boots, goal)
                for row in rows(title, boots):
                    hear(row)
        subject.slow_down(Way(delay_ms=options.delay_ms / 2), seed=1)
        for role in options.roles:
            boots = [await degraded(subject, role) for _ in range(options.boots)]
            title = f"first {role} gone, {options.delay_ms:g} ms"
            tell(title, boots)
            for row in rows(title, boots):
                hear(row)


async def degraded(subject: Subject, role: str) -> Boot:
    """A boot without the first server of a role."""
    if role == "dhcp":
        await subject.cold()
        async with without(subject.bench, role):
            return await subject.boot()
    async with without(subject.bench, role):
        return await subject.cold()


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--boots", type=int, default=5, help="cold and warm boots of each kind (5)")
    made.add_argument("--delay-ms", type=float, default=40.0, help="of a round trip (40)")
    made.add_argument("--loss", type=float, nargs="+", default=[0.0, 1.0], help="percent (0 1)")
    made.add_argument("--roles", nargs="*", choices=ROLES, default=list(ROLES), help="(all)")
    made.add_argument("--quick", action="store_true", help="one boot of each kind, 0 %% loss")
    made.add_argument("--json", action="store_true", help="an array of rows instead of lines")
    return made


def main() -> int:
    """Run it."""
    options = parser().parse_args()
    if not namespace.inside():
        return namespace.enter([sys.executable, __file__, *sys.argv[1:]])
    if options.quick:
        options.boots, options.loss = 1, [0.0]
    found: list[Row] = []
    lines = contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext()
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="ot-") as folder, lines:
        asyncio.run(stoppable(measure(options, Path(folder), found.append)))
        say(f"\nmeasured in {time.monotonic() - began:.0f} s")
    if options.json:
        say(json.dumps(found, indent=1))
    return 0 if found else 1


if __name__ == "__main__":
    sys.exit(main())
