"""The jitter buffer under a virtual clock: one get is 10 ms, packets come when the test says."""

from collections.abc import Iterable
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import JitterStats

PACKET_SAMPLES = 160
TARGET_MS = 60
MAXIMUM_MS = 300
SILENCE, VOICE = lib.OT_GET_SILENCE, lib.OT_GET_VOICE
CONCEALED, NOISE = lib.OT_GET_CONCEALED, lib.OT_GET_NOISE

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

    def __init__(
        self,
        target_ms: int = TARGET_MS,
        first: int = 100,
        timestamp: int = 0,
        maximum_ms: int = MAXIMUM_MS,
    ) -> None:
        out = ffi.new("ot_jitter **")
        assert lib.ot_jitter_create(out, lib.OT_PCMU, target_ms, maximum_ms) == 0
        self._handle = ffi.gc(out[0], lib.ot_jitter_destroy)
        self.first = first
        self.timestamp = timestamp
        self.kinds: list[int] = []

    def put(
        self,
        number: int,
        *,
        ssrc: int = 7,
        payload: bytes | None = None,
        shift: int = 0,
        flags: int = 0,
    ) -> int:
        """Gives packet `number` of the stream."""
        sound = tone(number * PACKET_SAMPLES) if payload is None else payload
        packet = ffi.new("ot_rtp *")
        packet.ssrc = ssrc
        packet.sequence = (self.first + number) & 0xFFFF
        packet.timestamp = (self.timestamp + number * PACKET_SAMPLES + shift) & 0xFFFFFFFF
        packet.payload_octets = len(sound)
        return lib.ot_jitter_put(self._handle, packet, sound, flags)

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

    def stats(self) -> "JitterStats":
        out = ffi.new("ot_jitter_stats *")
        lib.ot_jitter_read(self._handle, out)
        return out

    def reading(self) -> int:
        return lib.ot_jitter_reading(self._handle)

    def outcomes(self) -> list[int]:
        bits = ffi.new("uint64_t[]", [0])
        count = lib.ot_jitter_outcomes(self._handle, bits)
        return [bits[0] >> i & 1 for i in range(count)]

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
    buffer = Buffer(target_ms=160)
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
    buffer.play(range(60, 160))
    assert buffer.count(CONCEALED) < 20
    assert buffer.buffered_ms() <= TARGET_MS + 200
    buffer.play(range(160, 1500))
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
            lib.ot_jitter_put(buffer._handle, packet, code, 0)
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
        lib.ot_jitter_put(buffer._handle, packet, b"\xd5" * step[2], 0)
        assert buffer.buffered_ms() <= MAXIMUM_MS + 481 / 8
    buffer.get(40)
    assert set(buffer.kinds) <= {SILENCE, VOICE, CONCEALED, NOISE}
    assert np.abs(buffer.get().astype(int)).max() <= 32767


# -- adapting ------------------------------------------------------------------------------


def test_the_delay_grows_to_what_the_network_needs_and_comes_back() -> None:
    buffer = Buffer(target_ms=20)
    rng = np.random.default_rng(5)
    arrivals = sorted((n * 20 + rng.uniform(0, 60), n) for n in range(1000))
    heard = 0
    for tick in range(2000):
        while heard < len(arrivals) and arrivals[heard][0] <= tick * 10:
            buffer.put(arrivals[heard][1])
            heard += 1
        buffer.get()
    assert 70 <= buffer.stats().target_ms <= 100
    assert buffer.kinds[-500:].count(CONCEALED) <= 15
    buffer.play(range(1000, 4000))
    assert buffer.stats().target_ms <= 30
    assert buffer.buffered_ms() <= 40


@pytest.mark.parametrize("late_ms", [40, 100])
def test_one_late_packet_raises_the_target(late_ms: int) -> None:
    buffer = Buffer(target_ms=20)
    buffer.play(range(100))
    buffer.get(late_ms // 10)
    buffer.put(100)
    assert buffer.stats().target_ms >= late_ms
    assert buffer.reading() == lib.OT_READ_ALL


def test_too_much_is_stretched_away_without_a_click() -> None:
    buffer = Buffer(target_ms=20)
    for number in range(8):
        buffer.put(number)
    heard = after_silence(buffer.play(range(8, 400)))
    stats = buffer.stats()
    assert stats.shortened_samples >= 800
    assert stats.skipped_samples == stats.discarded == 0
    assert buffer.buffered_ms() <= 40
    steps = np.abs(np.diff(heard.astype(int)))
    assert steps.max() <= np.abs(np.diff(spoken(range(4)).astype(int))).max() * 1.1


def test_far_too_much_is_cut_and_the_rest_played() -> None:
    buffer = Buffer(maximum_ms=200)
    buffer.play(range(20))
    for number in range(20, 50):
        buffer.put(number)
        assert buffer.buffered_ms() <= 220
    assert buffer.stats().skipped_samples > 0
    assert buffer.stats().discarded > 0
    buffer.play(range(50, 100))
    assert buffer.kinds[-50:] == [VOICE] * 50


def test_duplicates_do_not_make_it_wait_longer() -> None:
    buffer = Buffer(target_ms=20)
    for number in range(300):
        buffer.put(number)
        if number > 4:
            assert buffer.put(number - 4) == lib.OT_PUT_DUPLICATE
        buffer.get(2)
    assert buffer.stats().target_ms == 20


# -- reading the socket ----------------------------------------------------------------------


def test_a_calm_stream_is_read_once_for_each_packet() -> None:
    buffer = Buffer()
    waiting: list[int] = []
    reads = empty_reads = 0
    for tick in range(4000):
        if tick % 2 == 0:
            waiting.append(tick // 2)
        while (reading := buffer.reading()) != lib.OT_READ_NONE:
            reads += tick >= 500
            if not waiting:
                empty_reads += tick >= 500
                break
            untimed = lib.OT_PUT_AS_UNTIMED if reading == lib.OT_READ_ENOUGH else 0
            buffer.put(waiting.pop(0), flags=untimed)
        buffer.get()
    assert buffer.count(CONCEALED) == 0
    assert empty_reads <= 0.2 * reads
    assert buffer.buffered_ms() <= TARGET_MS


def test_a_lazy_reader_still_notices_that_packets_come_late() -> None:
    buffer = Buffer(target_ms=20)
    waiting: list[int] = []
    late = 0
    for tick in range(6000):
        if tick == 3000:
            late = 4  # from now on 40 ms more
        if tick % 2 == 0 and tick >= late:
            waiting.append((tick - late) // 2)
        while (reading := buffer.reading()) != lib.OT_READ_NONE and waiting:
            untimed = lib.OT_PUT_AS_UNTIMED if reading == lib.OT_READ_ENOUGH else 0
            buffer.put(waiting.pop(0), flags=untimed)
        buffer.get()
    assert buffer.kinds[-1000:] == [VOICE] * 1000


# -- redundancy --------------------------------------------------------------------------------


def test_redundancy_fills_a_hole_and_counts_as_nothing() -> None:
    buffer = Buffer()
    for number in range(60):
        if number % 10 != 5:
            assert buffer.put(number) == lib.OT_PUT_STORED
            if number:
                buffer.put(number - 1, flags=lib.OT_PUT_AS_REDUNDANT)
        buffer.get(2)
    assert buffer.count(CONCEALED) == 0
    assert buffer.stats().recovered == 6
    assert lib.ot_jitter_expected(buffer._handle) == 60
    assert sum(buffer.outcomes()) == 0


def test_the_packet_itself_may_still_come_after_its_redundancy() -> None:
    buffer = Buffer()
    buffer.play(range(10))
    buffer.put(11)
    assert buffer.put(10, flags=lib.OT_PUT_AS_REDUNDANT) == lib.OT_PUT_STORED
    assert buffer.put(10, flags=lib.OT_PUT_AS_REDUNDANT) == lib.OT_PUT_DUPLICATE
    assert buffer.put(10) == lib.OT_PUT_REORDERED
    assert buffer.put(10) == lib.OT_PUT_DUPLICATE


def test_where_there_is_redundancy_play_out_waits_for_it() -> None:
    buffer = Buffer(target_ms=20)
    for number in range(200):
        if number % 10 != 5 or number < 100:
            buffer.put(number)
            if number:
                buffer.put(number - 1, flags=lib.OT_PUT_AS_REDUNDANT)
        buffer.get(2)
    assert buffer.stats().target_ms == 40
    assert buffer.kinds[-100:] == [VOICE] * 100


# -- the silent far end ------------------------------------------------------------------------


def test_comfort_noise_lasts_until_somebody_speaks() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    buffer.put(20, payload=b"\x32", flags=lib.OT_PUT_AS_NOISE)
    buffer.get(200)
    assert buffer.kinds[-190:] == [NOISE] * 190
    assert buffer.stats().concealed_samples == 0
    buffer.play(range(21, 40), shift=200 * 80)
    assert buffer.kinds[-20:] == [VOICE] * 20
    assert buffer.stats().resets == 0


def test_a_gap_in_the_timestamps_alone_is_no_loss() -> None:
    buffer = Buffer(target_ms=100)
    buffer.play(range(20))
    buffer.put(20, shift=320)
    buffer.play([None, *range(21, 40)], shift=320)
    assert buffer.count(CONCEALED) == 0
    assert buffer.stats().concealed_samples == 0
    assert sum(buffer.outcomes()) == 0


def test_after_a_pause_of_minutes_the_stream_goes_on() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    buffer.get(12_000)
    assert buffer.put(20, shift=12_000 * 80) == lib.OT_PUT_STORED
    buffer.play(range(21, 40), shift=12_000 * 80)
    assert buffer.kinds[-20:] == [VOICE] * 20


def test_telephone_events_do_not_move_the_clock() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    for number in range(20, 320):  # 6 s of events that keep the timestamp of their beginning
        buffer.put(number, payload=b"", shift=(20 - number) * PACKET_SAMPLES)
        buffer.get(2)
    assert buffer.put(320) == lib.OT_PUT_STORED
    buffer.play(range(321, 360))
    assert buffer.kinds[-20:] == [VOICE] * 20
    assert buffer.stats().resets == 0


# -- what became of the packets -----------------------------------------------------------------


def test_outcomes_are_told_in_the_order_of_the_sequence() -> None:
    buffer = Buffer()
    buffer.play([*range(10), None, *range(11, 20), None, None, *range(22, 40)])
    lost = [number for number, gone in enumerate(buffer.outcomes()) if gone]
    assert lost == [10, 20, 21]
    assert buffer.outcomes() == []


def test_the_last_64_outcomes_are_kept() -> None:
    buffer = Buffer()
    buffer.play([*range(100), None, *range(101, 160)])
    told = buffer.outcomes()
    assert len(told) == 64
    assert sum(told) == 1


def test_a_splice_plays_what_waited_before_the_new_stream() -> None:
    buffer = Buffer()
    heard = [buffer.play(range(20))]
    heard.append(buffer.play(range(5000, 5020), ssrc=8, shift=77))
    assert buffer.stats().resets == 1
    assert buffer.count(CONCEALED) == 0
    everything = after_silence(np.concatenate(heard))
    expected = np.concatenate([spoken(range(20)), spoken(range(5000, 5020))])
    assert np.array_equal(everything, expected[: len(everything)])
    assert lib.ot_jitter_expected(buffer._handle) == 40
    assert lib.ot_jitter_highest(buffer._handle) == 5019 + 100


@pytest.mark.parametrize(
    ("codec", "minimum_ms", "maximum_ms"), [(1, 60, 200), (0, 0, 200), (0, 80, 60), (0, 60, 1000)]
)
def test_impossible_settings_are_refused(codec: int, minimum_ms: int, maximum_ms: int) -> None:
    assert lib.ot_jitter_create(ffi.new("ot_jitter **"), codec, minimum_ms, maximum_ms) != 0


def test_a_far_end_whose_timestamps_leave_its_pauses_out_is_heard_again() -> None:
    buffer = Buffer()
    buffer.play(range(20))
    buffer.put(20, payload=bytes([60]), flags=lib.OT_PUT_AS_NOISE)
    buffer.get(300)
    buffer.kinds.clear()
    buffer.play(range(21, 61))
    assert buffer.kinds[-60:].count(VOICE) >= 58


@pytest.mark.parametrize("longer_ms", [100, 280, 600])
def test_a_longer_route_is_heard_without_holes_soon(longer_ms: int) -> None:
    buffer = Buffer(maximum_ms=200)
    buffer.play(range(500))
    buffer.get(longer_ms // 10)
    buffer.play(range(500, 550))
    buffer.kinds.clear()
    buffer.play(range(550, 650))
    assert buffer.count(VOICE) == 200
