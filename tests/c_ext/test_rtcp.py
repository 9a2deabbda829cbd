"""RTCP: compound packets, believed only as a whole, and the ones we write."""

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import Report as Written
    from openturret.c_ext._engine import Rtcp, VoipMetrics

OURS = 0x11223344


@dataclass(frozen=True, slots=True)
class Report:
    sender_ssrc: int
    ntp_middle: int
    fraction_lost: int | None
    packets_lost: int
    jitter: int
    last_report: int
    delay_since: int
    bye: bool


def read(data: bytes, ours: int = OURS) -> "Rtcp | None":
    raw = ffi.new("ot_rtcp *")
    return raw if lib.ot_rtcp_parse(raw, data, len(data), ours) == 0 else None


def parse(data: bytes) -> Report | None:
    raw = read(data)
    if raw is None:
        return None
    return Report(
        sender_ssrc=raw.sender_ssrc,
        ntp_middle=raw.ntp_middle,
        fraction_lost=raw.fraction_lost if raw.has_block else None,
        packets_lost=raw.packets_lost,
        jitter=raw.jitter,
        last_report=raw.last_report,
        delay_since=raw.delay_since,
        bye=bool(raw.bye),
    )


def part(count: int, kind: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, len(body) // 4) + body


def block(ssrc: int, lost: int = 0, fraction: int = 0) -> bytes:
    return struct.pack(
        "!IIIIII", ssrc, fraction << 24 | lost & 0xFFFFFF, 500, 12, 0xABCD0001, 0x10000
    )


SENDER = part(
    2,
    200,
    struct.pack("!IIIIII", 99, 0x12345678, 0x9ABCDEF0, 7, 8, 9)
    + block(5)
    + block(OURS, lost=-3, fraction=64),
)
RECEIVER = part(1, 201, struct.pack("!I", 99) + block(OURS, lost=17))
NAME = part(1, 202, struct.pack("!IBB", 99, 1, 2) + b"me" + bytes(4))
BYE = part(1, 203, struct.pack("!I", 99))


def extended(kind: int, body: bytes, ssrc: int = 99) -> bytes:
    return part(0, 207, struct.pack("!IBBH", ssrc, kind, 0, len(body) // 4) + body)


METRICS = extended(
    7,
    struct.pack("!I", OURS)
    + bytes([11, 12, 13, 14])
    + struct.pack("!HHHHbbBB", 1500, 1600, 170, 180, -19, -70, 127, 16)
    + bytes([88, 127, 41, 39, 0xF5, 0])
    + struct.pack("!HHH", 60, 200, 300),
)
REFERENCE = extended(4, struct.pack("!II", 0x12345678, 0x9ABCDEF0))
REPLY = extended(5, struct.pack("!IIIIII", 5, 1, 2, OURS, 0xCAFE0001, 0x8000))


def test_a_sender_report_with_our_block_is_read() -> None:
    assert parse(SENDER + NAME) == Report(
        sender_ssrc=99,
        ntp_middle=0x56789ABC,
        fraction_lost=64,
        packets_lost=-3,
        jitter=12,
        last_report=0xABCD0001,
        delay_since=0x10000,
        bye=False,
    )


def test_a_block_about_someone_else_says_nothing_of_us() -> None:
    report = parse(part(1, 201, struct.pack("!I", 99) + block(OURS + 1)))
    assert report is not None
    assert report.fraction_lost is None


def test_a_goodbye_is_seen() -> None:
    report = parse(RECEIVER + NAME + BYE)
    assert report is not None
    assert report.bye
    assert report.packets_lost == 17


def test_only_whole_parts_are_believed_when_cut() -> None:
    whole = SENDER + NAME + BYE
    ends = {len(SENDER), len(SENDER + NAME)}
    for length in range(len(whole)):
        assert (parse(whole[:length]) is not None) == (length in ends)


@pytest.mark.parametrize(
    ("lie", "data"),
    [
        ("a name first", NAME + SENDER),
        ("more blocks than octets", bytes([0x82]) + RECEIVER[1:]),
        ("a length past the end", RECEIVER[:2] + b"\x00\x08" + RECEIVER[4:]),
        ("version 1 in the second part", RECEIVER + b"\x40" + NAME[1:]),
        ("padding in the first part", bytes([0xA1]) + RECEIVER[1:] + BYE),
        ("padding longer than its part", RECEIVER + bytes([0xA1]) + BYE[1:7] + b"\xfc"),
        ("padding of zero", RECEIVER + bytes([0xA1]) + BYE[1:7] + b"\0"),
        ("a report without a sender", part(0, 201, b"") + BYE),
    ],
)
def test_a_lie_is_refused(lie: str, data: bytes) -> None:
    assert parse(data) is None, lie


@given(st.binary(max_size=120))
def test_any_octets_are_read_or_refused(data: bytes) -> None:
    report = parse(data)
    if report is not None:
        assert data[1] in {200, 201}


@given(st.data())
def test_one_changed_octet_is_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(SENDER + NAME + BYE)
    at = data.draw(st.integers(0, len(whole) - 1))
    whole[at] = data.draw(st.integers(0, 255))
    parse(bytes(whole))


# -- names and goodbyes --------------------------------------------------------------------------


def chunk(ssrc: int, *items: tuple[int, bytes]) -> bytes:
    text = b"".join(bytes([kind, len(value)]) + value for kind, value in items)
    return struct.pack("!I", ssrc) + text + bytes(4 - len(text) % 4)


def name_of(data: bytes) -> bytes | None:
    report = read(data)
    return None if report is None else bytes(report.cname[0 : report.cname_octets])


@pytest.mark.parametrize("octets", [0, 1, 2, 3, 4, 16, 254, 255])
def test_the_name_of_the_sender_is_found_among_others(octets: int) -> None:
    name = bytes(range(octets))
    chunks = (
        chunk(5, (1, b"somebody")) + chunk(99, (2, b"Real Name"), (1, name), (7, b"")) + chunk(6)
    )
    assert name_of(RECEIVER + part(3, 202, chunks)) == name


def test_the_name_of_someone_else_is_not_the_senders() -> None:
    assert name_of(RECEIVER + part(1, 202, chunk(5, (1, b"somebody")))) == b""


def test_a_list_that_ends_with_its_part_is_read_without_the_zero() -> None:
    assert name_of(RECEIVER + part(1, 202, struct.pack("!IBB", 99, 1, 2) + b"me")) == b"me"


@pytest.mark.parametrize(
    ("lie", "data"),
    [
        ("an item past the end", part(1, 202, struct.pack("!IBB", 99, 1, 3) + b"me")),
        ("an item that is half a header", part(1, 202, struct.pack("!IBB", 99, 8, 1) + b"a\1")),
        ("more chunks than octets", part(2, 202, chunk(99, (1, b"me")))),
        ("a chunk without a source", part(1, 202, b"")),
        ("more goodbyes than octets", part(2, 203, struct.pack("!I", 99))),
        ("a reason past the end", part(1, 203, struct.pack("!IBBBB", 99, 4, 1, 1, 1))),
        ("an extended report without a source", part(0, 207, b"")),
        ("a block past the end", part(0, 207, struct.pack("!IBBH", 99, 9, 0, 1))),
        ("metrics too short", extended(7, METRICS[12:-4])),
        ("metrics too long", extended(7, METRICS[12:] + bytes(4))),
        ("a reference time too short", extended(4, bytes(4))),
        ("a reply of one and a half", extended(5, bytes(16))),
    ],
)
def test_a_lie_in_a_later_part_is_refused(lie: str, data: bytes) -> None:
    assert read(RECEIVER) is not None
    assert read(RECEIVER + data) is None, lie


def test_goodbyes_are_told_apart_by_source() -> None:
    report = read(RECEIVER + part(2, 203, struct.pack("!IIB3s", 5, 6, 3, b"off")))
    assert report is not None
    assert not report.bye
    assert [ssrc for ssrc in (5, 6, 7, 99) if lib.ot_rtcp_says_bye(report, ssrc)] == [5, 6]


def test_as_many_goodbyes_as_two_parts_hold_do_no_harm() -> None:
    goodbyes = part(31, 203, struct.pack("!31I", *range(31)))
    report = read(RECEIVER + goodbyes + part(1, 203, struct.pack("!I", 99)))
    assert report is not None
    assert report.bye
    assert report.bye_count == lib.OT_BYES_MAX


# -- extended reports ----------------------------------------------------------------------------


def test_voip_metrics_about_us_are_read() -> None:
    report = read(RECEIVER + NAME + METRICS)
    assert report is not None
    assert report.has_metrics
    metrics = report.metrics
    assert (metrics.loss_rate, metrics.discard_rate) == (11, 12)
    assert (metrics.burst_density, metrics.gap_density) == (13, 14)
    assert (metrics.burst_duration_ms, metrics.gap_duration_ms) == (1500, 1600)
    assert (metrics.round_trip_ms, metrics.end_system_delay_ms) == (170, 180)
    assert (metrics.signal_dbm0, metrics.noise_dbm0) == (-19, -70)
    assert (metrics.echo_return_loss_db, metrics.gmin) == (127, 16)
    assert (metrics.r_factor, metrics.external_r_factor) == (88, 127)
    assert (metrics.mos_lq, metrics.mos_cq, metrics.receiver) == (41, 39, 0xF5)
    assert metrics.jitter_nominal_ms == 60
    assert (metrics.jitter_maximum_ms, metrics.jitter_absolute_ms) == (200, 300)


def test_voip_metrics_about_someone_else_are_not_ours() -> None:
    report = read(RECEIVER + METRICS, ours=OURS + 1)
    assert report is not None
    assert not report.has_metrics


def test_a_receiver_gives_its_time_and_answers_ours() -> None:
    report = read(RECEIVER + REFERENCE + REPLY)
    assert report is not None
    assert report.reference_middle == 0x56789ABC
    assert report.has_reference_reply
    assert (report.last_reference, report.delay_reference) == (0xCAFE0001, 0x8000)


def test_a_reply_to_others_is_not_ours() -> None:
    report = read(RECEIVER + REPLY, ours=OURS + 1)
    assert report is not None
    assert not report.has_reference_reply


def test_unknown_blocks_and_parts_are_stepped_over() -> None:
    unknown = extended(200, bytes(8)) + part(5, 204, bytes(12)) + part(1, 205, bytes(8))
    report = read(RECEIVER + unknown + METRICS)
    assert report is not None
    assert report.has_metrics


def test_a_second_report_in_a_mixers_compound_does_not_change_the_sender() -> None:
    other = part(1, 200, struct.pack("!IIIIII", 5, 1, 2, 3, 4, 5) + block(OURS, lost=9))
    report = read(RECEIVER + NAME + other)
    assert report is not None
    assert (report.sender_ssrc, report.ntp_middle, report.packets_lost) == (99, 0, 9)


def test_reduced_size_packets_are_refused() -> None:
    for alone in (NAME, BYE, METRICS, part(1, 205, bytes(8))):
        assert read(alone) is None


FULL = SENDER + NAME + METRICS + REFERENCE + REPLY + BYE


def test_everything_at_once_is_believed_only_between_parts_when_cut() -> None:
    ends = set()
    at = 0
    for each in (SENDER, NAME, METRICS, REFERENCE, REPLY, BYE):
        at += len(each)
        ends.add(at)
    for length in range(len(FULL) + 1):
        assert (read(FULL[:length]) is not None) == (length in ends)


@given(st.data())
def test_some_changed_octets_of_everything_are_read_or_refused(data: st.DataObject) -> None:
    whole = bytearray(FULL)
    for _ in range(data.draw(st.integers(1, 4))):
        whole[data.draw(st.integers(0, len(whole) - 1))] = data.draw(st.integers(0, 255))
    report = read(bytes(whole))
    if report is not None:
        assert report.bye_count <= lib.OT_BYES_MAX


# -- writing -------------------------------------------------------------------------------------


CNAME = b"0123456789abcdef"
FIELDS = dir(ffi.new("ot_voip_metrics *"))


def written(*, metrics: "VoipMetrics | None" = None) -> "tuple[Written, list[object]]":
    report = ffi.new("ot_report *")
    name = ffi.new("char[]", CNAME)
    report.ssrc, report.cname = 99, name
    report.ntp, report.timestamp = 0x123456789ABCDEF0, 8000
    report.packets_sent, report.octets_sent = 50, 8000
    if metrics is not None:
        report.metrics = metrics
    return report, [name, metrics]


def write(report: "Written") -> bytes:
    data = ffi.new("uint8_t[]", lib.OT_RTCP_MAX)
    octets = lib.ot_rtcp_write(data, report)
    assert octets <= lib.OT_RTCP_MAX
    return bytes(ffi.buffer(data, octets))


def kinds(data: bytes) -> list[int]:
    found = []
    while data:
        found.append(data[1])
        data = data[4 + 4 * int.from_bytes(data[2:4], "big") :]
    return found


def test_a_sender_who_hears_nothing_writes_a_bare_report_and_its_name() -> None:
    report, _keep = written()
    report.sender = 1
    assert write(report) == (
        part(0, 200, struct.pack("!IIIIII", 99, 0x12345678, 0x9ABCDEF0, 8000, 50, 8000))
        + part(1, 202, struct.pack("!IBB", 99, 1, 16) + CNAME + bytes(2))
    )


def test_a_receiver_writes_no_sender_information() -> None:
    report, _keep = written()
    report.remote_ssrc_known, report.remote_ssrc, report.packets_lost = 1, OURS, -3
    assert kinds(write(report)) == [201, 202]
    back = read(write(report))
    assert back is not None
    assert (back.has_block, back.packets_lost) == (1, -3)


def test_everything_that_is_written_reads_back() -> None:
    metrics = ffi.new("ot_voip_metrics *")
    for value, field in enumerate(FIELDS):
        setattr(metrics, field, OURS if field == "ssrc" else -value if "dbm0" in field else value)
    report, _keep = written(metrics=metrics)
    report.sender = report.remote_ssrc_known = report.bye = report.reference = 1
    report.remote_ssrc, report.fraction_lost, report.packets_lost = OURS, 64, 0x123456
    report.highest_sequence, report.jitter = 0x10005, 17
    report.last_report, report.delay_since = 0xABCD, 0x1234
    report.last_reference, report.delay_reference = 0xCAFE, 0x4321
    data = write(report)
    assert kinds(data) == [200, 202, 207, 203], "BYE is the last part"
    back = read(data)
    assert back is not None
    assert (back.sender_ssrc, back.ntp_middle, back.bye) == (99, 0x56789ABC, 1)
    assert (back.fraction_lost, back.packets_lost, back.jitter) == (64, 0x123456, 17)
    assert (back.last_report, back.delay_since) == (0xABCD, 0x1234)
    assert (back.last_reference, back.delay_reference) == (0xCAFE, 0x4321)
    assert back.reference_middle == 0x56789ABC
    assert bytes(back.cname[0 : back.cname_octets]) == CNAME
    assert [getattr(back.metrics, each) for each in FIELDS] == [
        getattr(metrics, each) for each in FIELDS
    ]


# -- who uses our SSRC ---------------------------------------------------------------------------


@pytest.mark.parametrize("ours", [99, 5])
def test_a_source_that_is_ours_is_noticed_in_every_kind_of_part(ours: int) -> None:
    for other in (NAME, BYE):
        report = read(part(0, 201, struct.pack("!I", 1)) + other, ours=ours)
        assert report is not None
        assert report.names_us == (ours == 99)
    report = read(RECEIVER, ours=ours)
    assert report is not None
    assert report.names_us == (ours == 99)


def test_a_block_about_us_is_no_collision() -> None:
    report = read(RECEIVER)
    assert report is not None
    assert not report.names_us


def test_a_collision_moves_us_once_and_a_loop_never_again() -> None:
    collision = ffi.new("ot_collision *")
    judge = lib.ot_collision_judge
    assert judge(collision, 7, 8, 100) == lib.OT_SOURCE_OTHER
    assert judge(collision, 7, 7, 200) == lib.OT_SOURCE_COLLIDES
    assert judge(collision, 9, 7, 201) == lib.OT_SOURCE_OTHER, "the far end keeps the old one"
    assert judge(collision, 9, 9, 300) == lib.OT_SOURCE_LOOPS
    for tick in range(300, 30000, 1000):
        assert judge(collision, 9, 9, tick) == lib.OT_SOURCE_LOOPS


def test_a_collision_long_after_another_is_one() -> None:
    collision = ffi.new("ot_collision *")
    assert lib.ot_collision_judge(collision, 7, 7, 200) == lib.OT_SOURCE_COLLIDES
    assert lib.ot_collision_judge(collision, 9, 9, 200 + 6000) == lib.OT_SOURCE_COLLIDES
