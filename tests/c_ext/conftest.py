"""A far end on loopback and the arithmetic that the engine is compared with."""

import random
import socket
import struct
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext import Codec, Engine, Leg
from openturret.c_ext._engine import ffi, lib

LOOPBACK = "127.0.0.1"
RTP_HEADER = struct.Struct("!BBHII")
WAIT_S = 5.0

Pcm = npt.NDArray[np.int16]


@dataclass(frozen=True, slots=True)
class Heard:
    """One RTP packet that the engine sent."""

    payload_type: int
    marker: bool
    sequence: int
    timestamp: int
    ssrc: int
    payload: bytes

    @classmethod
    def parse(cls, data: bytes) -> "Heard":
        first, second, sequence, timestamp, ssrc = RTP_HEADER.unpack_from(data)
        assert first == 0x80
        return cls(second & 0x7F, second > 0x7F, sequence, timestamp, ssrc, data[12:])


def rtp(sequence: int, timestamp: int, payload: bytes, *, ssrc: int = 7, kind: int = 0) -> bytes:
    return RTP_HEADER.pack(0x80, kind, sequence & 0xFFFF, timestamp & 0xFFFFFFFF, ssrc) + payload


def encode(pcm: Pcm, codec: Codec = Codec.PCMU) -> bytes:
    code = ffi.new("uint8_t[]", len(pcm))
    run = lib.ot_ulaw_encode if codec is Codec.PCMU else lib.ot_alaw_encode
    run(code, ffi.from_buffer("int16_t[]", np.ascontiguousarray(pcm).data), len(pcm))
    return bytes(ffi.buffer(code))


def decode(code: bytes, codec: Codec = Codec.PCMU) -> Pcm:
    pcm = np.zeros(len(code), np.int16)
    run = lib.ot_ulaw_decode if codec is Codec.PCMU else lib.ot_alaw_decode
    run(ffi.from_buffer("int16_t[]", pcm.data), code, len(code))
    return pcm


def tone(frequency_hz: float, samples: int, amplitude: float = 8000, start: int = 0) -> Pcm:
    time = np.arange(start, start + samples) / 8000
    return (amplitude * np.sin(2 * np.pi * frequency_hz * time)).astype(np.int16)


def bind_pair() -> tuple[socket.socket, socket.socket, int]:
    """Binds an even port and the next one on loopback."""
    for _ in range(1000):
        port = random.randrange(20000, 30000, 2)
        with ExitStack() as stack:
            pair = [stack.enter_context(socket.socket(type=socket.SOCK_DGRAM)) for _ in range(2)]
            try:
                pair[0].bind((LOOPBACK, port))
                pair[1].bind((LOOPBACK, port + 1))
            except OSError:
                continue
            stack.pop_all()
            return pair[0], pair[1], port
    raise AssertionError("no free port pair on loopback")


def free_port() -> int:
    rtp_socket, rtcp_socket, port = bind_pair()
    rtp_socket.close()
    rtcp_socket.close()
    return port


class FarEnd:
    """Speaks and hears RTP and RTCP on loopback."""

    def __init__(self) -> None:
        self.rtp, self.rtcp, self.port = bind_pair()
        self.rtp.settimeout(WAIT_S)
        self.rtcp.settimeout(WAIT_S)
        self.leg_port = 0
        self.sequence = 100
        self.timestamp = 5000

    def close(self) -> None:
        self.rtp.close()
        self.rtcp.close()

    def send(self, data: bytes) -> None:
        self.rtp.sendto(data, (LOOPBACK, self.leg_port))

    def say(self, pcm: Pcm, codec: Codec = Codec.PCMU) -> None:
        """Sends one packet with the next sequence number and timestamp."""
        self.send(rtp(self.sequence, self.timestamp, encode(pcm, codec), kind=codec.value))
        self.sequence += 1
        self.timestamp += len(pcm)

    def hear(self) -> Heard:
        return Heard.parse(self.rtp.recv(2048))

    def hear_all(self) -> list[Heard]:
        """Takes what has come so far."""
        heard = []
        self.rtp.setblocking(False)
        try:
            while True:
                heard.append(self.hear())
        except BlockingIOError:
            return heard
        finally:
            self.rtp.settimeout(WAIT_S)


def until(step: Callable[[], object], condition: Callable[[], bool], tries: int = 500) -> None:
    """Repeats a step until the condition holds."""
    for _ in range(tries):
        if condition():
            return
        step()
    raise AssertionError("the condition never held")


class Bench:
    """An engine whose ticks the test runs by hand, far ends for its legs, and the arithmetic."""

    rtp = staticmethod(rtp)
    encode = staticmethod(encode)
    decode = staticmethod(decode)
    tone = staticmethod(tone)
    until = staticmethod(until)
    free_port = staticmethod(free_port)

    def __init__(self) -> None:
        self.engine = Engine()
        self.far_ends: list[FarEnd] = []

    def far_end(self) -> FarEnd:
        self.far_ends.append(FarEnd())
        return self.far_ends[-1]

    def leg(
        self,
        codec: Codec = Codec.PCMU,
        ptime_ms: int = 20,
        *,
        send: bool = True,
        receive: bool = True,
    ) -> tuple[Leg, FarEnd]:
        """Opens a leg and connects it to a far end of its own."""
        far = self.far_end()
        far.leg_port = free_port()
        leg = self.engine.open_leg(address=LOOPBACK, rtp_port=far.leg_port, codec=codec)
        leg.connect(
            address=LOOPBACK,
            rtp_port=far.port,
            codec=codec,
            payload_type=codec.value,
            ptime_ms=ptime_ms,
            send=send,
            receive=receive,
        )
        return leg, far

    def close(self) -> None:
        for far in self.far_ends:
            far.close()


@pytest.fixture
def bench() -> Iterator[Bench]:
    stand = Bench()
    yield stand
    stand.close()


@pytest.fixture(
    params=range(lib.ot_cpu_variants()), ids=lambda i: ffi.string(lib.ot_cpu_name(i)).decode()
)
def cpu(request: pytest.FixtureRequest) -> Iterator[int]:
    """Every variant of the kernels that this processor can run, one after the other."""
    lib.ot_cpu_select(request.param)
    yield request.param
    lib.ot_cpu_select(lib.ot_cpu_variants() - 1)
