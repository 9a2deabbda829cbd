import struct
from ipaddress import IPv4Address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.errors import MalformedError, WireError
from openturret.boot.wire.frame import (
    BROADCAST_ADDRESS,
    BROADCAST_MAC,
    ArpOperation,
    ArpPacket,
    UdpFrame,
)

MAC = b"\x02TP\0\0\1"
FRAME = UdpFrame(MAC, BROADCAST_MAC, IPv4Address(0), BROADCAST_ADDRESS, 68, 67, b"discover")


@given(st.binary(max_size=300))
def test_a_datagram_survives_its_own_bytes(payload: bytes) -> None:
    frame = UdpFrame(
        MAC, BROADCAST_MAC, IPv4Address("10.1.0.1"), BROADCAST_ADDRESS, 67, 68, payload
    )
    assert UdpFrame.parse(bytes(frame)) == frame
    assert UdpFrame.parse(bytes(frame).ljust(60, b"\0")) == frame, "Ethernet padding is ignored"


def test_a_frame_cut_anywhere_is_a_typed_error() -> None:
    for length in range(len(bytes(FRAME))):
        with pytest.raises(WireError):
            UdpFrame.parse(bytes(FRAME)[:length])


@given(st.binary(max_size=200))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    head = BROADCAST_MAC + MAC
    for frame in (data, head + b"\x08\0" + data, head + b"\x08\6" + data):
        for parse in (UdpFrame.parse, ArpPacket.parse):
            try:
                parse(frame)
            except WireError:
                continue


@pytest.mark.parametrize("at", [24, 30, 41, 45])
def test_a_flipped_byte_fails_a_checksum(at: int) -> None:
    data = bytearray(bytes(FRAME))
    data[at] ^= 0x55
    with pytest.raises(WireError):
        UdpFrame.parse(bytes(data))


def test_a_checksum_left_to_the_network_card_is_taken_as_good() -> None:
    pseudo = IPv4Address(0).packed + BROADCAST_ADDRESS.packed + struct.pack("!HH", 17, 16)
    total = sum(struct.unpack("!6H", pseudo))
    data = bytearray(bytes(FRAME))
    data[40:42] = ((total & 0xFFFF) + (total >> 16)).to_bytes(2, "big")
    assert UdpFrame.parse(bytes(data)) == FRAME


@pytest.mark.parametrize(("at", "value"), [(12, 0x86), (14, 0x65), (20, 0x20), (23, 6)])
def test_other_protocols_and_fragments_are_refused(at: int, value: int) -> None:
    data = bytearray(bytes(FRAME))
    data[at] = value
    with pytest.raises(MalformedError):
        UdpFrame.parse(bytes(data))


def test_arp_survives_its_own_bytes() -> None:
    address = IPv4Address("10.1.0.100")
    probe = ArpPacket.probe(MAC, address)
    assert ArpPacket.parse(bytes(probe)) == probe
    assert probe.sender.is_unspecified
    reply = ArpPacket(ArpOperation.REPLY, b"\2TP\0\0\2", address, MAC, IPv4Address(0))
    assert ArpPacket.parse(bytes(reply).ljust(60, b"\0")) == reply
    for length in range(len(bytes(probe))):
        with pytest.raises(WireError):
            ArpPacket.parse(bytes(probe)[:length])
