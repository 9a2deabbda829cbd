"""Fill control under a virtual clock: a device whose crystal and whose blocks are not ours."""

import errno
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import Drift, SampleRingHandle

TICK_S = 0.01
SETTLED_S = 300
TONE_HZ = 1000
SOURCE = Path(__file__).parents[2] / "c_ext" / "drift.c"

Pcm = npt.NDArray[np.int16]
Floats = npt.NDArray[np.float64]


def make_ring(rate_hz: int, limit_ms: int) -> "SampleRingHandle":
    out = ffi.new("ot_sample_ring **")
    assert lib.ot_sample_ring_create(out, rate_hz, limit_ms) == 0
    return ffi.gc(out[0], lib.ot_sample_ring_destroy)


def make_drift(ring: "SampleRingHandle", rate_hz: int) -> "Drift":
    drift = ffi.new("ot_drift *")
    lib.ot_drift_init(drift, rate_hz, lib.ot_sample_ring_target(ring))
    return drift


def tone(rate_hz: int, samples: int) -> Pcm:
    time = np.arange(samples) / rate_hz
    return np.round(8000 * np.sin(2 * np.pi * TONE_HZ * time)).astype(np.int16)


@dataclass
class Device:
    """Moves blocks by a clock of its own, each up to `jitter_s` late."""

    rate_hz: int
    ppm: float
    blocks: int = 1  # of 10 ms, in one go
    jitter_s: float = 0.0
    limit_ms: int = 60
    fill_ms: list[float] = field(default_factory=list)
    corrections: list[float] = field(default_factory=list)
    heard: list[bytes] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.ring = make_ring(self.rate_hz, self.limit_ms)
        self.drift = make_drift(self.ring, self.rate_hz)
        self.tick = self.rate_hz // 100
        self.block = self.tick * self.blocks
        self.period_s = TICK_S * self.blocks / (1 + self.ppm * 1e-6)
        self.late = np.random.default_rng(5).uniform(0, self.jitter_s, 100_000).tolist()
        self.moved = 0
        # A block and a tick hold whole periods of the tone, so they may be said again and again.
        self.said = ffi.from_buffer("int16_t[]", tone(self.rate_hz, self.block).tobytes())
        self.room = ffi.new("int16_t[]", self.block)

    def is_due(self, now_s: float) -> bool:
        late_s = self.late[self.moved % len(self.late)]
        return bool(self.moved * self.period_s + late_s <= now_s)

    def note_fill(self) -> None:
        self.corrections.append(self.drift.ppm)
        self.fill_ms.append(lib.ot_sample_ring_fill(self.ring) * 1000 / self.rate_hz)

    def record(self, samples: int) -> None:
        self.heard.append(bytes(ffi.buffer(self.room, 2 * samples)))

    def capture(self, seconds: float) -> None:
        """The device says the tone, the engine hears it."""
        for number in range(round(seconds / TICK_S)):
            while self.is_due(number * TICK_S + 0.003):
                lib.ot_sample_ring_write(self.ring, self.said, self.block)
                self.moved += 1
            self.note_fill()
            lib.ot_drift_read(self.drift, self.ring, self.room)
            self.record(self.tick)

    def play(self, seconds: float) -> None:
        """The engine says the tone, the device hears it."""
        for number in range(round(seconds / TICK_S)):
            while self.is_due(number * TICK_S + 0.003):
                lib.ot_sample_ring_read(self.ring, self.room, self.block)
                self.moved += 1
                self.record(self.block)
            lib.ot_drift_write(self.drift, self.ring, self.said)
            self.note_fill()

    def accidents(self) -> tuple[int, int, int]:
        return (
            lib.ot_sample_ring_underruns(self.ring),
            lib.ot_sample_ring_overruns(self.ring),
            lib.ot_sample_ring_skips(self.ring),
        )

    def purity_db(self) -> float:
        """The worst fifth of a second of the last ten seconds."""
        pcm = np.frombuffer(b"".join(self.heard), np.int16)[-10 * self.rate_hz :].astype(np.float64)
        return min(purity_db(each, self.rate_hz) for each in pcm.reshape(50, -1))


def purity_db(pcm: Floats, rate_hz: int) -> float:
    """The tone, at whatever pitch it has now, against all else."""
    time = np.arange(len(pcm)) / rate_hz
    middle = time / time[-1] - 0.5
    best = -100.0
    for off_ppm in range(-900, 901, 100):
        turn = 2 * np.pi * TONE_HZ * (1 + off_ppm * 1e-6) * time
        wave = np.stack([np.sin(turn), np.cos(turn)])
        basis = np.concatenate([wave, wave * middle, np.ones((1, len(pcm)))]).T
        rest = pcm - basis @ np.linalg.lstsq(basis, pcm, rcond=None)[0]
        best = max(best, float(10 * np.log10((pcm**2).sum() / (rest**2).sum())))
    return best


@pytest.mark.slow
@pytest.mark.parametrize("way", ["capture", "play"])
@pytest.mark.parametrize("ppm", [300, -300, 20])
def test_an_hour_of_another_clock_is_not_heard(way: str, ppm: int) -> None:
    device = Device(8000, ppm)
    getattr(device, way)(3600)
    assert device.accidents() == (0, 0, 0)
    settled = np.array(device.fill_ms[SETTLED_S * 100 :])
    assert settled.mean() == pytest.approx(30, abs=1)
    assert settled.min() >= 19.5  # a block of 10 ms, whatever its place in the tick
    assert settled.max() <= 40.5
    assert device.purity_db() > 60
    sign = 1 if way == "capture" else -1
    assert lib.ot_drift_ppm(device.drift) == pytest.approx(sign * ppm, abs=25)


@pytest.mark.slow
@pytest.mark.parametrize("way", ["capture", "play"])
@pytest.mark.parametrize("ppm", [300, -300])
def test_blocks_in_pairs_and_out_of_time_do_no_harm(way: str, ppm: int) -> None:
    device = Device(8000, ppm, blocks=2, jitter_s=0.016, limit_ms=100)
    getattr(device, way)(1200)
    assert device.accidents() == (0, 0, 0)
    settled = np.array(device.fill_ms[SETTLED_S * 100 :])
    assert settled.mean() == pytest.approx(50, abs=2)
    assert settled.min() > 25
    assert settled.max() < 75
    assert device.purity_db() > 60


@pytest.mark.slow
@pytest.mark.parametrize("rate_hz", [16000, 48000])
@pytest.mark.parametrize("way", ["capture", "play"])
def test_wide_band_devices_are_followed_too(way: str, rate_hz: int) -> None:
    device = Device(rate_hz, -250)
    getattr(device, way)(900)
    assert device.accidents() == (0, 0, 0)
    assert np.mean(device.fill_ms[SETTLED_S * 100 :]) == pytest.approx(30, abs=1)
    assert device.purity_db() > 60


@pytest.mark.parametrize("way", ["capture", "play"])
def test_the_pitch_moves_slowly(way: str) -> None:
    """25 ppm in a second at most, and never more than 1000, whatever the fill does."""
    device = Device(8000, 900, blocks=3, jitter_s=0.02, limit_ms=200)
    getattr(device, way)(120)
    steps = np.abs(np.diff(device.corrections))
    assert 0 < steps.max() <= 0.2501
    assert 500 < np.abs(device.corrections).max() <= lib.OT_DRIFT_PPM_MAX


def exchange(pcm: Pcm, rate_hz: int) -> tuple[Pcm, Pcm]:
    """Passes a sound through a microphone and an earpiece that share our clock."""
    mic, ear = make_ring(rate_hz, 60), make_ring(rate_hz, 60)
    mic_drift, ear_drift = make_drift(mic, rate_hz), make_drift(ear, rate_hz)
    tick = rate_hz // 100
    captured, played = np.zeros_like(pcm), np.zeros_like(pcm)
    for at in range(0, len(pcm), tick):
        part = slice(at, at + tick)
        said = ffi.from_buffer("int16_t[]", pcm[part].data)
        lib.ot_sample_ring_write(mic, said, tick)
        lib.ot_drift_read(mic_drift, mic, ffi.from_buffer("int16_t[]", captured[part].data))
        lib.ot_drift_write(ear_drift, ear, said)
        lib.ot_sample_ring_read(ear, ffi.from_buffer("int16_t[]", played[part].data), tick)
    return captured, played


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_on_one_clock_every_bit_passes(rate_hz: int) -> None:
    noise = np.random.default_rng(2).integers(-32768, 32768, rate_hz, dtype=np.int16)
    for heard in exchange(noise, rate_hz):
        found = bytes(noise[: rate_hz // 2].data)
        assert found in bytes(heard.data)


def test_full_scale_is_limited_not_wrapped() -> None:
    device = Device(8000, 300)
    square = np.where(np.arange(80) % 20 < 10, 32767, -32768).astype(np.int16)
    device.said = ffi.from_buffer("int16_t[]", square.tobytes())
    device.capture(60)
    heard = np.frombuffer(b"".join(device.heard[-1000:]), np.int16).astype(int)
    assert device.drift.following
    assert np.mean(np.abs(heard) > 25000) > 0.9
    assert np.abs(np.diff(heard)).max() > 40000
    inside = np.abs(heard[1:-1]) < 20000
    between = (heard[:-2] < 0) != (heard[2:] < 0)
    assert np.all(between[inside]), "a sample jumped away from its neighbours"


def test_nothing_said_is_nothing_heard_and_returns_zero() -> None:
    ring = make_ring(8000, 60)
    drift = make_drift(ring, 8000)
    pcm = np.ones(80, np.int16)
    room = ffi.from_buffer("int16_t[]", pcm.data)
    assert lib.ot_drift_read(drift, ring, room) == 0
    assert not pcm.any()
    for _ in range(3):
        lib.ot_sample_ring_write(ring, ffi.from_buffer("int16_t[]", tone(8000, 80).tobytes()), 80)
    assert [lib.ot_drift_read(drift, ring, room) for _ in range(5)] == [1, 1, 1, 1, 0]
    assert not pcm.any()


def test_an_engine_that_stalled_gets_its_delay_back() -> None:
    device = Device(8000, 0, limit_ms=200)
    device.capture(5)
    for _ in range(7):
        lib.ot_sample_ring_write(device.ring, device.said, 80)
    device.fill_ms.clear()
    for _ in range(200):
        lib.ot_sample_ring_write(device.ring, device.said, 80)
        device.note_fill()
        lib.ot_drift_read(device.drift, device.ring, device.room)
    assert device.fill_ms[0] > 160
    assert device.fill_ms[-1] == pytest.approx(100, abs=15)
    assert lib.ot_sample_ring_skips(device.ring) == 1


@pytest.mark.parametrize(("rate_hz", "limit_ms"), [(44100, 60), (8000, 19), (8000, 513)])
def test_a_ring_of_no_sensible_size_is_refused(rate_hz: int, limit_ms: int) -> None:
    out = ffi.new("ot_sample_ring **")
    assert lib.ot_sample_ring_create(out, rate_hz, limit_ms) == errno.EINVAL


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_a_ring_holds_half_a_second_at_every_rate(rate_hz: int) -> None:
    ring = make_ring(rate_hz, 512)
    samples = rate_hz * 512 // 1000
    noise = np.random.default_rng(3).integers(-32768, 32768, samples + 1, dtype=np.int16)
    heard = np.zeros(samples, np.int16)
    for _ in range(3):  # around the end of the storage
        written = lib.ot_sample_ring_write(
            ring, ffi.from_buffer("int16_t[]", noise.data), samples // 2 + 7
        )
        lib.ot_sample_ring_read(ring, ffi.from_buffer("int16_t[]", heard.data), written)
        assert np.array_equal(heard[:written], noise[:written])
    assert (
        lib.ot_sample_ring_write(ring, ffi.from_buffer("int16_t[]", noise.data), samples + 1)
        == samples
    )
    assert lib.ot_sample_ring_overruns(ring) == 1


def test_the_coefficients_are_what_the_comment_says() -> None:
    """Every row against a sinc under Kaiser's window, at every position between two taps."""
    table = SOURCE.read_text().partition("TAPS[HALF]")[2].partition("};")[0]
    numbers = [float(each) for each in re.findall(r"(-?\d\.\d+e[+-]\d+)F", table)]
    rows = np.array(numbers).reshape(16, 7)
    position = np.linspace(-0.5, 0.5, 101)
    for tap, row in enumerate(rows):
        distance = tap - 15.5 - position
        inside = np.maximum(0, 1 - (distance / 16) ** 2)
        expected = np.sinc(distance) * np.i0(7 * np.sqrt(inside)) / np.i0(7)
        assert np.polynomial.polynomial.polyval(position, row) == pytest.approx(expected, abs=2e-5)
