"""What every audio port owes, whatever hardware answers; heard and spoken sound is compared."""

import asyncio
import math
import wave
from array import array
from pathlib import Path
from typing import Protocol

import pytest

from openturret.hal import RATE_HZ, SAMPLE_BYTES, AudioPort
from openturret.hal.errors import AudioFormatError, DeviceError, DeviceGoneError

FRAMES = 12


class Hands(Protocol):
    async def tone(self, position: str, frequency_hz: float, level_dbfs: float) -> None: ...
    async def mute(self, position: str, *, muted: bool = True) -> None: ...
    async def speak(self, position: str, wav: Path, *, loop: bool = False) -> None: ...
    async def listen(self, position: str, wav: Path) -> None: ...
    async def stop_listening(self, position: str) -> float: ...
    async def counters(self, position: str) -> dict[str, int]: ...
    async def unplug(self, position: str) -> None: ...
    async def plug(self, position: str) -> None: ...


class Rig(Protocol):
    @property
    def hand(self) -> Hands: ...
    @property
    def folder(self) -> Path: ...
    def audio(self, position: str) -> AudioPort: ...


def tone_level_db(pcm: bytes, frequency_hz: float) -> float:
    """Level of one frequency (Goertzel), in dB of a full-scale sine."""
    samples = array("h", pcm)
    angle = 2 * math.pi * frequency_hz / RATE_HZ
    real = sum(sample * math.cos(angle * n) for n, sample in enumerate(samples))
    imaginary = sum(sample * math.sin(angle * n) for n, sample in enumerate(samples))
    peak = 2 * math.hypot(real, imaginary) / max(1, len(samples))
    return 20 * math.log10(max(peak, 1e-3) / 32767)


def sine(frequency_hz: float, samples: int) -> bytes:
    step = 2 * math.pi * frequency_hz / RATE_HZ
    return array("h", (round(8000 * math.sin(step * n)) for n in range(samples))).tobytes()


def capture(port: AudioPort, frames: int) -> bytes:
    port.open()
    try:
        return b"".join(port.read() for _ in range(frames))
    finally:
        port.close()


def play(port: AudioPort, pcm: bytes) -> None:
    port.open()
    size = port.frame_samples * SAMPLE_BYTES
    try:
        for start in range(0, len(pcm), size):
            port.write(pcm[start : start + size])
            port.read()
        port.read()
    finally:
        port.close()


def read_wav(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (8000, 1, 2)
        return file.readframes(file.getnframes())


def write_wav(path: Path, pcm: bytes, *, rate_hz: int = RATE_HZ) -> Path:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(SAMPLE_BYTES)
        file.setframerate(rate_hz)
        file.writeframes(pcm)
    return path


async def test_a_port_has_a_rate_that_the_engine_has_and_frames_of_whole_ticks(
    rig: Rig, capture_position: str
) -> None:
    port = rig.audio(capture_position)
    assert port.rate_hz in (8000, 16000, 48000)
    assert port.frame_samples in (port.rate_hz // 100, port.rate_hz // 50)


async def test_what_is_said_into_the_microphone_is_captured(
    rig: Rig, capture_position: str
) -> None:
    await rig.hand.tone(capture_position, 1000, -10)
    pcm = await asyncio.to_thread(capture, rig.audio(capture_position), FRAMES)
    steady = pcm[4 * 320 :]
    assert tone_level_db(steady, 1000) == pytest.approx(-10, abs=0.2)
    assert tone_level_db(steady, 1500) < -60


async def test_what_is_played_is_heard_unchanged(rig: Rig, playback_position: str) -> None:
    port = rig.audio(playback_position)
    spoken = sine(500, FRAMES * port.frame_samples)
    heard = rig.folder / "heard.wav"
    await rig.hand.listen(playback_position, heard)
    await asyncio.to_thread(play, port, spoken)
    await rig.hand.stop_listening(playback_position)
    found = read_wav(heard)
    assert spoken[:640] in found
    assert tone_level_db(found, 500) > -30


async def test_the_heard_file_has_no_gap_while_nothing_plays(
    rig: Rig, playback_position: str
) -> None:
    heard = rig.folder / "heard.wav"
    loop = asyncio.get_running_loop()
    started = loop.time()
    await rig.hand.listen(playback_position, heard)
    await asyncio.to_thread(capture, rig.audio(playback_position), FRAMES)
    seconds = await rig.hand.stop_listening(playback_position)
    passed = loop.time() - started
    assert len(read_wav(heard)) == round(seconds * RATE_HZ) * SAMPLE_BYTES
    assert passed - 0.1 < seconds <= passed + 0.04
    assert (await rig.hand.counters(playback_position))["silent"] >= FRAMES


async def test_a_closed_port_streams_nothing(rig: Rig, capture_position: str) -> None:
    port = rig.audio(capture_position)
    await asyncio.to_thread(capture, port, 2)
    async with asyncio.timeout(5):
        while (await rig.hand.counters(capture_position))["streaming"]:
            await asyncio.sleep(0)
    with pytest.raises(DeviceGoneError):
        port.read()


async def test_a_pulled_cable_ends_a_blocked_read_and_the_port_opens_again(
    rig: Rig, capture_position: str
) -> None:
    port = rig.audio(capture_position)
    reading = asyncio.create_task(asyncio.to_thread(capture, port, 100_000))
    async with asyncio.timeout(5):
        while not (await rig.hand.counters(capture_position))["sent"]:
            await asyncio.sleep(0)
    await rig.hand.unplug(capture_position)
    with pytest.raises(DeviceGoneError):
        await reading
    with pytest.raises(DeviceGoneError):
        await asyncio.to_thread(port.open)
    await rig.hand.plug(capture_position)
    assert await asyncio.to_thread(capture, port, 1)


async def test_another_thread_closes_the_port_and_wakes_the_reader(
    rig: Rig, capture_position: str
) -> None:
    port = rig.audio(capture_position)
    reading = asyncio.create_task(asyncio.to_thread(capture, port, 100_000))
    async with asyncio.timeout(5):
        while not (await rig.hand.counters(capture_position))["sent"]:
            await asyncio.sleep(0)
    port.close()
    with pytest.raises(DeviceGoneError):
        await reading


async def test_a_frame_of_the_wrong_length_is_refused(rig: Rig, playback_position: str) -> None:
    port = rig.audio(playback_position)
    await asyncio.to_thread(port.open)
    with pytest.raises(AudioFormatError):
        port.write(b"\0" * 100)
    port.close()


async def test_the_devices_own_mute_silences_its_microphone(rig: Rig) -> None:
    await rig.hand.tone("handset-left", 1000, -10)
    await rig.hand.mute("handset-left")
    pcm = await asyncio.to_thread(capture, rig.audio("handset-left"), 4)
    assert not any(pcm)


async def test_a_spoken_file_is_captured_sample_by_sample(rig: Rig) -> None:
    spoken = sine(700, 3 * 160)
    await rig.hand.speak("handset-left", write_wav(rig.folder / "a.wav", spoken), loop=True)
    pcm = await asyncio.to_thread(capture, rig.audio("handset-left"), FRAMES)
    assert spoken in pcm


@pytest.mark.parametrize("rate_hz", [16000, 44100])
async def test_a_file_of_another_rate_is_refused_with_a_remedy(rig: Rig, rate_hz: int) -> None:
    wav = write_wav(rig.folder / "wide.wav", b"\0\0" * 100, rate_hz=rate_hz)
    with pytest.raises(DeviceError, match=f"{rate_hz} Hz.*sox"):
        await rig.hand.speak("handset-left", wav)
