"""rtpengine forwarding the same streams in user space, set up over its ng protocol.

33 calls between two far ends each: 66 streams, one packet in and one out per leg and 20 ms, as the
bare program has it.  One worker thread, no kernel module (``--table=-1``), no transcoding.
The daemon runs only for the measurement, from where it was unpacked.
"""

from __future__ import annotations

import re
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .. import peers
from ..figures import BenchmarkError
from .devices import (
    DEVICE_CPU,
    LEAD_MS,
    LEGS,
    Judge,
    Run,
    Workshop,
    finish_load,
    pinned,
    refuse,
    start_load,
)

NG_PORT = 12990
MEDIA_PORTS = (14000, 15999)
FAR_PORT = 13000
LEARNING_MS = 4000
"""rtpengine looks at each packet's source for its first three seconds; that is its warm-up."""
START_S = 10.0
ANSWER_S = 2.0

Value = bytes | int | list["Value"] | dict[bytes, "Value"]


def bencode(value: Value) -> bytes:
    """Writes a value in BitTorrent's encoding, which the ng protocol speaks."""
    if isinstance(value, bytes):
        return b"%d:%s" % (len(value), value)
    if isinstance(value, int):
        return b"i%de" % value
    if isinstance(value, list):
        return b"l%se" % b"".join(map(bencode, value))
    pairs = (bencode(name) + bencode(value[name]) for name in sorted(value))
    return b"d%se" % b"".join(pairs)


def bdecode(data: bytes) -> Value:
    """Reads one value that fills the data.

    Raises:
        BenchmarkError: When it is not well formed.
    """
    try:
        value, end = _decode(data, 0)
    except (IndexError, ValueError) as error:
        raise BenchmarkError(f"not bencoded: {data[:60]!r}") from error
    if end != len(data):
        raise BenchmarkError(f"octets after a bencoded value: {data[end:][:60]!r}")
    return value


def _decode(data: bytes, at: int) -> tuple[Value, int]:
    kind = data[at : at + 1]
    if kind == b"i":
        end = data.index(b"e", at)
        return int(data[at + 1 : end]), end + 1
    if kind == b"l" or kind == b"d":
        items, at = _decode_items(data, at + 1)
        if kind == b"l":
            return items, at
        return dict(_pairs(items)), at
    colon = data.index(b":", at)
    end = colon + 1 + int(data[at:colon])
    if end > len(data):
        raise ValueError(end)
    return data[colon + 1 : end], end


def _decode_items(data: bytes, at: int) -> tuple[list[Value], int]:
    items: list[Value] = []
    while data[at : at + 1] != b"e":
        item, at = _decode(data, at)
        items.append(item)
    return items, at + 1


def _pairs(items: list[Value]) -> Iterator[tuple[bytes, Value]]:
    for name, value in zip(items[::2], items[1::2], strict=True):
        if not isinstance(name, bytes):
            raise ValueError(f"{name!r} is not a name")  # noqa: TRY004
        yield name, value


def describe(port: int) -> bytes:
    """Returns the session description of a far end."""
    session = ("v=0", "o=- 1 1 IN IP4 127.0.0.1", "s=-", "c=IN IP4 127.0.0.1", "t=0 0")
    media = (f"m=audio {port} RTP/AVP 0", "a=rtpmap:0 PCMU/8000", "a=ptime:20", "a=sendrecv")
    lines = session + media
    return "".join(f"{line}\r\n" for line in lines).encode()


class Control:
    """The daemon's control socket."""

    def __init__(self) -> None:
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.settimeout(ANSWER_S)
        self._socket.connect(("127.0.0.1", NG_PORT))
        self._cookie = 0

    def ask(self, **fields: Value) -> dict[bytes, Value]:
        """Sends a command and returns the answer.

        Raises:
            BenchmarkError: When the daemon refuses or says nothing.
        """
        self._cookie += 1
        cookie = b"c%d" % self._cookie
        names = {name.replace("_", "-").encode(): value for name, value in fields.items()}
        try:
            self._socket.send(cookie + b" " + bencode(names))
            answer = self._socket.recv(65536)
        except OSError as error:
            raise BenchmarkError(f"rtpengine does not answer: {error}") from error
        said = bdecode(answer.removeprefix(cookie + b" "))
        if not isinstance(said, dict) or said.get(b"result") not in (b"ok", b"pong"):
            raise BenchmarkError(f"rtpengine refuses: {said!r}")
        return said

    def describe_call(self, command: bytes, call: int, port: int, tags: dict[str, Value]) -> int:
        """Makes an offer or an answer; returns the port that the other side shall send to."""
        names: dict[str, Value] = {"command": command, "call_id": b"call%d" % call, **tags}
        said = self.ask(**names, sdp=describe(port), ICE=b"remove")
        found = re.search(rb"m=audio (\d+)", bytes(said.get(b"sdp", b"")))  # type: ignore[arg-type]
        if found is None:
            raise BenchmarkError(f"no port in rtpengine's answer: {said!r}")
        return int(found[1])

    def connect(self, call: int) -> tuple[int, int]:
        """Sets a call up between two neighbours; returns the ports that they send to."""
        first, second = FAR_PORT + 4 * call, FAR_PORT + 4 * call + 2
        caller: dict[str, Value] = {"from_tag": b"a"}
        of_second = self.describe_call(b"offer", call, first, caller)
        of_first = self.describe_call(b"answer", call, second, {**caller, "to_tag": b"b"})
        return of_first, of_second

    def close(self) -> None:
        """Closes the socket."""
        self._socket.close()


def cpu_ns(pid: int) -> int:
    """CPU that a process has used, all threads, to the nanosecond."""
    tasks = Path(f"/proc/{pid}/task").iterdir()
    return sum(int((task / "schedstat").read_text().split()[0]) for task in tasks)


def lost_packets(control: Control, calls: int) -> int:
    """Packets that rtpengine itself counts as errors."""
    lost = 0
    for call in range(calls):
        said = control.ask(command=b"query", call_id=b"call%d" % call)
        totals = said.get(b"totals")
        rtp = totals.get(b"RTP") if isinstance(totals, dict) else None
        errors = rtp.get(b"errors") if isinstance(rtp, dict) else None
        lost += errors if isinstance(errors, int) else 0
    return lost


@dataclass(frozen=True, slots=True)
class Rtpengine:
    """rtpengine as a device under test."""

    workshop: Workshop
    name: str = "rtpengine, user space"

    def measure(self, measured_ms: int) -> Run:
        """Runs it once beside the load.

        Raises:
            BenchmarkError: When it does not start or answer.
            PeerError: When it is not here.
        """
        run_ms = LEARNING_MS + measured_ms
        with self._running() as (daemon, control):
            ports = [port for call in range(LEGS // 2) for port in control.connect(call)]
            load_ms = run_ms + 2 * LEAD_MS
            load = start_load(self.workshop, load_ms, LEGS, Judge.AUDIBLE, 0, *ports)
            try:
                time.sleep((LEAD_MS + LEARNING_MS) / 1000)
                before, began = cpu_ns(daemon.pid), time.monotonic()
                time.sleep(measured_ms / 1000)
                used, elapsed = cpu_ns(daemon.pid) - before, time.monotonic() - began
                sinks = finish_load(load)
            finally:
                load.kill()
                load.wait()
            lost = lost_packets(control, LEGS // 2)
        return Run(used / (LEGS * elapsed * 50), refuse(lost, sinks, run_ms), {})

    @contextmanager
    def _running(self) -> Iterator[tuple[subprocess.Popen[bytes], Control]]:
        tool = peers.rtpengine()
        command = pinned(
            DEVICE_CPU, tool.path, "--config-file=none", "--foreground", "--table=-1",
            "--num-threads=1", "--interface=127.0.0.1", f"--listen-ng=127.0.0.1:{NG_PORT}",
            f"--port-min={MEDIA_PORTS[0]}", f"--port-max={MEDIA_PORTS[1]}",
            "--log-stderr", "--log-level=1",
        )  # fmt: skip
        daemon = subprocess.Popen(
            command,
            env=tool.environment(),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        control = Control()
        try:
            self._wait(daemon, control)
            yield daemon, control
        finally:
            control.close()
            daemon.terminate()
            daemon.wait(timeout=START_S)

    def _wait(self, daemon: subprocess.Popen[bytes], control: Control) -> None:
        until = time.monotonic() + START_S
        while daemon.poll() is None:
            try:
                control.ask(command=b"ping")
            except BenchmarkError:
                if time.monotonic() > until:
                    raise
                time.sleep(0.1)
            else:
                return
        raise BenchmarkError(f"rtpengine ended with {daemon.returncode}: run it with --log-level=6")
