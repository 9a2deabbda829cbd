import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.errors import MalformedError
from openturret.boot.wire.http import (
    MAX_CHUNK_LINE_BYTES,
    MAX_FIELDS,
    MAX_HEAD_BYTES,
    ContentRange,
    Head,
    Request,
    parse_chunk_size,
)

NGINX = (
    b"HTTP/1.1 206 Partial Content\r\nServer: nginx/1.22.1\r\n"
    b"Date: Wed, 25 Nov 2026 17:00:00 GMT\r\nContent-Type: application/octet-stream\r\n"
    b'Content-Length: 600\r\nConnection: keep-alive\r\nETag: "6565-3e8"\r\n'
    b"Content-Range: bytes 400-999/1000\r\n\r\n"
)


def head(*lines: bytes) -> Head:
    return Head.parse(b"\r\n".join((b"HTTP/1.1 200 OK", *lines, b"", b"")))


def test_a_head_is_understood() -> None:
    parsed = Head.parse(NGINX)
    assert (parsed.status, parsed.length, parsed.chunked, parsed.stays) == (206, 600, False, True)
    assert parsed.content_range == ContentRange(400, 999, 1000)
    assert parsed.fields["etag"] == '"6565-3e8"'


def test_a_cut_head_is_a_head_or_a_typed_error() -> None:
    for cut in range(len(NGINX)):
        try:
            Head.parse(NGINX[:cut])
        except MalformedError:
            continue


def test_bare_newlines_are_borne() -> None:
    assert Head.parse(b"HTTP/1.1 200\nContent-Length: 3\n\n").length == 3


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/2 200 OK\r\n",
        b"HTTP/1.1 2000 OK\r\n",
        b"HTTP/1.1 099 OK\r\n",
        b"HTTP/1.1 200 O\x00K\r\n",
        b"ICY 200 OK\r\n",
        b"220 ready\r\n",
        b"HTTP/1.1 200 OK\r\n folded: yes\r\n",
        b"HTTP/1.1 200 OK\r\nbad name: x\r\n",
        b"HTTP/1.1 200 OK\r\na: b\x00c\r\n",
        b"HTTP/1.1 200 OK\r\na: b\rc: d\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\nContent-Length: 2\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * (MAX_FIELDS + 1),
        b"HTTP/1.1 200 OK\r\na: " + b"b" * MAX_HEAD_BYTES,
    ],
)
def test_what_is_no_head_is_refused(data: bytes) -> None:
    with pytest.raises(MalformedError):
        Head.parse(data)


@pytest.mark.parametrize("length", [b"-1", b"+1", b"1e3", b"0x10", b"1, 1", b"", b"9" * 16])
def test_a_lying_length_is_refused(length: bytes) -> None:
    with pytest.raises(MalformedError):
        _ = head(b"Content-Length: " + length).length


def test_only_plain_chunks_are_accepted() -> None:
    assert head(b"Transfer-Encoding: Chunked").chunked
    assert not head().chunked
    for lines in ((b"Transfer-Encoding: gzip, chunked",), (b"Transfer-Encoding: identity",),
                  (b"Transfer-Encoding: chunked", b"Content-Length: 3")):  # fmt: skip
        with pytest.raises(MalformedError):
            _ = head(*lines).chunked


@pytest.mark.parametrize(
    "text", ["", "bytes */10", "bytes 5-4/10", "bytes 0-10/10", "bytes -5/10", "items 0-1/2"]
)
def test_a_range_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(MalformedError):
        _ = head(b"Content-Range: " + text.encode()).content_range


def test_a_range_of_a_file_of_unknown_length() -> None:
    assert head(b"Content-Range: bytes 0-1/*").content_range == ContentRange(0, 1, None)


def test_a_connection_stays_unless_the_server_says_otherwise() -> None:
    assert head().stays
    assert not head(b"Connection: Close").stays
    assert not Head.parse(b"HTTP/1.0 200 OK\r\n").stays


def test_sizes_of_chunks() -> None:
    assert parse_chunk_size(b"1aF;name=value\r\n") == 0x1AF
    for line in (b"\r\n", b"-1\r\n", b"0x1\r\n", b"1", b"f" * 13 + b"\r\n",
                 b"1;" + b"a" * MAX_CHUNK_LINE_BYTES + b"\r\n"):  # fmt: skip
        with pytest.raises(MalformedError):
            parse_chunk_size(line)


def test_a_request_names_its_host_and_ends() -> None:
    request = Request("tss1.turret.example", "/a/b", {"Range": "bytes=5-"})
    assert bytes(request) == (
        b"GET /a/b HTTP/1.1\r\nHost: tss1.turret.example\r\nRange: bytes=5-\r\n\r\n"
    )


@given(st.binary(max_size=400))
def test_any_bytes_are_a_head_or_a_typed_error(data: bytes) -> None:
    for candidate in (data, b"HTTP/1.1 206 Partial\r\n" + data):
        try:
            parsed = Head.parse(candidate)
            _ = parsed.chunked, parsed.length, parsed.stays, parsed.content_range
        except MalformedError:
            continue


@given(st.binary(max_size=300))
def test_any_bytes_are_a_size_or_a_typed_error(line: bytes) -> None:
    with contextlib.suppress(MalformedError):
        assert parse_chunk_size(line) >= 0
