"""SIP messages: values, RFC 4475's torture messages, framing, and hostile bytes."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.wire import sip
from openturret.firmware.wire.errors import MalformedError, SipMessageError, WireError

TORTURE = Path(__file__).resolve().parents[4] / "shared" / "data" / "rfc4475"
INVITE = (
    b"INVITE sip:recorder@192.0.2.30 SIP/2.0\r\n"
    b"v: SIP/2.0/TCP 192.0.2.1:5060;branch=z9hG4bK776;rport\r\n"
    b'f: "Alice \\"A\\"" <sip:1001@turret.example>;tag=88\r\n'
    b"t: <sip:recorder@192.0.2.30>\r\n"
    b"i: a84b4c76e66710\r\n"
    b"CSeq: 314159 INVITE\r\n"
    b"m: <sip:1001@192.0.2.1:5060;transport=tcp>;+sip.src\r\n"
    b"Subject: a\r\n folded\r\n\tline\r\n"
    b'c: multipart/mixed;boundary="b 1"\r\n'
)
BODY = (
    b"--b 1\r\nContent-Type: application/sdp\r\n\r\nv=0\r\n\r\n"
    b"--b 1\r\nContent-Type: application/rs-metadata+xml\r\nContent-Disposition: recording-session"
    b"\r\n\r\n<recording/>\r\n--b 1--\r\n"
)
WHOLE = INVITE + b"l: %d\r\n\r\n" % len(BODY) + BODY


def _invite() -> sip.Request:
    message = sip.parse_message(WHOLE)
    assert isinstance(message, sip.Request)
    return message


def test_compact_and_folded_headers_are_read() -> None:
    invite = _invite()
    assert invite.call_id == "a84b4c76e66710"
    assert invite.headers.get("subject") == "a folded line"
    assert invite.sender == sip.NameAddress(
        "sip:1001@turret.example", 'Alice "A"', (("tag", "88"),)
    )
    assert invite.cseq == sip.CSeq(314159, "INVITE")
    assert invite.vias[0].parameter("rport") == ""
    assert invite.contact is not None
    assert invite.contact.parameter("+sip.src") == ""


def test_the_parts_of_a_siprec_body_are_found_by_type() -> None:
    assert _invite().part("application/sdp") == b"v=0\r\n"
    assert _invite().part("application/rs-metadata+xml") == b"<recording/>"
    assert _invite().part("text/plain") is None


def test_a_message_survives_a_round_trip() -> None:
    invite = _invite()
    again = sip.parse_message(bytes(invite))
    assert again == invite
    assert bytes(again) == bytes(invite)


def test_a_multipart_body_survives_a_round_trip() -> None:
    parts = sip.parse_multipart(BODY, "b 1")
    assert sip.parse_multipart(sip.build_multipart(parts, "x"), "x") == parts


def test_a_body_that_is_not_closed_is_refused() -> None:
    with pytest.raises(MalformedError, match="not closed"):
        sip.parse_multipart(BODY[:-5], "b 1")


@pytest.mark.parametrize(
    "text",
    [
        "sip:1001@turret.example",
        "sips:turret.example:5061",
        "sip:alice;day=tue@192.0.2.1:5060;transport=tcp;lr?Subject=x&To=y",
        "sip:[2001:db8::1]:5060",
    ],
)
def test_a_uri_survives_a_round_trip(text: str) -> None:
    assert str(sip.SipUri.parse(text)) == text


@pytest.mark.parametrize("text", ["tel:+33123", "sip:", "sip:a b@c", "sip:a@b:99999", "nonsense"])
def test_what_is_not_a_sip_uri_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        sip.SipUri.parse(text)


def test_commas_in_quotes_and_brackets_do_not_split() -> None:
    value = '"Bell, A." <sip:a@b;x=1,2>;q=1, <sip:c@d>'
    assert sip.split_list(value) == ('"Bell, A." <sip:a@b;x=1,2>;q=1', "<sip:c@d>")


def test_replaces_survives_a_round_trip() -> None:
    text = "12adf2f34456gs5;to-tag=12345;from-tag=54321;early-only"
    assert str(sip.Replaces.parse(text)) == text


def test_a_via_takes_the_address_that_the_request_came_from() -> None:
    via = sip.Via.parse("SIP / 2.0 / udp 192.0.2.1 : 5060 ;branch=z9hG4bK1;rport")
    answered = via.with_parameter("rport", "4242").with_parameter("received", "192.0.2.7")
    assert str(answered) == (
        "SIP/2.0/UDP 192.0.2.1:5060;branch=z9hG4bK1;rport=4242;received=192.0.2.7"
    )


def test_a_stream_is_cut_into_messages() -> None:
    stream = b"\r\n\r\n" + WHOLE + WHOLE[:100]
    length = sip.frame_length(stream)
    assert length == 4 + len(WHOLE)
    assert sip.frame_length(stream[length:]) is None


def test_a_stream_without_lengths_is_refused() -> None:
    with pytest.raises(SipMessageError, match="Content-Length"):
        sip.frame_length(INVITE + b"\r\n")


def test_a_body_shorter_than_said_can_be_answered() -> None:
    with pytest.raises(SipMessageError) as caught:
        sip.parse_message(WHOLE[:-1])
    assert caught.value.status == 400
    assert caught.value.head is not None
    assert caught.value.head.call_id == "a84b4c76e66710"


def test_another_version_is_answered_with_505() -> None:
    with pytest.raises(SipMessageError) as caught:
        sip.parse_message(WHOLE.replace(b" SIP/2.0\r\n", b" SIP/7.0\r\n", 1))
    assert caught.value.status == 505


def test_cut_at_every_length_is_a_value_or_a_typed_error() -> None:
    for length in range(len(WHOLE)):
        _read_everything(WHOLE[:length])


@pytest.mark.parametrize("start", ["INVITE sip:a@b SIP/2.%s", "SIP/2.0 %s OK"])
def test_a_number_without_end_is_refused(start: str) -> None:
    with pytest.raises(SipMessageError):
        sip.parse_message((start % ("9" * 5000) + "\r\n\r\n").encode())


@given(st.binary(max_size=300))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    _read_everything(data)


@given(st.integers(0, len(WHOLE) - 1), st.binary(min_size=1, max_size=4))
def test_a_damaged_message_is_a_value_or_a_typed_error(position: int, damage: bytes) -> None:
    _read_everything(WHOLE[:position] + damage + WHOLE[position + len(damage) :])


def _torture() -> list[Path]:
    return sorted(TORTURE.glob("*.dat"))


def test_every_torture_message_is_a_value_or_a_typed_error() -> None:
    if not _torture():
        pytest.skip("RFC 4475's messages are not beside the repository (../shared/data/rfc4475)")
    for path in _torture():
        _read_everything(path.read_bytes())


VALID = {
    "dblreq", "esc01", "esc02", "escnull", "intmeth", "longreq", "lwsdisp", "mpart01", "noreason",
    "semiuri", "transports", "unreason", "wsinv",
}  # fmt: skip
REFUSED = {
    "badaspec": 400, "badvers": 505, "clerr": 400, "ltgtruri": 400, "lwsruri": 400,
    "lwsstart": 400, "mcl01": 400, "ncl": 400, "quotbal": 400, "scalar02": 400, "scalarlg": 400,
    "trws": 400, "bigcode": 400,
}  # fmt: skip


@pytest.mark.parametrize("name", sorted(VALID))
def test_a_strange_but_valid_torture_message_is_read(name: str) -> None:
    message = sip.parse_message(_torture_message(name))
    assert message.vias
    assert message.call_id
    assert message.sender.uri
    assert message.recipient.uri
    assert bytes(sip.parse_message(bytes(message))) == bytes(message)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_an_invalid_torture_message_is_refused(name: str) -> None:
    with pytest.raises((SipMessageError, MalformedError)) as caught:
        _read(_torture_message(name))
    assert getattr(caught.value, "status", 400) == REFUSED[name]


def _torture_message(name: str) -> bytes:
    path = TORTURE / f"{name}.dat"
    if not path.exists():
        pytest.skip("RFC 4475's messages are not beside the repository (../shared/data/rfc4475)")
    return path.read_bytes()


def _read(data: bytes) -> None:
    message = sip.parse_message(data)
    _ = (message.call_id, message.cseq, message.sender, message.recipient, message.vias)
    _ = (message.contact, message.content_type, message.parts())


def _read_everything(data: bytes) -> None:
    with contextlib.suppress(WireError):
        sip.frame_length(data)
    try:
        _read(data)
    except WireError:
        return
