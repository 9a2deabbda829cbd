"""What every audio port owes, whatever hardware answers; heard and spoken sound is compared."""

import asyncio
import math
from array import array
from typing import Protocol

import numpy as np
import pytest

from openturret.hal import RATE_HZ, SAMPLE_BYTES, AudioPort, Device, HookEvent, MuteEvent
from openturret.hal.board import Board, Capability
from openturret.hal.errors import AudioFormatError, DeviceError, DeviceGoneError
from openturret.lab.hands.hand import Ability, Hand, Sound

pytestmark = pytest.mark.slow

SETTLE_S = 0.3
"""What a kernel, and the machine that it runs on, may keep back before sound is steady."""

STEADY_S = 0.3
STRETCH_S = 0.06
FINER = 8
"""How many times finer than its bins a spectrum is looked at."""

FRAMES = 12
PATIENCE_S = 30


class Rig(Protocol):
    @property
    def board(self) -> Board: ...
    @property
    def hand(self) -> Hand: ...
    def device(self, position: str) -> Device: ...
    def audio(self, position: str) -> AudioPort: ...


def tone_in(pcm: bytes, rate_hz: int) -> tuple[float, float]:
    """Frequency and level of the loudest tone: hertz, and dB of a full-scale sine."""
    samples = np.frombuffer(pcm, dtype="<i2").astype(np.float64)
    window, size = np.hanning(len(samples)), FINER * len(samples)
    spectrum = np.abs(np.fft.rfft(samples * window, size)) / (window.sum() / 2)
    loudest = int(spectrum[FINER:].argmax()) + FINER
    return loudest * rate_hz / size, 20 * math.log10(max(float(spectrum[loudest]), 1e-3) / 32767)


def clearest_tone(pcm: bytes, rate_hz: int) -> tuple[float, float]:
    """As above, where it is clearest: a busy machine leaves gaps in what it plays."""
    size = round(STRETCH_S * rate_hz) * SAMPLE_BYTES
    starts = range(0, len(pcm) - size, size // 2)
    tones = [tone_in(pcm[start : start + size], rate_hz) for start in starts]
    assert tones, "nothing was heard"
    return max(tones, key=lambda tone: tone[1])


def sine(frequency_hz: float, samples: int, rate_hz: int = RATE_HZ) -> bytes:
    step = 2 * math.pi * frequency_hz / rate_hz
    return array("h", (round(8000 * math.sin(step * n)) for n in range(samples))).tobytes()


def capture(port: AudioPort, seconds: float) -> bytes:
    port.open()
    try:
        frames = round(seconds * port.rate_hz / port.frame_samples)
        return b"".join(port.read() for _ in range(frames))
    finally:
        port.close()


def play_tone(port: AudioPort, frequency_hz: float, seconds: float) -> None:
    port.open()
    try:
        pcm = sine(frequency_hz, round(seconds * port.rate_hz), port.rate_hz)
        play(port, pcm)
    finally:
        port.close()


def play(port: AudioPort, pcm: bytes) -> None:
    size = port.frame_samples * SAMPLE_BYTES
    for start in range(0, len(pcm) - size + 1, size):
        port.write(pcm[start : start + size])
        port.read()
    port.read()


class Reader:
    """Reads in a thread until the port has had enough, and tells of the first frame."""

    def __init__(self, port: AudioPort) -> None:
        self._port = port
        self._loop = asyncio.get_running_loop()
        self.streams = asyncio.Event()
        self.task = asyncio.create_task(asyncio.to_thread(self._read))

    def _read(self) -> None:
        self._port.open()
        try:
            while True:
                self._port.read()
                self._loop.call_soon_threadsafe(self.streams.set)
        finally:
            self._port.close()


async def test_a_port_has_a_rate_that_the_engine_has_and_frames_of_whole_ticks(
    rig: Rig, capture_position: str
) -> None:
    port = rig.audio(capture_position)
    assert port.rate_hz in (8000, 16000, 48000)
    assert port.frame_samples in (port.rate_hz // 100, port.rate_hz // 50)


@pytest.mark.needs(Ability.SPEAK)
async def test_what_is_said_into_the_microphone_is_captured(
    rig: Rig, capture_position: str
) -> None:
    await rig.hand.tone(capture_position, 1000, -10)
    port = rig.audio(capture_position)
    pcm = await asyncio.to_thread(capture, port, SETTLE_S + STEADY_S)
    frequency_hz, level_dbfs = clearest_tone(pcm, port.rate_hz)
    assert frequency_hz == pytest.approx(1000, abs=3)
    assert level_dbfs == pytest.approx(-10, abs=0.2)


@pytest.mark.needs(Ability.HEAR)
async def test_what_is_played_is_heard(rig: Rig, playback_position: str) -> None:
    await rig.hand.listen(playback_position)
    await asyncio.to_thread(play_tone, rig.audio(playback_position), 500, SETTLE_S + 2 * STEADY_S)
    heard = await rig.hand.stop_listening(playback_position)
    frequency_hz, level_dbfs = clearest_tone(heard.pcm, heard.rate_hz)
    assert frequency_hz == pytest.approx(500, abs=3)
    assert level_dbfs == pytest.approx(20 * math.log10(8000 / 32767), abs=0.2)


@pytest.mark.needs(Ability.EXACT)
async def test_what_is_played_is_heard_unchanged(rig: Rig, playback_position: str) -> None:
    port = rig.audio(playback_position)
    spoken = sine(500, FRAMES * port.frame_samples)
    await rig.hand.listen(playback_position)
    await asyncio.to_thread(port.open)
    await asyncio.to_thread(play, port, spoken)
    port.close()
    heard = await rig.hand.stop_listening(playback_position)
    assert spoken[:640] in heard.pcm


@pytest.mark.needs(Ability.EXACT, Ability.COUNT)
async def test_what_is_heard_has_no_gap_while_nothing_plays(
    rig: Rig, playback_position: str
) -> None:
    loop = asyncio.get_running_loop()
    started = loop.time()
    await rig.hand.listen(playback_position)
    await asyncio.to_thread(capture, rig.audio(playback_position), 0.24)
    seconds = (await rig.hand.stop_listening(playback_position)).seconds
    passed = loop.time() - started
    assert passed - 0.1 < seconds <= passed + 0.04
    assert (await rig.hand.counters(playback_position))["silent"] >= FRAMES


@pytest.mark.needs(Ability.COUNT)
async def test_a_closed_port_streams_nothing(rig: Rig, capture_position: str) -> None:
    port = rig.audio(capture_position)
    await asyncio.to_thread(capture, port, 0.04)
    async with asyncio.timeout(PATIENCE_S):
        while (await rig.hand.counters(capture_position))["streaming"]:
            await asyncio.sleep(0)


async def test_a_closed_port_cannot_be_read(rig: Rig, capture_position: str) -> None:
    port = rig.audio(capture_position)
    await asyncio.to_thread(capture, port, 0.04)
    with pytest.raises(DeviceGoneError):
        port.read()


@pytest.mark.needs(Ability.CABLE)
async def test_a_pulled_cable_ends_a_blocked_read_and_the_port_opens_again(
    rig: Rig, capture_position: str
) -> None:
    port = rig.audio(capture_position)
    reader = Reader(port)
    async with asyncio.timeout(PATIENCE_S):
        await reader.streams.wait()
        await rig.hand.unplug(capture_position)
        with pytest.raises(DeviceGoneError):
            await reader.task
    with pytest.raises(DeviceError):
        await asyncio.to_thread(port.open)
    await rig.hand.plug(capture_position)
    await comes_back(port)


async def comes_back(port: AudioPort) -> None:
    """A kernel takes its time to make a sound card of what was plugged in."""
    async with asyncio.timeout(PATIENCE_S):
        while True:
            try:
                assert await asyncio.to_thread(capture, port, 0.04)
            except DeviceError:
                await asyncio.sleep(0.05)
            else:
                return


async def test_another_thread_closes_the_port_and_wakes_the_reader(
    rig: Rig, capture_position: str
) -> None:
    port = rig.audio(capture_position)
    reader = Reader(port)
    async with asyncio.timeout(PATIENCE_S):
        await reader.streams.wait()
        port.close()
        with pytest.raises(DeviceGoneError):
            await reader.task


async def test_a_frame_of_the_wrong_length_is_refused(rig: Rig, playback_position: str) -> None:
    port = rig.audio(playback_position)
    await asyncio.to_thread(port.open)
    with pytest.raises(AudioFormatError):
        port.write(b"\0" * 100)
    port.close()


@pytest.mark.needs(Ability.SPEAK)
async def test_the_devices_own_mute_silences_its_microphone(rig: Rig) -> None:
    position = "handset-left"
    if not {Capability.CAPTURE, Capability.MUTE} <= rig.board.devices[position].capabilities:
        return
    await rig.hand.tone(position, 1000, -10)
    device = rig.device(position)
    events = device.events()
    await device.open()
    try:
        async with asyncio.timeout(PATIENCE_S):
            await anext(events)
            await rig.hand.lift(position)
            assert isinstance(await anext(events), HookEvent)
            await rig.hand.mute(position)
            assert isinstance(await anext(events), MuteEvent)
        port = rig.audio(position)
        pcm = await asyncio.to_thread(capture, port, SETTLE_S + STEADY_S)
        assert not any(pcm[-round(STEADY_S * port.rate_hz) :])
    finally:
        await device.close()


@pytest.mark.needs(Ability.EXACT)
async def test_what_is_said_is_captured_sample_by_sample(rig: Rig) -> None:
    spoken = sine(700, 3 * 160)
    await rig.hand.speak("handset-left", Sound(spoken, RATE_HZ), loop=True)
    pcm = await asyncio.to_thread(capture, rig.audio("handset-left"), 0.24)
    assert spoken in pcm


@pytest.mark.needs(Ability.EXACT)
@pytest.mark.parametrize("rate_hz", [16000, 44100])
async def test_a_sound_of_another_rate_is_refused_with_a_remedy(rig: Rig, rate_hz: int) -> None:
    with pytest.raises(DeviceError, match=f"{rate_hz} Hz.*sox"):
        await rig.hand.speak("handset-left", Sound(b"\0\0" * 100, rate_hz))
