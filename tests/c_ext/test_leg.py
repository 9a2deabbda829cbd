"""Legs over loopback: real RTP both ways, ticks run by hand, the sound judged."""

import errno
import struct
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pytest

from openturret.c_ext import AddressInUseError, ClosedError, Codec, Engine, Leg, SettingError

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, FarEnd, Pcm

LOOPBACK = "127.0.0.1"


def talk(bench: "Bench", far_ends: "list[FarEnd]", pcm: "list[Pcm]") -> "list[Pcm]":
    """All far ends speak, 20 ms at a time, while the engine ticks; returns what each heard."""
    heard: list[list[Pcm]] = [[] for _ in far_ends]
    for at in range(0, len(pcm[0]), 160):
        for far, said in zip(far_ends, pcm, strict=True):
            far.say(said[at : at + 160])
        bench.engine.step(2)
        for far, sounds in zip(far_ends, heard, strict=True):
            sounds.extend(bench.decode(packet.payload) for packet in far.hear_all())
    return [np.concatenate(sounds) for sounds in heard]


def spectrum_db(pcm: "Pcm", frequency_hz: float) -> float:
    """The level of one tone in dB of a full-scale one."""
    window = np.hanning(len(pcm))
    time = np.arange(len(pcm)) / 8000
    turned = pcm * window * np.exp(-2j * np.pi * frequency_hz * time)
    return 20 * float(np.log10(2 * abs(turned.sum()) / window.sum() / 32768 + 1e-12))


def aligned(heard: "Pcm", said: "Pcm") -> float:
    """The best correlation of what was heard with what was said, 1 for the same sound."""
    a: npt.NDArray[np.float64] = heard.astype(float)
    b: npt.NDArray[np.float64] = said.astype(float)
    best = np.correlate(a, b[: len(b) // 2], "valid").max()
    return float(best / (np.linalg.norm(b[: len(b) // 2]) ** 2))


def join_all(bench: "Bench", legs: "list[Leg]") -> None:
    bus = bench.engine.open_bus()
    for leg in legs:
        bus.join(leg, talk_db=0, listen_db=0)


def test_three_legs_hear_the_others_and_never_themselves(bench: "Bench") -> None:
    frequencies = [400, 700, 1100]
    legs, fars = zip(*(bench.leg() for _ in frequencies), strict=True)
    join_all(bench, list(legs))
    heard = talk(bench, list(fars), [bench.tone(f, 16000, 4000) for f in frequencies])
    for own, sound in zip(frequencies, heard, strict=True):
        for frequency in frequencies:
            level = spectrum_db(sound[-8000:], frequency)
            assert level < -55 if frequency == own else level == pytest.approx(-18.3, abs=0.3)


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.PCMA, Codec.L16_8K])
def test_speech_passes_from_leg_to_leg_unchanged(bench: "Bench", codec: Codec) -> None:
    (speaker, far), (listener, ear) = bench.leg(codec), bench.leg(codec)
    join_all(bench, [speaker, listener])
    said = np.random.default_rng(1).integers(-9000, 9000, 8000).astype(np.int16)
    heard: list[Pcm] = []
    for at in range(0, len(said), 160):
        far.say(said[at : at + 160], codec)
        bench.engine.step(2)
        heard.extend(bench.decode(packet.payload, codec) for packet in ear.hear_all())
    assert aligned(np.concatenate(heard), said) == pytest.approx(1.0, abs=0.01)


@pytest.mark.parametrize("ptime_ms", [10, 20, 30])
def test_a_leg_sends_without_pause_at_its_exact_pace(bench: "Bench", ptime_ms: int) -> None:
    _, far = bench.leg(ptime_ms=ptime_ms)
    bench.engine.step(150)
    packets = far.hear_all()
    samples = ptime_ms * 8
    assert len(packets) in {1500 // ptime_ms, 1500 // ptime_ms - 1}
    first = packets[0]
    assert [p.marker for p in packets] == [True] + [False] * (len(packets) - 1)
    for number, packet in enumerate(packets):
        assert packet.sequence == (first.sequence + number) & 0xFFFF
        assert packet.timestamp == (first.timestamp + number * samples) & 0xFFFFFFFF
        assert packet.payload == b"\xff" * samples


def test_legs_take_turns_so_that_every_tick_sends_as_much(bench: "Bench") -> None:
    fars = [bench.leg()[1] for _ in range(8)]
    bench.engine.step(4)
    for far in fars:
        far.hear_all()
    for _ in range(6):
        bench.engine.step()
        assert sum(len(far.hear_all()) for far in fars) == 4


def test_a_stranger_is_counted_and_never_heard(bench: "Bench") -> None:
    (leg, far), (listener, ear) = bench.leg(), bench.leg()
    join_all(bench, [leg, listener])
    stranger = bench.far_end()
    stranger.leg_port = far.leg_port
    quiet, loud = np.zeros(160, np.int16), bench.tone(1000, 160, 30000)
    heard: list[Pcm] = []
    for _ in range(50):
        far.say(quiet)
        stranger.sequence, stranger.timestamp = far.sequence, far.timestamp
        stranger.say(loud)
        bench.engine.step(2)
        heard.extend(bench.decode(packet.payload) for packet in ear.hear_all())
    bench.until(bench.engine.step, lambda: leg.stats().packets_foreign == 50)
    bench.until(bench.engine.step, lambda: leg.stats().packets_received == 50)
    assert np.abs(np.concatenate(heard)).max() <= 8
    assert leg.stats().packets_received == 50
    assert leg.stats().packets_lost == 0


def test_nothing_is_taken_before_the_far_end_is_named(bench: "Bench") -> None:
    port = bench.free_port()
    leg = bench.engine.open_leg(address=LOOPBACK, rtp_port=port)
    far = bench.far_end()
    far.leg_port = port
    for _ in range(5):
        far.say(bench.tone(1000, 160))
    bench.until(bench.engine.step, lambda: leg.stats().packets_foreign == 5)
    leg.connect(address=LOOPBACK, rtp_port=far.port, codec=Codec.PCMU, payload_type=0)
    bench.engine.step(10)
    assert leg.stats().packets_received == 0
    far.say(bench.tone(1000, 160))
    bench.until(bench.engine.step, lambda: leg.stats().packets_received == 1)


def test_naming_another_far_end_locks_the_first_one_out(bench: "Bench") -> None:
    leg, first = bench.leg()
    second = bench.far_end()
    second.leg_port = first.leg_port
    first.say(bench.tone(400, 160))
    bench.until(bench.engine.step, lambda: leg.stats().packets_received == 1)
    for far in (second, first, second):
        leg.connect(address=LOOPBACK, rtp_port=far.port, codec=Codec.PCMU, payload_type=0)
    bench.engine.step(4)
    before = leg.stats()
    first.hear_all()
    first.say(bench.tone(400, 160))
    second.say(bench.tone(400, 160))
    bench.until(bench.engine.step, lambda: leg.stats().packets_foreign > before.packets_foreign)
    bench.until(bench.engine.step, lambda: leg.stats().packets_received > before.packets_received)
    assert not first.hear_all()
    assert second.hear_all()


@pytest.mark.parametrize(
    "junk",
    [b"", b"\x80", bytes(200), b"\x80\x00" + bytes(9), b"\xbf" + b"\xff" * 11, b"\x80" * 2000],
    ids=len,
)
def test_junk_from_the_right_place_is_counted_and_dropped(bench: "Bench", junk: bytes) -> None:
    leg, far = bench.leg()
    far.send(junk)
    bench.until(bench.engine.step, lambda: leg.stats().packets_malformed == 1)
    assert leg.stats().packets_received == 0


def test_another_payload_type_is_counted_but_not_played(bench: "Bench") -> None:
    (leg, far), (listener, ear) = bench.leg(), bench.leg()
    join_all(bench, [leg, listener])
    for number in range(30):
        far.send(bench.rtp(number, number * 160, bench.encode(bench.tone(400, 160)), kind=101))
        bench.engine.step(2)
    assert all(packet.payload == b"\xff" * 160 for packet in ear.hear_all())
    bench.until(bench.engine.step, lambda: leg.stats().packets_other == 30)
    assert leg.stats().packets_lost == 0


def test_a_loss_is_counted_and_concealed(bench: "Bench") -> None:
    (leg, far), (listener, ear) = bench.leg(), bench.leg()
    join_all(bench, [leg, listener])
    said = bench.tone(400, 16000)
    for at in range(0, 16000, 160):
        if at // 160 % 20 == 10:
            far.sequence += 1
            far.timestamp += 160
        else:
            far.say(said[at : at + 160])
        bench.engine.step(2)
    stats = leg.stats()
    assert stats.packets_lost == 5
    assert stats.concealed_frames == 10
    assert stats.packets_received == 95
    heard = np.concatenate([bench.decode(packet.payload) for packet in ear.hear_all()])
    assert spectrum_db(heard[-8000:], 400) == pytest.approx(-12.2, abs=0.5)


def test_levels_follow_what_is_said(bench: "Bench") -> None:
    (leg, far), (listener, _) = bench.leg(), bench.leg()
    join_all(bench, [leg, listener])
    for at in range(0, 8000, 160):
        far.say(bench.tone(1000, 160, 32767 / 10, at))
        bench.engine.step(2)
    assert leg.stats().receive_level_dbfs == pytest.approx(-23, abs=0.5)
    assert listener.stats().transmit_level_dbfs == pytest.approx(-23, abs=0.5)
    assert leg.stats().transmit_level_dbfs == -127


def test_a_leg_on_hold_neither_sends_nor_plays(bench: "Bench") -> None:
    (leg, far), (listener, ear) = bench.leg(send=False, receive=False), bench.leg()
    join_all(bench, [leg, listener])
    for _ in range(20):
        far.say(bench.tone(400, 160))
        bench.engine.step(2)
    assert not far.hear_all()
    assert all(packet.payload == b"\xff" * 160 for packet in ear.hear_all())


def test_a_renegotiation_continues_the_stream(bench: "Bench") -> None:
    leg, far = bench.leg()
    bench.engine.step(20)
    before = far.hear_all()[-1]
    leg.connect(address=LOOPBACK, rtp_port=far.port, codec=Codec.PCMA, payload_type=8)
    bench.engine.step(20)
    after = far.hear_all()[0]
    assert after.sequence == (before.sequence + 1) & 0xFFFF
    assert 160 <= (after.timestamp - before.timestamp) & 0xFFFFFFFF <= 400
    assert (after.ssrc, after.payload_type) == (before.ssrc, 8)
    assert after.payload == b"\xd5" * 160


def test_a_hold_hides_no_loss(bench: "Bench") -> None:
    leg, far = bench.leg()
    connect = partial(
        leg.connect, address=LOOPBACK, rtp_port=far.port, codec=Codec.PCMU, payload_type=0
    )
    for number in range(20):
        far.sequence += number == 10
        far.say(bench.tone(400, 160))
        bench.engine.step(2)
    assert leg.stats().packets_lost == 1
    connect(receive=False)
    connect()
    for number in range(20):
        far.sequence += number == 10
        far.say(bench.tone(400, 160))
        bench.engine.step(2)
    assert leg.stats().packets_lost == 2


def test_a_port_in_use_is_refused_and_a_closed_one_is_free_again(bench: "Bench") -> None:
    leg, far = bench.leg()
    with pytest.raises(AddressInUseError) as refused:
        bench.engine.open_leg(address=LOOPBACK, rtp_port=far.leg_port)
    assert refused.value.errno == errno.EADDRINUSE
    leg.close()
    bench.engine.open_leg(address=LOOPBACK, rtp_port=far.leg_port).close()


def test_nobody_can_share_the_port_of_a_connected_leg(bench: "Bench") -> None:
    _, far = bench.leg()
    other = Engine()
    with pytest.raises(AddressInUseError):
        other.open_leg(address=LOOPBACK, rtp_port=far.leg_port)


@pytest.mark.parametrize(
    ("address", "rtp_port", "ptime_ms"),
    [
        ("127.0.0.1", 20001, 20),
        ("nowhere", 20000, 20),
        ("127.0.0.1", 0, 20),
        ("127.0.0.1", 20000, 25),
    ],
)
def test_impossible_settings_are_refused(
    bench: "Bench", address: str, rtp_port: int, ptime_ms: int
) -> None:
    with pytest.raises(SettingError):
        bench.engine.open_leg(address=address, rtp_port=rtp_port, ptime_ms=ptime_ms)


@pytest.mark.parametrize(
    ("name", "value"), [("rtp_port", 65536), ("payload_type", 128), ("ptime_ms", 15)]
)
def test_impossible_far_ends_are_refused(bench: "Bench", name: str, value: int) -> None:
    leg, far = bench.leg()
    good = {"rtp_port": far.port, "payload_type": 0, "ptime_ms": 20}
    connect = partial(leg.connect, address=LOOPBACK, codec=Codec.PCMU, **good)  # type: ignore[arg-type]
    connect()
    with pytest.raises(SettingError):
        connect(**{name: value})  # type: ignore[arg-type]


def test_a_closed_leg_says_so(bench: "Bench") -> None:
    leg, _ = bench.leg()
    leg.close()
    leg.close()
    assert leg.closed
    with pytest.raises(ClosedError):
        leg.stats()


def test_reports_are_sent_early_and_then_about_every_five_seconds(bench: "Bench") -> None:
    leg, far = bench.leg()
    bench.engine.step(100)
    assert leg.stats().reports_sent == 1
    bench.engine.step(6000)
    assert 8 <= leg.stats().reports_sent <= 25
    data = far.rtcp.recv(2048)
    assert data[1] == 200
    assert struct.unpack_from("!I", data, 4)[0] == leg.ssrc


def test_a_leg_on_hold_soon_reports_as_a_receiver(bench: "Bench") -> None:
    leg, far = bench.leg()
    bench.engine.step(100)
    assert far.rtcp.recv(2048)[1] == 200
    leg.connect(address=LOOPBACK, rtp_port=far.port, codec=Codec.PCMU, payload_type=0, send=False)
    bench.engine.step(3000)
    kinds = [far.rtcp.recv(2048)[1] for _ in range(leg.stats().reports_sent - 1)]
    assert kinds[:2] == [200, 200]
    assert set(kinds[2:]) == {201}


def test_two_legs_learn_round_trip_and_loss_from_each_other() -> None:
    engine = Engine()
    bench_ports: list[int] = []
    legs: list[Leg] = []
    for _ in range(2):
        while True:
            port = 30000 + 2 * len(bench_ports)
            bench_ports.append(port)
            try:
                legs.append(engine.open_leg(address=LOOPBACK, rtp_port=port))
                break
            except AddressInUseError:
                continue
    for leg, other in (legs, legs[::-1]):
        leg.connect(address=LOOPBACK, rtp_port=other.rtp_port, codec=Codec.PCMU, payload_type=0)
    engine.step(2000)
    for leg in legs:
        stats = leg.stats()
        assert stats.round_trip_ms is not None
        assert 0 < stats.round_trip_ms < 1000
        assert stats.remote_fraction_lost == 0
        assert stats.packets_lost == 0
        assert stats.packets_received > 990


def test_a_forged_report_is_counted_as_foreign(bench: "Bench") -> None:
    leg, far = bench.leg()
    stranger = bench.far_end()
    goodbye = struct.pack("!BBHI", 0x80, 201, 1, 9) + struct.pack("!BBHI", 0x81, 203, 1, 9)
    stranger.rtcp.sendto(goodbye, (LOOPBACK, far.leg_port + 1))
    bench.until(bench.engine.step, lambda: leg.stats().packets_foreign == 1)
    assert not leg.stats().bye_received
    far.rtcp.sendto(goodbye, (LOOPBACK, far.leg_port + 1))
    bench.until(bench.engine.step, lambda: leg.stats().bye_received)
    leg.connect(address=LOOPBACK, rtp_port=stranger.port, codec=Codec.PCMU, payload_type=0)
    bench.engine.step()
    assert not leg.stats().bye_received


def test_closing_says_goodbye(bench: "Bench") -> None:
    leg, far = bench.leg()
    bench.engine.step(4)
    ssrc = leg.ssrc
    leg.close()
    data = far.rtcp.recv(2048)
    assert data[-8:] == struct.pack("!BBHI", 0x81, 203, 1, ssrc)


def test_gaps_are_measured_until_they_are_reset(bench: "Bench") -> None:
    leg, far = bench.leg()
    far.say(bench.tone(400, 160))
    bench.until(bench.engine.step, lambda: leg.stats().packets_received == 1)
    bench.engine.step(50)
    far.say(bench.tone(400, 160))
    bench.until(bench.engine.step, lambda: leg.stats().packets_received == 2)
    assert leg.stats().receive_gap_max_ms >= 500
    assert leg.stats().send_gap_max_ms == 20
    leg.reset_gaps()
    bench.engine.step()
    assert leg.stats().receive_gap_max_ms == 0


def test_a_far_end_with_our_ssrc_makes_us_take_another(bench: "Bench") -> None:
    leg, far = bench.leg()
    bench.engine.step(10)
    ours = leg.ssrc
    far.hear_all()
    for sequence in range(3):
        far.send(bench.rtp(sequence, 160 * sequence, bytes(160), ssrc=ours))
        bench.engine.step(2)
    heard = far.hear_all()
    assert leg.stats().collisions == 1
    assert leg.ssrc != ours
    assert heard[-1].ssrc == leg.ssrc
    goodbye = far.rtcp.recv(2048)
    assert ours.to_bytes(4, "big") in goodbye
    assert goodbye[-8] & 0xC0 == 0x80
    assert goodbye[-7] == 203
    assert leg.stats().packets_received == 3


def test_an_echo_of_our_own_packets_is_heard_under_one_new_ssrc(bench: "Bench") -> None:
    leg, far = bench.leg()
    for _ in range(60):
        bench.engine.step(2)
        for packet in far.hear_all():
            far.send(bench.rtp(packet.sequence, packet.timestamp, packet.payload, ssrc=packet.ssrc))
    stats = leg.stats()
    assert stats.collisions == 1
    assert stats.packets_received > 50
