"""Sources: tones and clips that speak on a bus without a far end."""

from typing import TYPE_CHECKING

import numpy as np
import pytest

from openturret.c_ext import ClosedError, Happening, SettingError, Source, Tone

if TYPE_CHECKING:
    from tests.c_ext.conftest import Bench, Party, Pcm


def heard_by(bench: "Bench", party: "Party", ticks: int) -> "Pcm":
    parts = []
    for _ in range(ticks):
        bench.engine.step()
        parts.append(party.hear_all())
    return np.concatenate(parts)


def on_a_bus(bench: "Bench", rate_hz: int = 8000) -> "tuple[Source, Party]":
    source, ear = bench.engine.open_source(rate_hz=rate_hz), bench.party(rate_hz)
    bus = bench.engine.open_bus(rate_hz=rate_hz)
    bus.join(source, talk_db=0, listen_db=None)
    bus.join(ear.leg, talk_db=None, listen_db=0)
    heard_by(bench, ear, 4)
    return source, ear


def steps(pcm: "Pcm") -> int:
    return int(np.abs(np.diff(pcm.astype(np.int32))).max())


@pytest.mark.parametrize("rate_hz", [8000, 16000, 48000])
def test_a_clip_is_heard_bit_for_bit(bench: "Bench", rate_hz: int) -> None:
    source, ear = on_a_bus(bench, rate_hz)
    clip = np.random.default_rng(1).integers(-9000, 9000, 5 * rate_hz // 100).astype(np.int16)
    source.play_clip(clip.tobytes())
    heard = heard_by(bench, ear, 10)
    edge = rate_hz // 200
    start = next(at for at in range(len(heard)) if heard[at : at + len(clip)].any())
    matches = [
        at
        for at in range(start - 2, start + 3)
        if np.array_equal(heard[at + edge : at + len(clip)], clip[edge:])
    ]
    assert matches


def test_a_clip_is_repeated_and_its_end_is_told(bench: "Bench") -> None:
    source, ear = on_a_bus(bench)
    source.play_clip(np.full(120, 4000, np.int16).tobytes(), times=3)
    heard = heard_by(bench, ear, 10)
    assert 360 - 40 <= np.count_nonzero(heard) <= 360 + 40
    event = bench.engine.next_event()
    assert event is not None
    assert (event.happening, event.port) == (Happening.SOURCE_ENDED, source.id)
    assert bench.engine.next_event() is None


@pytest.mark.parametrize("times", [1, 3])
def test_a_clip_of_whole_ticks_ends_too(bench: "Bench", times: int) -> None:
    source, ear = on_a_bus(bench)
    source.play_clip(np.full(400, 4000, np.int16).tobytes(), times=times)
    heard = heard_by(bench, ear, 30)
    assert 400 * times - 40 <= np.count_nonzero(heard) <= 400 * times + 40
    assert bench.engine.next_event() is not None


def test_an_endless_clip_goes_on_until_stopped_without_a_click(bench: "Bench") -> None:
    source, ear = on_a_bus(bench)
    source.play_clip(np.full(100, 4000, np.int16).tobytes(), times=0)
    heard = heard_by(bench, ear, 50)
    assert heard[-1] == 4000
    source.stop()
    end = heard_by(bench, ear, 5)
    assert end[-1] == 0
    assert steps(np.concatenate([heard, end])) <= 4000 / 40 + 1
    assert bench.engine.next_event() is None


def test_a_tone_takes_the_place_of_a_clip_without_a_click(bench: "Bench") -> None:
    source, ear = on_a_bus(bench)
    source.play_clip(np.full(100, 6000, np.int16).tobytes(), times=0)
    heard = [heard_by(bench, ear, 10)]
    source.play_tone(Tone(((440, -40.0),)))
    heard.append(heard_by(bench, ear, 50))
    assert np.abs(heard[1][-800:]).max() == pytest.approx(328 * 2**0.5, rel=0.05)
    assert steps(np.concatenate(heard)) <= 6000 / 40 + 165


def test_busy_has_its_cadence(bench: "Bench") -> None:
    source, ear = on_a_bus(bench)
    source.play_tone(Tone.named("busy"))
    heard = np.abs(heard_by(bench, ear, 210))
    on = [heard[at : at + 80].max() > 100 for at in range(0, 16000, 80)]
    changes = [at for at in range(1, 200) if on[at] != on[at - 1]]
    periods = np.diff(changes)
    assert all(abs(int(period) - 50) <= 1 for period in periods)


def test_the_beep_is_part_of_what_is_recorded(bench: "Bench") -> None:
    source = bench.engine.open_source()
    bus = bench.engine.open_bus()
    bus.join(source, talk_db=0, listen_db=None)
    recording, recorder = bench.engine.open_recording(), bench.far_end()
    recording.tap(bus)
    recording.fork(
        0,
        address="127.0.0.1",
        local_rtp_port=bench.free_port(),
        remote_address="127.0.0.1",
        remote_rtp_port=recorder.port,
        payload_type=0,
    )
    source.play_tone(Tone.named("recording-beep"))
    bench.engine.step(40)
    sound = np.concatenate([bench.decode(packet.payload) for packet in recorder.hear_all()])
    spectrum = np.abs(np.fft.rfft(sound * np.hanning(len(sound))))
    peak_hz = int(np.argmax(spectrum)) * 8000 / len(sound)
    assert peak_hz == pytest.approx(1400, abs=20)


@pytest.mark.parametrize(
    "tone",
    [
        Tone(()),
        Tone(((4000, -10.0),)),
        Tone(((440, 3.0),)),
        Tone(((440, -10.0),), steps=((10, 10),) * 5),
        Tone(((440, -10.0),) * 5),
        Tone(((440, -10.0),), steps=((70000, 1),)),
    ],
)
def test_impossible_tones_are_refused(bench: "Bench", tone: Tone) -> None:
    with pytest.raises(SettingError):
        bench.engine.open_source().play_tone(tone)


def test_an_unknown_tone_and_an_empty_clip_are_refused(bench: "Bench") -> None:
    with pytest.raises(SettingError, match="whistle"):
        Tone.named("whistle")
    with pytest.raises(SettingError):
        bench.engine.open_source().play_clip(b"")


def test_a_closed_source_says_so_and_its_slot_is_used_again(bench: "Bench") -> None:
    for _ in range(100):
        source = bench.engine.open_source()
        source.play_clip(bytes(1600), times=0)
        bench.engine.step()
        source.close()
        source.close()
        with pytest.raises(ClosedError):
            source.stop()
        bench.engine.step(4)
