"""Power comes back to a whole building: a storm of units against one bench TSS.

    python benchmarks/boot/storm.py [--units 1000 10000] [--full 4] [--image] [--quick] [--json]

``turret tss serve`` (dnsmasq for DHCP and TFTP, FTPES, HTTPS) stands on a LAN in namespaces. All
units are powered on together: some are whole (``turret boot`` in a namespace of its own, from the
factory to running), all others play the same exchanges in one process (`crowd`). Told are the time
until the last one was done, the spread (median, 95th and 99th percentile, most), what had to be
asked again, and how many were not done in time.

The servers and the crowd share this machine's processors: on two of them the figures say how the
servers behave under overload, not how fast they would be on a machine of their own. Without
``--image`` the crowd fetches everything but the firmware, as units do that have it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import resource
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Iterator
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from sqlalchemy.orm import Session

from benchmarks.boot.crowd import Crowd, Scene, Tally, percentiles
from benchmarks.figures import Figure, say
from openturret.lab import namespace
from openturret.lab.bundle.folder import SiteFolder, create
from openturret.lab.bundle.manufacture import NamePlate, add_units
from openturret.lab.bundle.pack import pack
from openturret.lab.bundle.publisher import Publisher
from openturret.lab.stopping import stoppable
from openturret.lab.tools import tool
from openturret.lab.tss.database import UnitRow, open_database

BENCHMARK: Final = "storm"
TURRET: Final = [sys.executable, "-m", "openturret.lab.cli"]
PASSWORD: Final = "storm-amber-wharf"
READY_S, LIMIT_S = 60.0, 900.0
SERVER: Final = "10.64.0.1"
RANGE: Final = "10.64.64.0-10.64.127.255"
LAN: Final = f"""\
link set lo up
link add lan type bridge
link set lan up
address add {SERVER}/16 dev lan
netns add crowd
link add to-crowd type veth peer name storm0 netns crowd
link set to-crowd master lan up
"""
CROWD: Final = "link set lo up\nlink set storm0 up\naddress add 10.64.0.2/16 dev storm0\n"

PER_PROCESS: Final = 4000
"""Units of the crowd that share a process: each has two or three files open, of 20,000."""

Row = dict[str, Any]


def ip(commands: str, host: str = "") -> None:
    """Commands of iproute2, here or in a namespace."""
    scope = ["-n", host] if host else []
    subprocess.run([str(tool("ip").path), *scope, "-batch", "-"], input=commands, text=True,
                   check=True)  # fmt: skip


def inside(host: str) -> list[str]:
    """The beginning of a command line that runs in a namespace."""
    return [str(tool("nsenter").path), f"--net=/run/netns/{host}", "--"]


def mac_of(number: int) -> str:
    """The MAC of a unit of the crowd."""
    return f"02:55:{number >> 24 & 255:02x}:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}"  # noqa: E501


def plug_in(number: int) -> str:
    """A namespace for a whole unit, on the LAN; returns its name."""
    name, mac = f"unit-{number}", f"02:54:50:00:01:{number:02x}"
    ip(f"netns add {name}\nlink add to-{name} type veth peer name eth0 netns {name}\n"
       f"link set to-{name} master lan up\n")  # fmt: skip
    ip(f"link set lo up\nlink set eth0 address {mac}\nlink set eth0 up\n", name)
    return name


def manufacture(folder: Path, crowd: int, full: int) -> SiteFolder:
    """A site that knows all units; the crowd shares a password, hashed once."""
    create(folder)
    site = SiteFolder(folder)
    pack(site, "touchpro")
    publisher = Publisher(site)
    plates = [
        NamePlate.of(f"02:54:50:00:01:{number:02x}", "", "", "") for number in range(full + 1)
    ]
    add_units(publisher, plates)
    shared = UnitRow(mac="", serial="", model="TouchPro")
    shared.set_password(PASSWORD)
    with Session(open_database(site.tss / "tss.db")) as session, session.begin():
        for number in range(crowd):
            session.add(
                UnitRow(mac=mac_of(number), serial=f"C{number}", model="TouchPro", revoked=False,
                        salt=shared.salt, password_hash=shared.password_hash)
            )  # fmt: skip
    publisher.publish(lambda _text: None)
    return site


@contextlib.asynccontextmanager
async def serving(site: SiteFolder, log: Path) -> AsyncIterator[None]:
    """``turret tss serve``, ready."""
    command = [*TURRET, "tss", "serve", str(site.root), "--interface", "lan", "--dhcp", "serve",
               "--range", RANGE, "--as-published", "--json"]  # fmt: skip
    with log.open("wb") as output:
        process = await asyncio.create_subprocess_exec(*command, stdout=output, stderr=output)
    try:
        async with asyncio.timeout(READY_S):
            while '"event": "ready"' not in log.read_text():
                await asyncio.sleep(0.1)
        yield
    finally:
        process.send_signal(signal.SIGINT)
        await process.wait()


async def whole_unit(number: int, site: SiteFolder, folder: Path) -> float | None:
    """Power a whole unit on; its seconds until it runs, None when it does not in time."""
    name, state = f"unit-{number}", folder / f"unit-{number}"
    factory = site.factory / f"02-54-50-00-01-{number:02x}"
    began = time.monotonic()
    with (folder / f"{name}.log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            *inside(name), *TURRET, "boot", "--state", str(state), "--factory", str(factory),
            "--interface", "eth0", stdout=log, stderr=log,
        )  # fmt: skip
    try:
        async with asyncio.timeout(LIMIT_S):
            while stage_of(state) != "running":
                await asyncio.sleep(0.05)
            return time.monotonic() - began
    except TimeoutError:
        return None
    finally:
        process.terminate()
        await process.wait()


def stage_of(state: Path) -> str:
    """What a whole unit is doing."""
    with contextlib.suppress(OSError, ValueError):
        return str(json.loads((state / "status.json").read_text()).get("stage"))
    return ""


async def crowd(options: argparse.Namespace, units: int, site: SiteFolder, folder: Path) -> Row:
    """All of the crowd; returns what its processes went through together."""
    slices = [range(first, min(first + PER_PROCESS, units))
              for first in range(0, units, PER_PROCESS)]  # fmt: skip
    tallies = await asyncio.gather(
        *(crowd_process(options, numbers, site, folder) for numbers in slices)
    )
    return together(list(tallies))


async def crowd_process(
    options: argparse.Namespace, numbers: range, site: SiteFolder, folder: Path
) -> Row:
    """Some of the crowd, in a process and a namespace of its own; returns its tally."""
    command = [*inside("crowd"), sys.executable, __file__, "--crowd", str(len(numbers)),
               "--first", str(numbers.start), "--at-a-time", str(options.at_a_time),
               "--factory", str(site.factory / "02-54-50-00-01-00"),
               "--folder", str(folder / f"crowd-{numbers.start}"),
               *(["--image"] if options.image else [])]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *command, stdout=asyncio.subprocess.PIPE, limit=2**26
    )
    output, _ = await process.communicate()
    tally: Row = json.loads(output)
    return tally


def together(tallies: list[Row]) -> Row:
    """The sum of tallies."""

    def added(name: str) -> Row:
        return {key: sum((tally[name][key] for tally in tallies), start=type(value)())
                for key, value in tallies[0][name].items()}  # fmt: skip

    return {
        "seconds": added("seconds"),
        "resends": added("resends"),
        "failures": sum(tally["failures"] for tally in tallies),
        "overflowed": sum(tally["overflowed"] for tally in tallies),
    }


def play_crowd(options: argparse.Namespace) -> int:
    """What a process of the crowd does."""
    options.folder.mkdir(parents=True, exist_ok=True)
    scene = Scene("storm0", options.folder, options.factory, PASSWORD, options.image,
                  options.at_a_time, LIMIT_S)  # fmt: skip
    numbers = range(options.first, options.first + options.crowd)
    macs = [bytes.fromhex(mac_of(number).replace(":", "")) for number in numbers]

    async def boot() -> Tally:
        return await Crowd(scene, macs, seed=options.first).boot()

    resource.setrlimit(resource.RLIMIT_NOFILE, (resource.getrlimit(resource.RLIMIT_NOFILE)[1],) * 2)
    sys.stdout.write(json.dumps(asdict(asyncio.run(boot()))))
    sys.stdout.flush()
    os._exit(0)  # threads that wait for a server are not waited for


async def storm(options: argparse.Namespace, units: int, folder: Path) -> list[Row]:
    """One storm."""
    full = min(options.full, units)
    folder.mkdir()
    site = manufacture(folder / "site", units - full, full)
    async with serving(site, folder / "serve.log"):
        began = time.monotonic()
        async with asyncio.TaskGroup() as group:
            playing = group.create_task(crowd(options, units - full, site, folder))
            booting = [
                group.create_task(whole_unit(number, site, folder)) for number in range(1, full + 1)
            ]
        elapsed = time.monotonic() - began
        whole = [task.result() for task in booting]
        return list(told(units, elapsed, playing.result(), whole))


def told(units: int, elapsed: float, tally: Row, whole: list[float | None]) -> Iterator[Row]:
    """Says what a storm was like, and gives its rows."""
    say(f"\n{units:,} units, {len(whole)} of them whole: the last was done after {elapsed:.1f} s")
    yield row(units, "until the last", [elapsed], "s")
    for stage, seconds in tally["seconds"].items():
        if seconds:
            spread = percentiles(seconds)
            say(
                f"  {stage:<6}"
                + "".join(f"  {name} {value:8.2f} s" for name, value in spread.items())
            )
            for name, value in spread.items():
                yield row(units, f"{stage}: {name}", [value], "s")
    for stage, resends in tally["resends"].items():
        yield row(units, f"{stage}: asked again", [float(resends)], "times")
    say(f"  asked again: {', '.join(f'{name} {n:,}' for name, n in tally['resends'].items())}")
    missing = tally["failures"] + sum(seconds is None for seconds in whole)
    say(
        f"  frames that the crowd lost itself: {tally['overflowed']}, that DHCP's socket dropped: "
        f"{dropped_by_dhcp()}"
    )
    yield row(units, "not done in time", [float(missing)], "units")
    say(f"  not done within {LIMIT_S:.0f} s: {missing}")
    done = [seconds for seconds in whole if seconds is not None]
    if done:
        yield row(units, "whole unit, power to running", done, "s")
        say(f"  whole units, power to running: {min(done):.1f} to {max(done):.1f} s")


def dropped_by_dhcp() -> int:
    """Datagrams that found the queue of the DHCP server's socket full, since it started."""
    lines = Path("/proc/net/udp").read_text().splitlines()[1:]
    ours = [line.split() for line in lines if line.split()[1].endswith(":0043")]
    return sum(int(fields[-1]) for fields in ours)


def row(units: int, subject: str, values: list[float], unit: str) -> Row:
    """One figure."""
    return asdict(Figure.of(BENCHMARK, subject, units, values, unit))


async def measure(options: argparse.Namespace, folder: Path) -> list[Row]:
    """Every storm, one after the other."""
    ip(LAN)
    ip(CROWD, "crowd")
    for number in range(1, options.full + 1):
        plug_in(number)
    rows: list[Row] = []
    for units in options.units:
        rows += await storm(options, units, folder / str(units))
    return rows


def parser() -> argparse.ArgumentParser:
    """The command line."""
    made = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    made.add_argument("--units", type=int, nargs="+", default=[1000, 10_000], help="(1000 10000)")
    made.add_argument("--full", type=int, default=4, help="how many of them are whole (4)")
    made.add_argument("--image", action="store_true", help="the crowd fetches firmware too")
    made.add_argument("--at-a-time", type=int, default=200, help="at the TSS, of a process (200)")
    made.add_argument("--quick", action="store_true", help="50 units, 1 of them whole")
    made.add_argument("--json", action="store_true", help="an array of rows instead of lines")
    for name, kind in (("--crowd", int), ("--first", int), ("--factory", Path), ("--folder", Path)):
        made.add_argument(name, type=kind, help=argparse.SUPPRESS)
    return made


def main() -> int:
    """Run it."""
    options = parser().parse_args()
    if options.crowd is not None:
        return play_crowd(options)
    if not namespace.inside():
        return namespace.enter([sys.executable, __file__, *sys.argv[1:]])
    if options.quick:
        options.units, options.full = [50], 1
    lines = contextlib.redirect_stdout(sys.stderr) if options.json else contextlib.nullcontext()
    with tempfile.TemporaryDirectory(prefix="ot-") as folder, lines:
        rows = asyncio.run(stoppable(measure(options, Path(folder))))
    if options.json:
        say(json.dumps(rows or [], indent=1))
    return 0 if rows else 1


if __name__ == "__main__":
    sys.exit(main())
