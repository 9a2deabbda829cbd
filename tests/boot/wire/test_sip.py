from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.sip import Options, is_answer

REQUEST = Options(("10.1.0.7", 40_000), ("10.11.0.20", 5060), "abc123")


def test_the_request_says_what_rfc_3261_demands() -> None:
    head, _, rest = bytes(REQUEST).partition(b"\r\n")
    assert head == b"OPTIONS sip:10.11.0.20:5060 SIP/2.0"
    assert rest.endswith(b"\r\n\r\n")
    fields = dict(line.split(b": ", 1) for line in rest.strip().split(b"\r\n"))
    assert fields[b"Via"] == b"SIP/2.0/UDP 10.1.0.7:40000;branch=z9hG4bKabc123;rport"
    assert {b"To", b"From", b"Call-ID", b"CSeq", b"Max-Forwards"} < set(fields)
    assert fields[b"Content-Length"] == b"0"


@given(st.binary(max_size=80))
def test_whatever_comes_is_an_answer_or_not(data: bytes) -> None:
    assert not is_answer(data) or data.startswith(b"SIP/2.0 ")


def test_a_request_is_no_answer() -> None:
    assert is_answer(b"SIP/2.0 404 Not Found\r\n")
    assert is_answer(b"SIP/2.0 200 OK\r\n")
    assert not is_answer(bytes(REQUEST))
    assert not is_answer(b"SIP/2.0 999 No\r\n")
    assert not is_answer(b"")
