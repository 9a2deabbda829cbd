"""RFC 3389: noise as loud and as coloured as the payload says, whatever the payload says."""

import itertools

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

RATES = [8000, 16000, 48000]
FULL_SCALE = 32768
ROOM = lib.OT_COMFORT_PAYLOAD_MAX

Pcm = npt.NDArray[np.int16]
Wave = npt.NDArray[np.float64]


class Noise:
    """A generator."""

    def __init__(self, rate_hz: int = 8000) -> None:
        self.tick = rate_hz // 100
        self._raw = ffi.new("ot_comfort *")
        assert lib.ot_comfort_init(self._raw, rate_hz) == 0

    def set(self, payload: bytes) -> "Noise":
        assert lib.ot_comfort_set(self._raw, payload, len(payload)) == 0
        return self

    def make(self, samples: int) -> Pcm:
        pcm = np.full(samples + 4, 12345, np.int16)
        lib.ot_comfort_make(self._raw, ffi.from_buffer("int16_t[]", pcm.data), samples)
        assert (pcm[samples:] == 12345).all()
        return pcm[:samples]

    def ticks(self, count: int) -> Pcm:
        return np.concatenate([self.make(self.tick) for _ in range(count)])


def analyse(pcm: Pcm, rate_hz: int, room: int = ROOM) -> bytes:
    payload = ffi.new("uint8_t[]", ROOM)
    data = ffi.from_buffer("int16_t[]", np.ascontiguousarray(pcm).data)
    octets = lib.ot_comfort_analyse(data, len(pcm), rate_hz, payload, room)
    return bytes(ffi.buffer(payload))[:octets]


def level_dbov(pcm: Pcm) -> float:
    mean = np.mean(pcm.astype(float) ** 2)
    return float(10 * np.log10(mean / FULL_SCALE**2 + 1e-30))


def spectrum_db(pcm: Pcm, bands: int) -> Wave:
    """The level of each of `bands` equal parts of the spectrum."""
    frames = pcm[: len(pcm) - len(pcm) % 256].reshape(-1, 256) * np.hanning(256)
    power = np.mean(np.abs(np.fft.rfft(frames, axis=1)) ** 2, axis=0)[1:]
    parts: Wave = np.array([part.mean() for part in np.array_split(power, bands)])
    return 10 * np.log10(parts + 1e-9)


def coloured(coefficients: list[float], samples: int, level: float = -40) -> Pcm:
    """White noise through 1 / (1 + a1 z^-1 + ...), at a level."""
    white = np.random.default_rng(3).standard_normal(samples)
    wave = np.zeros(samples)
    for i in range(samples):
        past = wave[max(0, i - len(coefficients)) : i][::-1]
        wave[i] = white[i] - np.dot(coefficients[: len(past)], past)
    wave *= FULL_SCALE * 10 ** (level / 20) / np.sqrt(np.mean(wave**2))
    return np.asarray(wave, np.int16)


# -- making ----------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("level", [20, 33, 47, 60, 70, 80])
@pytest.mark.parametrize("colour", [b"", b"\x40", b"\xc0\xa0\x60", bytes([40, 160, 100, 140] * 2)])
def test_noise_is_as_loud_as_the_payload_says(rate_hz: int, level: int, colour: bytes) -> None:
    noise = Noise(rate_hz).set(bytes([level]) + colour)
    noise.ticks(2)
    assert level_dbov(noise.ticks(200)) == pytest.approx(-level, abs=1)


@pytest.mark.parametrize("level", [3, 5, 10])
def test_noise_close_to_overload_is_as_loud_as_the_payload_says(level: int) -> None:
    noise = Noise().set(bytes([level]))
    noise.ticks(2)
    assert level_dbov(noise.ticks(200)) == pytest.approx(-level, abs=1)


@pytest.mark.parametrize("level", [110, 127])
def test_the_softest_noise_is_silence(level: int) -> None:
    assert not Noise().set(bytes([level])).ticks(50).any()


def test_there_is_silence_before_the_first_payload() -> None:
    assert not Noise().ticks(10).any()


def test_the_reserved_bit_of_the_level_is_not_heeded() -> None:
    assert np.array_equal(Noise().set(b"\xb0").ticks(20), Noise().set(b"\x30").ticks(20))


def test_noise_without_colour_is_white() -> None:
    bands = spectrum_db(Noise().set(bytes([40])).ticks(500), 16)
    assert np.ptp(bands) < 1.5


def test_a_negative_first_coefficient_is_a_low_sound() -> None:
    low = spectrum_db(Noise().set(bytes([40, 50])).ticks(300), 4)
    high = spectrum_db(Noise().set(bytes([40, 204])).ticks(300), 4)
    assert low[0] > low[3] + 6
    assert high[3] > high[0] + 6


@pytest.mark.parametrize("sections", range(1, 11))
def test_the_spectrum_is_the_one_of_the_coefficients(sections: int) -> None:
    indices = [60, 180, 90, 150, 110, 140, 120, 135, 118, 130][:sections]
    predictor = np.array([1.0])
    for index in indices:
        longer = np.append(predictor, 0)
        predictor = longer + 258 * (index - 127) / 32768 * longer[::-1]
    expected = -20 * np.log10(np.abs(np.fft.rfft(predictor, 1024)))
    bands = [10 * np.log10(np.mean(10 ** (p / 10))) for p in np.array_split(expected, 12)]
    heard = spectrum_db(Noise().set(bytes([30, *indices])).ticks(800), 12)
    difference = heard - np.array(bands)
    assert np.abs(difference - difference.mean()).max() < 1.5


def test_more_coefficients_than_ten_change_nothing() -> None:
    ten = bytes([40] + [100] * 10)
    assert np.array_equal(Noise().set(ten).ticks(20), Noise().set(ten + b"\x20" * 5).ticks(20))


def test_the_reserved_index_ends_the_coefficients() -> None:
    ended = Noise().set(bytes([40, 100, 255, 90])).ticks(20)
    assert np.array_equal(ended, Noise().set(bytes([40, 100])).ticks(20))


def test_the_same_payload_makes_the_same_noise() -> None:
    payload = bytes([40, 90, 140])
    assert np.array_equal(Noise().set(payload).ticks(30), Noise().set(payload).ticks(30))


def test_noise_does_not_repeat_itself() -> None:
    pcm = Noise().set(bytes([40])).ticks(300).astype(float)
    spectrum = np.fft.rfft(pcm, 2 * len(pcm))
    correlation = np.fft.irfft(np.abs(spectrum) ** 2)[1 : len(pcm)]
    assert np.abs(correlation).max() < 0.1 * float(pcm @ pcm)


def test_a_level_changes_without_a_click() -> None:
    noise = Noise().set(bytes([70]))
    noise.ticks(20)
    noise.set(bytes([30]))
    levels = [level_dbov(noise.ticks(1)) for _ in range(20)]
    assert max(b - a for a, b in itertools.pairwise([-70.0, *levels])) < 30
    assert levels[0] < -40
    assert np.mean(levels[-5:]) == pytest.approx(-30, abs=1.5)


@pytest.mark.parametrize("level", [20, 40])
def test_noise_begins_at_once_and_without_a_click(level: int) -> None:
    pcm = Noise().set(bytes([level])).ticks(2).astype(float)
    peak = FULL_SCALE * 10 ** (-level / 20) * np.sqrt(3)
    ramp = peak * np.arange(1, 81) / 80
    assert (np.abs(pcm[:80]) <= ramp + 1).all()
    assert level_dbov(pcm[80:].astype(np.int16)) == pytest.approx(-level, abs=2)


def test_colour_changes_without_a_click() -> None:
    noise = Noise().set(bytes([30, 10, 240, 20]))
    noise.ticks(20)
    noise.set(bytes([30, 245, 10, 235]))
    levels = [level_dbov(noise.ticks(1)) for _ in range(30)]
    assert max(levels) < -20


def test_any_number_of_samples_is_made() -> None:
    noise = Noise().set(bytes([40]))
    for samples in (0, 1, 79, 81, 160, 1000):
        assert len(noise.make(samples)) == samples


def test_an_empty_payload_is_refused() -> None:
    raw = ffi.new("ot_comfort *")
    lib.ot_comfort_init(raw, 8000)
    assert lib.ot_comfort_set(raw, b"", 0) != 0


@pytest.mark.parametrize("rate_hz", [0, 99, 11025, 44100])
def test_an_impossible_rate_is_refused(rate_hz: int) -> None:
    assert lib.ot_comfort_init(ffi.new("ot_comfort *"), rate_hz) != 0
    assert lib.ot_comfort_sender_init(ffi.new("ot_comfort_sender *"), rate_hz) != 0


@settings(max_examples=200, deadline=None)
@given(st.lists(st.binary(min_size=1, max_size=14), min_size=1, max_size=8))
def test_no_payloads_make_it_louder_than_they_say(payloads: list[bytes]) -> None:
    noise = Noise()
    for payload in payloads:
        noise.set(payload)
        noise.ticks(3)
    loudest = min(payload[0] & 0x7F for payload in payloads)
    # All the power of the white noise may gather in one resonance, but not more than all.
    assert level_dbov(noise.ticks(30)) < 10 - loudest


@pytest.mark.parametrize("index", [0, 254])
def test_the_sharpest_resonance_stays_bounded(index: int) -> None:
    noise = Noise().set(bytes([40] + [index] * 10))
    assert level_dbov(noise.ticks(2000)) < -25


# -- measuring -------------------------------------------------------------------------------


@pytest.mark.parametrize("rate_hz", RATES)
@pytest.mark.parametrize("level", [10, 30, 31, 45, 60, 75])
def test_the_level_is_measured(rate_hz: int, level: int) -> None:
    payload = analyse(coloured([], rate_hz // 5, -level), rate_hz)
    assert payload[0] == pytest.approx(level, abs=1)


def test_a_square_of_full_scale_is_zero_and_silence_is_the_lowest() -> None:
    square = np.where(np.arange(1600) % 2, 32767, -32768).astype(np.int16)
    assert analyse(square, 8000)[0] == 0
    assert analyse(np.zeros(1600, np.int16), 8000) == b"\x7f"
    assert analyse(np.zeros(0, np.int16), 8000) == b"\x7f"


@pytest.mark.parametrize(
    "coefficients",
    [[-0.9], [0.7], [-1.2, 0.6], [0.1, 0.8], [-0.5, 0.2, 0.4, -0.3], [-1.6, 1.3, -0.6, 0.2]],
)
@pytest.mark.parametrize("rate_hz", RATES)
def test_noise_made_from_what_was_measured_sounds_alike(
    rate_hz: int, coefficients: list[float]
) -> None:
    original = coloured(coefficients, 2 * rate_hz)
    made = Noise(rate_hz).set(analyse(original, rate_hz)).ticks(400)
    assert level_dbov(made) == pytest.approx(level_dbov(original), abs=1.5)
    assert np.abs(spectrum_db(made, 10) - spectrum_db(original, 10)).max() < 3.5


@pytest.mark.parametrize("room", range(ROOM + 1))
def test_a_payload_keeps_to_its_room(room: int) -> None:
    whole = analyse(coloured([-0.5, 0.2, 0.4, -0.3], 8000), 8000)
    assert whole.startswith(analyse(coloured([-0.5, 0.2, 0.4, -0.3], 8000), 8000, room))
    assert len(analyse(coloured([-0.5, 0.2, 0.4, -0.3], 8000), 8000, room)) <= room


def test_a_steady_tone_or_offset_is_measured_within_bounds() -> None:
    time = np.arange(8000)
    for wave in (np.full(8000, 32767), np.full(8000, -1), 32000 * np.sin(time), (-1.0) ** time):
        payload = analyse(np.asarray(wave, np.int16), 8000)
        assert all(octet <= 254 for octet in payload)
        Noise().set(payload).ticks(10)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.integers(-32768, 32767), max_size=800), st.sampled_from(RATES))
def test_any_samples_give_a_payload(samples: list[int], rate_hz: int) -> None:
    payload = analyse(np.array(samples, np.int16), rate_hz)
    assert 1 <= len(payload) <= ROOM
    assert payload[0] <= 127
    assert all(index <= 254 for index in payload[1:])


# -- sending ---------------------------------------------------------------------------------

VOICE, NOTHING = lib.OT_COMFORT_SEND_VOICE, lib.OT_COMFORT_SEND_NOTHING
NOISE = 1


class Sender:
    """A sender that is asked every 20 ms."""

    def __init__(self) -> None:
        self._raw = ffi.new("ot_comfort_sender *")
        assert lib.ot_comfort_sender_init(self._raw, 8000) == 0
        self.payloads: list[bytes] = []

    def run(self, pcm: Pcm, *, voice: bool) -> list[int]:
        """What is sent for each packet."""
        sends = []
        payload = ffi.new("uint8_t[]", ROOM)
        for i in range(0, len(pcm) - 159, 160):
            data = ffi.from_buffer("int16_t[]", np.ascontiguousarray(pcm[i : i + 160]).data)
            send = lib.ot_comfort_sender_run(self._raw, data, 160, int(voice), payload)
            if send >= NOISE:
                self.payloads.append(bytes(ffi.buffer(payload))[:send])
            sends.append(min(send, NOISE))
        return sends


def white(level: float, packets: int) -> Pcm:
    return coloured([], 160 * packets, level)


def test_voice_is_voice() -> None:
    assert Sender().run(white(-20, 50), voice=True) == [VOICE] * 50


def test_after_voice_comes_the_hangover_then_one_description_then_nothing() -> None:
    sender = Sender()
    sender.run(white(-20, 10), voice=True)
    assert sender.run(white(-60, 59), voice=False) == [VOICE] * 10 + [NOISE] + [NOTHING] * 48
    assert [payload[0] for payload in sender.payloads] == pytest.approx([60], abs=1)


def test_the_description_is_repeated_every_second() -> None:
    sender = Sender()
    sends = sender.run(white(-60, 10 + 1 + 150), voice=False)
    assert [i for i, send in enumerate(sends) if send == NOISE] == [10, 60, 110, 160]


def test_louder_noise_is_described_sooner() -> None:
    sender = Sender()
    sender.run(white(-60, 31), voice=False)
    sends = sender.run(white(-50, 30), voice=False)
    assert NOISE in sends[:10]
    assert 2 <= sends.count(NOISE) <= 3
    assert sender.payloads[-1][0] == pytest.approx(50, abs=3)


def test_voice_that_returns_is_sent_at_once() -> None:
    sender = Sender()
    sender.run(white(-60, 40), voice=False)
    assert sender.run(white(-20, 2), voice=True) == [VOICE, VOICE]
    assert sender.run(white(-60, 11), voice=False) == [VOICE] * 10 + [NOISE]
