"""The matrix process: puts engine, devices and servers together, and ends them in order."""

import asyncio
import logging
import os
import signal
import socket
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ...c_ext import Engine
from ...hal.board import Board
from ...hal.clock import Clock
from ...hal.errors import DriverMissingError
from ...hal.matrix import Topic
from ...hal.registry import Registry
from .broadcast import EventServer
from .buses import Buses
from .control import ControlServer
from .devices import AudioDevices
from .happenings import POLL_S, news
from .legs import Legs
from .matrix import Matrix
from .ports import PortPairs
from .recordings import Recordings
from .settings import LOOPBACK, Settings, unit_address
from .sinks import OpenSink, Sinks
from .sounds import Sounds
from .sources import Sources
from .tuning import Tuning
from .watch import CHECK_S, check

logger = logging.getLogger(__name__)

CONTROL_PORT: Final = 4250
EVENT_PORT: Final = 4251
SOUNDS: Final = "sounds"
RECORDINGS: Final = "recordings"
"""The folders of the state folder that sources read and sinks write."""
SETTLE_S: Final = 0.2
"""The engine's thread asks for SCHED_FIFO by itself; the answer is there after this."""


@dataclass(frozen=True, slots=True)
class Setup:
    """What the process was started with."""

    state: Path
    settings: Settings
    board: Board
    control_port: int = CONTROL_PORT
    event_port: int = EVENT_PORT


class MatrixProcess:
    """The matrix, its two servers and its watch over recorders, on the running loop."""

    def __init__(self, setup: Setup, registry: Registry, clock: Clock) -> None:
        self._setup = setup
        self._counters: Counter[str] = Counter()
        self._engine = Engine()
        self._events = EventServer(clock, self._counters)
        self.matrix = self._assemble(registry, clock)
        self._control = ControlServer(self.matrix, self._counters)
        self._watch: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None

    async def open(self) -> tuple[int, int]:
        """Starts the engine and the servers; returns the control and the event port."""
        self._engine.start()
        asyncio.get_running_loop().call_later(SETTLE_S, self._warn_without_realtime)
        hosts = [host for host in self._setup.settings.oldcb_hosts if _is_ours(host)]
        matrix = self.matrix
        events = await self._events.open(
            hosts,
            self._setup.event_port,
            matrix.levels,
            lambda: [alarm.details() for alarm in matrix.alarms()],
        )
        self._listening = asyncio.create_task(self._tell_news(), name="news")
        control = await self._control.open(hosts, self._setup.control_port)
        logger.info("OLDCB on %s, control %d, events %d", " ".join(hosts), control, events)
        return control, events

    async def close(self) -> None:
        """Ends servers, recordings, legs, devices and engine, in that order."""
        await self._control.close()
        await self._events.close()
        for task in (self._watch, self._listening):
            if task is not None:
                task.cancel()
        self.matrix.close()
        await asyncio.sleep(0)
        self._engine.stop()

    def _assemble(self, registry: Registry, clock: Clock) -> Matrix:
        settings = self._setup.settings
        ports = PortPairs(settings.rtp_lower, settings.rtp_upper)
        address = partial(unit_address, self._setup.state / "network.json")
        legs = Legs(self._engine, ports, address)
        specs = {spec.position: spec for spec in self._setup.board.audio_devices()}
        _warn_of_missing_drivers(registry, {spec.driver for spec in specs.values()})
        later = asyncio.get_running_loop().call_soon_threadsafe
        devices = AudioDevices(self._engine, specs, registry.audio, later)
        sources = Sources(self._engine)
        folder = self._setup.state / RECORDINGS
        sinks = Sinks(self._engine, folder, clock, later, self._tell_ended)
        buses = Buses(self._engine, legs, devices, sources, sinks)
        recordings = Recordings(self._engine, ports, buses, address)
        return Matrix(
            engine=self._engine,
            ports=ports,
            legs=legs,
            devices=devices,
            sources=sources,
            sinks=sinks,
            buses=buses,
            tuning=Tuning(devices, buses.find),
            recordings=recordings,
            sounds=Sounds(self._setup.state / SOUNDS),
            clock=clock,
            started=clock.monotonic(),
            notify=self._notify,
            counters=lambda: self._counters,
        )

    def _notify(self, topic: Topic, event: str, details: Mapping[str, object]) -> None:
        self._events.publish(topic, event, details)
        if topic is Topic.RECORDINGS and self._watch is None and len(self.matrix.recordings):
            self._watch = asyncio.create_task(self._watch_recorders(), name="recorders")

    def _tell_ended(self, sink: OpenSink) -> None:
        self._events.publish(Topic.SINKS, "sink.ended", sink.describe())

    async def _tell_news(self) -> None:
        while True:
            for each in news(self.matrix):
                self._events.publish(each.topic, each.event, each.details)
            await asyncio.sleep(POLL_S)

    async def _watch_recorders(self) -> None:
        while len(self.matrix.recordings):
            for alarm in check(self.matrix.recordings):
                self._events.publish(Topic.ALARMS, "alarm", alarm.details())
            await asyncio.sleep(CHECK_S)
        self._watch = None

    def _warn_without_realtime(self) -> None:
        if not self._engine.realtime:
            logger.warning(
                "SCHED_FIFO was not granted: voice may stutter under load; "
                "give the process CAP_SYS_NICE or a real-time limit (ulimit -r)"
            )


def _is_ours(host: str) -> bool:
    """Whether OLDCB can listen there; a wrong address must not cost the unit its voice."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError as error:
        logger.error("OLDCB does not listen on %s: %s", host, error)  # noqa: TRY400
        return host == LOOPBACK
    return True


def _warn_of_missing_drivers(registry: Registry, drivers: set[str]) -> None:
    for driver in sorted(drivers):
        try:
            registry.load(f"{driver}.audio")
        except DriverMissingError as error:
            logger.error("%s", error)  # noqa: TRY400


async def serve(setup: Setup, registry: Registry, clock: Clock) -> None:
    """Runs the matrix until SIGTERM or SIGINT; ``state/run/matrix.pid`` is there meanwhile."""
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    process = MatrixProcess(setup, registry, clock)
    await process.open()
    pid_file = setup.state / "run" / "matrix.pid"
    pid_file.parent.mkdir(parents=True, exist_ok=True)
    pid_file.write_text(f"{os.getpid()}\n")
    await stop.wait()
    await process.close()
    pid_file.unlink(missing_ok=True)
    logger.info("closed")
