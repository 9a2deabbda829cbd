"""RFC 2198: blocks are read within their packet, and what was lost comes once more."""

import struct
from dataclasses import dataclass

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

DEPTH = lib.OT_RED_DEPTH_MAX


@dataclass(frozen=True, slots=True)
class Block:
    payload_type: int
    timestamp_offset: int
    data: bytes


def parse(data: bytes) -> list[Block] | None:
    raw = ffi.new("ot_red *")
    if lib.ot_red_parse(raw, data, len(data)) != 0:
        return None
    blocks = []
    for block in raw.blocks[0 : raw.count]:
        assert block.offset + block.octets <= len(data)
        body = data[block.offset : block.offset + block.octets]
        blocks.append(Block(block.payload_type, block.timestamp_offset, body))
    return blocks


def header(payload_type: int, offset: int, octets: int) -> bytes:
    return struct.pack("!I", 1 << 31 | payload_type << 24 | offset << 10 | octets)


def written(older: list[Block], primary: Block) -> bytes:
    """A packet as section 3 draws it."""
    heads = b"".join(header(b.payload_type, b.timestamp_offset, len(b.data)) for b in older)
    bodies = b"".join(b.data for b in older)
    return heads + bytes([primary.payload_type]) + bodies + primary.data


class Sender:
    """One stream of payloads, written with redundancy."""

    def __init__(self, depth: int = DEPTH, clock_hz: int = 8000) -> None:
        self._raw = ffi.new("ot_red_sender *")
        assert lib.ot_red_sender_init(self._raw, depth, clock_hz) == 0

    def reach_for(self, units: int) -> None:
        self._raw.reach = units

    def send(self, timestamp: int, data: bytes, payload_type: int = 0, room: int = 4096) -> bytes:
        payload = ffi.new("ot_red_payload *")
        body = ffi.from_buffer("uint8_t[]", data)
        payload.data = body
        payload.octets = len(data)
        payload.timestamp = timestamp & 0xFFFFFFFF
        payload.payload_type = payload_type
        out = ffi.new("uint8_t[]", room + 8)
        octets = lib.ot_red_sender_run(self._raw, out, room, payload)
        assert octets <= room
        assert bytes(ffi.buffer(out))[octets:] == bytes(room + 8 - octets)
        return bytes(ffi.buffer(out))[:octets]

    def heard(self, timestamp: int, data: bytes, room: int = 4096) -> list[Block]:
        blocks = parse(self.send(timestamp, data, room=room))
        assert blocks is not None
        return blocks


# -- reading ---------------------------------------------------------------------------------


def test_the_example_of_the_rfc_is_read() -> None:
    older, primary = Block(5, 160, b"o" * 14), Block(7, 0, b"p" * 80)
    data = b"\x85\x02\x80\x0e\x07" + b"o" * 14 + b"p" * 80
    assert written([older], primary) == data
    assert parse(data) == [older, primary]


def test_a_packet_of_nothing_but_the_primary_is_read() -> None:
    assert parse(b"\x00sound") == [Block(0, 0, b"sound")]
    assert parse(b"\x00") == [Block(0, 0, b"")]


@pytest.mark.parametrize(
    ("lie", "data"),
    [
        ("nothing", b""),
        ("a redundant block without a primary", header(0, 160, 0)),
        ("a cut header", b"\x80\x02\x80"),
        ("a block longer than the packet", header(0, 160, 6) + b"\x00" + b"abcde"),
        ("two blocks that only together are too long",
         header(0, 320, 3) + header(0, 160, 3) + b"\x00" + b"abcde"),
        ("headers without end", b"\x80" * 400),
        ("nine blocks", header(0, 160, 0) * 8 + b"\x00"),
        ("more than a datagram", b"\x00" + bytes(65536)),
    ],
)  # fmt: skip
def test_a_lie_is_refused(lie: str, data: bytes) -> None:
    assert parse(data) is None, lie


def test_eight_blocks_are_read() -> None:
    blocks = parse(header(1, 160, 1) * 7 + b"\x00" + b"abcdefgP")
    assert blocks is not None
    assert b"".join(block.data for block in blocks) == b"abcdefgP"
    assert len(blocks) == 8


def test_a_packet_cut_at_any_length_stays_within_itself() -> None:
    whole = written([Block(0, 320, b"older"), Block(0, 160, b"old")], Block(0, 0, b"new"))
    for length in range(len(whole)):
        blocks = parse(whole[:length])
        if blocks is not None:
            assert [b.data for b in blocks[:-1]] == [b"older", b"old"]
            assert b"new".startswith(blocks[-1].data)
            assert length >= len(whole) - 3


@given(st.binary(max_size=300))
def test_any_octets_give_blocks_within_them_or_nothing(data: bytes) -> None:
    blocks = parse(data)
    if blocks is not None:
        assert 1 <= len(blocks) <= lib.OT_RED_BLOCKS_MAX
        assert written(blocks[:-1], blocks[-1]) == data


BLOCKS = st.builds(Block, st.integers(0, 127), st.integers(0, 0x3FFF), st.binary(max_size=0x3FF))


@given(st.lists(BLOCKS, max_size=7), st.integers(0, 127), st.binary(max_size=1500))
def test_a_well_made_packet_gives_its_blocks_back(
    older: list[Block], payload_type: int, data: bytes
) -> None:
    primary = Block(payload_type, 0, data)
    assert parse(written(older, primary)) == [*older, primary]


# -- writing ---------------------------------------------------------------------------------


@pytest.mark.parametrize("depth", [1, 2])
def test_each_payload_comes_once_more_in_the_next_packets(depth: int) -> None:
    sender = Sender(depth)
    packets = [sender.heard(1000 + 160 * i, bytes([i]) * 160) for i in range(5)]
    for number, blocks in enumerate(packets):
        first = max(0, number - depth)
        expected = [
            Block(0, 160 * (number - i), bytes([i]) * 160) for i in range(first, number + 1)
        ]
        assert blocks == expected


def test_every_second_packet_suffices() -> None:
    sender = Sender(1)
    heard: dict[int, bytes] = {}
    for number in range(20):
        timestamp = (0xFFFFFF00 + 160 * number) & 0xFFFFFFFF
        blocks = sender.heard(timestamp, bytes([number]))
        if number % 2:
            heard |= {(timestamp - b.timestamp_offset) & 0xFFFFFFFF: b.data for b in blocks}
    assert b"".join(heard.values()) == bytes(range(20))


def test_a_payload_that_would_come_too_late_is_left_out() -> None:
    sender = Sender()
    sender.heard(0, b"long ago")
    assert sender.heard(8000, b"now") == [Block(0, 0, b"now")]
    assert len(sender.heard(8000 + 1600, b"then")) == 2
    assert len(sender.heard(8000 + 3201, b"later")) == 1


@pytest.mark.parametrize(("offset", "blocks"), [(0x3FFF, 2), (0x4000, 1), (0xFFFFFFFF, 1)])
def test_only_offsets_that_fit_fourteen_bits_are_written(offset: int, blocks: int) -> None:
    sender = Sender(1)
    sender.reach_for(0xFFFFFFFF)
    sender.heard(0, b"before")
    assert len(sender.heard(offset, b"now")) == blocks


def test_a_timestamp_that_goes_back_repeats_nothing() -> None:
    sender = Sender()
    sender.heard(8000, b"before")
    assert sender.heard(4000, b"after") == [Block(0, 0, b"after")]


@pytest.mark.parametrize(("octets", "kept"), [(0, 0), (1, 1), (1023, 1), (1024, 0), (1920, 0)])
def test_only_payloads_whose_length_fits_ten_bits_are_repeated(octets: int, kept: int) -> None:
    sender = Sender()
    sender.heard(0, bytes(octets))
    assert len(sender.heard(160, b"next")) == 1 + kept


def test_the_types_of_older_payloads_are_kept() -> None:
    sender = Sender()
    sender.send(0, b"noise", payload_type=13)
    blocks = parse(sender.send(160, b"voice", payload_type=8))
    assert blocks == [Block(13, 160, b"noise"), Block(8, 0, b"voice")]


def test_in_little_room_the_newest_go_first() -> None:
    def packet(room: int) -> list[bytes]:
        sender = Sender()
        for number in range(2):
            sender.heard(160 * number, bytes([number]) * 10)
        data = sender.send(320, b"now", room=room)
        blocks = parse(data) if data else []
        assert blocks is not None
        return [block.data for block in blocks]

    old, older = b"\x01" * 10, b"\x00" * 10
    assert packet(4 + 2 * 14) == [older, old, b"now"]
    assert packet(4 + 2 * 14 - 1) == [old, b"now"]
    assert packet(4 + 13) == [b"now"]
    assert packet(4) == [b"now"]
    assert packet(3) == []


@given(
    st.lists(
        st.tuples(st.integers(0, 0xFFFFFFFF), st.binary(max_size=1200), st.integers(0, 1500)),
        max_size=8,
    )
)
def test_whatever_is_sent_can_be_read(payloads: list[tuple[int, bytes, int]]) -> None:
    sender = Sender()
    for timestamp, data, room in payloads:
        packet = sender.send(timestamp, data, room=room)
        assert (packet == b"") == (len(data) + 1 > room)
        if packet:
            blocks = parse(packet)
            assert blocks is not None
            assert blocks[-1] == Block(0, 0, data)


@pytest.mark.parametrize(("depth", "clock_hz"), [(0, 8000), (3, 8000), (1, 7999), (1, 48001)])
def test_impossible_settings_are_refused(depth: int, clock_hz: int) -> None:
    assert lib.ot_red_sender_init(ffi.new("ot_red_sender *"), depth, clock_hz) != 0


def test_nothing_at_all_is_not_written() -> None:
    out = ffi.new("uint8_t[]", 16)
    assert lib.ot_red_write(out, 16, ffi.new("ot_red_payload *"), 0) == 0
