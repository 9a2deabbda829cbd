"""Named buses: made on first join, gone when nobody is on them and nothing records them."""

from dataclasses import asdict, dataclass, field
from typing import Final

from ...c_ext import Bus as EngineBus
from ...c_ext import Engine, Port, Recording
from ...hal.matrix import Membership
from .devices import AudioDevices
from .errors import BadRequestError, ConflictError, UnknownThingError
from .legs import Legs
from .sinks import Sinks
from .sources import Sources

DEFAULT_RATE_HZ: Final = 8000


@dataclass(slots=True)
class OpenBus:
    """A bus, who is on it, and which recordings hold it."""

    engine: EngineBus
    rate_hz: int
    loudest: int = 0
    members: dict[str, Membership] = field(default_factory=dict)
    taps: dict[str, Recording] = field(default_factory=dict)


class Buses:
    """Every bus by name, over whatever can join them."""

    def __init__(
        self, engine: Engine, legs: Legs, devices: AudioDevices, sources: Sources, sinks: Sinks
    ) -> None:
        self._engine = engine
        self._legs = legs
        self._devices = devices
        self._sources = sources
        self._sinks = sinks
        self._buses: dict[str, OpenBus] = {}

    def __len__(self) -> int:
        return len(self._buses)

    def join(self, name: str, member: Membership, rate_hz: int | None = None) -> None:
        """Puts a port on a bus, or changes its gains there.

        Args:
            name: Of the bus.
            member: The port and its gains.
            rate_hz: The rate of a bus that nobody is on yet; None is whatever it has.

        Raises:
            UnknownThingError: There is no such leg, device, source or sink.
            ConflictError: Somebody is on the bus, and it has another rate.
            BadRequestError: The port is not named as ports are.
        """
        bus = self._hold(name, rate_hz)
        try:
            port = self._resolve(member.port)
            bus.engine.join(port, talk_db=member.talk_db, listen_db=member.listen_db)
            bus.members[member.port] = member
        finally:
            self._tidy(name, member.port)

    def loudest(self, name: str, count: int) -> None:
        """Mixes only so many talkers; 0 is everybody.

        Raises:
            UnknownThingError: There is no such bus.
        """
        bus = self._buses.get(name)
        if bus is None:
            raise UnknownThingError(f"there is no bus {name[:40]!r}")
        bus.engine.loudest(count)
        bus.loudest = count

    def leave(self, name: str, port: str) -> None:
        """Takes a port off a bus.

        Raises:
            UnknownThingError: The port is not on that bus.
        """
        bus = self._buses.get(name)
        if bus is None or port not in bus.members:
            raise UnknownThingError(f"{port[:40]} is not on bus {name[:40]!r}")
        del bus.members[port]
        bus.engine.leave(self._resolve(port))
        self._tidy(name, port)

    def leave_all(self, port: str) -> None:
        """Takes a port off every bus."""
        for name in [name for name, bus in self._buses.items() if port in bus.members]:
            self.leave(name, port)

    def tap(self, name: str, recording: str, engine: Recording) -> None:
        """Lets a recording tap a bus, which stays while it does."""
        bus = self._hold(name, None)
        try:
            engine.tap(bus.engine)
            bus.taps[recording] = engine
        finally:
            self._tidy(name)

    def untap(self, name: str, recording: str) -> None:
        """Takes a bus out of a recording that taps it."""
        bus = self._buses[name]
        bus.taps.pop(recording).untap(bus.engine)
        self._tidy(name)

    def describe(self) -> list[dict[str, object]]:
        """Returns every bus as OLDCB lists it."""
        return [
            {
                "bus": name,
                "rate_hz": bus.rate_hz,
                "loudest": bus.loudest,
                "members": [asdict(member) for member in bus.members.values()],
            }
            for name, bus in self._buses.items()
        ]

    def find(self, port: str) -> Port | None:
        """Returns a port that is open now; opens nothing and never raises."""
        kind, _, name = port.partition(":")
        if kind == "device":
            device = self._devices.opened().get(name)
            return None if device is None else device.engine
        try:
            return self._resolve(port)
        except (UnknownThingError, BadRequestError):
            return None

    def _resolve(self, port: str) -> Port:
        kind, _, name = port.partition(":")
        if kind == "leg" and name.isascii() and name.isdigit() and len(name) < 10:
            return self._legs[int(name)].engine
        if kind == "device":
            return self._devices.open(name)
        if kind == "source":
            return self._sources[name].engine
        if kind == "sink":
            return self._sinks[name].engine
        raise BadRequestError(
            f"port {port[:40]!r} is neither leg:N, device:POSITION, source:NAME nor sink:NAME"
        )

    def _hold(self, name: str, rate_hz: int | None) -> OpenBus:
        bus = self._buses.get(name)
        if bus is None:
            rate_hz = rate_hz or DEFAULT_RATE_HZ
            bus = self._buses[name] = OpenBus(self._engine.open_bus(rate_hz=rate_hz), rate_hz)
        elif rate_hz not in (None, bus.rate_hz):
            self._change_rate(name, bus, rate_hz or bus.rate_hz)
        return bus

    def _change_rate(self, name: str, bus: OpenBus, rate_hz: int) -> None:
        """Gives a bus that is only tapped another rate: whoever recorded first did not choose."""
        if bus.members:
            message = f"bus {name[:40]!r} mixes at {bus.rate_hz} Hz, not at {rate_hz} Hz"
            raise ConflictError(message)
        fresh, old = self._engine.open_bus(rate_hz=rate_hz), bus.engine
        for recording in bus.taps.values():
            recording.untap(old)
            recording.tap(fresh)
        fresh.loudest(bus.loudest)
        bus.engine, bus.rate_hz = fresh, rate_hz
        old.close()

    def _tidy(self, name: str, port: str = "") -> None:
        bus = self._buses[name]
        if not bus.members and not bus.taps:
            del self._buses[name]
            bus.engine.close()
        kind, _, position = port.partition(":")
        if kind == "device" and not any(port in bus.members for bus in self._buses.values()):
            self._devices.close(position)
