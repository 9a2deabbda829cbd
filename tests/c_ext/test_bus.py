"""Buses and devices: who hears what, bit for bit, and gains that move without a click."""

from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext import Bus, ClosedError, Engine, SettingError

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, Party, Pcm


def parties(bench: "Bench", count: int) -> "list[Party]":
    return [bench.party() for _ in range(count)]


def exchange(bench: "Bench", said: "dict[Party, Pcm]") -> "dict[Party, Pcm]":
    """Everybody says its samples and hears as many, 10 ms at a time."""
    heard: dict[Party, list[Pcm]] = {party: [] for party in said}
    for at in range(0, len(next(iter(said.values()))), 80):
        for party, pcm in said.items():
            party.say(pcm[at : at + 80])
        bench.engine.step()
        for party in said:
            heard[party].append(party.hear_all())
    return {party: np.concatenate(parts) for party, parts in heard.items()}


def delay(heard: "Pcm", expected: "Pcm") -> int:
    """Finds where the expected sound begins in what was heard, bit for bit."""
    for at in range(len(heard) - len(expected) // 2):
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
    ports = parties(bench, count)
    for port in ports:
        bus.join(port.leg, talk_db=0, listen_db=0)
    bench.engine.step(2)
    said = {port: noise(number, 4000) for number, port in enumerate(ports)}
    heard = exchange(bench, said)
    for port in ports:
        others = saturated(*(pcm for other, pcm in said.items() if other is not port))
        assert delay(heard[port], others) >= 0


def test_a_port_on_two_buses_hears_their_sum_and_neither_hears_the_other(bench: "Bench") -> None:
    middle, left, right = parties(bench, 3)
    for side in (left, right):
        bus = bench.engine.open_bus()
        bus.join(middle.leg, talk_db=0, listen_db=0)
        bus.join(side.leg, talk_db=0, listen_db=0)
    bench.engine.step(2)
    said = {middle: noise(1, 4000), left: noise(2, 4000), right: noise(3, 4000)}
    heard = exchange(bench, said)
    assert delay(heard[middle], saturated(said[left], said[right])) >= 0
    assert delay(heard[left], said[middle]) == delay(heard[right], said[middle])


def test_a_listener_without_a_voice_and_a_voice_without_an_ear(bench: "Bench") -> None:
    listener, talker = parties(bench, 2)
    bus = bench.engine.open_bus()
    bus.join(listener.leg, talk_db=None, listen_db=0)
    bus.join(talker.leg, talk_db=0, listen_db=None)
    bench.engine.step(2)
    said = {listener: noise(1, 4000), talker: noise(2, 4000)}
    heard = exchange(bench, said)
    assert delay(heard[listener], said[talker]) >= 0
    assert not heard[talker].any()


@pytest.mark.parametrize(("talk_db", "listen_db"), [(-6.0, 0.0), (0.0, -6.0), (6.0, -12.0)])
def test_gains_are_in_decibels(bench: "Bench", talk_db: float, listen_db: float) -> None:
    speaker, ear = parties(bench, 2)
    bus = bench.engine.open_bus()
    bus.join(speaker.leg, talk_db=talk_db, listen_db=None)
    bus.join(ear.leg, talk_db=None, listen_db=listen_db)
    heard = exchange(bench, {speaker: np.full(4000, 8000, np.int16), ear: np.zeros(4000, np.int16)})
    expected = 8000 * 10 ** ((talk_db + listen_db) / 20)
    assert heard[ear][-1] == pytest.approx(expected, abs=1.5)


def steps(pcm: "Pcm") -> int:
    return int(np.abs(np.diff(pcm.astype(np.int32))).max())


@pytest.mark.parametrize("side", ["talk_db", "listen_db"])
@pytest.mark.parametrize("change", [[-40.0, 0.0, None, 6.0], [None, 0.0, None, 0.0]])
def test_no_change_of_gain_clicks(bench: "Bench", side: str, change: list[float | None]) -> None:
    """A constant is heard as ramps of at least one frame: no step is larger than a ramp's."""
    speaker, ear = parties(bench, 2)
    bus = bench.engine.open_bus()
    level = 8000
    heard = []
    for gain in change:
        bus.join(speaker.leg, talk_db=gain if side == "talk_db" else 0.0, listen_db=None)
        bus.join(ear.leg, talk_db=None, listen_db=gain if side == "listen_db" else 0.0)
        said = {speaker: np.full(1600, level, np.int16), ear: np.zeros(1600, np.int16)}
        heard.append(exchange(bench, said)[ear])
    everything = np.concatenate(heard)
    assert everything.max() > level * 0.9
    assert steps(everything) <= 2 * level / 80


def test_leaving_and_closing_fade_out(bench: "Bench") -> None:
    first, second, ear = parties(bench, 3)
    bus = bench.engine.open_bus()
    bus.join(ear.leg, talk_db=None, listen_db=0)
    for speaker in (first, second):
        bus.join(speaker.leg, talk_db=0, listen_db=None)
    constant = np.full(1600, 8000, np.int16)
    heard = [exchange(bench, {first: constant, second: constant, ear: constant})[ear]]
    bus.leave(first.leg)
    heard.append(exchange(bench, {first: constant, second: constant, ear: constant})[ear])
    assert heard[-1][-1] == 8000
    bus.leave(second.leg)
    heard.append(exchange(bench, {second: constant, ear: constant})[ear])
    assert heard[-1][-1] == 0
    assert steps(np.concatenate(heard)[800:]) <= 200


def test_leaving_what_one_is_not_on_does_nothing(bench: "Bench") -> None:
    bench.engine.open_bus().leave(bench.engine.open_device())
    bench.engine.step()


def test_a_closed_bus_is_silent_at_once(bench: "Bench") -> None:
    speaker, ear = parties(bench, 2)
    bus = bench.engine.open_bus()
    bus.join(speaker.leg, talk_db=0, listen_db=0)
    bus.join(ear.leg, talk_db=0, listen_db=0)
    said = {speaker: np.full(800, 8000, np.int16), ear: np.zeros(800, np.int16)}
    exchange(bench, said)
    bus.close()
    assert not exchange(bench, said)[ear][400:].any()
    with pytest.raises(ClosedError):
        bus.join(ear.leg, talk_db=0, listen_db=0)


@pytest.mark.parametrize("gain", [20.1, float("nan"), float("inf")])
def test_gains_out_of_bounds_are_refused(bench: "Bench", gain: float) -> None:
    device = bench.engine.open_device()
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


# ---------------------------------------------------------------------------- other rates


def level_db(pcm: "Pcm", frequency_hz: float, rate_hz: int) -> float:
    """The level of one tone in dB of a full-scale one."""
    window = np.hanning(len(pcm))
    turn = np.exp(-2j * np.pi * frequency_hz * np.arange(len(pcm)) / rate_hz)
    return 20 * float(np.log10(2 * abs((pcm * window * turn).sum()) / window.sum() / 32768 + 1e-9))


RATES_HZ = (8000, 16000, 48000)


@pytest.mark.parametrize("bus_hz", RATES_HZ)
@pytest.mark.parametrize("said_hz", RATES_HZ)
@pytest.mark.parametrize("heard_hz", RATES_HZ)
def test_rates_meet_on_a_bus(bench: "Bench", said_hz: int, bus_hz: int, heard_hz: int) -> None:
    speaker, ear = bench.party(said_hz), bench.party(heard_hz)
    bus = bench.engine.open_bus(rate_hz=bus_hz)
    for party in (speaker, ear):
        bus.join(party.leg, talk_db=0, listen_db=0)
    said = bench.tone(1000, said_hz, 8000, rate_hz=said_hz)
    heard = []
    for at in range(0, len(said), speaker.tick_samples):
        speaker.say(said[at : at + speaker.tick_samples])
        bench.engine.step()
        heard.append(ear.hear_all())
    steady = np.concatenate(heard)[heard_hz // 2 :]
    assert level_db(steady, 1000, heard_hz) == pytest.approx(-12.25, abs=0.3)
    rest = steady - np.mean(steady)
    noise_db = 10 * np.log10(max(float(np.mean(rest**2.0)) - 8000**2 / 2, 1e-3) / (8000**2 / 2))
    assert noise_db < -30


def test_who_speaks_at_another_rate_does_not_hear_himself(bench: "Bench") -> None:
    wide, narrow = bench.party(16000), bench.party(8000)
    bus = bench.engine.open_bus(rate_hz=8000)
    for party in (wide, narrow):
        bus.join(party.leg, talk_db=0, listen_db=0)
    heard = []
    for tick in range(100):
        wide.say(bench.tone(700, 160, 8000, tick * 160, 16000))
        narrow.say(bench.tone(1100, 80, 8000, tick * 80, 8000))
        bench.engine.step()
        heard.append(wide.hear_all())
    steady = np.concatenate(heard)[8000:]
    assert level_db(steady, 1100, 16000) == pytest.approx(-12.25, abs=0.3)
    assert level_db(steady, 700, 16000) < -55


def test_a_port_hears_buses_of_three_rates_at_once(bench: "Bench") -> None:
    ear = bench.party(16000)
    speakers = {rate: bench.party(rate) for rate in RATES_HZ}
    for rate, speaker in speakers.items():
        bus = bench.engine.open_bus(rate_hz=rate)
        bus.join(speaker.leg, talk_db=0, listen_db=None)
        bus.join(ear.leg, talk_db=None, listen_db=0)
    frequencies = {8000: 600, 16000: 1500, 48000: 2600}
    heard = []
    for tick in range(100):
        for rate, speaker in speakers.items():
            step = rate // 100
            speaker.say(bench.tone(frequencies[rate], step, 6000, tick * step, rate))
        bench.engine.step()
        heard.append(ear.hear_all())
    steady = np.concatenate(heard)[8000:]
    for frequency in frequencies.values():
        assert level_db(steady, frequency, 16000) == pytest.approx(-14.75, abs=0.4)


@pytest.mark.parametrize("rate_hz", [0, 11025, 44100, -1])
def test_an_impossible_rate_is_refused(bench: "Bench", rate_hz: int) -> None:
    for opened in (bench.engine.open_bus, bench.engine.open_device, bench.engine.open_source):
        with pytest.raises(SettingError):
            opened(rate_hz=rate_hz)


# ---------------------------------------------------------------------------- the loudest


def hoot(bench: "Bench", amplitudes: list[list[int]], loudest: int) -> "Pcm":
    """Several talk at once, each with a tone of its own; every row of amplitudes lasts a second."""
    bus = bench.engine.open_bus()
    talkers = parties(bench, len(amplitudes[0]))
    ear = bench.party()
    bus.loudest(loudest)
    bus.join(ear.leg, talk_db=None, listen_db=0)
    for talker in talkers:
        bus.join(talker.leg, talk_db=0, listen_db=None)
    heard = []
    for tick in range(100 * len(amplitudes)):
        for number, talker in enumerate(talkers):
            amplitude = amplitudes[tick // 100][number]
            talker.say(bench.tone(500 + 400 * number, 80, amplitude, tick * 80))
        bench.engine.step()
        heard.append(ear.hear_all())
    return np.concatenate(heard)


def present(pcm: "Pcm", count: int) -> list[bool]:
    return [level_db(pcm, 500 + 400 * number, 8000) > -40 for number in range(count)]


def test_only_the_loudest_are_mixed(bench: "Bench") -> None:
    heard = hoot(bench, [[2000, 8000, 4000, 6000, 1000]], 3)
    assert present(heard[-4000:], 5) == [False, True, True, True, False]


def test_a_louder_one_takes_the_place_of_the_quietest(bench: "Bench") -> None:
    heard = hoot(bench, [[2000, 8000, 4000, 0], [2000, 8000, 4000, 9000]], 3)
    assert present(heard[4000:8000], 4) == [True, True, True, False]
    assert present(heard[-4000:], 4) == [False, True, True, True]


def test_one_who_is_only_a_little_louder_does_not(bench: "Bench") -> None:
    heard = hoot(bench, [[4000, 8000, 0], [4000, 8000, 5000]], 2)
    assert present(heard[-4000:], 3) == [True, True, False]


def test_a_change_among_the_loudest_does_not_click(bench: "Bench") -> None:
    bus = bench.engine.open_bus()
    (first, second, ear) = parties(bench, 3)
    bus.loudest(1)
    bus.join(ear.leg, talk_db=None, listen_db=0)
    for party in (first, second):
        bus.join(party.leg, talk_db=0, listen_db=None)
    quiet, loud = np.full(8000, 3000, np.int16), np.full(8000, 12000, np.int16)
    heard = [exchange(bench, {first: quiet, second: 0 * quiet, ear: 0 * quiet})[ear]]
    heard.append(exchange(bench, {first: quiet, second: loud, ear: 0 * quiet})[ear])
    assert heard[-1][-1] == 12000
    assert steps(np.concatenate(heard)[4000:]) <= 2 * 12000 / 160


def test_everybody_is_mixed_again_when_the_limit_goes(bench: "Bench") -> None:
    bus = bench.engine.open_bus()
    (first, second, ear) = parties(bench, 3)
    bus.loudest(1)
    bus.join(ear.leg, talk_db=None, listen_db=0)
    for party in (first, second):
        bus.join(party.leg, talk_db=0, listen_db=None)
    said = {first: np.full(4000, 3000, np.int16), second: np.full(4000, 5000, np.int16)}
    said[ear] = np.zeros(4000, np.int16)
    assert exchange(bench, said)[ear][-1] == 5000
    bus.loudest(0)
    assert exchange(bench, said)[ear][-1] == 8000
