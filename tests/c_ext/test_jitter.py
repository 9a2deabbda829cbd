"""The jitter buffer under a virtual clock: one get is 10 ms, packets come when the test says."""

from collections.abc import Iterable

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

PACKET_SAMPLES = 160
TARGET_MS = 60
SILENCE, VOICE, CONCEALED = lib.OT_GET_SILENCE, lib.OT_GET_VOICE, lib.OT_GET_CONCEALED

Pcm = npt.NDArray[np.int16]


def tone(index: int, samples: int = PACKET_SAMPLES) -> bytes:
    """The payload of the packet that begins at sample `index` of a 400 Hz tone."""
    time = np.arange(index, index + samples) / 8000
    pcm = (8000 * np.sin(2 * np.pi * 400 * time)).astype(np.int16)
    code = ffi.new("uint8_t[]", samples)
    lib.ot_ulaw_encode(code, ffi.from_buffer("int16_t[]", pcm.data), samples)
    return bytes(ffi.buffer(code))


def level(pcm: Pcm) -> float:
    return float(np.sqrt(np.mean(pcm.astype(float) ** 2)))


class Buffer:
    """A jitter buffer and a sender of a steady tone."""

    def __init__(self, target_ms: int = TARGET_MS, first: int = 100, timestamp: int = 0) -> None:
        out = ffi.new("ot_jitter **")
        assert lib.ot_jitter_create(out, lib.OT_PCMU, target_ms) == 0
        self._handle = ffi.gc(out[0], lib.ot_jitter_destroy)
        self.first = first
        self.timestamp = timestamp
        self.kinds: list[int] = []

    def put(
        self, number: int, *, ssrc: int = 7, payload: bytes | None = None, shift: int = 0
    ) -> int:
        """Gives packet `number` of the stream."""
        sound = tone(number * PACKET_SAMPLES) if payload is None else payload
        packet = ffi.new("ot_rtp *")
        packet.ssrc = ssrc
        packet.sequence = (self.first + number) & 0xFFFF
        packet.timestamp = (self.timestamp + number * PACKET_SAMPLES + shift) & 0xFFFFFFFF
        packet.payload_octets = len(sound)
        return lib.ot_jitter_put(self._handle, packet, sound)

    def get(self, ticks: int = 1) -> Pcm:
        frames = np.zeros((ticks, 80), np.int16)
        for frame in frames:
            self.kinds.append(
                lib.ot_jitter_get(self._handle, ffi.from_buffer("int16_t[]", frame.data))
            )
        return frames.reshape(-1)

    def play(self, numbers: Iterable[int | None], *, ssrc: int = 7, shift: int = 0) -> Pcm:
        """20 ms each: a packet comes (None: none does), two frames are played."""
        heard = []
        for number in numbers:
            if number is not None:
                self.put(number, ssrc=ssrc, shift=shift)
            heard.append(self.get(2))
        return np.concatenate(heard)

    def buffered_ms(self) -> float:
        return lib.ot_jitter_buffered(self._handle) / 8

    def count(self, kind: int) -> int:
        return self.kinds.count(kind)


def spoken(numbers: Iterable[int]) -> Pcm:
    code = b"".join(tone(number * PACKET_SAMPLES) for number in numbers)
    pcm = np.zeros(len(code), np.int16)
    lib.ot_ulaw_decode(ffi.from_buffer("int16_t[]", pcm.data), code, len(code))
    return pcm


def after_silence(pcm: Pcm) -> Pcm:
    """What was heard from the frame on in which the first sound is."""
    return pcm[int(np.flatnonzero(pcm)[0]) // 80 * 80 :]


@pytest.mark.parametrize("first", [0, 100, 65530])
@pytest.mark.parametrize("timestamp", [0, (1 << 32) - 500])
def test_a_steady_stream_is_played_bit_for_bit_through_both_wraps(
    first: int, timestamp: int
) -> None:
    buffer = Buffer(first=first, timestamp=timestamp)
    heard = after_silence(buffer.play(range(50)))
    assert np.array_equal(heard, spoken(range(50))[: len(heard)])
    assert len(heard) >= 46 * PACKET_SAMPLES
    assert buffer.count(CONCEALED) == 0


def test_playing_begins_when_the_target_waits() -> None:
    buffer = Buffer()
    buffer.put(0)
    buffer.get()
    buffer.put(1)
    buffer.get()
    assert buffer.count(VOICE) == 0
    buffer.put(2)
    assert buffer.buffered_ms() == TARGET_MS
    buffer.get()
    assert buffer.kinds == [SILENCE, SILENCE, VOICE]


def test_a_lone_packet_is_not_kept_for_ever() -> None:
    buffer = Buffer()
    buffer.put(0)
    buffer.get(20)
    assert buffer.count(VOICE) == 2


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_packets_out_of_order_are_put_in_order(depth: int) -> None:
    buffer = Buffer(target_ms=100)
    order = list(range(8))
    for block in range(8, 48, depth + 1):
        order += reversed(range(block, block + depth + 1))
    heard = after_silence(buffer.play(order))
    assert np.array_equal(heard, spoken(range(60))[: len(heard)])
    assert buffer.count(CONCEALED) == 0


def test_the_first_packets_may_come_in_disorder() -> None:
    buffer = Buffer()
    heard = after_silence(buffer.play([2, 0, 1, *range(3, 20)]))
    assert np.array_equal(heard, spoken(range(20))[: len(heard)])


def test_a_packet_that_comes_twice_is_played_once() -> None:
    buffer = Buffer()
    for number in range(30):
        assert buffer.put(number) == lib.OT_PUT_STORED
        assert buffer.put(number) == lib.OT_PUT_DUPLICATE
        if number > 1:
            assert buffer.put(number - 2) == lib.OT_PUT_DUPLICATE
        buffer.get(2)
    assert buffer.count(CONCEALED) == 0


def test_a_lost_packet_is_concealed_and_its_time_kept() -> None:
    buffer = Buffer()
    heard = after_silence(buffer.play([*range(20), None, *range(21, 50)]))
    expected = spoken(range(50))[: len(heard)]
    lost = slice(20 * PACKET_SAMPLES, 21 * PACKET_SAMPLES)
    blend = slice(21 * PACKET_SAMPLES, 21 * PACKET_SAMPLES + 24)
    same = np.ones(len(heard), bool)
    same[lost] = same[blend] = False
    assert np.array_equal(heard[same], expected[same])
    assert buffer.count(CONCEALED) == 2
    assert level(heard[lost]) > 0.7 * level(expected[lost])


def test_concealment_of_a_steady_tone_goes_on_with_the_tone() -> None:
    buffer = Buffer()
    heard = after_silence(buffer.play([*range(20), None, *range(21, 50)]))
    expected = spoken(range(50))[: len(heard)]
    first = slice(20 * PACKET_SAMPLES, 20 * PACKET_SAMPLES + 80)
    error = heard[first].astype(int) - expected[first]
    assert np.abs(error).max() < 1000


def test_a_long_silence_of_the_network_fades_to_silence() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    tail = buffer.get(30)
    assert level(tail[-800:]) == 0
    assert buffer.kinds[-1] == SILENCE


def test_what_was_lost_has_passed_when_the_stream_returns() -> None:
    buffer = Buffer()
    buffer.play([*range(20), *[None] * 50, *range(70, 100)])
    assert buffer.kinds[-20:] == [VOICE] * 20
    assert buffer.buffered_ms() <= TARGET_MS


def test_a_late_packet_is_dropped_not_played() -> None:
    buffer = Buffer()
    buffer.play([*range(20), None, *range(21, 30)])
    before = buffer.buffered_ms()
    assert buffer.put(20) == lib.OT_PUT_LATE
    assert buffer.buffered_ms() == before


def test_a_delay_within_the_target_loses_nothing() -> None:
    buffer = Buffer()
    heard = [buffer.play(range(20)), buffer.get(4)]
    buffer.put(20)
    buffer.put(21)
    heard.append(buffer.play(range(22, 40)))
    everything = after_silence(np.concatenate(heard))
    assert np.array_equal(everything, spoken(range(40))[: len(everything)])


def test_a_spike_is_survived_and_the_delay_comes_back_down() -> None:
    buffer = Buffer()
    buffer.play(range(50))
    buffer.get(20)
    for number in range(50, 60):
        buffer.put(number)
    buffer.play(range(60, 80))
    assert buffer.buffered_ms() <= TARGET_MS + 100
    buffer.play(range(80, 1000))
    assert buffer.buffered_ms() <= TARGET_MS + 20
    assert buffer.kinds[-100:] == [VOICE] * 100


def test_one_stray_source_is_not_followed() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    assert buffer.put(20, ssrc=666, payload=b"\x00" * 160) == lib.OT_PUT_PROBATION
    heard = buffer.play(range(20, 40))
    assert buffer.count(CONCEALED) == 0
    assert np.abs(heard.astype(int)).max() < 9000


def test_a_new_source_is_followed_when_two_packets_agree() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    assert buffer.put(5000, ssrc=8) == lib.OT_PUT_PROBATION
    assert buffer.put(5001, ssrc=8) == lib.OT_PUT_RESET
    buffer.play(range(5002, 5020), ssrc=8)
    assert buffer.kinds[-20:] == [VOICE] * 20


@pytest.mark.parametrize("shift", [100_000, -100_000, 1 << 31])
def test_a_timestamp_jump_is_followed_when_two_packets_agree(shift: int) -> None:
    buffer = Buffer()
    buffer.play(range(20))
    assert buffer.put(20, shift=shift) == lib.OT_PUT_PROBATION
    assert buffer.put(21, shift=shift) == lib.OT_PUT_RESET
    buffer.play(range(22, 40), shift=shift)
    assert buffer.kinds[-20:] == [VOICE] * 20


def test_a_pause_of_the_sender_with_timestamps_running_is_a_pause() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    buffer.get(50)
    buffer.play(range(20, 40), shift=4000)
    assert buffer.kinds[-20:] == [VOICE] * 20
    assert buffer.buffered_ms() <= TARGET_MS


def test_a_packet_without_sound_is_no_loss() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    assert buffer.put(20, payload=b"") == lib.OT_PUT_STORED
    buffer.play([None, *range(21, 40)])
    assert buffer.kinds[-20:] == [VOICE] * 20


@pytest.mark.slow
@pytest.mark.parametrize("drift", [100e-6, -100e-6])
def test_an_hour_of_a_clock_that_is_off_keeps_the_delay(drift: float) -> None:
    buffer = Buffer()
    payload = tone(0)
    sent = 0
    deepest = 0.0
    for tick in range(3600 * 100):
        while sent * 20 <= tick * 10 * (1 + drift):
            buffer.put(sent, payload=payload)
            sent += 1
        buffer.get()
        if tick % 100 == 0:
            deepest = max(deepest, buffer.buffered_ms())
    assert deepest <= TARGET_MS + 40
    assert buffer.count(CONCEALED) < 60
    assert buffer.count(VOICE) > 3600 * 100 - 200


@pytest.mark.parametrize("samples", [1, 7, 80, 100, 160, 240, 333, 480])
def test_packets_of_any_length_are_played_whole(samples: int) -> None:
    buffer = Buffer()
    packet = ffi.new("ot_rtp *")
    packet.ssrc = 1
    heard: list[Pcm] = []
    sent = 0
    for tick in range(200):
        while sent < (tick + 1) * 80 and len(heard) < 199:
            code = tone(sent, samples)
            packet.timestamp = sent
            packet.payload_octets = samples
            lib.ot_jitter_put(buffer._handle, packet, code)
            packet.sequence = (packet.sequence + 1) & 0xFFFF
            sent += samples
        heard.append(buffer.get())
    played = np.concatenate(heard)
    if samples >= 80:
        assert buffer.count(VOICE) > 180
        assert level(played[2000:]) == pytest.approx(8000 / np.sqrt(2), rel=0.02)


@settings(max_examples=200, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.just(None),
            st.tuples(
                st.integers(0, 0xFFFF),
                st.integers(0, 0xFFFFFFFF),
                st.integers(0, 481),
                st.integers(0, 1),
            ),
            st.tuples(st.integers(0, 40), st.integers(0, 6400), st.just(160), st.just(0)),
        ),
        max_size=120,
    )
)
def test_no_sequence_of_packets_upsets_it(
    steps: list[tuple[int, int, int, int] | None],
) -> None:
    buffer = Buffer()
    packet = ffi.new("ot_rtp *")
    for step in steps:
        if step is None:
            buffer.get(2)
            continue
        packet.sequence, packet.timestamp, packet.payload_octets, packet.ssrc = step
        lib.ot_jitter_put(buffer._handle, packet, b"\xd5" * step[2])
        assert buffer.buffered_ms() <= 60_000
    buffer.get(40)
    assert buffer.kinds[-1] in {SILENCE, VOICE, CONCEALED}
    assert np.abs(buffer.get().astype(int)).max() <= 32767


@pytest.mark.parametrize(("codec", "target_ms"), [(1, 60), (0, 0), (0, 1000)])
def test_impossible_settings_are_refused(codec: int, target_ms: int) -> None:
    assert lib.ot_jitter_create(ffi.new("ot_jitter **"), codec, target_ms) != 0
