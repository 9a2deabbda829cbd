"""Writes docs/performance.md and its drawing from the rows that the benchmarks found."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from . import plot
from .figures import Figure, Missing, Row

HEAD = """\
# Performance

Written by `make bench`; figures are medians with the range of the runs. What is measured, against
whom and why so is told in each program below `benchmarks/`; here is what came out and how far it
is from the goals.

{machine}

## Goals

"""
SECTIONS = {
    "engine": (
        "A leg and its recorders",
        "CPU of the whole process per leg and 20 ms: 66 legs, PCMU, over loopback, everyone hears "
        'all others. "bare" receives and sends the same packets and does nothing else. In '
        "PJMEDIA's star only the first leg hears all; rtpengine forwards and mixes nothing. "
        'PJMEDIA and rtpengine record nothing, so "legs alone" is their counterpart. "stock" '
        'is PJMEDIA as it comes (-O2), "native" is -O3 -march=native with epoll.',
        ("engine", "engine ratio"),
        "python -m benchmarks.engine.run",
    ),
    "growth": (
        "More legs",
        "The same with 2 to 256 legs, two recorders each. Few legs share the fixed cost of a tick.",
        ("growth", "growth ratio"),
        "python -m benchmarks.engine.growth",
    ),
    "lateness": (
        "Punctuality",
        "How late ticks begin while the engine does that work, idle and beside a busy process of "
        "normal priority on the same processor. Percentiles are bounds of a histogram: 50 reads "
        '"less than 50".',
        ("lateness",),
        "python -m benchmarks.engine.lateness",
    ),
    "mixing": (
        "Mixing alone",
        "The kernel that gives everyone the sum of all others, per stream and 20 ms, in a closed "
        "loop. GStreamer makes one mix for all.",
        ("mixing", "mixing ratio"),
        "python -m benchmarks.mixing.run",
    ),
    "sound": (
        "Devices of sound",
        "Through PortAudio on a JACK server of its own, four emulated devices at once; n is how "
        "many streams, or how often the cable was pulled.",
        ("sound",),
        "python -m benchmarks.sound",
    ),
    "flash": (
        "Firmware of peripherals",
        "USB DFU in a QEMU guest with Debian's kernel, ours beside dfu-util on one twin, in turns: "
        "from the moment that the loader is there, and the whole command.",
        ("flash and verify 1 MB", "the whole command"),
        "python -m benchmarks.flash",
    ),
    "unit": (
        "A whole unit",
        "From power-on to registered at both PBXs; memory and idle CPU of its three processes with "
        "a dealer logged in and no call. n is the number of units.",
        ("unit",),
        "python benchmarks/unit.py",
    ),
    "power-on": (
        "Power-on, over a slow link",
        "A unit behind a link of 40 ms there and back, with and without loss: cold as it leaves "
        "the factory, a dealer logs in once the panel answers; warm after its plug was pulled; "
        "then with the first server of each role gone. Seconds are the unit's own, two round trips "
        "for the registration are added. n is the number of boots.",
        ("power on",),
        "python benchmarks/boot/power_on.py",
    ),
    "dhcp": (
        "DHCP",
        "From the first frame to an address in use, same server, same link. A stored lease is "
        "confirmed by INIT-REBOOT. udhcpc -a looks for a conflict first; ours looks beside. n is "
        "the number of leases.",
        ("dhcp",),
        "python benchmarks/boot/lan/dhcp.py",
    ),
    "tftp": (
        "TFTP",
        "Whole transfers over 40 ms there and back, from atftpd, blocks of 1,428 octets where a "
        "client knows the option. curl and tftp-hpa know no windows. n is the size in bytes.",
        ("tftp",),
        "python benchmarks/boot/fetch/tftp.py",
    ),
    "ftpes": (
        "FTPES",
        "One file from vsftpd, login included, TLS sessions reused; ours verifies what came with "
        "python-tuf meanwhile. n is the size in MiB.",
        ("ftpes",),
        "python benchmarks/boot/fetch/ftpes.py",
    ),
    "login": (
        "A dealer's login",
        "From the password to the directory's verdict, TCP and TLS included, beside OpenLDAP's "
        "ldapwhoami. n is one login.",
        ("login",),
        "python benchmarks/boot/users/login.py",
    ),
    "storm": (
        "A storm of units",
        "So many units are switched on at once before one TSS: a few whole ones, the rest play the "
        "exchanges with the boot's own clients. n is the number of units.",
        ("storm",),
        "python benchmarks/boot/storm.py",
    ),
}
"""Title, words, benchmarks and command of each section."""


@dataclass(frozen=True, slots=True)
class Goal:
    """What a figure is to reach.

    Attributes:
        what: in the table's words.
        benchmark: of the row.
        subject: of the row.
        n: of the row.
        bound: the goal itself.
        at_most: whether less is better.
    """

    what: str
    benchmark: str
    subject: str
    n: int
    bound: float
    at_most: bool = False

    def verdict(self, median: float) -> str:
        """Reached, or by how much missed."""
        if (median <= self.bound) if self.at_most else (median >= self.bound):
            return "reached"
        return f"missed by {abs(median - self.bound) / self.bound * 100:.0f} %"

    def line(self, row: Row | None) -> str:
        """The goal's row of the table."""
        sign = "≤" if self.at_most else "≥"
        if not isinstance(row, Figure):
            return f"| {self.what} | not measured | {sign} {self.bound:g} | |"
        goal = f"{sign} {self.bound:g} {row.unit}".replace(" times", "")
        figure = f"{row.text} {row.unit}".replace(" times", "")
        return f"| {self.what} | {figure} | {goal} | {self.verdict(row.median)} |"


STOCK, NATIVE = "PJMEDIA stock -O2", "PJMEDIA -O3 -march=native"
GOALS = (
    Goal("mixing 16 streams, PJMEDIA stock ÷ ours", "mixing ratio", STOCK, 16, 200),
    Goal("mixing 64 streams, PJMEDIA stock ÷ ours", "mixing ratio", STOCK, 64, 1000),
    Goal("mixing 64 streams, PJMEDIA native ÷ ours", "mixing ratio", NATIVE, 64, 150),
    Goal(
        "leg with two recorders ÷ bare program",
        "engine ratio",
        "engine, two recorders ÷ bare, two recorders",
        66,
        1.2,
        at_most=True,
    ),
    Goal(
        "PJMEDIA's UDP star, best build ÷ leg",
        "engine ratio",
        "PJMEDIA UDP star, native ÷ engine, legs alone",
        66,
        4,
    ),
    Goal(
        "a leg among 256 ÷ among 64",
        "growth ratio",
        "engine, two recorders: 256 legs ÷ 64",
        256,
        1,
        at_most=True,
    ),
    Goal(
        "lateness of 99 % of ticks, busy, SCHED_FIFO",
        "lateness",
        "SCHED_FIFO, busy: p99",
        66,
        150,
        at_most=True,
    ),
    Goal(
        "round trips, cold boot at 40 ms",
        "power on",
        "cold, 40 ms, 0 % loss: round trips",
        5,
        25,
        at_most=True,
    ),
    Goal(
        "round trips, warm boot at 40 ms",
        "power on",
        "warm, 40 ms, 0 % loss: round trips",
        5,
        8,
        at_most=True,
    ),
    Goal(
        "memory of the boot agent",
        "power on",
        "warm, 40 ms, 0 % loss: memory of the agent",
        5,
        60,
        at_most=True,
    ),
    Goal("memory of a unit", "unit", "memory", 5, 150, at_most=True),
    Goal("idle CPU of a unit", "unit", "idle CPU, of one core", 5, 3, at_most=True),
)


def first_line(*command: str) -> str:
    """The first line that a command says, or nothing."""
    if shutil.which(command[0]) is None:
        return ""
    done = subprocess.run(command, capture_output=True, text=True)
    return (done.stdout.splitlines() or [""])[0]


def processor() -> str:
    """The processor's name."""
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def machine(*, realtime: bool) -> str:
    """What the figures were measured on, without names of hosts."""
    memory_gib = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    release = ".".join(platform.release().split(".")[:2])
    virtual = "virtual machine, " if "hypervisor" in Path("/proc/cpuinfo").read_text() else ""
    parts = [
        f"{virtual}{processor()}, {os.cpu_count()} processors, {memory_gib:.0f} GiB",
        f"Linux {release}",
        first_line(os.environ.get("CC", "gcc"), "--version"),
        f"Python {platform.python_version()}",
        f"SCHED_FIFO {'granted' if realtime else 'not granted'}",
    ]
    return "Measured on: " + "; ".join(part for part in parts if part) + "."


def goals_table(rows: Sequence[Row]) -> list[str]:
    """Every goal, and how near it is."""
    found = {(row.benchmark, row.subject, row.n): row for row in rows if isinstance(row, Figure)}
    lines = ["| what | figure | goal | |", "|---|---|---|---|"]
    return lines + [goal.line(found.get((goal.benchmark, goal.subject, goal.n))) for goal in GOALS]


def section(name: str, rows: Sequence[Row]) -> list[str]:
    """A section of the page; empty when nothing of it was measured."""
    title, words, benchmarks, command = SECTIONS[name]
    ours = [row for row in rows if row.benchmark in benchmarks]
    if not ours:
        return []
    lines = ["", f"## {title}", "", words, "", f"Repeat: `{command}`", ""]
    lines += ["| what | n | figure | unit |", "|---|---:|---|---|"]
    for row in ours:
        if isinstance(row, Missing):
            reason = row.missing.replace("|", "\\|").replace("\n", " ")
            lines.append(f"| {row.subject} | | not here: {reason} | |")
        else:
            lines.append(f"| {row.subject} | {row.n} | {row.text} | {row.unit} |")
    return lines


def page(rows: Sequence[Row], about: str) -> str:
    """The whole page."""
    lines = [*goals_table(rows), "", "Repeat all: `make bench`; the peers: `make peers`.", ""]
    lines.append("![CPU of a leg, its growth, and mixing](performance.svg)")
    for name in SECTIONS:
        lines += section(name, rows)
    return HEAD.format(machine=about) + "\n".join(lines) + "\n"


def drawing(rows: Sequence[Row]) -> str:
    """The page's drawing."""
    figures = [row for row in rows if isinstance(row, Figure)]

    def of(benchmark: str, n: int | None = None) -> list[Figure]:
        return [row for row in figures if row.benchmark == benchmark and n in (None, row.n)]

    wanted: list[tuple[list[Figure], Callable[[list[Figure]], plot.Panel]]] = [
        (of("engine"), lambda some: plot.bars("CPU per leg and 20 ms, ns (66 legs)", some)),
        (of("growth"), lambda some: plot.curves("CPU per leg and 20 ms, ns, by legs", some)),
        (
            of("mixing", 64),
            lambda some: plot.bars(
                "Mixing 64 streams, ns per stream and 20 ms, logarithmic", some, logarithmic=True
            ),
        ),
    ]
    return plot.drawing([draw(some) for some, draw in wanted if some])


def write(folder: Path, rows: Sequence[Row], *, realtime: bool) -> None:
    """Writes the page and its drawing."""
    about = machine(realtime=realtime)
    (folder / "performance.md").write_text(page(rows, about), encoding="utf-8")
    (folder / "performance.svg").write_text(drawing(rows), encoding="utf-8")
