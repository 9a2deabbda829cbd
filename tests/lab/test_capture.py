from __future__ import annotations

import contextlib
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from openturret.lab.bench import Bench
from openturret.lab.capture import (
    CaptureError,
    Record,
    global_header,
    merge,
    open_socket,
    records,
)
from openturret.lab.errors import ToolMissingError
from openturret.lab.ping import main as ping
from openturret.lab.processes import Service, logged
from openturret.lab.tools import tool
from openturret.lab.waiting import until

ICMP = 1
"""The protocol of an echo (RFC 791, RFC 790)."""
EARLY = Record(10, 5, 60, b"early")
LATE = Record(10, 900_000, 60, b"late")
LATER = Record(11, 0, 60, b"later")


def write(path: Path, *packets: Record) -> Path:
    path.write_bytes(global_header() + b"".join(bytes(packet) for packet in packets))
    return path


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    content = write(tmp_path / "a.pcap", EARLY, LATE).read_bytes()
    assert list(records(content)) == [EARLY, LATE]


def test_captures_are_merged_by_time(tmp_path: Path) -> None:
    first = write(tmp_path / "a.pcap", EARLY, LATER)
    second = write(tmp_path / "b.pcap", LATE)
    assert merge([first, second], tmp_path / "all.pcap") == 3
    merged = (tmp_path / "all.pcap").read_bytes()
    assert list(records(merged)) == [EARLY, LATE, LATER]


def test_a_cut_capture_gives_the_packets_that_are_whole(tmp_path: Path) -> None:
    content = write(tmp_path / "a.pcap", EARLY, LATE).read_bytes()
    for end in range(len(content) + 1):
        try:
            found = list(records(content[:end]))
        except CaptureError:
            assert end < 24
            continue
        assert found == [EARLY, LATE][: len(found)]


@pytest.mark.parametrize("content", [b"", b"\0" * 24, struct.pack("<I", 0xA1B23C4D) + bytes(20)])
def test_what_is_no_capture_is_refused(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "a.pcap").write_bytes(content)
    with pytest.raises(CaptureError):
        merge([tmp_path / "a.pcap"], tmp_path / "all.pcap")


def test_link_types_are_not_mixed(tmp_path: Path) -> None:
    ethernet = write(tmp_path / "a.pcap", EARLY)
    raw = tmp_path / "b.pcap"
    raw.write_bytes(global_header(101))
    with pytest.raises(CaptureError, match="2 link types"):
        merge([ethernet, raw], tmp_path / "all.pcap")


ECHO_REPLY = bytes.fromhex(
    "025450000001025450000002080045000020000040004001"  # Ethernet, then IPv4 as far as ICMP
    "263c0a0100010a010002"
    "0000fffe00010000" + "00" * 18
)


def test_tcpdump_reads_what_is_written(tmp_path: Path) -> None:
    try:
        program = tool("tcpdump")
    except ToolMissingError as error:
        pytest.skip(str(error))
    file = write(tmp_path / "a.pcap", Record(10, 5, len(ECHO_REPLY), ECHO_REPLY))
    # Root would make it change to a user that a namespace does not have.
    as_somebody = [str(tool("unshare").path), "--user", "--map-user=1000"]
    argv = [*as_somebody, str(program.path), "-n", "-r", str(file)]
    done = subprocess.run(
        argv, env=program.environment(), capture_output=True, text=True, check=True
    )
    assert "10.1.0.1 > 10.1.0.2: ICMP echo reply" in done.stdout


@pytest.mark.bench
async def test_what_passes_an_interface_is_captured(bench: Bench) -> None:
    process = await bench.capture("recorder2")
    ping(["10.12.0.30", "--count", "5"])
    await process.stop()
    file = bench.folders["captures"] / "recorder2-eth0.pcap"
    packets = (packet.data for packet in records(file.read_bytes()))
    sources = [data[26:30] for data in packets if data[23] == ICMP]
    assert sources.count(bytes([10, 99, 0, 2])) == 5
    assert sources.count(bytes([10, 12, 0, 30])) == 5


@pytest.mark.bench
async def test_a_datagram_is_captured_with_its_bytes_and_its_time(bench: Bench) -> None:
    payload = bytes(range(256)) * 2
    process = await bench.capture("recorder1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.connect(("10.11.0.30", 9))
        source, port = sender.getsockname()
        before = time.time()
        sender.send(payload)
        file = bench.folders["captures"] / "recorder1-eth0.pcap"
        found = await until(lambda: frame_with(file, payload), "the datagram")
        after = time.time()
    await process.stop()
    assert found.original_bytes == len(found.data) == 14 + 20 + 8 + len(payload)
    assert found.data[12:14] == b"\x08\x00", "IPv4"
    assert found.data[26:34] == socket.inet_aton(source) + socket.inet_aton("10.11.0.30")
    assert found.data[34:40] == struct.pack("!HHH", port, 9, 8 + len(payload))
    assert before - 1e-6 <= found.seconds + found.microseconds / 1e6 <= after


async def frame_with(file: Path, payload: bytes) -> Record | None:
    """The first captured UDP datagram with a payload, as soon as the file holds it."""
    return next((each for each in records(file.read_bytes()) if each.data[42:] == payload), None)


FLOOD = """
import socket
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
print("floods", flush=True)
while True:
    sender.sendto(b"not yours", ("127.0.0.1", 9))
"""


@pytest.mark.bench
async def test_frames_of_other_interfaces_are_never_captured(bench: Bench) -> None:
    argv = [sys.executable, "-c", FLOOD]
    flood = await bench.processes.start(Service("flood", "", argv, ready=logged("floods")))
    try:
        frames = [frame for _ in range(300) for frame in waiting("observer")]
    finally:
        await flood.kill()
    assert [frame for frame in frames if frame.endswith(b"not yours")] == []


def waiting(interface: str) -> Iterator[bytes]:
    """What a capture holds that was opened this instant."""
    with open_socket(interface) as raw:
        raw.setblocking(False)
        with contextlib.suppress(BlockingIOError):
            while True:
                yield raw.recv(2048)


@pytest.mark.bench
def test_an_interface_that_is_not_there_is_said(bench: Bench) -> None:
    argv = [sys.executable, "-m", "openturret.lab.capture", "eth9", "nowhere.pcap"]
    done = bench.network.run_in("city", argv, check=False)
    assert done.returncode == 1
    assert done.stderr.startswith("eth9 cannot be captured")
