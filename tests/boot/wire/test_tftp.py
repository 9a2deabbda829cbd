from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.errors import MalformedError, TruncatedError, WireError
from openturret.boot.wire.tftp import (
    Acknowledgement,
    Data,
    Failure,
    OptionAcknowledgement,
    Packet,
    ReadRequest,
    WriteRequest,
    parse,
)

OPTIONS = {"blksize": "1428", "tsize": "0", "windowsize": "16"}
PACKETS: list[Packet] = [
    ReadRequest("default.yaml"),
    ReadRequest("units/02-54-50-00-00-01.yaml", OPTIONS),
    WriteRequest("x", {"blksize": "8"}),
    Data(1, b"hello"),
    Data(65535, b""),
    Acknowledgement(0),
    Failure(1, "File not found"),
    OptionAcknowledgement(OPTIONS),
]

DATA = Path(__file__).parent.parent / "data"
ATFTPD_OACK = (DATA / "tftp_oack_atftpd.bin").read_bytes()
ATFTPD_ERROR = (DATA / "tftp_error_atftpd.bin").read_bytes()


@pytest.mark.parametrize("packet", PACKETS, ids=lambda packet: type(packet).__name__)
def test_a_packet_survives_its_own_bytes(packet: Packet) -> None:
    assert parse(bytes(packet)) == packet


@pytest.mark.parametrize("packet", PACKETS, ids=lambda packet: type(packet).__name__)
def test_a_packet_cut_anywhere_is_a_value_or_a_typed_error(packet: Packet) -> None:
    data = bytes(packet)
    for length in range(len(data)):
        try:
            parse(data[:length])
        except WireError:
            continue


@given(st.binary(max_size=600))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    for head in (b"", b"\0\1", b"\0\2", b"\0\3", b"\0\4", b"\0\5", b"\0\6"):
        try:
            packet = parse(head + data)
        except WireError:
            continue
        assert parse(bytes(packet)) == packet


def test_what_atftpd_answered_is_read() -> None:
    accepted = parse(ATFTPD_OACK)
    assert isinstance(accepted, OptionAcknowledgement)
    assert accepted.options["blksize"] == "1428"
    assert accepted.options["tsize"] == "300000"
    assert bytes(accepted) == ATFTPD_OACK
    assert parse(ATFTPD_ERROR) == Failure(1, "File not found")
    assert bytes(parse(ATFTPD_ERROR)) == ATFTPD_ERROR


@pytest.mark.parametrize("mode", ["netascii", "mail", ""])
def test_modes_other_than_octet_are_refused(mode: str) -> None:
    with pytest.raises(MalformedError, match="octet"):
        parse(b"\0\1file\0" + mode.encode() + b"\0")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        (b"", TruncatedError),
        (b"\0", TruncatedError),
        (b"\0\3\0", TruncatedError),
        (b"\0\1file", TruncatedError),
        (b"\0\1file\0", TruncatedError),
        (b"\0\6blksize\0", TruncatedError),
        (b"\0\6a\x001\0a\x002\0", MalformedError),
        (b"\0\6" + b"a\0" * 40, MalformedError),
        (b"\0\6" + b"a" * 600 + b"\x001\0", MalformedError),
        (b"\0\6bl\x1bk\x001\0", MalformedError),
        (b"\0\4\0\1\0", MalformedError),
        (b"\0\x09\0\1", MalformedError),
    ],
)
def test_hostile_packets_are_refused(data: bytes, error: type[WireError]) -> None:
    with pytest.raises(error):
        parse(data)
