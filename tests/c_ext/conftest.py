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

from openturret.c_ext import Codec, Engine, Extras, Leg, Security
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


def payload_type(codec: Codec) -> int:
    """The static payload type, or the one that these tests agree on."""
    return codec.value if codec.value < 128 else 100


def encode(pcm: Pcm, codec: Codec = Codec.PCMU) -> bytes:
    """The payload that holds some samples, for the codecs that remember nothing."""
    code = ffi.new("uint8_t[]", 2 * len(pcm))
    samples = ffi.from_buffer("int16_t[]", np.ascontiguousarray(pcm).data)
    octets = lib.ot_encoder_run(codec.value, ffi.NULL, code, 2 * len(pcm), samples, len(pcm))
    return bytes(ffi.buffer(code))[:octets]


def decode(code: bytes, codec: Codec = Codec.PCMU) -> Pcm:
    pcm = np.zeros(len(code), np.int16)
    room = ffi.from_buffer("int16_t[]", pcm.data)
    return pcm[: lib.ot_decoder_run(codec.value, ffi.NULL, room, len(code), code, len(code))]


def tone(
    frequency_hz: float, samples: int, amplitude: float = 8000, start: int = 0, rate_hz: int = 8000
) -> Pcm:
    time = np.arange(start, start + samples) / rate_hz
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
        self.send_payload(encode(pcm, codec), payload_type(codec), len(pcm))

    def send_payload(self, payload: bytes, kind: int, units: int) -> None:
        """Sends any payload as the next packet of the stream, so many units long."""
        self.send(rtp(self.sequence, self.timestamp, payload, kind=kind))
        self.sequence += 1
        self.timestamp += units

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


LINEAR = {8000: Codec.L16_8K, 16000: Codec.L16_16K, 48000: Codec.L16_48K}


@dataclass(frozen=True, slots=True)
class Party:
    """A far end that speaks and hears without loss, and the leg that it is connected to."""

    leg: Leg
    far: FarEnd
    codec: Codec

    @property
    def tick_samples(self) -> int:
        return self.codec.rate_hz // 100

    def say(self, pcm: Pcm) -> None:
        """Says 10 ms."""
        self.far.say(pcm, self.codec)

    def hear_all(self) -> Pcm:
        """What has come so far."""
        heard = [decode(packet.payload, self.codec) for packet in self.far.hear_all()]
        return np.concatenate([np.zeros(0, np.int16), *heard])


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
        extras: Extras = Extras(),  # noqa: B008
        security: Security | None = None,
    ) -> tuple[Leg, FarEnd]:
        """Opens a leg and connects it to a far end of its own."""
        far = self.far_end()
        far.leg_port = free_port()
        leg = self.engine.open_leg(
            address=LOOPBACK, rtp_port=far.leg_port, codec=codec, ptime_ms=ptime_ms
        )
        leg.connect(
            address=LOOPBACK,
            rtp_port=far.port,
            codec=codec,
            payload_type=payload_type(codec),
            ptime_ms=ptime_ms,
            send=send,
            receive=receive,
            extras=extras,
            security=security,
        )
        return leg, far

    def pair(
        self,
        codec: Codec,
        *,
        extras: Extras = Extras(),  # noqa: B008
        ptime_ms: int = 20,
    ) -> tuple[Leg, Leg]:
        """Two legs of this engine that are each other's far end."""
        ports = free_port(), free_port()
        legs = [
            self.engine.open_leg(address=LOOPBACK, rtp_port=port, codec=codec, ptime_ms=ptime_ms)
            for port in ports
        ]
        for leg, far in zip(legs, reversed(ports), strict=True):
            leg.connect(
                address=LOOPBACK,
                rtp_port=far,
                codec=codec,
                payload_type=payload_type(codec),
                ptime_ms=ptime_ms,
                extras=extras,
            )
        return legs[0], legs[1]

    def party(self, rate_hz: int = 8000) -> "Party":
        """Somebody who says and hears exact samples: a leg of 16-bit linear sound."""
        leg, far = self.leg(LINEAR[rate_hz], ptime_ms=10)
        return Party(leg, far, LINEAR[rate_hz])

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
