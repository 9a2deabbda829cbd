"""Named buses: made on first join, gone when nobody is on them and nothing records them."""

from dataclasses import asdict, dataclass, field

from ...c_ext.engine import Bus as EngineBus
from ...c_ext.engine import Device as EngineDevice
from ...c_ext.engine import Engine
from ...c_ext.engine import Leg as EngineLeg
from ...hal.matrix import Membership
from .devices import AudioDevices
from .errors import BadRequestError, UnknownThingError
from .legs import Legs


@dataclass(slots=True)
class OpenBus:
    """A bus, who is on it, and which recordings hold it."""

    engine: EngineBus
    members: dict[str, Membership] = field(default_factory=dict)
    taps: set[str] = field(default_factory=set)


class Buses:
    """Every bus by name, over the legs and devices that join them."""

    def __init__(self, engine: Engine, legs: Legs, devices: AudioDevices) -> None:
        self._engine = engine
        self._legs = legs
        self._devices = devices
        self._buses: dict[str, OpenBus] = {}

    def __len__(self) -> int:
        return len(self._buses)

    def join(self, name: str, member: Membership) -> None:
        """Puts a port on a bus, or changes its gains there.

        Raises:
            UnknownThingError: There is no such leg or device.
            BadRequestError: The port is not named ``leg:N`` or ``device:POSITION``.
        """
        bus = self._hold(name)
        try:
            port = self._resolve(member.port)
            bus.engine.join(port, talk_db=member.talk_db, listen_db=member.listen_db)
            bus.members[member.port] = member
        finally:
            self._tidy(name, member.port)

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

    def tap(self, name: str, recording: str) -> EngineBus:
        """Returns the bus for a recording and keeps it while the recording taps it."""
        bus = self._hold(name)
        bus.taps.add(recording)
        return bus.engine

    def untap(self, name: str, recording: str) -> None:
        """Lets go of a bus that a recording tapped; the recording lets go first."""
        self._buses[name].taps.discard(recording)
        self._tidy(name)

    def engine_bus(self, name: str) -> EngineBus:
        """Returns the engine's end of a bus that exists."""
        return self._buses[name].engine

    def describe(self) -> list[dict[str, object]]:
        """Returns every bus as OLDCB lists it."""
        return [
            {"bus": name, "members": [asdict(member) for member in bus.members.values()]}
            for name, bus in self._buses.items()
        ]

    def _resolve(self, port: str) -> EngineLeg | EngineDevice:
        kind, _, name = port.partition(":")
        if kind == "leg" and name.isascii() and name.isdigit() and len(name) < 10:
            return self._legs[int(name)].engine
        if kind == "device":
            return self._devices.open(name)
        raise BadRequestError(f"port {port[:40]!r} is neither leg:N nor device:POSITION")

    def _hold(self, name: str) -> OpenBus:
        if name not in self._buses:
            self._buses[name] = OpenBus(self._engine.open_bus())
        return self._buses[name]

    def _tidy(self, name: str, port: str = "") -> None:
        bus = self._buses[name]
        if not bus.members and not bus.taps:
            del self._buses[name]
            bus.engine.close()
        kind, _, position = port.partition(":")
        if kind == "device" and not any(port in bus.members for bus in self._buses.values()):
            self._devices.close(position)
