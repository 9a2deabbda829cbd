"""Devices among legs and each other: gates, side-tone, ducking, echo, and clocks that differ."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext import Cleaning, ClosedError, Device, SettingError, Tone

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, Pcm


class Worn:
    """A device that is spoken into and listened to, 10 ms at a time."""

    def __init__(self, bench: "Bench", rate_hz: int = 8000) -> None:
        self.bench = bench
        self.device = bench.engine.open_device(rate_hz=rate_hz)
        self.samples = rate_hz // 100
        self.heard: list[Pcm] = []

    def step(self, pcm: "Pcm | None" = None) -> None:
        """Says 10 ms (None: silence) and hears as much; the engine ticks between by hand."""
        said = np.zeros(self.samples, np.int16) if pcm is None else pcm
        self.device.write_capture(said.tobytes())
        self.heard.append(np.frombuffer(self.device.read_playback(self.samples), np.int16))

    def last(self, ticks: int) -> "Pcm":
        return np.concatenate(self.heard[-ticks:])


def rms(pcm: "Pcm") -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


def tone(bench: "Bench", tick: int, hz: float, amplitude: float, rate_hz: int = 8000) -> "Pcm":
    samples = rate_hz // 100
    return bench.tone(hz, samples, amplitude, tick * samples, rate_hz)


def test_a_muted_microphone_is_heard_by_nobody(bench: "Bench") -> None:
    worn, ear = Worn(bench), bench.party()
    bus = bench.engine.open_bus()
    bus.join(worn.device, talk_db=0, listen_db=0)
    bus.join(ear.leg, talk_db=None, listen_db=0)
    levels = []
    for muted in (False, True, False):
        worn.device.mute(capture=muted, playback=False)
        parts = []
        for tick in range(80):
            worn.step(tone(bench, tick, 500, 8000))
            bench.engine.step()
            parts.append(ear.hear_all())
        levels.append(rms(np.concatenate(parts)[-1600:]))
    assert levels[0] == pytest.approx(5657, rel=0.02)
    assert levels[1] == 0
    assert levels[2] == pytest.approx(5657, rel=0.02)


def test_a_muted_earpiece_is_silent_and_does_not_click(bench: "Bench") -> None:
    worn, source = Worn(bench), bench.engine.open_source()
    bus = bench.engine.open_bus()
    bus.join(worn.device, talk_db=None, listen_db=0)
    bus.join(source, talk_db=0, listen_db=None)
    source.play_clip(np.full(800, 6000, np.int16).tobytes(), times=0)
    for tick in range(150):
        if tick in {70, 110}:
            worn.device.mute(capture=False, playback=tick == 70)
        worn.step()
        bench.engine.step()
    everything = np.concatenate(worn.heard[30:])
    assert everything[-1] == pytest.approx(6000, abs=2)
    assert not np.concatenate(worn.heard[90:108]).any()
    assert np.abs(np.diff(everything.astype(int))).max() <= 6000 / 80


def test_side_tone_is_ones_own_voice_and_nothing_else(bench: "Bench") -> None:
    worn = Worn(bench)
    worn.device.sidetone(-12.0)
    for tick in range(100):
        worn.step(tone(bench, tick, 500, 8000))
        bench.engine.step()
    assert rms(worn.last(20)) == pytest.approx(5657 * 10 ** (-12 / 20), rel=0.02)
    worn.device.sidetone(None)
    for tick in range(40):
        worn.step(tone(bench, tick, 500, 8000))
        bench.engine.step()
    assert not worn.last(10).any()


def test_loudspeakers_step_back_while_somebody_talks(bench: "Bench") -> None:
    speaker, handset = Worn(bench), Worn(bench)
    source = bench.engine.open_source()
    bus = bench.engine.open_bus()
    bus.join(speaker.device, talk_db=None, listen_db=0)
    bus.join(source, talk_db=0, listen_db=None)
    source.play_tone(Tone(((600, -15.0),)))
    speaker.device.duck([handset.device], depth_db=12, hold_ms=100, release_ms=200)
    loudness = []
    for talks in (False, True, False):
        for tick in range(150):
            handset.step(tone(bench, tick, 500, 8000) if talks else None)
            speaker.step()
            bench.engine.step()
        loudness.append(rms(speaker.last(30)))
    assert loudness[1] == pytest.approx(loudness[0] * 10 ** (-12 / 20), rel=0.05)
    assert loudness[2] == pytest.approx(loudness[0], rel=0.02)


def test_who_ducked_the_loudspeaker_may_close(bench: "Bench") -> None:
    speaker, handset = Worn(bench), Worn(bench)
    speaker.device.duck([handset.device])
    handset.device.close()
    bench.engine.step(10)
    with pytest.raises(ClosedError):
        speaker.device.duck([handset.device])
    speaker.device.duck([])


def room(played: "list[Pcm]", response: "np.ndarray[tuple[int], np.dtype[np.float64]]") -> "Pcm":
    """What a microphone hears now of what a loudspeaker has played."""
    samples = len(played[-1])
    past = np.concatenate(played)[-len(response) - samples :].astype(float)
    heard = np.convolve(past, response)[len(past) - samples : len(past)]
    return heard.clip(-32768, 32767).astype(np.int16)


def echo_rms(bench: "Bench", cleaning: Cleaning | None, heard_from: str) -> float:
    """The level that a far end hears of its own voice, through a loudspeaker and a microphone."""
    loudspeaker, gooseneck = Worn(bench, 16000), Worn(bench, 16000)
    microphone = gooseneck if heard_from == "neighbour" else loudspeaker
    caller, ear = bench.engine.open_source(rate_hz=16000), bench.party(16000)
    out, back = (bench.engine.open_bus(rate_hz=16000) for _ in range(2))
    out.join(caller, talk_db=0, listen_db=None)
    out.join(loudspeaker.device, talk_db=None, listen_db=0)
    back.join(microphone.device, talk_db=0, listen_db=None)
    back.join(ear.leg, talk_db=None, listen_db=0)
    rng = np.random.default_rng(5)
    voice = rng.normal(0, 3000, 16000 * 2)
    voice *= np.repeat(rng.uniform(0.3, 1.0, 200), 160)
    caller.play_clip(voice.clip(-32768, 32767).astype(np.int16).tobytes(), times=0)
    microphone.device.clean(cleaning, [loudspeaker.device])
    response = np.zeros(400)
    response[[40, 90, 200, 350]] = 0.4, -0.25, 0.1, 0.05
    heard = []
    for _ in range(600):
        echo = room(loudspeaker.heard[-6:], response) if loudspeaker.heard else None
        for worn in (loudspeaker, gooseneck):
            worn.step(echo if worn is microphone else None)
        bench.engine.step()
        heard.append(ear.hear_all())
    return rms(np.concatenate(heard)[-16000:])


@pytest.mark.slow
@pytest.mark.parametrize("heard_from", ["itself", "neighbour"])
def test_the_echo_of_a_loudspeaker_is_taken_out(bench: "Bench", heard_from: str) -> None:
    loud = echo_rms(bench, None, heard_from)
    quiet = echo_rms(bench, Cleaning(noise_db=0, tail_ms=200), heard_from)
    assert loud > 300
    assert 20 * np.log10(loud / max(quiet, 1)) > 15


@pytest.mark.slow
@pytest.mark.parametrize("ppm", [-250, 250])
def test_a_clock_that_differs_is_followed(bench: "Bench", ppm: int) -> None:
    device: Device = bench.engine.open_device(rate_hz=16000)
    bus = bench.engine.open_bus(rate_hz=16000)
    bus.join(device, talk_db=0, listen_db=0)
    owed = 0.0
    for _ in range(30_000):
        owed += 160 * (1 + ppm * 1e-6)
        if owed >= 160:
            samples = int(owed)
            device.write_capture(bytes(2 * samples))
            device.read_playback(samples)
            owed -= samples
        bench.engine.step()
    stats = device.stats()
    assert stats.drift_ppm == pytest.approx(ppm, abs=40)
    assert stats.capture_underruns <= 1
    assert stats.capture_overruns == 0


@pytest.mark.parametrize(
    ("setting", "value"),
    [("noise_db", 41), ("tail_ms", 5), ("tail_ms", 501)],
)
def test_impossible_cleaning_is_refused(bench: "Bench", setting: str, value: int) -> None:
    device = bench.engine.open_device()
    with pytest.raises(SettingError):
        device.clean(Cleaning(**{setting: value}), [device])  # type: ignore[arg-type]


def test_impossible_gains_are_refused(bench: "Bench") -> None:
    device = bench.engine.open_device()
    for gain in (0.1, float("nan")):
        with pytest.raises(SettingError):
            device.sidetone(gain)
    for depth in (-1.0, 61.0, float("nan")):
        with pytest.raises(SettingError):
            device.duck([device], depth_db=depth)
