from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.errors import MalformedError, TruncatedError, WireError
from openturret.boot.wire.ldap import (
    MAX_MESSAGE_BYTES,
    MAX_MESSAGE_ID,
    BindRequest,
    BindResponse,
    Entry,
    ExtendedResponse,
    ReadRequest,
    Reference,
    Response,
    Result,
    SearchDone,
    UnbindRequest,
    content_length,
    escape_dn_value,
    length_octets,
    parse_response,
)

DATA = Path(__file__).parent.parent / "data"
CAPTURED = {name: (DATA / f"ldap_{name}_slapd.bin").read_bytes()
            for name in ("bound", "refused", "entry", "done")}  # fmt: skip

names = st.text(max_size=30)
results = st.builds(
    Result,
    st.integers(0, 200),
    names,
    names,
    st.lists(names, max_size=3).map(tuple),
)
ids = st.integers(0, MAX_MESSAGE_ID)
values = st.lists(st.binary(max_size=300), max_size=3).map(tuple)
attributes = st.lists(st.tuples(names, values), max_size=4).map(tuple)
responses = st.one_of(
    st.builds(BindResponse, ids, results),
    st.builds(Entry, ids, names, attributes),
    st.builds(Reference, ids, st.lists(names, max_size=3).map(tuple)),
    st.builds(SearchDone, ids, results),
    st.builds(ExtendedResponse, ids, results, names),
)


def test_what_slapd_answers_is_read() -> None:
    alice = "uid=alice,ou=people,dc=turret,dc=example"
    assert {name: parse_response(data) for name, data in CAPTURED.items()} == {
        "bound": BindResponse(1, Result(0)),
        "refused": BindResponse(1, Result(49)),
        "entry": Entry(2, alice, (("cn", (b"Alice Martin",)),)),
        "done": SearchDone(2, Result(0)),
    }


@pytest.mark.parametrize("name", CAPTURED)
def test_what_slapd_sends_is_what_we_would_send(name: str) -> None:
    assert bytes(parse_response(CAPTURED[name])) == CAPTURED[name]


@given(responses)
def test_an_answer_survives_its_own_bytes(response: Response) -> None:
    assert parse_response(bytes(response)) == response


@given(responses)
def test_an_answer_cut_anywhere_is_a_typed_error(response: Response) -> None:
    data = bytes(response)
    for length in range(len(data)):
        with pytest.raises(TruncatedError):
            parse_response(data[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_an_answer_or_a_typed_error(data: bytes) -> None:
    inside = b"\x30\x81" + bytes([min(len(data) + 3, 255)]) + b"\2\1\1" + data
    for candidate in (data, inside):
        try:
            again = parse_response(candidate)
        except WireError:
            continue
        assert parse_response(bytes(again)) == again


@given(responses, st.binary(min_size=1, max_size=4))
def test_what_follows_a_message_is_no_part_of_it(response: Response, more: bytes) -> None:
    with pytest.raises(MalformedError, match="follow"):
        parse_response(bytes(response) + more)


@pytest.mark.parametrize(
    ("head", "words"),
    [
        (b"\x31\x00", "0x30"),
        (b"\x30\x80", "octets"),
        (b"\x30\x85\0\0\0\0\1", "octets"),
        (b"\x30\xff", "octets"),
        (b"\x30\x84\xff\xff\xff\xff", "exceeds"),
        (b"\x30\x83" + (MAX_MESSAGE_BYTES + 1).to_bytes(3), "exceeds"),
    ],
)
def test_a_head_that_promises_too_much_is_refused_before_the_rest_comes(
    head: bytes, words: str
) -> None:
    with pytest.raises(MalformedError, match=words):
        content_length(head)


def test_the_longest_message_is_accepted() -> None:
    head = b"\x30\x83" + MAX_MESSAGE_BYTES.to_bytes(3)
    assert (length_octets(head), content_length(head)) == (3, MAX_MESSAGE_BYTES)


@pytest.mark.parametrize("head", [b"", b"\x30", b"\x30\x82", b"\x30\x82\1"])
def test_a_head_cut_off_is_noticed(head: bytes) -> None:
    with pytest.raises(TruncatedError):
        content_length(head)


def element(tag: int, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return bytes([tag, len(content)]) + content


ONE = element(2, b"\1")
GOOD = element(0x0A, b"\0") + element(4) + element(4)


@pytest.mark.parametrize(
    ("parts", "words"),
    [
        ((element(2, b"\xff"), element(0x61, GOOD)), "no number"),
        ((element(2, bytes(5)), element(0x61, GOOD)), "no number"),
        ((element(2), element(0x61, GOOD)), "no number"),
        ((ONE, element(0x62, GOOD)), "no LDAP answer"),
        ((ONE, element(0x7F, GOOD)), "several octets"),
        ((ONE, element(0x61, ONE, element(4), element(4))), "0x02 stands where 0x0a"),
        ((ONE, element(0x64, element(4, b"\xff"), element(0x30))), "UTF-8"),
        ((ONE, element(0x64, element(4, b"a"), element(0x31))), "0x31 stands where 0x30"),
        ((ONE, element(0x64, element(4, b"a"), element(0x30, ONE))), "no attribute"),
        ((ONE, element(0x73, ONE)), "no octet string"),
        ((ONE, element(0x61, GOOD, element(0xA3, ONE))), "no octet string"),
    ],
)
def test_messages_that_rfc_4511_forbids(parts: tuple[bytes, ...], words: str) -> None:
    with pytest.raises(MalformedError, match=words):
        parse_response(element(0x30, *parts))


def test_nesting_costs_nothing() -> None:
    nest = b""
    for _ in range(5000):
        nest = b"\x30\x82" + len(nest).to_bytes(2) + nest
    inner = b"\2\1\1\x61\x83" + (len(nest) + 7).to_bytes(3) + b"\x0a\1\0\4\0\4\0" + nest
    assert parse_response(b"\x30\x83" + len(inner).to_bytes(3) + inner) == BindResponse(
        1, Result(0)
    )


def test_diagnostics_in_another_code_are_read_all_the_same() -> None:
    body = b"\x0a\1\x31\4\0\4\3\xffno"
    message = b"\x30" + bytes([len(body) + 5]) + b"\2\1\1\x61" + bytes([len(body)]) + body
    answer = parse_response(message)
    assert isinstance(answer, BindResponse)
    assert (answer.result.code, answer.result.diagnostic) == (49, "�no")


def test_an_entry_is_asked_for_its_attributes() -> None:
    entry = Entry(2, "uid=a", (("CN", (b"Alice", b"A.")), ("sn", ())))
    assert entry.first("cn") == "Alice"
    assert entry.first("sn") == entry.first("mail") == ""


@pytest.mark.parametrize(("name", "password"), [("", "x"), ("uid=a", ""), ("", "")])
def test_an_anonymous_bind_cannot_be_made(name: str, password: str) -> None:
    with pytest.raises(MalformedError, match="anonymous"):
        BindRequest(1, name, password)


def test_a_password_is_not_shown() -> None:
    assert "canary" not in repr(BindRequest(1, "uid=a", "canary"))


def test_requests_are_what_rfc_4511_says() -> None:
    assert bytes(UnbindRequest(3)).hex() == "30050201034200"
    read = bytes(ReadRequest(2, "uid=a", ("cn",)))
    assert read.hex() == (
        "302e0201026329" "04057569643d61" "0a0100" "0a0100" "020101" "020100" "010100"
        "870b6f626a656374436c617373" "30040402636e"
    )  # fmt: skip


@pytest.mark.parametrize(
    ("value", "escaped"),
    [
        ("alice", "alice"),
        ("a,ou=admins", r"a\,ou\=admins"),
        ('a+b"c\\d<e>f;g', r"a\+b\"c\\d\<e\>f\;g"),
        ("#a#", r"\#a#"),
        (" a b ", r"\ a b\ "),
        (" ", r"\ "),
        ("\\ ", "\\\\\\ "),
        ("a\0b", r"a\00b"),
        ("é*()", "é*()"),
        ("", ""),
    ],
)
def test_a_value_cannot_leave_its_place_in_a_name(value: str, escaped: str) -> None:
    assert escape_dn_value(value) == escaped
