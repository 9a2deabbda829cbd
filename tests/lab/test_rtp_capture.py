"""A capture is read as Wireshark reads it."""

import struct
from pathlib import Path

import pytest

from openturret.lab.capture import CaptureError
from openturret.lab.rtp_capture import read_datagrams, rtp_streams

HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)


def record(time_s: float, payload: bytes, *, target_port: int = 11000) -> bytes:
    udp = struct.pack("!HHHH", 20000, target_port, 8 + len(payload), 0) + payload
    addresses = bytes([10, 1, 0, 100, 10, 20, 0, 10])
    ip = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(udp), 0, 0, 64, 17, 0) + addresses
    frame = b"\x02" * 12 + b"\x08\x00" + ip + udp
    seconds, microseconds = divmod(round(time_s * 1e6), 1_000_000)
    return struct.pack("<IIII", seconds, microseconds, len(frame), len(frame)) + frame


def rtp(sequence: int, ssrc: int = 7) -> bytes:
    return struct.pack("!BBHII", 0x80, 0, sequence & 0xFFFF, 0, ssrc) + bytes(160)


def capture(path: Path, *records: bytes) -> Path:
    path.write_bytes(HEADER + b"".join(records))
    return path


def test_a_stream_is_counted_across_the_sequence_wrap(tmp_path: Path) -> None:
    packets = [record(n * 0.02, rtp(65500 + n)) for n in range(100)]
    (stream,) = rtp_streams(capture(tmp_path / "a.pcap", *packets))
    assert (stream.packets, stream.lost) == (100, 0)
    assert stream.source == ("10.1.0.100", 20000)


def test_missing_packets_and_the_longest_gap_are_seen(tmp_path: Path) -> None:
    kept = [n for n in range(100) if n not in (40, 41, 42)]
    packets = [record(1 + n * 0.02, rtp(n)) for n in kept]
    (stream,) = rtp_streams(capture(tmp_path / "a.pcap", *packets))
    assert stream.lost == 3
    assert stream.longest_gap_ms() == pytest.approx(80, abs=0.1)
    assert stream.longest_gap_ms(begin_s=2.5) == pytest.approx(20, abs=0.1)


def test_reordered_packets_are_not_lost(tmp_path: Path) -> None:
    order = [*range(50), 51, 50, *range(52, 100)]
    packets = [record(n * 0.02, rtp(sequence)) for n, sequence in enumerate(order)]
    assert rtp_streams(capture(tmp_path / "a.pcap", *packets))[0].lost == 0


def test_a_packet_that_came_twice_hides_no_loss(tmp_path: Path) -> None:
    order = [*range(50), 50, 50, *range(52, 100)]
    packets = [record(n * 0.02, rtp(sequence)) for n, sequence in enumerate(order)]
    assert rtp_streams(capture(tmp_path / "a.pcap", *packets))[0].lost == 1


def test_a_stream_may_begin_out_of_order_and_at_the_wrap(tmp_path: Path) -> None:
    order = [65535, 65534, *range(65536, 65600)]
    packets = [record(n * 0.02, rtp(sequence)) for n, sequence in enumerate(order)]
    (stream,) = rtp_streams(capture(tmp_path / "a.pcap", *packets))
    assert (stream.packets, stream.lost) == (66, 0)


@pytest.mark.parametrize("first_byte", [0x40, 0x4F])
def test_a_header_length_that_cannot_be_is_left_out(tmp_path: Path, first_byte: int) -> None:
    damaged = bytearray(record(0, b""))
    damaged[16 + 14] = first_byte
    assert list(read_datagrams(capture(tmp_path / "a.pcap", bytes(damaged)))) == []


def test_two_sources_are_two_streams(tmp_path: Path) -> None:
    packets = [record(n * 0.01, rtp(n // 2, ssrc=n % 2)) for n in range(200)]
    assert len(rtp_streams(capture(tmp_path / "a.pcap", *packets))) == 2


def test_rtcp_and_other_traffic_are_left_out(tmp_path: Path) -> None:
    rtcp = [record(n * 0.02, rtp(n), target_port=11001) for n in range(100)]
    junk = [record(n * 0.02, b"\x00" * 20) for n in range(100)]
    assert rtp_streams(capture(tmp_path / "a.pcap", *rtcp, *junk)) == []


def test_a_capture_cut_at_any_byte_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    whole = HEADER + record(0, rtp(1)) + record(0.02, rtp(2))
    for length in range(24, len(whole) + 1):
        path = tmp_path / "cut.pcap"
        path.write_bytes(whole[:length])
        assert len(list(read_datagrams(path))) <= 2


def test_another_kind_of_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "text.pcap"
    path.write_text("no capture at all, just text")
    with pytest.raises(CaptureError, match="capture"):
        list(read_datagrams(path))
