"""Recordings: the complete sum of the buses they tap, sent to at most two recorders."""

import logging
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field

from ...c_ext import Codec, Engine
from ...c_ext import Recording as EngineRecording
from ...hal.matrix import ForkTarget, RecordingPort
from .buses import Buses
from .errors import ConflictError, UnknownThingError
from .ports import HeldPair, PortPairs

logger = logging.getLogger(__name__)


@dataclass(slots=True)
class OpenFork:
    """One destination: its local port pair, and where it sends once that is known."""

    port: RecordingPort
    held: HeldPair
    target: ForkTarget | None = None
    refused: bool = False
    errors_seen: int = 0
    quiet_checks: int = 0


@dataclass(slots=True)
class OpenRecording:
    """One recording, what it taps and where it goes."""

    name: str
    engine: EngineRecording
    codec: str
    ptime_ms: int = 20
    stereo: bool = False
    buses: list[str] = field(default_factory=list)
    forks: dict[int, OpenFork] = field(default_factory=dict)

    def describe(self) -> dict[str, object]:
        """Returns the recording as OLDCB lists it."""
        return {
            "name": self.name,
            "codec": self.codec,
            "ptime_ms": self.ptime_ms,
            "stereo": self.stereo,
            "ssrc": self.engine.ssrc,
            "buses": list(self.buses),
            "forks": [self._describe(index, fork) for index, fork in sorted(self.forks.items())],
        }

    def _describe(self, index: int, fork: OpenFork) -> dict[str, object]:
        target = None if fork.target is None else asdict(fork.target)
        counters = {} if fork.target is None else asdict(self.engine.stats()[index])
        place = {"index": index, "rtp_port": fork.port.rtp_port, "target": target}
        return {**counters, **place, "refused": fork.refused}


class Recordings:
    """Every recording by name, over the buses."""

    def __init__(
        self, engine: Engine, ports: PortPairs, buses: Buses, address: Callable[[], str]
    ) -> None:
        self._engine = engine
        self._ports = ports
        self._buses = buses
        self._address = address
        self._recordings: dict[str, OpenRecording] = {}

    def __iter__(self) -> Iterator[OpenRecording]:
        return iter(self._recordings.values())

    def __len__(self) -> int:
        return len(self._recordings)

    def __getitem__(self, name: str) -> OpenRecording:
        if name not in self._recordings:
            raise UnknownThingError(f"there is no recording {name[:40]!r}")
        return self._recordings[name]

    def open(
        self, name: str, codec: str, *, ptime_ms: int = 20, stereo: bool = False
    ) -> OpenRecording:
        """Makes a recording that taps nothing yet.

        Raises:
            ConflictError: One of that name is open.
            SettingError: The codec has no stereo.
        """
        if name in self._recordings:
            raise ConflictError(f"recording {name[:40]!r} is open already")
        engine = self._engine.open_recording(codec=Codec[codec], ptime_ms=ptime_ms, stereo=stereo)
        recording = OpenRecording(name, engine, codec, ptime_ms, stereo)
        self._recordings[name] = recording
        logger.info("recording %s opened", name)
        return recording

    def tap(self, name: str, bus: str) -> None:
        """Adds a bus to what is recorded; again is no change."""
        recording = self[name]
        if bus in recording.buses:
            return
        self._buses.tap(bus, name, recording.engine)
        recording.buses.append(bus)

    def untap(self, name: str, bus: str) -> None:
        """Removes a bus from what is recorded.

        Raises:
            UnknownThingError: The recording does not tap it.
        """
        recording = self[name]
        if bus not in recording.buses:
            raise UnknownThingError(f"recording {name[:40]!r} does not tap {bus[:40]!r}")
        recording.buses.remove(bus)
        self._buses.untap(bus, name)

    def reserve(self, name: str, index: int) -> RecordingPort:
        """Returns the local port pair of a fork, taking one if there is none yet.

        Raises:
            ExhaustedError: No port pair is left.
        """
        recording = self[name]
        if index not in recording.forks:
            address = self._address()
            held = self._ports.hold(address)
            port = RecordingPort(address, held.rtp_port, recording.engine.ssrc)
            recording.forks[index] = OpenFork(port, held)
        return recording.forks[index].port

    def fork(self, name: str, index: int, target: ForkTarget) -> RecordingPort:
        """Starts sending to a recorder.

        A fork that sends there already goes on untouched: that is how a new runtime takes a
        recording over.  One that sends elsewhere ends first and gets another port pair: the
        engine gives its sockets back with the next tick, not at once.
        """
        sending = self[name].forks.get(index)
        if sending is not None and sending.target == target:
            return sending.port
        if sending is not None and sending.target is not None:
            self.unfork(name, index)
        port = self.reserve(name, index)
        recording = self[name]
        fork = recording.forks[index]
        fork.held.release()
        _start(recording, index, port, target)
        fork.target = target
        fork.errors_seen = recording.engine.stats()[index].send_errors
        logger.info("recording %s fork %d to %s:%d", name, index, target.address, target.rtp_port)
        return port

    def unfork(self, name: str, index: int) -> None:
        """Stops sending to a recorder and frees the ports.

        Raises:
            UnknownThingError: There is no such fork.
        """
        recording = self[name]
        if index not in recording.forks:
            raise UnknownThingError(f"recording {name[:40]!r} has no fork {index}")
        fork = recording.forks.pop(index)
        if fork.target is not None:
            recording.engine.unfork(index)
        fork.held.release()
        self._ports.give_back(fork.port.rtp_port)

    def close(self, name: str) -> None:
        """Ends the recording, its forks and its taps."""
        recording = self[name]
        for index in tuple(recording.forks):
            self.unfork(name, index)
        for bus in tuple(recording.buses):
            self.untap(name, bus)
        del self._recordings[name]
        recording.engine.close()
        logger.info("recording %s closed", name)


def _start(recording: OpenRecording, index: int, port: RecordingPort, target: ForkTarget) -> None:
    recording.engine.fork(
        index,
        address=port.address,
        local_rtp_port=port.rtp_port,
        remote_address=target.address,
        remote_rtp_port=target.rtp_port,
        payload_type=target.payload_type,
    )
