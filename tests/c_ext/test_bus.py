"""Buses and devices: who hears what, bit for bit, and gains that move without a click."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext import Bus, ClosedError, Device, Engine, SettingError

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, Pcm

PREFILL_SAMPLES = 240


def devices(bench: "Bench", count: int) -> list[Device]:
    """Devices whose rings are just full enough that every tick passes 80 samples through."""
    opened = [bench.engine.open_device() for _ in range(count)]
    for device in opened:
        device.write_capture(bytes(2 * (PREFILL_SAMPLES - 80)))
    return opened


def exchange(bench: "Bench", said: "dict[Device, Pcm]") -> "dict[Device, Pcm]":
    """Every device says its samples and hears as many, 10 ms at a time."""
    heard: dict[Device, list[bytes]] = {device: [] for device in said}
    samples = len(next(iter(said.values())))
    for at in range(0, samples, 80):
        for device, pcm in said.items():
            assert device.write_capture(pcm[at : at + 80].tobytes()) == 80
        bench.engine.step()
        for device in said:
            heard[device].append(device.read_playback(80))
    return {device: np.frombuffer(b"".join(parts), np.int16) for device, parts in heard.items()}


def delay(heard: "Pcm", expected: "Pcm") -> int:
    """Finds where the expected sound begins in what was heard, bit for bit."""
    for at in range(0, len(heard) - len(expected) // 2, 80):
        if np.array_equal(heard[at : at + len(expected) // 2], expected[: len(expected) // 2]):
            return at
    raise AssertionError("the expected sound was not heard")


def noise(seed: int, samples: int, amplitude: int = 32767) -> "Pcm":
    rng = np.random.default_rng(seed)
    return rng.integers(-amplitude - 1, amplitude + 1, samples).astype(np.int16)


def saturated(*parts: "Pcm") -> "Pcm":
    total: npt.NDArray[np.int32] = np.sum([part.astype(np.int32) for part in parts], axis=0)
    return total.clip(-32768, 32767).astype(np.int16)


@pytest.mark.parametrize("count", [2, 3, 7, 32])
def test_everyone_hears_the_saturated_sum_of_the_others(bench: "Bench", count: int) -> None:
    bus = bench.engine.open_bus()
    ports = devices(bench, count)
    for port in ports:
        bus.join(port, talk_db=0, listen_db=0)
    bench.engine.step(2)
    said = {port: noise(number, 4000) for number, port in enumerate(ports)}
    heard = exchange(bench, said)
    for port in ports:
        others = saturated(*(pcm for other, pcm in said.items() if other is not port))
        assert delay(heard[port], others) >= 0


def test_a_port_on_two_buses_hears_their_sum_and_neither_hears_the_other(bench: "Bench") -> None:
    middle, left, right = devices(bench, 3)
    for side in (left, right):
        bus = bench.engine.open_bus()
        bus.join(middle, talk_db=0, listen_db=0)
        bus.join(side, talk_db=0, listen_db=0)
    bench.engine.step(2)
    said = {middle: noise(1, 4000), left: noise(2, 4000), right: noise(3, 4000)}
    heard = exchange(bench, said)
    assert delay(heard[middle], saturated(said[left], said[right])) >= 0
    assert delay(heard[left], said[middle]) == delay(heard[right], said[middle])


def test_a_listener_without_a_voice_and_a_voice_without_an_ear(bench: "Bench") -> None:
    listener, talker = devices(bench, 2)
    bus = bench.engine.open_bus()
    bus.join(listener, talk_db=None, listen_db=0)
    bus.join(talker, talk_db=0, listen_db=None)
    bench.engine.step(2)
    said = {listener: noise(1, 4000), talker: noise(2, 4000)}
    heard = exchange(bench, said)
    assert delay(heard[listener], said[talker]) >= 0
    assert not heard[talker].any()


@pytest.mark.parametrize(("talk_db", "listen_db"), [(-6.0, 0.0), (0.0, -6.0), (6.0, -12.0)])
def test_gains_are_in_decibels(bench: "Bench", talk_db: float, listen_db: float) -> None:
    speaker, ear = devices(bench, 2)
    bus = bench.engine.open_bus()
    bus.join(speaker, talk_db=talk_db, listen_db=None)
    bus.join(ear, talk_db=None, listen_db=listen_db)
    heard = exchange(bench, {speaker: np.full(4000, 8000, np.int16), ear: np.zeros(4000, np.int16)})
    expected = 8000 * 10 ** ((talk_db + listen_db) / 20)
    assert heard[ear][-1] == pytest.approx(expected, abs=1.5)


def steps(pcm: "Pcm") -> int:
    return int(np.abs(np.diff(pcm.astype(np.int32))).max())


@pytest.mark.parametrize("side", ["talk_db", "listen_db"])
@pytest.mark.parametrize("change", [[-40.0, 0.0, None, 6.0], [None, 0.0, None, 0.0]])
def test_no_change_of_gain_clicks(bench: "Bench", side: str, change: list[float | None]) -> None:
    """A constant is heard as ramps of at least one frame: no step is larger than a ramp's."""
    speaker, ear = devices(bench, 2)
    bus = bench.engine.open_bus()
    level = 8000
    heard = []
    for gain in change:
        bus.join(speaker, talk_db=gain if side == "talk_db" else 0.0, listen_db=None)
        bus.join(ear, talk_db=None, listen_db=gain if side == "listen_db" else 0.0)
        said = {speaker: np.full(1600, level, np.int16), ear: np.zeros(1600, np.int16)}
        heard.append(exchange(bench, said)[ear])
    everything = np.concatenate(heard)
    assert everything.max() > level * 0.9
    assert steps(everything) <= 2 * level / 80


def test_leaving_and_closing_fade_out(bench: "Bench") -> None:
    first, second, ear = devices(bench, 3)
    bus = bench.engine.open_bus()
    bus.join(ear, talk_db=None, listen_db=0)
    for speaker in (first, second):
        bus.join(speaker, talk_db=0, listen_db=None)
    constant = np.full(1600, 8000, np.int16)
    heard = [exchange(bench, {first: constant, second: constant, ear: constant})[ear]]
    bus.leave(first)
    heard.append(exchange(bench, {first: constant, second: constant, ear: constant})[ear])
    assert heard[-1][-1] == 8000
    bus.leave(second)
    heard.append(exchange(bench, {second: constant, ear: constant})[ear])
    assert heard[-1][-1] == 0
    assert steps(np.concatenate(heard)[800:]) <= 200


def test_leaving_what_one_is_not_on_does_nothing(bench: "Bench") -> None:
    (device,) = devices(bench, 1)
    bench.engine.open_bus().leave(device)
    bench.engine.step()


def test_a_closed_bus_is_silent_at_once(bench: "Bench") -> None:
    speaker, ear = devices(bench, 2)
    bus = bench.engine.open_bus()
    bus.join(speaker, talk_db=0, listen_db=0)
    bus.join(ear, talk_db=0, listen_db=0)
    said = {speaker: np.full(800, 8000, np.int16), ear: np.zeros(800, np.int16)}
    exchange(bench, said)
    bus.close()
    assert not exchange(bench, said)[ear][400:].any()
    with pytest.raises(ClosedError):
        bus.join(ear, talk_db=0, listen_db=0)


@pytest.mark.parametrize("gain", [20.1, float("nan"), float("inf")])
def test_gains_out_of_bounds_are_refused(bench: "Bench", gain: float) -> None:
    (device,) = devices(bench, 1)
    bus = bench.engine.open_bus()
    for gains in ((gain, 0.0), (0.0, gain)):
        with pytest.raises(SettingError):
            bus.join(device, talk_db=gains[0], listen_db=gains[1])


def test_a_port_of_another_engine_is_refused(bench: "Bench") -> None:
    stranger = Engine().open_device()
    bus: Bus = bench.engine.open_bus()
    with pytest.raises(ClosedError):
        bus.join(stranger, talk_db=0, listen_db=0)


def test_slots_are_used_again(bench: "Bench") -> None:
    for _ in range(500):
        bus = bench.engine.open_bus()
        device = bench.engine.open_device()
        bus.join(device, talk_db=0, listen_db=0)
        bench.engine.step()
        device.close()
        bus.close()
        bench.engine.step(4)


def test_the_device_ring_tells_what_it_could_not_do(bench: "Bench") -> None:
    device = bench.engine.open_device(capture_ms=40, playback_ms=40)
    assert device.write_capture(bytes(1000)) == 320
    assert device.stats().capture_overruns == 1
    assert device.stats().capture_fill_ms == 40
    bench.engine.step(10)
    assert device.stats().capture_underruns == 1
    assert device.stats().playback_overruns > 0
    assert device.read_playback(0) == b""
    assert len(device.read_playback(4000)) == 8000


def test_a_device_that_paused_is_heard_without_old_delay(bench: "Bench") -> None:
    device = bench.engine.open_device()
    bench.engine.step(100)
    device.read_playback(80)
    assert device.stats().playback_fill_ms <= 30


@pytest.mark.parametrize(("capture_ms", "playback_ms"), [(10, 60), (60, 10), (600, 60), (60, -1)])
def test_impossible_rings_are_refused(bench: "Bench", capture_ms: int, playback_ms: int) -> None:
    with pytest.raises(SettingError):
        bench.engine.open_device(capture_ms=capture_ms, playback_ms=playback_ms)
