"""The watch over recorders looks at every fork, whatever becomes of the others."""

import socket
from pathlib import Path

from openturret.c_ext import Engine
from openturret.firmware.matrix.buses import Buses
from openturret.firmware.matrix.devices import AudioDevices
from openturret.firmware.matrix.fallback import Fallbacks
from openturret.firmware.matrix.legs import Legs
from openturret.firmware.matrix.ports import PortPairs
from openturret.firmware.matrix.recordings import Recordings
from openturret.firmware.matrix.sinks import Sinks
from openturret.firmware.matrix.sources import Sources
from openturret.firmware.matrix.watch import Alarm, check
from openturret.hal import SystemClock
from openturret.hal.matrix import ForkTarget
from openturret.hal.registry import Registry

LOOPBACK = "127.0.0.1"


def recordings_of(engine: Engine, folder: Path) -> Recordings:
    ports = PortPairs(11000, 13000)
    legs = Legs(engine, ports, lambda: LOOPBACK)
    devices = AudioDevices(engine, {}, Registry(list).audio, lambda call: call(), lambda _: None)
    fallbacks = Fallbacks({}, devices.whereabouts, lambda _: (False, False))
    sinks = Sinks(engine, folder, SystemClock(), lambda call: call(), lambda _: None)
    buses = Buses(engine, legs, devices, Sources(engine), sinks, fallbacks)
    return Recordings(engine, ports, buses, lambda: LOOPBACK)


def nobody() -> ForkTarget:
    with socket.socket(type=socket.SOCK_DGRAM) as free:
        free.bind((LOOPBACK, 0))
        return ForkTarget(LOOPBACK, free.getsockname()[1])


def test_a_fork_that_cannot_be_read_hides_no_alarm_of_another(tmp_path: Path) -> None:
    engine = Engine()
    recordings, target = recordings_of(engine, tmp_path), nobody()
    for name in ("unreadable", "refused"):
        recordings.open(name, "PCMU")
        recordings.fork(name, 0, target)
    recordings["unreadable"].engine.close()
    alarms: list[Alarm] = []
    for _ in range(500):
        engine.step(2)
        alarms += check(recordings)
    assert alarms[0] == Alarm("refused", 0, True, f"{LOOPBACK}:{target.rtp_port}")
    assert {alarm.recording for alarm in alarms} == {"refused"}
