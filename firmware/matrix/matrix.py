"""The matrix as one object: legs, devices, sources, buses and recordings over one engine."""

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Final

from ...c_ext import Engine
from ...hal.clock import Clock
from ...hal.matrix import Topic
from .buses import Buses
from .devices import AudioDevices
from .fallback import Whereabouts
from .legs import Legs, OpenLeg
from .ports import PortPairs
from .recordings import Recordings
from .sinks import OpenSink, Sinks
from .sounds import Sounds
from .sources import Sources
from .tuning import Tuning
from .watch import Alarm, standing

PROTOCOL: Final = 1
VERSION: Final = "0.1.0"

Notify = Callable[[Topic, str, Mapping[str, object]], None]


@dataclass(frozen=True, slots=True)
class Matrix:
    """Everything that OLDCB works on; it outlives every client.

    Attributes:
        sounds: The files that sources say.
        notify: Told of every change as topic, event and details; must not block.
        counters: Asked for the servers' own counters when somebody wants the status.
    """

    engine: Engine
    ports: PortPairs
    legs: Legs
    devices: AudioDevices
    sources: Sources
    sinks: Sinks
    buses: Buses
    tuning: Tuning
    recordings: Recordings
    sounds: Sounds
    clock: Clock
    started: float
    notify: Notify
    counters: Callable[[], Mapping[str, object]]
    standing_in: dict[str, str] = field(default_factory=dict)
    """Who was last told to stand in for a device that is away."""

    def close_leg(self, number: int) -> OpenLeg:
        """Takes a leg off its buses and ends it."""
        leg = self.legs[number]
        self.buses.leave_all(f"leg:{number}")
        self.legs.close(number)
        return leg

    def close_source(self, name: str) -> None:
        """Takes a source off its buses and ends it."""
        self.sources[name]  # an unknown one is an error before anything is done
        self.buses.leave_all(f"source:{name}")
        self.sources.close(name)

    def close_sink(self, name: str) -> OpenSink:
        """Takes a sink off its buses and finishes its file."""
        self.sinks[name]
        self.buses.leave_all(f"sink:{name}")
        return self.sinks.close(name)

    def close(self) -> None:
        """Ends recordings, legs, sources, sinks and devices, in that order."""
        for recording in tuple(self.recordings):
            self.recordings.close(recording.name)
        for leg in tuple(self.legs):
            self.close_leg(leg.number)
        for source in tuple(self.sources):
            self.close_source(source.name)
        for sink in tuple(self.sinks):
            self.buses.leave_all(f"sink:{sink.name}")
        self.sinks.close_all()
        self.devices.close_all()

    def refresh(self) -> None:
        """Tells the engine what has changed among ports and devices, and clients who stands in."""
        self.buses.settle()
        self.tuning.refresh()
        before, after = dict(self.standing_in), self.buses.stand_ins()
        self.standing_in.clear()
        self.standing_in.update(after)
        for position in sorted(before.keys() | after.keys()):
            if before.get(position) != after.get(position):
                details = {"device": position, "stand_in": after.get(position, "")}
                self.notify(Topic.DEVICES, "device.fallback", details)

    def device_moved(self, position: str) -> None:
        """Takes note of a device that came or went away, and tells clients."""
        self.refresh()
        device = self.devices.opened().get(position)
        if device is None or device.whereabouts is Whereabouts.OPENING:
            return
        if device.whereabouts is Whereabouts.THERE:
            details = {"device": position, "rate_hz": device.engine.rate_hz}
            self.notify(Topic.DEVICES, "device.attached", details)
        else:
            self.notify(Topic.DEVICES, "device.away", {"device": position, "why": device.why})

    def describe_devices(self) -> list[dict[str, object]]:
        """Returns every audio device with its settings and who stands in for it."""
        return [
            {
                **device,
                "stand_in": self.standing_in.get(str(device["device"]), ""),
                "settings": self.tuning.describe(str(device["device"])),
            }
            for device in self.devices.describe()
        ]

    def hello(self) -> dict[str, object]:
        """Returns who answers."""
        return {
            "protocol": PROTOCOL,
            "version": VERSION,
            "pid": os.getpid(),
            "realtime": self.engine.realtime,
        }

    def status(self) -> dict[str, object]:
        """Returns ticks, ports in use, standing alarms and the servers' counters."""
        return {
            **self.hello(),
            "uptime_s": round(self.clock.monotonic() - self.started, 3),
            "ticks": self._ticks(),
            "legs": len(self.legs),
            "buses": len(self.buses),
            "recordings": len(self.recordings),
            "sources": len(self.sources),
            "sinks": len(self.sinks),
            "events_lost": self.engine.events_lost,
            "port_pairs_free": self.ports.free,
            "alarms": [alarm.details() for alarm in self.alarms()],
            "server": dict(self.counters()),
        }

    def _ticks(self) -> dict[str, object]:
        ticks = self.engine.ticks()
        bounded = [[bound, count] for bound, count in ticks.lateness if math.isfinite(bound)]
        return {**asdict(ticks), "lateness": [*bounded, [None, ticks.lateness[-1][1]]]}

    def alarms(self) -> list[Alarm]:
        """Returns the alarms that stand now."""
        return standing(self.recordings)

    def levels(self) -> dict[str, object]:
        """Returns what each port hears and says now.

        ``levels`` has receive and transmit level of every leg, open device and sink in dBFS;
        ``active`` the legs whose far end speaks and the devices that are spoken into.
        """
        found = {f"leg:{leg.number}": leg.levels() for leg in self.legs}
        for position, device in self.devices.opened().items():
            found[f"device:{position}"] = device.levels()
        levels = {port: pair for port, (pair, _) in found.items()}
        levels |= {f"sink:{sink.name}": sink.levels() for sink in self.sinks}
        return {"levels": levels, "active": [port for port, (_, speaks) in found.items() if speaks]}
