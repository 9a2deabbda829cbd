"""RFC 4733: each digit is told once at its start and once at its end, whatever the network does."""

import itertools
import random
import struct
from collections.abc import Iterable
from dataclasses import dataclass, replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

START, END = lib.OT_DTMF_START, lib.OT_DTMF_END
TIMEOUT = lib.OT_DTMF_TIMEOUT_TICKS
PACKET = 160
WRAP = 1 << 32
CLOCKS = [8000, 16000, 48000]

Told = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class Packet:
    """An event's packet, as it travels."""

    timestamp: int
    event: int
    duration: int
    end: bool = False
    marker: bool = False
    volume: int = 10

    @property
    def payload(self) -> bytes:
        return struct.pack("!BBH", self.event, self.end << 7 | self.volume, self.duration)

    @classmethod
    def parse(cls, timestamp: int, payload: bytes, *, marker: bool) -> "Packet":
        event, second, duration = struct.unpack("!BBH", payload)
        return cls(timestamp, event, duration, second > 127, marker, second & 0x3F)


class Receiver:
    """Collects what is told as (kind, event, duration in ms)."""

    def __init__(self, clock_hz: int = 8000) -> None:
        self._raw = ffi.new("ot_dtmf_receiver *")
        self._told = ffi.new("ot_dtmf_told *")
        assert lib.ot_dtmf_receiver_init(self._raw, clock_hz) == 0
        self.told: list[Told] = []

    def _collect(self) -> None:
        assert self._told.count <= lib.OT_DTMF_NOTICES_MAX
        for notice in self._told.notices[0 : self._told.count]:
            self.told.append((notice.kind, notice.event, notice.duration_ms))

    def put(self, packet: Packet, ssrc: int = 7) -> None:
        self.put_raw(packet.timestamp, packet.payload, ssrc=ssrc, marker=packet.marker)

    def put_raw(self, timestamp: int, data: bytes, *, ssrc: int = 7, marker: bool = False) -> None:
        rtp = ffi.new("ot_rtp *")
        rtp.ssrc, rtp.timestamp, rtp.marker = ssrc, timestamp % WRAP, int(marker)
        rtp.payload_octets = len(data)
        lib.ot_dtmf_receiver_put(self._raw, rtp, data, self._told)
        self._collect()

    def tick(self, count: int = 1) -> None:
        for _ in range(count):
            lib.ot_dtmf_receiver_tick(self._raw, self._told)
            self._collect()

    def hear(self, packets: Iterable[Packet]) -> list[Told]:
        """Takes packets 20 ms apart."""
        for packet in packets:
            self.put(packet)
            self.tick(2)
        return self.told


def press(event: int, start: int = 1000, updates: int = 5) -> list[Packet]:
    """The packets of a digit: updates, then the end three times."""
    pressed = [Packet(start, event, PACKET * (i + 1), marker=i == 0) for i in range(updates)]
    return pressed + [Packet(start, event, PACKET * (updates + 1), end=True)] * 3


def whole(event: int, ms: int = 120) -> list[Told]:
    return [(START, event, 0), (END, event, ms)]


# -- the payload -----------------------------------------------------------------------------


def test_a_payload_is_read_and_written() -> None:
    dtmf = ffi.new("ot_dtmf *")
    out = ffi.new("uint8_t[]", 4)
    assert lib.ot_dtmf_parse(dtmf, b"\x0b\x8a\x03\x20", 4) == 0
    assert (dtmf.event, dtmf.end, dtmf.volume, dtmf.duration) == (11, 1, 10, 800)
    lib.ot_dtmf_write(out, dtmf)
    assert bytes(ffi.buffer(out)) == b"\x0b\x8a\x03\x20"


@pytest.mark.parametrize("octets", range(4))
def test_a_cut_payload_is_refused(octets: int) -> None:
    assert lib.ot_dtmf_parse(ffi.new("ot_dtmf *"), b"\x0b\x8a\x03"[:octets], octets) != 0
    receiver = Receiver()
    receiver.put_raw(1, b"\x05\x0a\x03"[:octets])
    assert receiver.told == []


@given(st.binary(min_size=4, max_size=4))
def test_any_payload_is_written_as_it_was_read_but_for_the_reserved_bit(data: bytes) -> None:
    dtmf = ffi.new("ot_dtmf *")
    out = ffi.new("uint8_t[]", 4)
    assert lib.ot_dtmf_parse(dtmf, data, 4) == 0
    lib.ot_dtmf_write(out, dtmf)
    assert bytes(ffi.buffer(out)) == bytes([data[0], data[1] & 0xBF]) + data[2:]


# -- receiving -------------------------------------------------------------------------------


@pytest.mark.parametrize("event", range(17))
def test_a_digit_is_told_at_its_start_and_at_its_end(event: int) -> None:
    receiver = Receiver()
    packets = press(event)
    receiver.hear(packets[:1])
    assert receiver.told == [(START, event, 0)]
    assert receiver.hear(packets[1:]) == whole(event)


def test_events_that_are_no_digits_are_not_told() -> None:
    receiver = Receiver()
    for event in range(17, 256):
        receiver.put(Packet(event, event, 160))
    assert receiver.told == []


@pytest.mark.parametrize("clock_hz", CLOCKS)
def test_the_duration_is_told_in_milliseconds(clock_hz: int) -> None:
    receiver = Receiver(clock_hz)
    receiver.put(Packet(1, 5, clock_hz // 4, end=True))
    assert receiver.told == whole(5, 250)


@pytest.mark.parametrize("mask", range(1, 256))
def test_whichever_packets_of_a_digit_arrive_tell_it_once(mask: int) -> None:
    receiver = Receiver()
    packets = press(5)
    receiver.hear(packet for i, packet in enumerate(packets) if mask >> i & 1)
    receiver.tick(TIMEOUT)
    start, end = receiver.told
    assert start == (START, 5, 0)
    assert end[:2] == (END, 5)
    last = max(packet.duration for i, packet in enumerate(packets) if mask >> i & 1)
    assert end[2] == last // 8


@pytest.mark.parametrize(
    "order", random.Random(4).sample(list(itertools.permutations(range(6))), 60)
)
def test_in_any_order_a_digit_is_told_once(order: tuple[int, ...]) -> None:
    receiver = Receiver()
    packets = press(5, updates=3)
    receiver.hear(packets[i] for i in order)
    receiver.tick(TIMEOUT)
    assert [told[:2] for told in receiver.told] == [(START, 5), (END, 5)]


def test_doubled_packets_tell_nothing_more() -> None:
    receiver = Receiver()
    assert receiver.hear(packet for packet in press(5) for _ in range(3)) == whole(5)


def test_the_same_digit_twice_is_two_digits() -> None:
    receiver = Receiver()
    assert receiver.hear(press(5) + press(5, 1000 + 1600)) == whole(5) * 2


def test_a_lost_end_is_told_when_the_next_digit_begins() -> None:
    receiver = Receiver()
    receiver.hear(press(5)[:4])
    receiver.put(press(6, 3000)[0])
    assert receiver.told == [(START, 5, 0), (END, 5, 80), (START, 6, 0)]


def test_a_digit_known_only_by_its_end_still_ends_the_one_before() -> None:
    receiver = Receiver()
    receiver.hear(press(5)[:4])
    receiver.put(press(6, 3000)[-1])
    assert receiver.told == [*whole(5, 80), *whole(6)]


def test_an_end_that_never_comes_is_told_after_the_timeout() -> None:
    receiver = Receiver()
    receiver.put(press(5)[0])
    receiver.tick(TIMEOUT - 1)
    assert receiver.told == [(START, 5, 0)]
    receiver.tick()
    assert receiver.told == whole(5, 20)
    receiver.tick(3 * TIMEOUT)
    assert receiver.told == whole(5, 20)


def test_after_the_timeout_the_rest_of_the_digit_is_not_another_one() -> None:
    receiver = Receiver()
    packets = press(5)
    receiver.put(packets[0])
    receiver.tick(TIMEOUT)
    assert receiver.hear(packets[1:]) == whole(5, 20)


def test_packets_of_a_digit_before_come_too_late_to_be_another_one() -> None:
    receiver = Receiver()
    receiver.hear(press(5))
    receiver.hear(press(6, 3000)[:3])
    receiver.put(press(5)[-1])
    assert receiver.told == [*whole(5), (START, 6, 0)]
    assert receiver.hear(press(6, 3000)[3:]) == [*whole(5), *whole(6)]


def test_a_digit_over_the_wrap_of_the_timestamp() -> None:
    receiver = Receiver()
    receiver.hear(press(5, WRAP - 100))
    receiver.hear(press(6, 1500))
    assert receiver.told == [*whole(5), *whole(6)]


def test_another_event_with_the_same_timestamp_is_not_believed() -> None:
    receiver = Receiver()
    receiver.hear(press(5)[:3])
    receiver.put(replace(press(6)[0], marker=False))
    receiver.put(press(6)[-1])
    assert receiver.told == [(START, 5, 0)]


def test_a_new_source_begins_anew() -> None:
    receiver = Receiver()
    receiver.hear(press(5)[:3])
    receiver.put(press(5)[0], ssrc=8)
    assert receiver.told == [*whole(5, 60), (START, 5, 0)]


def test_a_timestamp_that_jumped_far_back_is_a_new_digit() -> None:
    receiver = Receiver()
    receiver.hear(press(5, 2_000_000_000))
    assert receiver.hear(press(6, 1000)) == [*whole(5), *whole(6)]


def long_press(start: int, segments: int, cut: int = 0xFFFF) -> list[Packet]:
    """A digit held over several segments of `cut` units, each told every 50 ms."""
    packets = []
    for segment in range(segments):
        timestamp = (start + segment * cut) % WRAP
        packets += [
            Packet(timestamp, 5, duration, marker=duration == 400 and not segment)
            for duration in [*range(400, cut, 400), cut]
        ]
    last = packets[-1]
    return [*packets, *[replace(last, end=True)] * 3]


@pytest.mark.parametrize("start", [0, WRAP - 70_000])
@pytest.mark.parametrize("cut", [0xFFFF, 0xFFF0 - 0xFFF0 % 160])
def test_a_digit_longer_than_its_field_is_one_digit(start: int, cut: int) -> None:
    receiver = Receiver()
    assert receiver.hear(long_press(start, 3, cut)) == whole(5, 3 * cut // 8)


def test_a_long_digit_survives_the_loss_of_a_segments_edge() -> None:
    receiver = Receiver()
    packets = long_press(0, 2)
    edge = len(packets) // 2
    assert receiver.hear(packets[: edge - 3] + packets[edge + 3 :]) == whole(5, 2 * 0xFFFF // 8)


@settings(max_examples=300, deadline=None)
@given(
    st.lists(
        st.one_of(
            st.integers(1, 30),
            st.tuples(
                st.one_of(st.integers(0, WRAP - 1), st.integers(0, 200_000)),
                st.binary(max_size=6),
                st.integers(0, 1),
                st.booleans(),
            ),
            st.tuples(
                st.sampled_from([0, 800, 0xFFFF, 2 * 0xFFFF]),
                st.sampled_from([b"\x05\x0a\x03\x20", b"\x05\x8a\x03\x20", b"\x06\x0a\xff\xff"]),
                st.just(0),
                st.booleans(),
            ),
        ),
        max_size=60,
    )
)
def test_starts_and_ends_always_take_turns(
    steps: list[int | tuple[int, bytes, int, bool]],
) -> None:
    receiver = Receiver()
    for step in steps:
        if isinstance(step, int):
            receiver.tick(step)
        else:
            timestamp, data, ssrc, marker = step
            receiver.put_raw(timestamp, data, ssrc=ssrc, marker=marker)
    receiver.tick(TIMEOUT)
    assert [told[0] for told in receiver.told] == [START, END] * (len(receiver.told) // 2)
    for start, end in zip(receiver.told[::2], receiver.told[1::2], strict=True):
        assert start[1] == end[1] <= lib.OT_DTMF_FLASH


# -- sending ---------------------------------------------------------------------------------


class Sender:
    """A sender, asked once per packet time."""

    def __init__(self, clock_hz: int = 8000, ptime_ms: int = 20, now: int = 50_000) -> None:
        self._raw = ffi.new("ot_dtmf_sender *")
        assert lib.ot_dtmf_sender_init(self._raw, clock_hz) == 0
        self.units = clock_hz // 1000 * ptime_ms
        self.now = now

    def start(self, event: int, duration_ms: int = 100, volume: int = 10) -> int:
        return lib.ot_dtmf_sender_start(self._raw, event, duration_ms, volume)

    @property
    def idle(self) -> bool:
        return bool(lib.ot_dtmf_sender_idle(self._raw))

    def next(self) -> Packet | None:
        """What is sent in this packet time; None: voice."""
        raw = ffi.new("ot_dtmf_packet *")
        sent = lib.ot_dtmf_sender_next(self._raw, self.now % WRAP, self.units, raw)
        self.now += self.units
        if not sent:
            return None
        return Packet.parse(raw.timestamp, bytes(raw.payload), marker=bool(raw.marker))

    def run(self, limit: int = 10_000) -> list[Packet | None]:
        """Everything until it is idle."""
        sent = []
        while not self.idle:
            sent.append(self.next())
            assert len(sent) < limit
        return sent


def test_an_idle_sender_leaves_the_time_to_voice() -> None:
    sender = Sender()
    assert sender.idle
    assert sender.next() is None


def test_a_digit_is_updates_with_one_timestamp_and_its_end_three_times() -> None:
    sender = Sender()
    assert sender.start(5, 100, 7) == 0
    assert not sender.idle
    updates = [Packet(50_000, 5, 160 * i, marker=i == 1, volume=7) for i in range(1, 5)]
    ends = [Packet(50_000, 5, 800, end=True, volume=7)] * 3
    assert sender.run() == updates + ends
    assert sender.next() is None


@pytest.mark.parametrize("clock_hz", CLOCKS)
@pytest.mark.parametrize("ptime_ms", [10, 20, 30])
@pytest.mark.parametrize("duration_ms", [0, 40, 50, 95, 100, 1234, 60_000])
def test_what_is_sent_is_what_is_received(clock_hz: int, ptime_ms: int, duration_ms: int) -> None:
    sender, receiver = Sender(clock_hz, ptime_ms, now=WRAP - 5000), Receiver(clock_hz)
    sender.start(lib.OT_DTMF_POUND, duration_ms)
    for packet in sender.run():
        assert packet is not None
        receiver.put(packet)
        receiver.tick(ptime_ms // 10)
    assert receiver.told == whole(lib.OT_DTMF_POUND, max(duration_ms, 40))


def test_a_long_digit_goes_on_in_segments() -> None:
    sender = Sender()
    sender.start(5, 20_000)
    packets = [packet for packet in sender.run() if packet]
    assert sum(packet.marker for packet in packets) == 1
    assert sum(packet.end for packet in packets) == 3
    segments = sorted({packet.timestamp for packet in packets})
    assert segments == [50_000, 50_000 + 0xFFFF, 50_000 + 2 * 0xFFFF]
    for first, second in itertools.pairwise(packets):
        if first.timestamp != second.timestamp:
            assert first.duration == 0xFFFF
    assert packets[-1].duration == 160_000 - 2 * 0xFFFF


@pytest.mark.parametrize("ptime_ms", [10, 20, 30])
def test_between_digits_there_is_a_gap(ptime_ms: int) -> None:
    sender, receiver = Sender(ptime_ms=ptime_ms), Receiver()
    for event in (1, 1, 2):
        sender.start(event, 60)
    packets = [packet for packet in sender.run() if packet]
    for packet in packets:
        receiver.put(packet)
    assert receiver.told == [*whole(1, 60), *whole(1, 60), *whole(2, 60)]
    starts = [packet.timestamp for packet in packets if packet.marker]
    for first, second in itertools.pairwise(starts):
        assert 480 + 320 <= second - first <= 480 + 320 + 2 * ptime_ms * 8


def test_the_gap_is_over_after_any_pause() -> None:
    sender = Sender()
    for pause in (0, 1 << 31, (1 << 31) + 400, 3 << 30):
        sender.now += pause + 400
        sender.start(5, 40)
        packet = sender.next()
        assert packet is not None
        assert packet.marker
        sender.run()


def test_a_timestamp_that_jumps_ends_the_digit_in_order() -> None:
    for jump in (-50_000, -160, 100_000, 1 << 31):
        sender, receiver = Sender(), Receiver()
        sender.start(5, 10_000)
        for step in range(500):
            packet = sender.next()
            if packet:
                receiver.put(packet)
            if step == 5:
                sender.now += jump
        receiver.tick(TIMEOUT)
        assert [told[:2] for told in receiver.told] == [(START, 5), (END, 5)]
        if jump > 0:
            assert sender.idle


def test_a_timestamp_that_jumps_back_over_a_segment_tells_no_less() -> None:
    sender = Sender()
    sender.start(5, 20_000)
    packets = [sender.next() for _ in range(500)]
    sender.now -= 70_000
    packets += sender.run()
    told = [packet for packet in packets if packet]
    ends = [(packet.timestamp, packet.duration) for packet in told if packet.end]
    assert ends == [(50_000 + 2 * 0xFFFF, 160_000 - 2 * 0xFFFF)] * 3
    assert max(packet.timestamp for packet in told) == ends[0][0]
    for first, second in itertools.pairwise(told):
        assert first.timestamp + first.duration <= second.timestamp + second.duration


def test_the_queue_is_bounded() -> None:
    sender, receiver = Sender(), Receiver()
    events = [i % 16 for i in range(lib.OT_DTMF_QUEUE)]
    assert [sender.start(event, 40) for event in events] == [0] * lib.OT_DTMF_QUEUE
    assert sender.start(1) != 0
    for packet in sender.run():
        if packet:
            receiver.put(packet)
    assert [event for kind, event, _ in receiver.told if kind == START] == events
    assert sender.start(1) == 0


@pytest.mark.parametrize(
    ("event", "duration_ms", "volume"),
    [(17, 100, 10), (255, 100, 10), (1, 60_001, 10), (1, 0xFFFFFFFF, 10), (1, 100, 64)],
)
def test_an_impossible_digit_is_refused(event: int, duration_ms: int, volume: int) -> None:
    sender = Sender()
    assert sender.start(event, duration_ms, volume) != 0
    assert sender.idle


@pytest.mark.parametrize("clock_hz", [0, 7999, 44100])
def test_an_impossible_clock_is_refused(clock_hz: int) -> None:
    assert lib.ot_dtmf_receiver_init(ffi.new("ot_dtmf_receiver *"), clock_hz) != 0
    assert lib.ot_dtmf_sender_init(ffi.new("ot_dtmf_sender *"), clock_hz) != 0


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 16), st.integers(0, 3000), st.integers(0, 63)),
        min_size=1,
        max_size=6,
    ),
    st.sampled_from([10, 20, 30]),
    st.sampled_from(CLOCKS),
    st.integers(0, WRAP - 1),
    st.randoms(use_true_random=False),
)
def test_digits_come_through_a_network_that_loses_every_third(
    wishes: list[tuple[int, int, int]], ptime_ms: int, clock_hz: int, now: int, rng: random.Random
) -> None:
    sender, receiver = Sender(clock_hz, ptime_ms, now), Receiver(clock_hz)
    for event, duration_ms, volume in wishes:
        assert sender.start(event, duration_ms, volume) == 0
    lost = 0
    for packet in sender.run():
        lost = lost + 1 if packet and lost < 2 and rng.random() < 0.5 else 0
        if packet and not lost:
            receiver.put(packet)
        receiver.tick(ptime_ms // 10)
    expected = [whole(event, max(duration, 40)) for event, duration, _ in wishes]
    assert receiver.told == list(itertools.chain.from_iterable(expected))
