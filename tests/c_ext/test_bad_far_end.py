"""A far end that speaks RTP badly changes nothing for the other legs, and gets no answer."""

import os
import random
import struct
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext import Leg, LegStats

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, FarEnd

ROUNDS = 100  # of 20 ms
LOOPBACK = "127.0.0.1"
READS_MAX = 64  # of one leg in one tick: voice, reports and strangers together
BUFFERED_MAX_MS = 1000
REPORTS_MAX = 4  # in two seconds
GROWTH_MAX = 1 << 20  # octets; the flood below carries ten times as much
QUARANTINE = 256 << 20 if "asan" in os.environ.get("LD_PRELOAD", "") else 0
SILENCE = b"\xff" * 160

Rounds = Callable[["FarEnd", random.Random], list[bytes]]


def header(far: "FarEnd", *, first: int = 0x80, second: int = 0, ssrc: int = 7) -> bytes:
    """The header of the far end's next packet, which moves on by 20 ms."""
    packet = struct.pack(
        "!BBHII", first, second, far.sequence & 0xFFFF, far.timestamp & 0xFFFFFFFF, ssrc
    )
    far.sequence += 1
    far.timestamp += 160
    return packet


def voice(chance: random.Random, octets: int = 160) -> bytes:
    return chance.randbytes(octets)


def wrong_packet_time(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far) + voice(chance, chance.choice([1, 40, 80, 159, 161, 240, 320, 480]))]


def wrong_payload_type(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far, second=chance.choice([3, 8, 9, 13, 96, 101, 127])) + voice(chance)]


def marker_storm(far: "FarEnd", chance: random.Random) -> list[bytes]:
    far.timestamp += chance.randrange(0, 16000, 160)
    return [header(far, second=0x80) + voice(chance) for _ in range(2)]


def ten_times_the_rate(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far) + voice(chance) for _ in range(10)]


def ten_times_the_same(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return 10 * [header(far) + voice(chance)]


def flood(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far) + voice(chance) for _ in range(200)]


def nothing_in_it(far: "FarEnd", _: random.Random) -> list[bytes]:
    return [header(far), b"", header(far)[:11], header(far, first=0xA0) + b"\x01"]


def sources_and_extensions(far: "FarEnd", chance: random.Random) -> list[bytes]:
    sources = bytes(4 * 15)
    extension = struct.pack("!HH", 0xBEDE, 2) + bytes(8)
    lying = struct.pack("!HH", 0xBEDE, chance.choice([41, 500, 0xFFFF]))
    return [
        header(far, first=0x9F) + sources + extension + voice(chance),
        header(far, first=0x8F) + voice(chance, 40),
        header(far, first=0x90) + lying + voice(chance),
        header(far, first=0x9F) + sources,
    ]


def lies_about_padding(far: "FarEnd", chance: random.Random) -> list[bytes]:
    lengths = [0, 1, 159, 160, 161, 255]
    return [header(far, first=0xA0) + voice(chance, 159) + bytes([n]) for n in lengths]


def flood_of_sources(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far, ssrc=chance.getrandbits(32)) + voice(chance) for _ in range(20)]


def two_sources_in_turn(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far, ssrc=ssrc) + voice(chance) for ssrc in (1, 1, 2, 2)]


def timestamps_of_chance(far: "FarEnd", chance: random.Random) -> list[bytes]:
    far.timestamp = chance.getrandbits(32)
    return [header(far) + voice(chance)]


def sequences_of_chance(far: "FarEnd", chance: random.Random) -> list[bytes]:
    far.sequence = chance.getrandbits(16)
    return [header(far) + voice(chance)]


def backwards(far: "FarEnd", chance: random.Random) -> list[bytes]:
    packet = header(far) + voice(chance)
    far.sequence -= 2
    far.timestamp -= 320
    return [packet]


def far_too_long(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far) + voice(chance, octets) for octets in (481, 1460, 2036, 2037, 9000)]


def other_versions(far: "FarEnd", chance: random.Random) -> list[bytes]:
    return [header(far, first=first) + voice(chance) for first in (0x00, 0x40, 0xC0)]


def noise(_: "FarEnd", chance: random.Random) -> list[bytes]:
    return [chance.randbytes(chance.randrange(300)) for _ in range(8)]


RTP: dict[str, Rounds] = {
    rounds.__name__: rounds
    for rounds in (
        wrong_packet_time,
        wrong_payload_type,
        marker_storm,
        ten_times_the_rate,
        ten_times_the_same,
        flood,
        nothing_in_it,
        sources_and_extensions,
        lies_about_padding,
        flood_of_sources,
        two_sources_in_turn,
        timestamps_of_chance,
        sequences_of_chance,
        backwards,
        far_too_long,
        other_versions,
        noise,
    )
}


def report(kind: int, count: int, words: int, body: bytes) -> bytes:
    return struct.pack("!BBH", 0x80 | count, kind, words) + body


def reports_that_lie(_: "FarEnd", chance: random.Random) -> list[bytes]:
    sender = chance.randbytes(4)
    return [
        report(200, 31, 6, sender + chance.randbytes(20)),
        report(201, 1, 7, sender + chance.randbytes(8)),
        report(200, 0, 0xFFFF, sender),
        report(201, 0, 1, sender) + report(202, 31, 1, chance.randbytes(4)),
        report(203, 1, 1, sender),
        report(204, 0, 2, sender + b"name"),
        b"",
        chance.randbytes(chance.randrange(100)),
    ]


def reports_of_chance(_: "FarEnd", chance: random.Random) -> list[bytes]:
    return [report(200, 1, 12, chance.randbytes(48)) for _ in range(20)]


def goodbyes(_: "FarEnd", chance: random.Random) -> list[bytes]:
    sender = chance.randbytes(4)
    return 10 * [report(201, 0, 1, sender) + report(203, 1, 1, sender)]


RTCP: dict[str, Rounds] = {
    rounds.__name__: rounds for rounds in (reports_that_lie, reports_of_chance, goodbyes)
}


class Scene:
    """A good speaker and its listener; a bad far end, which shares a bus with a bystander."""

    def __init__(self, bench: "Bench") -> None:
        self._bench = bench
        speaker, self.speaker = bench.leg()
        listener, self.listener = bench.leg()
        self.bad_leg, self.bad = bench.leg()
        self.bystander_leg, self.bystander = bench.leg()
        self._meet(speaker, listener)
        self._meet(self.bad_leg, self.bystander_leg)
        self._sounds = np.random.default_rng(5).integers(-9000, 9000, (ROUNDS, 160))
        self.heard: list[bytes] = []
        self.returned: list[bytes] = []
        self.most_reads = 0

    def _meet(self, one: Leg, other: Leg) -> None:
        bus = self._bench.engine.open_bus()
        bus.join(one, talk_db=-1, listen_db=0)
        bus.join(other, talk_db=0, listen_db=0)

    def run(self, rounds: int, misbehave: Callable[[], object]) -> None:
        """Lets the bad one do its worst while the good ones talk."""
        for number in range(rounds):
            self.speaker.say(self._sounds[number % ROUNDS].astype(np.int16))
            misbehave()
            for _ in range(2):
                before = reads(self.bad_leg.stats())
                self._bench.engine.step()
                self.most_reads = max(self.most_reads, reads(self.bad_leg.stats()) - before)
            self._listen()

    def _listen(self) -> None:
        for packet in self.listener.hear_all():
            self.heard.append(packet.payload)
        for packet in self.bad.hear_all():
            self.returned.append(packet.payload)
        self.bystander.hear_all()


def reads(stats: LegStats) -> int:
    return (
        stats.packets_received
        + stats.packets_duplicate
        + stats.packets_malformed
        + stats.packets_foreign
    )


def waiting(far: "FarEnd") -> int:
    """How many reports came."""
    count = 0
    far.rtcp.setblocking(False)
    try:
        while far.rtcp.recv(2048):
            count += 1
    except BlockingIOError:
        return count
    return count


def resident_octets() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


@pytest.fixture
def undisturbed(bench: "Bench") -> Iterator[list[bytes]]:
    """What the listener hears while the bad one is silent."""
    other = type(bench)()
    scene = Scene(other)
    scene.run(ROUNDS, lambda: None)
    yield scene.heard
    other.close()


def disturb(bench: "Bench", misbehave: Callable[[Scene], object]) -> Scene:
    scene = Scene(bench)
    scene.run(ROUNDS, lambda: misbehave(scene))
    return scene


def check(scene: Scene, undisturbed: list[bytes]) -> None:
    assert scene.heard == undisturbed
    assert len(set(scene.heard)) > ROUNDS // 2
    assert set(scene.returned) == {SILENCE}
    assert ROUNDS - 1 <= len(scene.returned) <= ROUNDS
    assert waiting(scene.bad) <= REPORTS_MAX
    assert scene.most_reads <= READS_MAX
    assert scene.bad_leg.stats().buffered_ms <= BUFFERED_MAX_MS


@pytest.mark.parametrize("name", RTP)
def test_bad_rtp_changes_nothing_for_others(
    bench: "Bench", undisturbed: list[bytes], name: str
) -> None:
    chance = random.Random(name)

    def misbehave(scene: Scene) -> None:
        for datagram in RTP[name](scene.bad, chance):
            scene.bad.send(datagram)

    scene = disturb(bench, misbehave)
    check(scene, undisturbed)
    assert reads(scene.bad_leg.stats()) > 0
    recover(scene)


@pytest.mark.parametrize("name", RTCP)
def test_bad_rtcp_changes_nothing_for_others(
    bench: "Bench", undisturbed: list[bytes], name: str
) -> None:
    chance = random.Random(name)

    def misbehave(scene: Scene) -> None:
        for datagram in RTCP[name](scene.bad, chance):
            scene.bad.rtcp.sendto(datagram, (LOOPBACK, scene.bad.leg_port + 1))
            scene.bad.send(datagram)

    scene = disturb(bench, misbehave)
    check(scene, undisturbed)
    recover(scene)


def recover(scene: Scene) -> None:
    """Speaks properly and is heard again by those who should hear it.

    Who spoke backwards is late by up to a hundred packets (RFC 3550 appendix A.1), so that takes
    as many to catch up.
    """
    tone = scene._bench.tone(500, 160)
    scene.run(2 * ROUNDS, lambda: scene.bad.say(tone))
    assert scene.bystander_leg.stats().transmit_level_dbfs == pytest.approx(-16.2, abs=1.5)


def test_a_flood_is_not_kept(bench: "Bench") -> None:
    chance = random.Random(1)

    def misbehave(scene: Scene) -> None:
        for datagram in flood(scene.bad, chance):
            scene.bad.send(datagram)

    scene = Scene(bench)
    scene.run(ROUNDS, lambda: misbehave(scene))
    before = resident_octets()
    scene.run(3 * ROUNDS, lambda: misbehave(scene))
    assert resident_octets() - before < GROWTH_MAX + QUARANTINE
    assert scene.most_reads <= READS_MAX
