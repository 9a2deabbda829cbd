"""The engine's own thread: real time, a slow Python, and a clean end."""

import os
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext import CapacityError, Codec, Engine, EngineStateError
from openturret.c_ext._engine import lib

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench

LOOPBACK = "127.0.0.1"


def wait_until(condition: Callable[[], bool], limit_s: float = 20.0) -> None:
    """Looks again every few milliseconds, for a bounded time."""
    pause = threading.Event()
    for _ in range(int(limit_s / 0.005)):
        if condition():
            return
        pause.wait(0.005)
    raise AssertionError("the condition did not hold in time")


@pytest.fixture
def running(bench: "Bench") -> "Iterator[Bench]":
    bench.engine.start()
    yield bench
    bench.engine.stop()


def test_ticks_are_counted_and_timed(running: "Bench") -> None:
    wait_until(lambda: running.engine.ticks().ticks >= 20)
    running.engine.stop()
    stats = running.engine.ticks()
    assert stats.busy_s > 0
    assert stats.late <= stats.ticks
    assert stats.lateness[-1][0] == float("inf")
    assert 0 < sum(count for _, count in stats.lateness) <= stats.ticks


def test_it_starts_once_and_is_stepped_only_while_it_stands(running: "Bench") -> None:
    with pytest.raises(EngineStateError):
        running.engine.start()
    with pytest.raises(EngineStateError):
        running.engine.step()
    running.engine.stop()
    running.engine.stop()
    running.engine.step()
    running.engine.start()


def test_speech_passes_between_two_devices_and_two_legs(running: "Bench") -> None:
    engine = running.engine
    legs = [engine.open_leg(address=LOOPBACK, rtp_port=running.free_port()) for _ in range(2)]
    ends = [engine.open_device(capture_ms=200, playback_ms=200) for _ in range(2)]
    for leg, other, device in zip(legs, legs[::-1], ends, strict=True):
        leg.connect(address=LOOPBACK, rtp_port=other.rtp_port, codec=Codec.PCMU, payload_type=0)
        bus = engine.open_bus()
        bus.join(leg, talk_db=0, listen_db=0)
        bus.join(device, talk_db=0, listen_db=0)
    said, heard = 0, b""

    def tone_arrived() -> bool:
        nonlocal said, heard
        if ends[0].stats().capture_fill_ms < 100:
            ends[0].write_capture(running.tone(1000, 800, start=said).tobytes())
            said += 800
        if ends[1].stats().playback_fill_ms > 100:
            heard += ends[1].read_playback(400)
        tail = np.frombuffer(heard, np.int16)[-400:].astype(float)
        turn = np.exp(-2j * np.pi * 1000 * np.arange(len(tail)) / 8000)
        return len(tail) == 400 and 2 * abs(np.mean(tail * turn)) > 7500

    wait_until(tone_arrived)
    assert all(leg.stats().packets_lost == 0 for leg in legs)


def test_a_closed_port_can_be_opened_again_at_once(running: "Bench") -> None:
    port = running.free_port()
    for _ in range(10):
        leg = running.engine.open_leg(address=LOOPBACK, rtp_port=port)
        leg.connect(address=LOOPBACK, rtp_port=port, codec=Codec.PCMU, payload_type=0)
        leg.close()


def test_a_burst_of_commands_waits_for_the_tick_and_loses_none(running: "Bench") -> None:
    leg, _ = running.leg()
    for _ in range(20_000):
        leg.reset_gaps()
    leg.close()


def test_a_command_after_a_burst_and_a_stop_is_obeyed(running: "Bench") -> None:
    leg, _ = running.leg()
    for _ in range(2_000):
        leg.reset_gaps()
    running.engine.stop()
    leg.close()


def blocked_signals(thread: str) -> int:
    """Returns the mask of signals that never reach the thread of that name."""
    for task in Path("/proc/self/task").iterdir():
        status = dict(line.split(":", 1) for line in (task / "status").read_text().splitlines())
        if status["Name"].strip() == thread:
            return int(status["SigBlk"], 16)
    return 0


@pytest.mark.skipif(os.uname().sysname != "Linux", reason="reads /proc")
def test_no_signal_handler_runs_inside_a_tick(running: "Bench") -> None:
    wait_until(lambda: running.engine.ticks().ticks > 0)
    blocked = blocked_signals("ot-engine")
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD):
        assert blocked & 1 << (number - 1)


def test_many_threads_may_control_it_at_once(running: "Bench") -> None:
    def churn(_: int) -> None:
        for _ in range(50):
            bus = running.engine.open_bus()
            device = running.engine.open_device()
            bus.join(device, talk_db=0, listen_db=-3)
            device.write_capture(bytes(160))
            device.read_playback(80)
            device.stats()
            running.engine.ticks()
            bus.leave(device)
            device.close()
            bus.close()

    def churn_until_full(number: int) -> None:
        with suppress(CapacityError):  # more were closing than fit: refused, not broken
            churn(number)

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(churn_until_full, range(4)))
    wait_until(lambda: running.engine.ticks().ticks > 5)
    running.engine.open_device().close()


def test_it_may_be_dropped_while_everything_is_open() -> None:
    with socket.socket(type=socket.SOCK_DGRAM) as peer:
        peer.bind((LOOPBACK, 0))
        engine = Engine(realtime=False)
        engine.start()
        assert not engine.realtime
        device = engine.open_device()
        engine.open_bus().join(device, talk_db=0, listen_db=0)
        del engine
        device.read_playback(80)
        del device


def test_more_buses_than_there_are_slots_are_refused(bench: "Bench") -> None:
    buses = [bench.engine.open_bus() for _ in range(lib.OT_BUSES_MAX)]
    with pytest.raises(CapacityError):
        bench.engine.open_bus()
    buses[5].close()
    bench.engine.open_bus()
