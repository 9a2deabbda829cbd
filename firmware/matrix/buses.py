"""Named buses: made on first join, gone when nobody is on them and nothing records them.

A bus keeps whom clients put on it.  The engine is told who is on it in fact, which may be more:
the stand-ins of devices that are away.
"""

import logging
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field
from typing import Final

from ...c_ext import Bus as EngineBus
from ...c_ext import Engine, Port, Recording
from ...hal.errors import HalError
from ...hal.matrix import Membership
from .devices import AudioDevices
from .errors import BadRequestError, ConflictError, UnknownThingError
from .fallback import Fallbacks, Gains
from .legs import Legs
from .sinks import Sinks
from .sources import Sources

logger = logging.getLogger(__name__)

DEFAULT_RATE_HZ: Final = 8000
WIDE_RATE_HZ: Final = 16_000


@dataclass(slots=True)
class OpenBus:
    """A bus, whom clients put on it, whom the engine was told of, and which recordings hold it."""

    engine: EngineBus
    rate_hz: int
    loudest: int = 0
    members: dict[str, Membership] = field(default_factory=dict)
    told: dict[str, tuple[Port, Gains]] = field(default_factory=dict)
    taps: dict[str, Recording] = field(default_factory=dict)


class Buses:
    """Every bus by name, over whatever can join them."""

    def __init__(
        self,
        engine: Engine,
        legs: Legs,
        devices: AudioDevices,
        sources: Sources,
        sinks: Sinks,
        fallbacks: Fallbacks,
    ) -> None:
        self._engine = engine
        self._legs = legs
        self._devices = devices
        self._sources = sources
        self._sinks = sinks
        self._fallbacks = fallbacks
        self._buses: dict[str, OpenBus] = {}

    def __len__(self) -> int:
        return len(self._buses)

    def join(self, name: str, member: Membership, rate_hz: int | None = None) -> None:
        """Puts a port on a bus, or changes its gains there.

        Args:
            name: Of the bus.
            member: The port and its gains.
            rate_hz: The rate of a bus that nobody is on yet; None is whatever it has, or suits
                the first on it.

        Raises:
            UnknownThingError: There is no such leg, device, source or sink.
            ConflictError: Somebody is on the bus, and it has another rate.
            BadRequestError: The port is not named as ports are.
        """
        bus = self._hold(name, rate_hz or self._first_rate(name, member.port))
        before = bus.members.get(member.port)
        bus.members[member.port] = member
        try:
            self._tell(bus)
        except Exception:
            del bus.members[member.port]
            if before is not None:
                bus.members[member.port] = before
            raise
        finally:
            self._tidy(name)

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
        self._tell(bus)
        self._tidy(name)

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

    def settle(self) -> None:
        """Tells the engine what has changed: devices that came or went, and who stands in."""
        for name, bus in self._buses.items():
            try:
                self._tell(bus)
            except OSError as error:  # the other buses must still be told
                logger.warning("bus %s is not as it should be: %s", name, error)
        self._close_unused()

    def stand_ins(self) -> dict[str, str]:
        """Returns who stands in for each device that is on a bus and away."""
        wanted = {position: self._fallbacks.stand_in(position) for position in self._wanted()}
        return {position: stand_in for position, stand_in in wanted.items() if stand_in}

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

    def _tell(self, bus: OpenBus) -> None:
        """Makes the engine's bus what it should be; told twice it is told once."""
        for port in bus.members:
            self._open_chain(port)
        wanted = {
            port: (self._resolve(port), gains)
            for port, gains in self._fallbacks.gains(bus.members.values()).items()
        }
        for port, (engine, _) in tuple(bus.told.items()):
            if port not in wanted or wanted[port][0] is not engine:
                del bus.told[port]
                bus.engine.leave(engine)
        for port, (engine, gains) in wanted.items():
            if bus.told.get(port) != (engine, gains):
                bus.engine.join(engine, talk_db=gains.talk_db, listen_db=gains.listen_db)
                bus.told[port] = (engine, gains)

    def _open_chain(self, port: str) -> None:
        kind, _, position = port.partition(":")
        if kind != "device":
            return
        self._devices.open(position)
        for fallback in self._fallbacks.chain(position)[1:]:
            try:
                self._devices.open(fallback)
            except (HalError, OSError) as error:  # its own trouble, told at the start
                logger.debug("%s cannot stand in: %s", fallback, error)

    def _wanted(self) -> Iterator[str]:
        """Yields the devices that clients put on a bus."""
        for bus in self._buses.values():
            for port in bus.members:
                kind, _, position = port.partition(":")
                if kind == "device":
                    yield position

    def _close_unused(self) -> None:
        used = {each for position in self._wanted() for each in self._fallbacks.chain(position)}
        for position in self._devices.opened().keys() - used:
            self._devices.close(position)

    def _hold(self, name: str, rate_hz: int | None) -> OpenBus:
        bus = self._buses.get(name)
        if bus is None:
            rate_hz = rate_hz or DEFAULT_RATE_HZ
            bus = self._buses[name] = OpenBus(self._engine.open_bus(rate_hz=rate_hz), rate_hz)
        elif rate_hz not in (None, bus.rate_hz):
            self._change_rate(name, bus, rate_hz or bus.rate_hz)
        return bus

    def _first_rate(self, name: str, port: str) -> int | None:
        """Returns the rate of a device that is the first on a bus, at most wide-band."""
        kind, _, position = port.partition(":")
        bus = self._buses.get(name)
        if kind != "device" or (bus is not None and bus.members):
            return None
        return min(self._devices.open(position).rate_hz, WIDE_RATE_HZ)

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
        bus.told.clear()
        old.close()

    def _tidy(self, name: str) -> None:
        bus = self._buses[name]
        if not bus.members and not bus.taps:
            del self._buses[name]
            bus.engine.close()
        self._close_unused()
