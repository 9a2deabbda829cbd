"""The matrix process: puts engine, devices and servers together, and ends them in order."""

import asyncio
import logging
import os
import signal
import socket
import sys
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

from ...c_ext import Engine, EngineStalledError
from ...hal.board import Board
from ...hal.clock import Clock
from ...hal.errors import DriverMissingError
from ...hal.hotplug import Hotplug
from ...hal.matrix import Topic
from ...hal.notify import Heartbeat
from ...hal.registry import Registry
from .broadcast import EventServer
from .buses import Buses
from .control import ControlServer
from .devices import AudioDevices
from .fallback import Fallbacks
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
SWITCH_S: Final = 0.0005
"""How long a Python thread keeps the interpreter from others.  An audio thread asks for it after
each of its calls into a driver; with Python's own 5 ms a few calls would be longer than a frame."""
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
        self._ticks_seen = -1
        self._engine = Engine()
        self._events = EventServer(clock, self._counters)
        self.matrix = self._assemble(registry, clock)
        self._control = ControlServer(self.matrix, self._counters)
        self._watch: asyncio.Task[None] | None = None
        self._listening: asyncio.Task[None] | None = None
        self._hotplugs = tuple(_hotplugs(registry, setup.board))
        self._plugs: list[asyncio.Task[None]] = []

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
        self._plugs = [asyncio.create_task(self._listen_for_plugs(h)) for h in self._hotplugs]
        control = await self._control.open(hosts, self._setup.control_port)
        logger.info("OLDCB on %s, control %d, events %d", " ".join(hosts), control, events)
        return control, events

    async def pulse(self) -> str:
        """Returns what the matrix carries, once its tick has moved on since the last time.

        Raises:
            EngineStalledError: It has not.
        """
        ticks = self._engine.ticks().ticks
        if ticks == self._ticks_seen:
            raise EngineStalledError(f"the engine stands still at tick {ticks}")
        self._ticks_seen = ticks
        return f"{len(self.matrix.legs)} legs, {len(self.matrix.recordings)} recordings"

    async def close(self) -> None:
        """Ends servers, recordings, legs, devices and engine, in that order."""
        await self._control.close()
        await self._events.close()
        for task in (self._watch, self._listening, *self._plugs):
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
        devices = AudioDevices(self._engine, specs, registry.audio, later, self._device_moved)
        sources = Sources(self._engine)
        folder = self._setup.state / RECORDINGS
        sinks = Sinks(self._engine, folder, clock, later, self._tell_ended)
        tuning = Tuning(devices, lambda port: buses.find(port))
        fallback_of = {spec.position: spec.fallback for spec in specs.values()}
        fallbacks = Fallbacks(fallback_of, devices.whereabouts, tuning.muted)
        buses = Buses(self._engine, legs, devices, sources, sinks, fallbacks)
        recordings = Recordings(self._engine, ports, buses, address)
        return Matrix(
            engine=self._engine,
            ports=ports,
            legs=legs,
            devices=devices,
            sources=sources,
            sinks=sinks,
            buses=buses,
            tuning=tuning,
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

    def _device_moved(self, position: str) -> None:
        self.matrix.device_moved(position)

    async def _listen_for_plugs(self, hotplug: Hotplug) -> None:
        async for event in hotplug.events():
            logger.info("USB port %s: %s", event.port, "plugged" if event.plugged else "pulled")
            self.matrix.devices.retry()

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


def _hotplugs(registry: Registry, board: Board) -> Iterator[Hotplug]:
    """Yields what tells of devices of the board's drivers that come and go."""
    for driver in sorted({spec.driver for spec in board.audio_devices()}):
        try:
            hotplug = registry.hotplug(driver)
        except DriverMissingError as error:
            logger.warning("%s; devices are looked for all the same", error)
            continue
        if hotplug is not None:
            yield hotplug


async def serve(setup: Setup, registry: Registry, clock: Clock) -> None:
    """Runs the matrix until SIGTERM or SIGINT; ``state/run/matrix.pid`` is there meanwhile.

    Where an XMA2 mixes the process stands by and opens nothing: OLDCB is off (SPEC section 3).
    """
    sys.setswitchinterval(SWITCH_S)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    mixer = setup.board.mixer
    if mixer is not None:
        logger.info("standing by: %s mixes at %s", mixer.position, mixer.match["matrix"])
        with _pid_file(setup.state):
            async with Heartbeat(os.environ, _stand_by):
                await stop.wait()
        return
    process = MatrixProcess(setup, registry, clock)
    await process.open()
    with _pid_file(setup.state):
        async with Heartbeat(os.environ, process.pulse):
            await stop.wait()
        await process.close()
    logger.info("closed")


async def _stand_by() -> str:
    return "standing by"


@contextmanager
def _pid_file(state: Path) -> Iterator[None]:
    """Tells boot which process serves."""
    path = state / "run" / "matrix.pid"
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"{os.getpid()}\n")
    yield
    path.unlink(missing_ok=True)
