"""Legs under SRTP: what is heard, what is refused, and that nothing leaks."""

import itertools
from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext import Codec, Extras, Leg, Security, SettingError, Tone

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, Pcm

KEY_OCTETS = {
    "AEAD_AES_256_GCM": 44,
    "AEAD_AES_128_GCM": 28,
    "AES_CM_128_HMAC_SHA1_80": 30,
    "AES_CM_128_HMAC_SHA1_32": 30,
}
GCM = "AEAD_AES_128_GCM"


def keys(suite: str = GCM, *, seed: int = 0) -> tuple[Security, Security]:
    """Both ends of one session."""
    octets = KEY_OCTETS[suite]
    one = bytes((seed + i) % 256 for i in range(octets))
    other = bytes((seed + 100 + i) % 256 for i in range(octets))
    return Security(suite, one, other), Security(suite, other, one)


class Call:
    """Two legs that are each other's far end; a tone goes from the first to an ear."""

    def __init__(self, bench: "Bench", near: Security | None, far: Security | None) -> None:
        self.bench = bench
        self.ports = bench.free_port(), bench.free_port()
        self.near, self.far = (
            bench.engine.open_leg(address="127.0.0.1", rtp_port=port) for port in self.ports
        )
        self.connect(self.near, self.ports[1], near)
        self.connect(self.far, self.ports[0], far)
        source, self.ear = bench.engine.open_source(), bench.party()
        for leg, port in ((self.near, source), (self.far, self.ear.leg)):
            bus = bench.engine.open_bus()
            bus.join(leg, talk_db=0, listen_db=0)
            bus.join(port, talk_db=0, listen_db=0)
        source.play_tone(Tone(((1000, -15.0),)))

    def connect(
        self, leg: Leg, rtp_port: int, security: Security | None, codec: Codec = Codec.PCMU
    ) -> None:
        leg.connect(
            address="127.0.0.1",
            rtp_port=rtp_port,
            codec=codec,
            payload_type=codec.value,
            extras=Extras(event_type=101),
            security=security,
        )

    def hear(self, ticks: int = 100) -> "Pcm":
        parts = []
        for _ in range(ticks):
            self.bench.engine.step()
            parts.append(self.ear.hear_all())
        return np.concatenate(parts)


def tone_db(pcm: "Pcm") -> float:
    window = np.hanning(len(pcm))
    turn = np.exp(-2j * np.pi * 1000 * np.arange(len(pcm)) / 8000)
    return 20 * float(np.log10(2 * abs((pcm * window * turn).sum()) / window.sum() / 32768 + 1e-9))


@pytest.mark.parametrize("suite", KEY_OCTETS)
def test_a_protected_call_is_heard(bench: "Bench", suite: str) -> None:
    call = Call(bench, *keys(suite))
    assert tone_db(call.hear()[-4000:]) == pytest.approx(-12, abs=0.3)
    stats = call.far.stats()
    assert stats.packets_lost == stats.packets_unauthentic == stats.packets_malformed == 0


def test_protected_reports_are_exchanged(bench: "Bench") -> None:
    call = Call(bench, *keys())
    call.hear(1500)
    assert call.near.stats().reports_received >= 1
    assert call.far.stats().reports_received >= 1
    call.near.close()
    call.hear(20)
    assert call.far.stats().bye_received


def test_the_wrong_key_is_silence_and_is_counted(bench: "Bench") -> None:
    call = Call(bench, keys()[0], keys(seed=7)[1])
    assert not call.hear()[-4000:].any()
    call.hear(400)
    assert call.far.stats().packets_unauthentic > 0
    assert call.far.stats().packets_received == 0


def test_a_protected_leg_hears_nothing_of_a_plain_one(bench: "Bench") -> None:
    call = Call(bench, None, keys()[1])
    assert not call.hear()[-4000:].any()
    assert call.far.stats().packets_received == 0


def test_nothing_that_is_said_is_on_the_wire(bench: "Bench") -> None:
    leg, far = bench.leg(security=keys()[0])
    source = bench.engine.open_source()
    bus = bench.engine.open_bus()
    bus.join(leg, talk_db=0, listen_db=0)
    bus.join(source, talk_db=0, listen_db=None)
    source.play_clip(np.full(8000, 4000, np.int16).tobytes(), times=0)
    bench.engine.step(40)
    packets = far.hear_all()
    assert packets
    plain = bench.encode(np.full(160, 4000, np.int16))
    assert all(len(packet.payload) == 160 + 16 for packet in packets)
    assert not any(plain[:8] in packet.payload for packet in packets)


def test_a_replayed_packet_is_dropped(bench: "Bench") -> None:
    sender, wire = bench.leg(security=keys()[0])
    receiver, other = bench.leg(security=keys()[1])
    bench.engine.step(2)
    kept: list[bytes] = []
    for _ in range(60):
        bench.engine.step()
        wire.rtp.setblocking(False)
        for _ in range(4):
            try:
                kept.append(wire.rtp.recv(2048))
            except BlockingIOError:
                break
            other.send(kept[-1])
    bench.engine.step(4)
    before = receiver.stats().packets_received
    for data in kept[:10]:
        other.send(data)
    bench.engine.step(40)
    stats = receiver.stats()
    assert before > 20
    assert stats.packets_received == before
    assert stats.packets_unauthentic >= 10
    assert sender.stats().packets_sent >= before


def test_keys_and_codec_may_change_in_mid_call(bench: "Bench") -> None:
    call = Call(bench, *keys())
    call.hear(50)
    codecs = itertools.cycle([Codec.PCMA, Codec.G722, Codec.PCMU])
    for seed, codec in zip((20, 40, 60), codecs, strict=False):
        near, far = keys(seed=seed)
        call.connect(call.near, call.ports[1], near, codec)
        call.connect(call.far, call.ports[0], far, codec)
        assert tone_db(call.hear()[-4000:]) == pytest.approx(-12, abs=0.5)
    call.connect(call.near, call.ports[1], None)
    call.connect(call.far, call.ports[0], None)
    assert tone_db(call.hear()[-4000:]) == pytest.approx(-12, abs=0.3)
    call.hear(1500)
    assert call.far.stats().reports_received >= 1


@pytest.mark.parametrize(
    ("suite", "octets"), [(GCM, 27), (GCM, 29), (GCM, 0), ("AES_128", 28), ("", 28)]
)
def test_impossible_keys_are_refused_without_telling_them(
    bench: "Bench", suite: str, octets: int
) -> None:
    secret = b"canary" * 20
    security = Security(suite, secret[:octets], secret[:octets])
    assert "canary" not in repr(security)
    with pytest.raises(SettingError) as refusal:
        bench.leg(security=security)
    assert "canary" not in str(refusal.value)


def test_many_protected_legs_come_and_go(bench: "Bench") -> None:
    for round_ in range(20):
        call = Call(bench, *keys(seed=round_))
        bench.engine.step(4)
        call.near.close()
        call.far.close()
        call.ear.leg.close()
        bench.engine.step(4)
