"""The audio port on JACK: real tones both ways, devices that come and go, and what is refused."""

import asyncio
import dataclasses
import wave
from collections.abc import Awaitable, Callable, Iterator
from pathlib import Path

import jack
import numpy as np
import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.portaudio.jack import PORTAUDIO, jack_audio
from openturret.drivers.portaudio.port import PortAudioPort
from openturret.hal import SAMPLE_BYTES, AudioPort
from openturret.hal.audio import CountsXruns
from openturret.hal.board import Board
from openturret.hal.errors import AudioFormatError, BoardError, DeviceGoneError
from openturret.lab.jack_bench import JackBench

pytestmark = [pytest.mark.alone, pytest.mark.slow]

RATE_HZ = 48_000
SETTLED = RATE_HZ // 2


def loudest_hz(pcm: bytes) -> tuple[float, float]:
    """Returns the strongest frequency of the last half second of sound, and its level in dBFS."""
    sound = np.trim_zeros(np.frombuffer(pcm, dtype="<i2"), "b")
    samples = sound[-SETTLED:].astype(float)
    window = np.hanning(len(samples))
    spectrum = np.abs(np.fft.rfft(samples * window))
    peak = int(np.argmax(spectrum))
    amplitude = 2 * spectrum[peak] / window.sum()
    return peak * RATE_HZ / len(samples), 20 * np.log10(max(amplitude, 1e-3) / 32767)


def sine(frequency_hz: float, samples: int) -> bytes:
    phase = 2 * np.pi * frequency_hz * np.arange(samples) / RATE_HZ
    return (8000 * np.sin(phase)).astype("<i2").tobytes()


def converse(port: PortAudioPort, spoken: bytes) -> bytes:
    """Plays everything and returns what came meanwhile, frame by frame."""
    size = port.frame_samples * SAMPLE_BYTES
    heard = []
    for start in range(0, len(spoken), size):
        port.write(spoken[start : start + size])
        heard.append(port.read())
    return b"".join(heard)


def frames(port: PortAudioPort, count: int) -> bytes:
    return b"".join(port.read() for _ in range(count))


def read_wav(path: Path) -> bytes:
    with wave.open(str(path), "rb") as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE_HZ, 1, 2)
        return file.readframes(file.getnframes())


@pytest.fixture
def port_at(board: Board, hand: Hand) -> Iterator[Callable[..., PortAudioPort]]:
    made: list[PortAudioPort] = []

    def make(position: str, **changes: object) -> PortAudioPort:
        spec = dataclasses.replace(board.devices[position], **changes)  # type: ignore[arg-type]
        made.append(jack_audio(spec))
        return made[-1]

    yield make
    for port in made:
        port.close()


PortAt = Callable[..., PortAudioPort]


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


async def test_a_tone_is_captured_and_another_is_heard_at_the_same_time(
    hand: Hand, port_at: PortAt, tmp_path: Path
) -> None:
    port = port_at("handset-left")
    await hand.tone("handset-left", 1000, -10)
    await hand.listen("handset-left", tmp_path / "heard.wav")
    await asyncio.to_thread(port.open)
    captured = await asyncio.to_thread(converse, port, sine(440, RATE_HZ * 3 // 2))
    await hand.stop_listening("handset-left")
    frequency, level = loudest_hz(captured)
    assert frequency == pytest.approx(1000, abs=2)
    assert level == pytest.approx(-10, abs=0.5)
    heard, _ = loudest_hz(read_wav(tmp_path / "heard.wav"))
    assert heard == pytest.approx(440, abs=2)


async def test_four_devices_stream_at_once_and_none_hears_another(
    hand: Hand, port_at: PortAt, board: Board, tmp_path: Path
) -> None:
    said = {"handset-left": 500, "handset-right": 900, "gooseneck": 1300}
    played = {"handset-left": 600, "handset-right": 1000, "speaker-1": 1400}
    for position, frequency in said.items():
        await hand.tone(position, frequency, -10)
    for position in played:
        await hand.listen(position, tmp_path / position)
    ports = {position: port_at(position) for position in board.devices}
    for port in ports.values():
        await asyncio.to_thread(port.open)
    spoken = {p: sine(played.get(p, 50), RATE_HZ * 3 // 2) for p in ports}
    captured = await asyncio.gather(
        *(asyncio.to_thread(converse, port, spoken[p]) for p, port in ports.items())
    )
    for position, pcm in zip(ports, captured, strict=True):
        if position in said:
            assert loudest_hz(pcm)[0] == pytest.approx(said[position], abs=2)
    for position, frequency in played.items():
        await hand.stop_listening(position)
        assert loudest_hz(read_wav(tmp_path / position))[0] == pytest.approx(frequency, abs=2)


async def test_a_loudspeaker_paces_reads_that_are_silent(hand: Hand, port_at: PortAt) -> None:
    port = port_at("speaker-1")
    await asyncio.to_thread(port.open)
    before = (await hand.counters("speaker-1"))["sent"]
    assert not any(await asyncio.to_thread(converse, port, sine(440, RATE_HZ)))
    periods = (await hand.counters("speaker-1"))["sent"] - before
    assert periods > 50  # of 10 ms, for a second of sound less what PortAudio keeps


async def test_a_pulled_cable_is_noticed_although_the_stream_says_it_is_active(
    hand: Hand, port_at: PortAt
) -> None:
    port = port_at("handset-left")
    await asyncio.to_thread(port.open)
    await asyncio.to_thread(frames, port, 2)
    reading = asyncio.create_task(asyncio.to_thread(frames, port, 100_000))
    await hand.unplug("handset-left")
    with pytest.raises(DeviceGoneError):
        await reading
    with pytest.raises(DeviceGoneError):
        await asyncio.to_thread(port.open)
    await hand.plug("handset-left")
    await hand.tone("handset-left", 700, -10)
    await asyncio.to_thread(port.open)
    pcm = await asyncio.to_thread(frames, port, 75)
    assert loudest_hz(pcm)[0] == pytest.approx(700, abs=2)


async def streaming(hand: Hand, position: str) -> bool:
    return bool((await hand.counters(position))["streaming"])


async def test_a_device_that_left_and_came_back_between_two_frames_is_noticed(
    hand: Hand, port_at: PortAt
) -> None:
    port = port_at("handset-left")
    await asyncio.to_thread(port.open)
    await asyncio.to_thread(frames, port, 2)
    await hand.unplug("handset-left")
    await hand.plug("handset-left")
    with pytest.raises(DeviceGoneError):
        await asyncio.to_thread(frames, port, 100)


async def test_what_is_plugged_in_later_is_found_and_other_streams_go_on(
    hand: Hand, port_at: PortAt
) -> None:
    await hand.unplug("handset-right")
    await hand.tone("handset-left", 900, -10)
    steady, late = port_at("handset-left"), port_at("handset-right")
    await asyncio.to_thread(steady.open)
    await asyncio.to_thread(frames, steady, 5)
    await hand.plug("handset-right")
    await hand.tone("handset-right", 1200, -10)
    reading = asyncio.create_task(asyncio.to_thread(frames, steady, 100))
    await asyncio.to_thread(late.open)
    assert PORTAUDIO.interrupted_s > 0
    found = await asyncio.to_thread(frames, late, 75)
    assert loudest_hz(found)[0] == pytest.approx(1200, abs=2)
    assert loudest_hz(await reading)[0] == pytest.approx(900, abs=2)


async def test_another_thread_closes_the_port_and_wakes_the_reader(
    hand: Hand, port_at: PortAt
) -> None:
    port = port_at("handset-left")
    await asyncio.to_thread(port.open)
    reading = asyncio.create_task(asyncio.to_thread(frames, port, 100_000))
    await until(lambda: streaming(hand, "handset-left"))
    port.close()
    with pytest.raises(DeviceGoneError):
        await reading
    await until(lambda: stopped(hand, "handset-left"))


async def stopped(hand: Hand, position: str) -> bool:
    return not await streaming(hand, position)


async def test_what_a_late_reader_lost_is_counted_each_way(hand: Hand, port_at: PortAt) -> None:
    port = port_at("handset-left")
    await asyncio.to_thread(port.open)
    await asyncio.to_thread(converse, port, bytes(3 * port.frame_samples * SAMPLE_BYTES))
    assert isinstance(port, CountsXruns)
    start = (await hand.counters("handset-left"))["sent"]

    async def ten_periods_passed() -> bool:
        return (await hand.counters("handset-left"))["sent"] > start + 10

    await until(ten_periods_passed)
    port.write(bytes(port.frame_samples * SAMPLE_BYTES))
    await asyncio.to_thread(port.read)
    assert port.xruns.input_overflows == 1
    assert port.xruns.output_underflows == 1
    port.close()
    assert port.xruns.input_overflows == 1


@pytest.mark.parametrize("position", ["handset-left", "speaker-1"])
async def test_a_stream_that_stalls_is_given_up(
    hand: Hand, port_at: PortAt, jack_bench: JackBench, position: str
) -> None:
    port = port_at(position)
    await asyncio.to_thread(port.open)
    await asyncio.to_thread(converse, port, bytes(5 * port.frame_samples * SAMPLE_BYTES))
    jack_bench.freeze()
    try:
        with pytest.raises(DeviceGoneError, match=f"{position} stalled for 0.5 s"):
            await asyncio.to_thread(converse, port, bytes(100 * port.frame_samples * SAMPLE_BYTES))
    finally:
        jack_bench.thaw()
    await asyncio.to_thread(port.close)
    await asyncio.to_thread(port.open)
    await asyncio.to_thread(port.read)


async def test_the_rate_that_the_server_has_is_taken(hand: Hand, port_at: PortAt) -> None:
    port: AudioPort = port_at("gooseneck")
    await asyncio.to_thread(port.open)
    assert (port.rate_hz, port.frame_samples) == (RATE_HZ, 480)


async def test_a_rate_that_the_device_has_not_is_refused_with_those_it_has(
    hand: Hand, port_at: PortAt
) -> None:
    port = port_at("handset-left", rate_hz=16_000)
    with pytest.raises(AudioFormatError, match=r"can do 48000 Hz, not .* 16000; write rate_hz"):
        await asyncio.to_thread(port.open)


@pytest.mark.parametrize(
    ("outputs", "inputs", "message"),
    [(1, 2, "one port for capture"), (2, 0, "has no playback"), (2, 1, "one port for playback")],
)
async def test_a_client_with_too_few_ports_is_refused_with_a_remedy(
    hand: Hand, port_at: PortAt, jack_bench: JackBench, outputs: int, inputs: int, message: str
) -> None:
    with jack.Client("Poor", servername=jack_bench.server, no_start_server=True) as client:
        for number in range(outputs):
            client.outports.register(f"out_{number}")
        for number in range(inputs):
            client.inports.register(f"in_{number}")
        port = port_at("handset-left", match={"name": "Poor"})
        with pytest.raises(AudioFormatError, match=message):
            await asyncio.to_thread(port.open)


async def test_a_frame_of_the_wrong_length_is_refused(hand: Hand, port_at: PortAt) -> None:
    port = port_at("handset-left")
    await asyncio.to_thread(port.open)
    with pytest.raises(AudioFormatError, match="100 bytes, not 1920"):
        port.write(bytes(100))


async def test_a_closed_port_neither_hears_nor_speaks(hand: Hand, port_at: PortAt) -> None:
    port = port_at("handset-left")
    with pytest.raises(DeviceGoneError, match="not open"):
        port.read()
    with pytest.raises(DeviceGoneError, match="not open"):
        port.write(bytes(port.frame_samples * SAMPLE_BYTES))


def test_a_match_without_a_name_is_refused_with_a_remedy(board: Board) -> None:
    spec = dataclasses.replace(board.devices["handset-left"], match={"vid": 1})
    with pytest.raises(BoardError, match="driver: usb"):
        jack_audio(spec)
