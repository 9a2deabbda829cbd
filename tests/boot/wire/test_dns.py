from ipaddress import IPv4Address
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.dns import (
    MAX_ALIASES,
    SRV,
    Answer,
    Query,
    Record,
    Service,
    decode_name,
    encode_name,
)
from openturret.boot.wire.errors import MalformedError, TruncatedError, WireError

ANSWER = (Path(__file__).parent.parent / "data" / "dns_answer_dnsmasq.bin").read_bytes()
HEAD = bytes.fromhex("0007 8180 0001 0001 0000 0000")
QUESTION = encode_name("a.example") + b"\0\1\0\1"


def test_what_dnsmasq_answered_is_read() -> None:
    answer = Answer.parse(ANSWER)
    assert answer.name == "tss1.turret.example"
    assert answer.code == 0
    assert answer.addresses() == (IPv4Address("10.1.0.2"),)


def test_an_answer_cut_anywhere_is_a_typed_error() -> None:
    for length in range(len(ANSWER)):
        with pytest.raises(WireError):
            Answer.parse(ANSWER[:length])


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    for candidate in (data, HEAD + data, HEAD + QUESTION + data):
        try:
            Answer.parse(candidate)
        except WireError:
            continue


def test_an_answer_survives_its_own_bytes() -> None:
    records = (
        Record("tss1.turret.example", 60, alias="tss.turret.example"),
        Record("tss.turret.example", 60, address=IPv4Address("10.11.0.10")),
        Record("other.turret.example", 60, address=IPv4Address("192.0.2.1")),
    )
    answer = Answer(7, "tss1.turret.example", 0, truncated=False, records=records)
    assert Answer.parse(bytes(answer)) == answer
    assert answer.addresses() == (IPv4Address("10.11.0.10"),), "only through its aliases"


def test_a_query_asks_for_one_name() -> None:
    data = bytes(Query(0x1234, "TSS1.turret.example"))
    assert data[:2] == b"\x12\x34"
    assert decode_name(data, 12) == ("tss1.turret.example", len(data) - 4)


@pytest.mark.parametrize("pointer", [b"\xc0\x0c", b"\xc0\x0e", b"\xc0\xff"])
def test_a_pointer_that_loops_or_points_forwards_is_refused(pointer: bytes) -> None:
    with pytest.raises(MalformedError, match="backwards"):
        decode_name(bytes(12) + pointer + bytes(300), 12)


def test_a_name_of_endless_labels_is_refused() -> None:
    with pytest.raises(MalformedError, match="too long"):
        decode_name(b"\x3f" + b"a" * 63 + (b"\x3f" + b"b" * 63) * 8 + b"\0", 0)


@pytest.mark.parametrize("name", ["", ".", "a..b", "a b", "-a", "a" * 64, "a." * 130, "a\0b", "ä"])
def test_what_is_no_host_name_is_not_asked_for(name: str) -> None:
    with pytest.raises(MalformedError):
        encode_name(name)


def test_a_query_or_another_question_is_no_answer() -> None:
    with pytest.raises(MalformedError, match="response"):
        Answer.parse(bytes(Query(7, "a.example")))
    with pytest.raises(MalformedError, match="another question"):
        Answer.parse(HEAD + encode_name("a.example") + b"\0\x1c\0\1")
    with pytest.raises(TruncatedError):
        Answer.parse(HEAD)
    with pytest.raises(MalformedError, match="A record"):
        Answer.parse(HEAD + QUESTION + b"\xc0\x0c\0\1\0\1\0\0\0\1\0\3abc")


SERVICES = Answer(
    7,
    "_turret-tss._tcp.turret.example",
    0,
    truncated=False,
    records=(
        Record("_turret-tss._tcp.turret.example", 60, service=Service(10, 5, 21, "tss1.example")),
        Record("_turret-tss._tcp.turret.example", 60, service=Service(20, 0, 21, "")),
    ),
    kind=SRV,
    extra=(Record("tss1.example", 60, address=IPv4Address("10.11.0.10")),),
)


def test_services_survive_their_own_bytes() -> None:
    assert Answer.parse(bytes(SERVICES)) == SERVICES
    assert [service.target for service in SERVICES.services()] == ["tss1.example", ""]
    for length in range(len(bytes(SERVICES))):
        with pytest.raises(WireError):
            Answer.parse(bytes(SERVICES)[:length])


def chain(length: int) -> Answer:
    records = [Record(f"a{n}.example", 60, alias=f"a{n + 1}.example") for n in range(length)]
    records.append(Record(f"a{length}.example", 60, address=IPv4Address("10.0.0.1")))
    return Answer(7, "a0.example", 0, truncated=False, records=tuple(reversed(records)))


def test_aliases_are_followed_in_any_order_but_not_for_ever() -> None:
    assert chain(MAX_ALIASES).addresses() == (IPv4Address("10.0.0.1"),)
    with pytest.raises(MalformedError, match="more than 8 aliases"):
        chain(MAX_ALIASES + 1).addresses()


def test_aliases_in_a_circle_are_refused() -> None:
    records = (
        Record("a.example", 60, alias="b.example"),
        Record("b.example", 60, alias="a.example"),
    )
    with pytest.raises(MalformedError, match="circle"):
        Answer(7, "a.example", 0, truncated=False, records=records).addresses()


def test_an_answer_that_was_cut_short_says_so_and_holds_nothing() -> None:
    head = bytes.fromhex("0007 8380 0001 0009 0000 0000")
    answer = Answer.parse(head + QUESTION + b"\xc0")
    assert (answer.truncated, answer.records) == (True, ())


def test_more_records_than_anybody_needs_are_refused() -> None:
    head = bytes.fromhex("0007 8180 0001 0001 ffff 0000")
    with pytest.raises(MalformedError, match="more than 64 records"):
        Answer.parse(head + QUESTION)


@pytest.mark.parametrize("label", [b"\0", b" ", b"\n", b".", b"\xe4", b"\x7f"])
def test_a_label_that_is_not_printable_is_refused(label: bytes) -> None:
    with pytest.raises(MalformedError, match="printable"):
        decode_name(b"\1" + label + b"\0", 0)
