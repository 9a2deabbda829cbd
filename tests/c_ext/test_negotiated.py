"""What was negotiated beside the codec: digits, comfort noise, redundancy, other codecs."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext import (
    Codec,
    Engine,
    Event,
    Extras,
    Happening,
    Leg,
    NotNegotiatedError,
    SettingError,
    Tone,
)

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, FarEnd, Pcm

EVENTS, NOISE, REDUNDANT = 101, 13, 121
WIDE = [Codec.G722, Codec.L16_16K, Codec.OPUS_16K, Codec.OPUS_48K]


def happened(engine: Engine) -> list[Event]:
    events = []
    while (event := engine.next_event()) is not None:
        events.append(event)
    return events


def level_db(pcm: "Pcm", frequency_hz: float, rate_hz: int) -> float:
    window = np.hanning(len(pcm))
    turn = np.exp(-2j * np.pi * frequency_hz * np.arange(len(pcm)) / rate_hz)
    return 20 * float(np.log10(2 * abs((pcm * window * turn).sum()) / window.sum() / 32768 + 1e-9))


def steps(pcm: "Pcm") -> int:
    return int(np.abs(np.diff(pcm.astype(np.int32))).max())


# ---------------------------------------------------------------------------- codecs


@pytest.mark.parametrize("codec", [*WIDE, Codec.PCMU, Codec.OPUS_8K, Codec.L16_8K])
@pytest.mark.parametrize("ptime_ms", [10, 20])
def test_a_tone_crosses_the_wire(bench: "Bench", codec: Codec, ptime_ms: int) -> None:
    near, far = bench.pair(codec, ptime_ms=ptime_ms)
    source, ear = bench.engine.open_source(rate_hz=codec.rate_hz), bench.party(codec.rate_hz)
    for leg, port, talk in ((near, source, 0.0), (far, ear.leg, None)):
        bus = bench.engine.open_bus(rate_hz=codec.rate_hz)
        bus.join(leg, talk_db=0, listen_db=0)
        bus.join(port, talk_db=talk, listen_db=0)
    source.play_tone(Tone(((1000, -15.0),)))
    heard = []
    for _ in range(150):
        bench.engine.step()
        heard.append(ear.hear_all())
    steady = np.concatenate(heard)[-codec.rate_hz // 2 :]
    assert level_db(steady, 1000, codec.rate_hz) == pytest.approx(-12.0, abs=1.0)
    assert far.stats().packets_lost == 0
    assert far.stats().concealed_frames == 0


@pytest.mark.parametrize("codec", WIDE)
def test_a_wideband_codec_carries_what_narrowband_cannot(bench: "Bench", codec: Codec) -> None:
    near, far = bench.pair(codec)
    source, ear = bench.engine.open_source(rate_hz=16000), bench.party(16000)
    for leg, port, talk in ((near, source, 0.0), (far, ear.leg, None)):
        bus = bench.engine.open_bus(rate_hz=16000)
        bus.join(leg, talk_db=0, listen_db=0)
        bus.join(port, talk_db=talk, listen_db=0)
    source.play_tone(Tone(((1000, -20.0), (5500, -20.0))))
    heard = []
    for _ in range(150):
        bench.engine.step()
        heard.append(ear.hear_all())
    assert level_db(np.concatenate(heard)[-8000:], 5500, 16000) > -25


def test_another_codec_in_mid_call_does_not_click(bench: "Bench") -> None:
    leg, far = bench.leg(Codec.PCMU)
    ear = bench.party(16000)
    bus = bench.engine.open_bus(rate_hz=16000)
    bus.join(leg, talk_db=0, listen_db=None)
    bus.join(ear.leg, talk_db=None, listen_db=0)
    heard = []
    for codec in (Codec.PCMU, Codec.L16_16K, Codec.PCMA, Codec.L16_8K):
        leg.connect(
            address="127.0.0.1",
            rtp_port=far.port,
            codec=codec,
            payload_type=100,
            ptime_ms=20,
        )
        samples = codec.rate_hz // 50
        for at in range(0, 30 * samples, samples):
            said = bench.tone(300, samples, 8000, at, codec.rate_hz)
            far.send_payload(bench.encode(said, codec), 100, samples)
            for _ in range(2):
                bench.engine.step()
                heard.append(ear.hear_all())
    everything = np.concatenate(heard)
    for part in np.array_split(everything, 4):
        assert np.abs(part[-2000:]).max() > 7000
    assert steps(everything) < 1500


@pytest.mark.parametrize("ptime_ms", [0, 15, 30, 40])
def test_opus_has_no_such_packets(bench: "Bench", ptime_ms: int) -> None:
    leg, far = bench.leg()
    with pytest.raises(SettingError):
        leg.connect(
            address="127.0.0.1",
            rtp_port=far.port,
            codec=Codec.OPUS_48K,
            payload_type=100,
            ptime_ms=ptime_ms,
        )


# ---------------------------------------------------------------------------- digits


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.G722, Codec.OPUS_48K])
def test_digits_are_dialled_and_heard_as_events(bench: "Bench", codec: Codec) -> None:
    near, far = bench.pair(codec, extras=Extras(event_type=EVENTS))
    bench.engine.step(20)
    for event in (1, 2, 11, 15):
        near.dial(event, duration_ms=100)
    bench.engine.step(200)
    events = [event for event in happened(bench.engine) if event.port == far.id]
    assert [(event.happening, event.value) for event in events] == [
        (happening, value)
        for value in (1, 2, 11, 15)
        for happening in (Happening.DIGIT_BEGAN, Happening.DIGIT_ENDED)
    ]
    held = [event.duration_ms for event in events if event.happening is Happening.DIGIT_ENDED]
    assert all(100 <= duration <= 120 for duration in held)
    assert near.stats().digits_sent == far.stats().digits_received == 4


def test_a_digit_is_three_ends_in_packets_of_their_own(bench: "Bench") -> None:
    leg, far = bench.leg(extras=Extras(event_type=EVENTS))
    bench.engine.step(10)
    far.hear_all()
    leg.dial(5, duration_ms=60)
    bench.engine.step(30)
    packets = [packet for packet in far.hear_all() if packet.payload_type == EVENTS]
    assert [packet.marker for packet in packets] == [True] + [False] * (len(packets) - 1)
    assert len({packet.timestamp for packet in packets}) == 1
    assert {packet.payload[0] for packet in packets} == {5}
    assert [packet.payload[1] >> 7 for packet in packets][-3:] == [1, 1, 1]
    assert int.from_bytes(packets[-1].payload[2:], "big") == 480


def test_sequence_numbers_go_on_through_a_digit(bench: "Bench") -> None:
    leg, far = bench.leg(extras=Extras(event_type=EVENTS))
    bench.engine.step(10)
    leg.dial(5)
    bench.engine.step(50)
    numbers = [packet.sequence for packet in far.hear_all()]
    assert numbers == [(numbers[0] + i) & 0xFFFF for i in range(len(numbers))]


def test_dialling_without_events_says_so(bench: "Bench") -> None:
    leg, _ = bench.leg()
    with pytest.raises(NotNegotiatedError):
        leg.dial(1)
    leg, _ = bench.leg(extras=Extras(event_type=EVENTS))
    with pytest.raises(SettingError):
        leg.dial(17)


@pytest.mark.parametrize("codec", [Codec.PCMU, Codec.L16_16K])
def test_digits_in_the_sound_are_found_when_wanted(bench: "Bench", codec: Codec) -> None:
    near, far = bench.pair(codec, extras=Extras(inband_digits=True))
    source = bench.engine.open_source(rate_hz=codec.rate_hz)
    bus = bench.engine.open_bus(rate_hz=codec.rate_hz)
    bus.join(near, talk_db=0, listen_db=0)
    bus.join(source, talk_db=0, listen_db=None)
    for digit in "5*":
        source.play_tone(Tone.named(f"dtmf-{digit}"))
        bench.engine.step(10)
        source.stop()
        bench.engine.step(10)
    bench.engine.step(20)
    found = [
        chr(event.value)
        for event in happened(bench.engine)
        if event.happening is Happening.DIGIT_HEARD and event.port == far.id
    ]
    assert found == ["5", "*"]


# ---------------------------------------------------------------------------- comfort noise


def test_silence_is_described_instead_of_sent(bench: "Bench") -> None:
    leg, far = bench.leg(extras=Extras(noise_type=NOISE))
    source = bench.engine.open_source()
    bus = bench.engine.open_bus()
    bus.join(leg, talk_db=0, listen_db=0)
    bus.join(source, talk_db=0, listen_db=None)
    source.play_tone(Tone(((700, -12.0),), steps=((500, 1000),)))
    bench.engine.step(300)
    packets = far.hear_all()
    voice = [packet for packet in packets if packet.payload_type == 0]
    noise = [packet for packet in packets if packet.payload_type == NOISE]
    assert 40 <= len(voice) <= 110
    assert 1 <= len(noise) <= 12
    numbers = [packet.sequence for packet in packets]
    assert numbers == [(numbers[0] + i) & 0xFFFF for i in range(len(numbers))]
    begins = [packet for i, packet in enumerate(voice) if i and packet.marker]
    assert len(begins) == 1


def test_comfort_noise_is_heard_at_its_level(bench: "Bench") -> None:
    leg, far = bench.leg(extras=Extras(noise_type=NOISE))
    ear = bench.party()
    bus = bench.engine.open_bus()
    bus.join(leg, talk_db=0, listen_db=None)
    bus.join(ear.leg, talk_db=None, listen_db=0)
    for tick in range(0, 50, 2):
        far.say(bench.tone(500, 160, 6000, tick * 80))
        bench.engine.step(2)
    ear.hear_all()
    far.send_payload(bytes([40]), NOISE, 160)
    bench.engine.step(100)
    sound = ear.hear_all()[-4000:].astype(float)
    assert 10 * np.log10(np.mean(sound**2) / 32768**2) == pytest.approx(-40, abs=1.5)
    stats = leg.stats()
    assert stats.noise_frames > 50
    assert stats.packets_lost == 0


# ---------------------------------------------------------------------------- redundancy


def lossy(bench: "Bench", extras: Extras, drop: set[int]) -> "tuple[Leg, Pcm]":
    """A leg that sends through a wire that loses some packets, to another that is heard."""
    sender, wire = bench.leg(extras=extras)
    receiver, other = bench.leg(extras=extras)
    source, ear = bench.engine.open_source(), bench.party()
    for leg, port, talk in ((sender, source, 0.0), (receiver, ear.leg, None)):
        bus = bench.engine.open_bus()
        bus.join(leg, talk_db=0, listen_db=0)
        bus.join(port, talk_db=talk, listen_db=0)
    source.play_tone(Tone(((1000, -15.0),)))
    heard, number = [], 0
    for _ in range(200):
        bench.engine.step()
        for data in raw(wire):
            if number not in drop:
                other.send(data)
            number += 1
        heard.append(ear.hear_all())
    return receiver, np.concatenate(heard)


def raw(far: "FarEnd") -> list[bytes]:
    found = []
    far.rtp.setblocking(False)
    try:
        while True:
            found.append(far.rtp.recv(2048))
    except BlockingIOError:
        return found


def test_redundancy_fills_the_holes(bench: "Bench") -> None:
    drop = set(range(20, 95, 5))
    receiver, heard = lossy(bench, Extras(redundant_type=REDUNDANT), drop)
    stats = receiver.stats()
    assert stats.packets_recovered >= len(drop) - 2
    assert stats.concealed_frames <= 4
    tail = heard[8000:]
    assert level_db(tail, 1000, 8000) == pytest.approx(-12.0, abs=0.3)


def test_two_older_payloads_fill_longer_holes(bench: "Bench") -> None:
    drop = {n for start in range(20, 90, 10) for n in (start, start + 1)}
    receiver, _ = lossy(bench, Extras(redundant_type=REDUNDANT, redundancy=2), drop)
    assert receiver.stats().packets_recovered >= len(drop) - 4


def test_without_redundancy_the_same_holes_are_concealed(bench: "Bench") -> None:
    receiver, _ = lossy(bench, Extras(), set(range(20, 95, 5)))
    stats = receiver.stats()
    assert stats.packets_recovered == 0
    assert stats.concealed_frames >= 15


def test_too_much_redundancy_is_refused(bench: "Bench") -> None:
    with pytest.raises(SettingError):
        bench.leg(extras=Extras(redundant_type=REDUNDANT, redundancy=3))


# ---------------------------------------------------------------------------- quality


def test_quality_is_judged_and_told_to_the_far_end(bench: "Bench") -> None:
    near, far = bench.pair(Codec.PCMU)
    source = bench.engine.open_source()
    bus = bench.engine.open_bus()
    bus.join(near, talk_db=0, listen_db=0)
    bus.join(source, talk_db=0, listen_db=None)
    source.play_tone(Tone(((1000, -15.0),)))
    bench.engine.step(1600)
    mine, theirs = far.stats().mos, near.stats().remote_mos
    assert mine is not None
    assert mine == theirs
    assert 4.0 <= mine <= 4.5
