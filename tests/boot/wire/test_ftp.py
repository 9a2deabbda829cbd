import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.errors import MalformedError
from openturret.boot.wire.ftp import MAX_REPLY_BYTES, MAX_REPLY_LINES, Replies, Reply

PYFTPDLIB = b"220 TSS\r\n234 AUTH TLS successful.\r\n"
PROFTPD = b"214-The following commands are recognized:\r\n CWD XCWD\r\n214 Direct comments\r\n"
VSFTPD = b"211-Features:\r\n EPSV\r\n211-PASV\r\n211 End\r\n"


def replies(data: bytes) -> list[Reply]:
    parser = Replies()
    parser.feed(data)
    return list(iter(parser.take, None))


def test_replies_are_cut_from_the_stream_one_by_one() -> None:
    assert replies(PYFTPDLIB) == [Reply(220, "TSS"), Reply(234, "AUTH TLS successful.")]
    assert replies(PROFTPD) == [
        Reply(214, "The following commands are recognized: CWD XCWD Direct comments")
    ]
    assert replies(VSFTPD) == [Reply(211, "Features: EPSV PASV End")]


@pytest.mark.parametrize("data", [PYFTPDLIB, PROFTPD, VSFTPD], ids=["220", "214", "211"])
def test_a_reply_may_come_in_any_pieces(data: bytes) -> None:
    for cut in range(len(data)):
        parser = Replies()
        parser.feed(data[:cut])
        taken = list(iter(parser.take, None))
        parser.feed(data[cut:])
        assert taken + list(iter(parser.take, None)) == replies(data)
        assert parser.pending == b""


@pytest.mark.parametrize(
    "data",
    [
        b"hello\r\n",
        b"22 short\r\n",
        b"620 protected\r\n",
        b"099 low\r\n",
        b"220\x00 nul\r\n",
        b"220 a\x00b\r\n",
        b"220 a\rb\r\n",
        b"220-a\r\n\x1b[2J\r\n220 b\r\n",
        b"\xff\xfe\r\n",
        b"\r\n",
    ],
)
def test_what_is_no_reply_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        replies(data)


@pytest.mark.parametrize(
    "data", [b"220-" + b"a" * MAX_REPLY_BYTES, b"220-a\r\n" * (MAX_REPLY_LINES + 1)]
)
def test_an_endless_reply_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError, match="exceeds"):
        replies(data)


def test_kinds_of_replies() -> None:
    assert Reply(150, "").preliminary
    assert Reply(226, "").good
    assert Reply(331, "").wants_more
    assert not Reply(550, "").good


@pytest.mark.parametrize(
    ("text", "port"),
    [
        ("Entering Extended Passive Mode (|||6446|)", 6446),
        ("ok (!!!65535!)", 65535),
        ("(|||1024|).", 1024),
    ],
)
def test_an_extended_port_is_found(text: str, port: int) -> None:
    assert Reply(229, text).extended_port() == port


@pytest.mark.parametrize(
    "text",
    ["", "(|||)", "(|||22|)", "(|||65536|)", "(|||123456|)", "(||1|6446|)", "(|||-1|)", "|||6446|"],
)
def test_a_lying_extended_port_is_refused(text: str) -> None:
    with pytest.raises(MalformedError, match="no port"):
        Reply(229, text).extended_port()


def test_a_passive_port_is_found_and_the_address_ignored() -> None:
    assert Reply(227, "Entering Passive Mode (192,0,2,66,78,32).").passive_port() == 20000
    for text in ("", "(1,2,3,4,5)", "(1,2,3,4,0,22)", "(1,2,3,4,256,1)", "(1,2,3,4,5,256)"):
        with pytest.raises(MalformedError, match="no port"):
            Reply(227, text).passive_port()


@given(st.lists(st.binary(max_size=300), max_size=20))
def test_any_bytes_are_replies_or_a_typed_error(pieces: list[bytes]) -> None:
    parser = Replies()
    try:
        for piece in pieces:
            parser.feed(piece)
            for reply in iter(parser.take, None):
                assert 100 <= reply.code <= 599
    except MalformedError:
        pass


@given(st.integers(100, 599), st.text(st.characters(codec="ascii", exclude_categories=["Cc"])))
def test_a_reply_survives_the_wire(code: int, text: str) -> None:
    assert replies(f"{code} {text}\r\n".encode()) == [Reply(code, text.strip())]
