"""Tones: pitch, level, purity, cadence to the sample, and no clicks."""

import errno
import hashlib
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import Tone, ToneSpec

Pcm = npt.NDArray[np.int16]
RATES_HZ = (8000, 16000, 48000)
DTMF_LOW_HZ = (697, 770, 852, 941)
DTMF_HIGH_HZ = (1209, 1336, 1477, 1633)
DTMF_KEYS = ("123A", "456B", "789C", "*0#D")


def spec(
    parts: Sequence[tuple[int, float]], steps: Sequence[tuple[int, int]] = (), repeats: int = 0
) -> "ToneSpec":
    made = ffi.new("ot_tone_spec *")
    for part, (frequency_hz, level_dbfs) in zip(made.parts, parts, strict=False):
        part.frequency_hz = frequency_hz
        part.level_dbfs = level_dbfs
    for step, (on_ms, off_ms) in zip(made.steps, steps, strict=False):
        step.on_ms = on_ms
        step.off_ms = off_ms
    made.repeats = repeats
    return made


def start(what: "ToneSpec", rate_hz: int = 8000) -> "Tone":
    tone = ffi.new("ot_tone *")
    assert lib.ot_tone_init(tone, rate_hz, what) == 0
    return tone


def make(tone: "Tone", ticks: int) -> tuple[Pcm, list[int]]:
    """Returns the sound and what each tick said of itself."""
    samples = tone.rate_hz // 100
    pcm = np.full(samples * ticks, 77, np.int16)
    states = [
        lib.ot_tone_make(
            tone, ffi.from_buffer("int16_t[]", pcm[at * samples : (at + 1) * samples].data)
        )
        for at in range(ticks)
    ]
    return pcm, states


def find(zone: str, name: str) -> "ToneSpec":
    found = lib.ot_tone_find(zone.encode(), name.encode())
    assert found != ffi.NULL
    return found


def peaks(pcm: Pcm, rate_hz: int = 8000) -> list[tuple[float, float]]:
    """The frequencies that stand out, each with its level in dBFS."""
    turn = np.hanning(len(pcm))
    spectrum = np.abs(np.fft.rfft(pcm * turn)) * 2 / turn.sum()
    level = 20 * np.log10(spectrum / np.sqrt(2) / 32768 + 1e-12)
    top = [
        bin_
        for bin_ in range(1, len(level) - 1)
        if level[bin_] > -45 and level[bin_] == level[bin_ - 1 : bin_ + 2].max()
    ]
    return [(bin_ * rate_hz / len(pcm), float(level[bin_])) for bin_ in top]


def bursts(pcm: Pcm, rate_hz: int = 8000) -> list[tuple[int, int]]:
    """When sound begins and how long it lasts, in ms; a gap is 20 ms of nothing at least."""
    loud = np.flatnonzero(pcm)
    edges = np.flatnonzero(np.diff(loud) > rate_hz // 50)
    first = np.concatenate([loud[:1], loud[edges + 1]])
    last = np.concatenate([loud[edges], loud[-1:]])
    return [
        (round(a * 1000 / rate_hz), round((b - a + 1) * 1000 / rate_hz))
        for a, b in zip(first, last, strict=True)
    ]


@pytest.mark.parametrize("rate_hz", RATES_HZ)
@pytest.mark.parametrize("frequency_hz", [300, 440, 1000, 1400, 3400])
def test_a_tone_is_pure_and_as_loud_as_asked(rate_hz: int, frequency_hz: int) -> None:
    pcm, _ = make(start(spec([(frequency_hz, -12.0)]), rate_hz), 110)
    second = pcm[-rate_hz:].astype(np.float64)
    time = np.arange(rate_hz) / rate_hz
    wave = np.exp(2j * np.pi * frequency_hz * time)
    tone = 2 * np.real(np.mean(second * wave.conj()) * wave)
    level = 10 * np.log10(np.mean(tone**2) / 32768**2)
    rest = 10 * np.log10(np.mean((second - tone) ** 2) / np.mean(tone**2))
    assert level == pytest.approx(-12, abs=0.02)
    assert rest < -70


def test_four_frequencies_sound_together() -> None:
    wanted = [(500, -20.0), (900, -23.0), (1300, -26.0), (1700, -29.0)]
    pcm, _ = make(start(spec(wanted)), 110)
    assert peaks(pcm[-8000:]) == [pytest.approx(each, abs=0.05) for each in wanted]


def test_too_much_is_limited_not_wrapped() -> None:
    pcm, _ = make(start(spec([(400, -3.0)] * 4)), 100)
    assert pcm.max() == 32767
    assert pcm.min() == -32768
    assert np.abs(np.diff(pcm.astype(int))).max() < 45000


@pytest.mark.parametrize("rate_hz", RATES_HZ)
def test_the_cadence_is_kept_and_states_say_so(rate_hz: int) -> None:
    pcm, states = make(start(spec([(440, -10.0)], [(60, 40), (30, 70)], 2), rate_hz), 45)
    wanted = [(0, 60), (100, 30), (200, 60), (300, 30)]
    assert bursts(pcm, rate_hz) == [pytest.approx(each, abs=2) for each in wanted]
    sound, pause = [lib.OT_TONE_SOUND], [lib.OT_TONE_SILENT]
    once = sound * 6 + pause * 4 + sound * 3 + pause * 7
    assert states == (once * 2)[:-1] + [lib.OT_TONE_DONE] * 6
    assert not pcm[40 * rate_hz // 100 :].any()


def test_an_endless_cadence_goes_on() -> None:
    pcm, states = make(start(spec([(440, -10.0)], [(10, 20)])), 30_000)
    assert lib.OT_TONE_DONE not in states
    assert states[-3:] == [lib.OT_TONE_SOUND, lib.OT_TONE_SILENT, lib.OT_TONE_SILENT]
    assert np.array_equal(pcm[:240], pcm[-240:])


def largest_step(pcm: Pcm) -> int:
    return int(np.abs(np.diff(pcm.astype(int), prepend=0, append=0)).max())


def outside_db(pcm: Pcm, frequency_hz: float) -> float:
    """Power further than an octave from the tone, against all: what a click would raise."""
    power = np.abs(np.fft.rfft(pcm, 1 << 17)) ** 2
    bins = np.fft.rfftfreq(1 << 17, 1 / 8000)
    far = (bins < frequency_hz / 2) | (bins > frequency_hz * 2)
    return float(10 * np.log10(power[far].sum() / power.sum()))


def test_beginning_and_end_do_not_click() -> None:
    pcm, _ = make(start(spec([(1000, -10.0)], [(100, 100)], 1)), 20)
    assert outside_db(pcm, 1000) < -50
    cut = pcm.copy()
    cut[:240] = cut[720:] = 0
    assert outside_db(cut, 1000) > -40, "the measure hears a click"


@pytest.mark.parametrize("steps", [[], [(1000, 100)]])
def test_a_tone_that_is_stopped_fades(steps: list[tuple[int, int]]) -> None:
    tone = start(spec([(1000, -10.0)], steps))
    before, _ = make(tone, 12)
    lib.ot_tone_stop(tone)
    after, states = make(tone, 3)
    assert states == [lib.OT_TONE_SOUND, lib.OT_TONE_DONE, lib.OT_TONE_DONE]
    assert after[:20].any()
    assert not after[40:].any()
    assert outside_db(np.concatenate([before, after]), 1000) < -50


def test_stopping_in_a_pause_is_at_once() -> None:
    tone = start(spec([(1000, -10.0)], [(10, 1000)]))
    make(tone, 3)
    lib.ot_tone_stop(tone)
    assert make(tone, 1)[1] == [lib.OT_TONE_DONE]


def test_every_processor_makes_these_bits() -> None:
    pcm, _ = make(start(find("fr", "ringback"), 16000), 200)
    digest = hashlib.sha256(pcm.astype("<i2").tobytes()).hexdigest()
    assert digest == "eb32f804fdfddc82b0871f4b77daf2bda28f66131e1a60d545149b497505f70a"


@pytest.mark.parametrize(
    ("zone", "name", "frequencies_hz", "first_bursts_ms"),
    [
        ("fr", "dial", [440], [(0, 5200)]),
        ("fr", "ringback", [440], [(0, 1500), (5000, 200)]),
        ("fr", "busy", [440], [(at, 500) for at in range(0, 5000, 1000)] + [(5000, 200)]),
        ("fr", "call-waiting", [440], [(0, 300)]),
        ("gb", "ringback", [400, 450], [(0, 400), (600, 400), (3000, 400), (3600, 400)]),
        ("us", "ringback", [440, 480], [(0, 2000)]),
        ("us", "recording-beep", [1400], [(0, 500)]),
        ("fr", "blocking", [300, 340], [(at + by, 80) for at in (0, 1900, 3800) for by in
                                        (0, 160, 320)]),
    ],
)  # fmt: skip
def test_the_fields_tones_are_what_the_standards_say(
    zone: str, name: str, frequencies_hz: list[int], first_bursts_ms: list[tuple[int, int]]
) -> None:
    pcm, _ = make(start(find(zone, name)), 520)
    assert bursts(pcm) == [pytest.approx(each, abs=2) for each in first_bursts_ms]
    sounding, _ = make(start(spec([(hz, -20.0) for hz in frequencies_hz])), 100)
    begin, length = first_bursts_ms[0]
    burst = pcm[8 * begin : 8 * (begin + length)]
    reference = sounding[: len(burst)]
    match = np.corrcoef(burst[: len(reference)], reference)[0, 1]
    assert match > 0.95


def test_congestion_is_faster_than_busy() -> None:
    for zone in ("fr", "us"):
        counts = [
            len(bursts(make(start(find(zone, name)), 300)[0])) for name in ("busy", "congestion")
        ]
        assert counts[1] == 2 * counts[0]


def test_the_recording_beep_comes_every_fifteen_seconds() -> None:
    pcm, _ = make(start(find("gb", "recording-beep")), 3100)
    assert [begin for begin, _ in bursts(pcm)] == [pytest.approx(at, abs=2) for at in
                                                    (0, 15000, 30000)]  # fmt: skip


@pytest.mark.parametrize("row", range(4))
@pytest.mark.parametrize("column", range(4))
def test_each_key_has_its_two_frequencies(row: int, column: int) -> None:
    what = find("fr", f"dtmf-{DTMF_KEYS[row][column]}")
    pcm, states = make(start(what), 20)
    assert bursts(pcm) == [pytest.approx((0, 100), abs=2)]
    assert states[-2:] == [lib.OT_TONE_SILENT, lib.OT_TONE_DONE]
    power = np.abs(np.fft.rfft(pcm[:800], 8000)) ** 2
    groups = [[power[hz] for hz in group] for group in (DTMF_LOW_HZ, DTMF_HIGH_HZ)]
    assert [int(np.argmax(group)) for group in groups] == [row, column]
    assert 10 * np.log10(max(groups[1]) / max(groups[0])) == pytest.approx(2, abs=0.5)


@pytest.mark.parametrize(("zone", "name"), [("fr", "silence"), ("xx", "dial"), ("", "dtmf-E")])
def test_an_unknown_tone_is_not_found(zone: str, name: str) -> None:
    assert lib.ot_tone_find(zone.encode(), name.encode()) == ffi.NULL


@pytest.mark.parametrize(
    ("rate_hz", "what"),
    [
        (44100, spec([(440, -10.0)])),
        (8000, spec([])),
        (8000, spec([(4000, -10.0)])),
        (8000, spec([(440, 0.0)])),
        (8000, spec([(440, float("nan"))])),
        (8000, spec([(440, -10.0)], [(60001, 0)])),
        (8000, spec([(440, -10.0)], [(1, 60001)])),
    ],
)
def test_a_specification_out_of_bounds_is_refused(rate_hz: int, what: "ToneSpec") -> None:
    assert lib.ot_tone_init(ffi.new("ot_tone *"), rate_hz, what) == errno.EINVAL
