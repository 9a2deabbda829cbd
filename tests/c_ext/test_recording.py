"""Recordings: the complete sum, the same at both recorders, and a dead recorder harms nobody."""

import errno
from functools import partial
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext import AddressInUseError, ClosedError, Codec, Recording, SettingError

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, FarEnd, Heard, Pcm

LOOPBACK = "127.0.0.1"


def fork(
    bench: "Bench", recording: Recording, index: int, recorder: "FarEnd", payload_type: int = 0
) -> int:
    local = bench.free_port()
    recording.fork(
        index,
        address=LOOPBACK,
        local_rtp_port=local,
        remote_address=LOOPBACK,
        remote_rtp_port=recorder.port,
        payload_type=payload_type,
    )
    return local


def talk(bench: "Bench", fars: "list[FarEnd]", packets: int = 50) -> None:
    for number in range(packets):
        for voice, far in enumerate(fars):
            far.say(bench.tone(400 + 300 * voice, 160, 6000, number * 160))
        bench.engine.step(2)


def same(a: "list[Heard]", b: "list[Heard]") -> bool:
    """Whether two recorders got the same sound under the same numbers."""

    def plain(heard: "Heard") -> tuple[int, int, bytes]:
        return heard.sequence, heard.timestamp, heard.payload

    return [plain(packet) for packet in a] == [plain(packet) for packet in b]


def record(
    bench: "Bench", recording: Recording, said: "list[Pcm]", rate_hz: int = 8000
) -> "list[list[Heard]]":
    """Parties on buses of their own, all of them recorded; returns what both recorders got."""
    recorders = [bench.far_end(), bench.far_end()]
    for index, recorder in enumerate(recorders):
        fork(bench, recording, index, recorder, payload_type=96 + index)
    speakers = [bench.party(rate_hz) for _ in said]
    for speaker in speakers:
        bus = bench.engine.open_bus(rate_hz=rate_hz)
        bus.join(speaker.leg, talk_db=0, listen_db=0)
        recording.tap(bus)
    bench.engine.step(2)
    step = rate_hz // 100
    for at in range(0, len(said[0]), step):
        for speaker, pcm in zip(speakers, said, strict=True):
            speaker.say(pcm[at : at + step])
        bench.engine.step()
    return [recorder.hear_all() for recorder in recorders]


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA, Codec.L16_8K])
def test_two_recorders_get_the_same_complete_sum(bench: "Bench", codec: Codec) -> None:
    recording = bench.engine.open_recording(codec=codec)
    rng = np.random.default_rng(3)
    said = [rng.integers(-32768, 32768, 8000).astype(np.int16) for _ in range(2)]
    heard = record(bench, recording, said)
    assert same(heard[0], heard[1])
    assert [packets[0].payload_type for packets in heard] == [96, 97]
    assert {packet.ssrc for packets in heard for packet in packets} == {recording.ssrc}
    total = (said[0].astype(np.int32) + said[1]).clip(-32768, 32767).astype(np.int16)
    assert bench.encode(total[:6000], codec) in b"".join(packet.payload for packet in heard[0])


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.L16_16K])
@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_buses_of_any_rate_are_recorded(bench: "Bench", codec: Codec, rate_hz: int) -> None:
    recording = bench.engine.open_recording(codec=codec)
    said = [bench.tone(f, rate_hz, 6000, rate_hz=rate_hz) for f in (700, 1900)]
    heard = record(bench, recording, said, rate_hz)
    assert same(heard[0], heard[1])
    pcm = np.concatenate([bench.decode(packet.payload, codec) for packet in heard[0]])
    spectrum = np.abs(np.fft.rfft(pcm[-codec.rate_hz // 2 :]))
    loudest = sorted(int(line) * 2 for line in np.argsort(spectrum)[-2:])
    assert loudest == [700, 1900]


@pytest.mark.parametrize("codec", [Codec.G722, Codec.OPUS_16K])
def test_codecs_that_remember_are_recorded_alike(bench: "Bench", codec: Codec) -> None:
    recording = bench.engine.open_recording(codec=codec)
    said = bench.tone(700, 16000, 6000, rate_hz=16000)
    heard = record(bench, recording, [said], 16000)
    assert len(heard[0]) > 40
    assert same(heard[0], heard[1])
    assert len({packet.payload for packet in heard[0]}) > 20


def test_stereo_parts_the_far_ends_from_the_unit(bench: "Bench") -> None:
    recording = bench.engine.open_recording(codec=Codec.L16_8K, stereo=True)
    recorder = bench.far_end()
    fork(bench, recording, 0, recorder)
    party, dealer = bench.party(), bench.engine.open_source()
    bus = bench.engine.open_bus()
    bus.join(party.leg, talk_db=0, listen_db=0)
    bus.join(dealer, talk_db=-6.0206, listen_db=None)
    recording.tap(bus)
    dealer.play_clip(np.full(8000, 4000, np.int16).tobytes(), times=0)
    for _ in range(60):
        party.say(np.full(80, -3000, np.int16))
        bench.engine.step()
    sound = np.frombuffer(recorder.hear_all()[-1].payload, ">i2")
    assert len(sound) == 320
    assert set(sound[0::2]) == {-3000}
    assert set(sound[1::2]) == {2000}


def test_stereo_is_for_codecs_of_single_samples(bench: "Bench") -> None:
    for codec in (Codec.G722, Codec.OPUS_48K):
        with pytest.raises(SettingError):
            bench.engine.open_recording(codec=codec, stereo=True)


def test_the_sequence_range_counts_on_past_the_sixteen_bits(bench: "Bench") -> None:
    recording, recorder = bench.engine.open_recording(ptime_ms=10), bench.far_end()
    fork(bench, recording, 0, recorder)
    bus = bench.engine.open_bus()
    recording.tap(bus)
    bench.engine.step(20)
    first = recorder.hear_all()[0].sequence
    for _ in range(70):
        bench.engine.step(1000)
        recorder.hear_all()
    stats = recording.stats()[0]
    assert stats.first_sequence == first
    assert stats.last_sequence == first + stats.packets_sent - 1
    assert stats.last_sequence > 65536


def test_a_recorder_that_refuses_is_counted_and_the_voice_goes_on(bench: "Bench") -> None:
    (leg, far), (other, ear) = bench.leg(), bench.leg()
    bus = bench.engine.open_bus()
    for port in (leg, other):
        bus.join(port, talk_db=0, listen_db=0)
    recording = bench.engine.open_recording()
    recording.tap(bus)
    alive, dead = bench.far_end(), bench.far_end()
    fork(bench, recording, 0, dead)
    fork(bench, recording, 1, alive)
    dead.close()
    talk(bench, [far, ear])
    refused, good = recording.stats()
    assert refused.send_errors > 10
    assert refused.last_errno == errno.ECONNREFUSED
    assert good.send_errors == 0
    packets = alive.hear_all()
    assert good.packets_sent == len(packets) >= 49
    assert good.samples == 160 * len(packets)
    assert (good.first_sequence, good.last_sequence) == (packets[0].sequence, packets[-1].sequence)
    assert [p.sequence for p in packets] == [
        (packets[0].sequence + n) & 0xFFFF for n in range(len(packets))
    ]
    for voice in (far, ear):
        heard = voice.hear_all()
        assert len(heard) >= 49
        assert all((b.sequence - a.sequence) & 0xFFFF == 1 for a, b in pairwise(heard))
    assert leg.stats().packets_lost == other.stats().packets_lost == 0
    assert leg.stats().send_errors == 0


def test_a_recorder_that_never_reads_blocks_nobody(bench: "Bench") -> None:
    leg, far = bench.leg()
    recording = bench.engine.open_recording()
    deaf, alive = bench.far_end(), bench.far_end()
    fork(bench, recording, 0, deaf)
    fork(bench, recording, 1, alive)
    heard = 0
    for _ in range(40):
        bench.engine.step(50)
        heard += len(alive.hear_all())
        far.hear_all()
    assert heard == recording.stats()[1].packets_sent >= 999
    assert leg.stats().packets_sent >= 999
    assert leg.stats().send_errors == 0


def test_forks_may_come_and_go_and_the_numbers_go_on(bench: "Bench") -> None:
    recording = bench.engine.open_recording()
    first, second = bench.far_end(), bench.far_end()
    local = fork(bench, recording, 0, first)
    bench.engine.step(20)
    fork(bench, recording, 1, second)
    bench.engine.step(20)
    recording.unfork(0)
    bench.engine.step(20)
    early, late = first.hear_all(), second.hear_all()
    assert early[0].marker
    assert late[0].marker
    assert not late[1].marker
    shared = [p for p in early if p.sequence >= late[0].sequence]
    assert same(shared[1:], late[1 : len(shared)])
    assert len(late) == len(shared) + 10
    assert not recording.stats()[0].active
    fork_again = bench.far_end()
    recording.fork(
        0,
        address=LOOPBACK,
        local_rtp_port=local,
        remote_address=LOOPBACK,
        remote_rtp_port=fork_again.port,
        payload_type=0,
    )
    bench.engine.step(4)
    assert fork_again.hear_all()


def test_an_untapped_bus_is_not_recorded(bench: "Bench") -> None:
    leg, far = bench.leg()
    bus = bench.engine.open_bus()
    bus.join(leg, talk_db=0, listen_db=0)
    recording, recorder = bench.engine.open_recording(), bench.far_end()
    recording.tap(bus)
    recording.tap(bus)
    fork(bench, recording, 0, recorder)
    talk(bench, [far], 20)
    assert any(packet.payload != b"\xff" * 160 for packet in recorder.hear_all())
    recording.untap(bus)
    bench.engine.step(2)
    recorder.hear_all()
    talk(bench, [far], 20)
    assert all(packet.payload == b"\xff" * 160 for packet in recorder.hear_all())
    recording.tap(bus)
    bus.close()
    bench.engine.step(4)


def test_a_recorder_gets_reports_that_place_the_stream_in_time(bench: "Bench") -> None:
    recording, recorder = bench.engine.open_recording(), bench.far_end()
    fork(bench, recording, 0, recorder)
    bench.engine.step(100)
    data = recorder.rtcp.recv(2048)
    assert data[1] == 200
    assert int.from_bytes(data[4:8], "big") == recording.ssrc
    recording.close()
    assert b"\x81\xcb" in recorder.rtcp.recv(2048)


def test_impossible_forks_are_refused(bench: "Bench") -> None:
    recording, recorder = bench.engine.open_recording(), bench.far_end()
    local = fork(bench, recording, 0, recorder)
    again = partial(
        recording.fork,
        1,
        address=LOOPBACK,
        local_rtp_port=bench.free_port(),
        remote_address=LOOPBACK,
        remote_rtp_port=recorder.port,
        payload_type=0,
    )
    with pytest.raises(AddressInUseError):
        again(local_rtp_port=local)
    with pytest.raises(SettingError):
        again(remote_rtp_port=0)
    with pytest.raises(SettingError):
        again(remote_address="x")
    with pytest.raises(SettingError):
        again(payload_type=200)
    with pytest.raises(SettingError):
        recording.unfork(2)
    recording.close()
    with pytest.raises(ClosedError):
        recording.stats()
