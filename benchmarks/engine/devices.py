"""Devices under test: programs that do the work of ``work.h`` on one processor.

The load, on another processor, speaks to them and judges what comes back.  A run counts only when
nothing was lost, every sink got its packets without a gap, and every payload was what it must be:
bit for bit from the engine, anything but silence from peers that do not promise more.
"""

from __future__ import annotations

import ctypes
import enum
import functools
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from openturret.c_ext.engine_build import LIBRARIES

from .. import peers
from ..figures import BenchmarkError

HERE = Path(__file__).resolve().parent
SOURCES = HERE.parents[1] / "c_ext"
FLAGS = ("-D_GNU_SOURCE", "-std=gnu11", "-O3", "-ffp-contract=off", "-Wall", "-Wextra")
DEVICE_CPU, LOAD_CPU = 0, 1
LEGS = 66
WARM_UP_MS = 500
LEAD_MS = 300
EDGE_PACKETS = 8
LIMIT_S = 60
CLONE_NEWNET = 0x40000000


class Judge(enum.IntEnum):
    """How the load judges a payload; the numbers are those of ``load.c``."""

    NOTHING = 0
    EXACT = 1
    AUDIBLE = 2


@dataclass(frozen=True, slots=True)
class Run:
    """One run: CPU in nanoseconds per leg and 20 ms, and why it does not count, if so."""

    leg_frame_ns: float
    refused: str
    said: dict[str, Any]


class Device(Protocol):
    """Something that can be measured again and again."""

    @property
    def name(self) -> str:
        """As the tables call it."""
        ...

    def measure(self, measured_ms: int) -> Run:
        """Runs it once beside the load.

        Raises:
            BenchmarkError: When it cannot run.
        """
        ...


def check_machine() -> None:
    """Looks for what every measurement needs.

    Raises:
        BenchmarkError: Naming what is missing.
    """
    if not {DEVICE_CPU, LOAD_CPU} <= os.sched_getaffinity(0):
        raise BenchmarkError("two processors are needed: one for the device, one for the load")
    for program, package in (("taskset", "util-linux"), ("ip", "iproute2")):
        if shutil.which(program) is None:
            raise BenchmarkError(f"no {program}: apt-get install {package}")


def isolate() -> None:
    """Moves this process into a network of its own, where every port is free, if it may.

    Without the privilege it stays where it is; a port that is taken then fails the run.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET) == 0:
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


def compile_program(target: Path, source: Path, *arguments: str) -> Path:
    """Compiles a program as the engine itself is compiled.

    Raises:
        BenchmarkError: When there is no compiler or it complains.
    """
    compiler = shutil.which(os.environ.get("CC", "gcc"))
    if compiler is None:
        raise BenchmarkError("no C compiler: apt-get install gcc libc6-dev")
    command = [compiler, *FLAGS, f"-I{SOURCES}", "-o", str(target), str(source), *arguments]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        first = (done.stderr.strip().splitlines() or ["no reason given"])[0]
        raise BenchmarkError(f"{source.name} does not compile: {first}")
    return target


@dataclass(frozen=True, slots=True)
class Workshop:
    """Compiles the programs of this folder, each once, into a folder of its own."""

    folder: Path

    def program(self, name: str) -> Path:
        """Returns bare, full or load, compiled.

        Raises:
            BenchmarkError: When it cannot be compiled.
        """
        target = self.folder / name
        if target.exists():
            return target
        engine = [] if name == "bare" else [str(path) for path in sorted(SOURCES.glob("[!_]*.c"))]
        libraries = [f"-l{library}" for library in LIBRARIES]
        return compile_program(target, HERE / f"{name}.c", *engine, *libraries, "-lpthread")

    def pjmedia(self, build: str) -> Path:
        """Returns the program on one build of PJMEDIA.

        Raises:
            BenchmarkError: When it cannot be compiled.
            PeerError: When PJMEDIA is not here.
        """
        target = self.folder / f"pjmedia-{build}"
        if target.exists():
            return target
        return compile_program(
            target, HERE / "pjmedia.c", *peers.link_arguments(peers.pjproject(build))
        )


@functools.cache
def realtime_prefix() -> tuple[str, ...]:
    """Returns what gives a command the engine's own priority, or nothing where it is not granted.

    Without it whatever else the machine does would take turns with peers and load, but not with
    the engine's thread.
    """
    prefix = ("chrt", "--fifo", "50")
    try:
        done = subprocess.run([*prefix, "true"], capture_output=True)
    except OSError:
        return ()
    return prefix if done.returncode == 0 else ()


def pinned(cpu: int, program: Path, *arguments: object, realtime: bool = True) -> list[str]:
    """Returns the command that runs a program on one processor."""
    prefix = realtime_prefix() if realtime else ()
    return [*prefix, "taskset", "-c", str(cpu), str(program), *map(str, arguments)]


def start_load(
    workshop: Workshop, run_ms: int, legs: int, judge: Judge, recorders: int, *ports: int
) -> subprocess.Popen[str]:
    """Starts the far ends; they stop by themselves and say what they saw."""
    program = workshop.program("load")
    command = pinned(LOAD_CPU, program, run_ms, legs, int(judge), recorders, *ports)
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True)


def finish_load(load: subprocess.Popen[str]) -> dict[str, int]:
    """Waits for the far ends and returns their totals."""
    sinks: dict[str, int] = json.loads(load.communicate(timeout=LIMIT_S)[0])
    return sinks


def refuse(lost: int, sinks: dict[str, int], run_ms: int) -> str:
    """Returns why a run does not count, or nothing."""
    least = run_ms // 20 - EDGE_PACKETS
    if lost:
        return f"{lost} packets lost, late or made up"
    if sinks["gaps"] or sinks["least"] < least:
        return f"{sinks['gaps']} gaps at the sinks, {sinks['least']} of {least} packets at one"
    if sinks["wrong"]:
        return f"{sinks['wrong']} payloads are not what they must be"
    return ""


@dataclass(frozen=True, slots=True)
class Program:
    """A device under test that is a program of this folder.

    Attributes:
        name: as the tables call it.
        workshop: where the load is compiled.
        path: the program; it is given warm-up, measured time, legs and `arguments`.
        arguments: what follows the legs.
        judge: what its sound is held against.
        recorders: whether recorders listen.
        legs: how many legs it has.
        realtime: whether it has the priority that the engine asks for.
    """

    name: str
    workshop: Workshop
    path: Path
    arguments: tuple[int, ...]
    judge: Judge
    recorders: int
    legs: int = LEGS
    realtime: bool = True

    def measure(self, measured_ms: int) -> Run:
        """Runs it once beside the load.

        Raises:
            BenchmarkError: When it fails or hangs.
        """
        run_ms = WARM_UP_MS + measured_ms
        lead_ms = 2 * LEAD_MS + run_ms
        load = start_load(self.workshop, lead_ms, self.legs, self.judge, self.recorders)
        try:
            said = self._run(measured_ms)
            sinks = finish_load(load)
        finally:
            load.kill()
            load.wait()
        frames = said["ticks"] / 2
        refused = refuse(said["lost"] + said.get("skipped", 0), sinks, run_ms)
        return Run(said["cpu_ns"] / (self.legs * frames), refused, said)

    def _run(self, measured_ms: int) -> dict[str, Any]:
        arguments = (WARM_UP_MS, measured_ms, self.legs, *self.arguments)
        command = pinned(DEVICE_CPU, self.path, *arguments, realtime=self.realtime)
        limit_s = LIMIT_S + measured_ms / 1000
        done = subprocess.run(command, capture_output=True, text=True, timeout=limit_s)
        if done.returncode:
            reason = done.stderr.strip().splitlines() or [f"ended with {done.returncode}"]
            raise BenchmarkError(f"{self.path.name}: {reason[-1]}")
        said: dict[str, Any] = json.loads(done.stdout)
        return said


def bare(workshop: Workshop, recorders: int, legs: int = LEGS) -> Program:
    """The program that moves the same packets and does nothing else."""
    name = "bare, two recorders" if recorders else "bare, legs alone"
    path = workshop.program("bare")
    return Program(name, workshop, path, (recorders,), Judge.NOTHING, recorders, legs)


def engine(
    workshop: Workshop, recorders: int, legs: int = LEGS, *, realtime: bool = True
) -> Program:
    """The engine doing the whole work."""
    name = "engine, two recorders" if recorders else "engine, legs alone"
    arguments = (recorders, int(realtime))
    path = workshop.program("full")
    return Program(name, workshop, path, arguments, Judge.EXACT, recorders, legs, realtime)


def pjmedia(workshop: Workshop, build: str, *, mesh: bool) -> Program:
    """PJMEDIA's streams on its conference bridge, unrecorded.

    Raises:
        PeerError: When it is not here.
    """
    name = f"PJMEDIA UDP {'mesh' if mesh else 'star'}, {build}"
    path = workshop.pjmedia(build)
    return Program(name, workshop, path, (int(mesh),), Judge.AUDIBLE, 0)


def describe_refusals(refused: Sequence[str]) -> str:
    """Says how many runs do not count and why the first does not."""
    return f"{len(refused)} runs refused, such as: {refused[0]}" if refused else ""
