"""What devices are set to: it outlives their being closed, and follows what comes and goes."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from pathlib import Path
from typing import Protocol

import pytest

from openturret.c_ext import Engine
from openturret.drivers.emulated.audio import EmulatedAudio
from openturret.drivers.emulated.hand import Hand
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.devices import AudioDevices
from openturret.hal.board import Board
from openturret.hal.errors import MatrixConflictError, MatrixRequestError, UnknownPortError
from openturret.hal.matrix import (
    Bus,
    Cleaning,
    Codec,
    DeviceSettings,
    Ducking,
    ForkTarget,
    LegTarget,
    Membership,
    Topic,
    device_port,
    leg_port,
    source_port,
)

LEFT = device_port("handset-left")
RIGHT = device_port("handset-right")


class Unit(Protocol):
    @property
    def folder(self) -> Path: ...
    @property
    def hand(self) -> Hand: ...
    @property
    def client(self) -> OldcbMatrix: ...
    def babble(self, name: str, seconds: float, *, loudest: int = 9000) -> Path: ...


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(15):
        while not await condition():
            await asyncio.sleep(0.01)


async def settings_of(matrix: OldcbMatrix, position: str) -> DeviceSettings:
    return {found.device: found.settings for found in await matrix.device_list()}[position]


class Heard:
    """How loud something is, by what a counter of the matrix says."""

    def __init__(self, matrix: OldcbMatrix) -> None:
        self._matrix = matrix

    async def playing(self, position: str) -> float:
        found = {each.device: each.stats for each in await self._matrix.device_list()}
        level = found[position].get("playback_level_dbfs", -127.0)
        assert isinstance(level, float)
        return level

    async def leg(self, leg: int) -> float:
        found = {each.leg: each.stats for each in await self._matrix.leg_list()}
        return found[leg].transmit_level_dbfs


async def test_what_is_set_is_listed_also_while_the_device_is_closed(unit: Unit) -> None:
    matrix = unit.client
    ducking = Ducking((RIGHT, "leg:7", "source:x"), 20.0, 100, 200)
    cleaning = Cleaning(echo=True, gain_control=True, noise_db=6, tail_ms=100,
                        echo_of=("speaker-1",))  # fmt: skip
    assert await settings_of(matrix, "handset-left") == DeviceSettings()
    await matrix.device_mute("handset-left", capture=True, playback=True)
    await matrix.device_sidetone("handset-left", -18)
    await matrix.device_duck("handset-left", ducking)
    await matrix.device_clean("handset-left", cleaning)
    wanted = DeviceSettings(True, True, -18, ducking, cleaning)
    assert await settings_of(matrix, "handset-left") == wanted
    await matrix.bus_join("b", LEFT, talk_db=0, listen_db=0)
    await matrix.bus_join("b", device_port("speaker-1"), listen_db=0)
    await matrix.bus_leave("b", device_port("speaker-1"))
    assert await settings_of(matrix, "handset-left") == wanted
    await matrix.device_duck("handset-left", None)
    await matrix.device_clean("handset-left", None)
    await matrix.device_sidetone("handset-left", None)
    await matrix.device_mute("handset-left", capture=False, playback=False)
    assert await settings_of(matrix, "handset-left") == DeviceSettings()


async def test_a_muted_microphone_stays_muted_when_its_device_opens_again(unit: Unit) -> None:
    matrix, heard = unit.client, Heard(unit.client)
    leg = (await matrix.leg_open()).leg
    await matrix.leg_connect(leg, LegTarget("127.0.0.1", 4000))
    await matrix.bus_join("b", leg_port(leg), listen_db=0)
    await unit.hand.tone("handset-left", 1000, -10)
    await matrix.device_mute("handset-left", capture=True, playback=False)
    await matrix.bus_join("b", LEFT, talk_db=0)

    async def captures() -> bool:
        return (await unit.hand.counters("handset-left"))["sent"] > 20

    async def loud() -> bool:
        return await heard.leg(leg) > -30

    await until(captures)
    assert not await loud()
    await matrix.device_mute("handset-left", capture=False, playback=False)
    await until(loud)


async def test_the_speaker_hears_himself_when_he_wants_to(unit: Unit) -> None:
    matrix, heard = unit.client, Heard(unit.client)
    await unit.hand.tone("handset-left", 1000, -10)
    await matrix.bus_join("b", LEFT, talk_db=0, listen_db=0)
    await matrix.device_sidetone("handset-left", -6)

    async def loud() -> bool:
        return await heard.playing("handset-left") > -30

    await until(loud)


@pytest.mark.slow
async def test_a_device_is_lowered_while_somebody_speaks_who_came_later(unit: Unit) -> None:
    matrix, heard = unit.client, Heard(unit.client)
    await matrix.device_duck("handset-left", Ducking((RIGHT,), 30.0, 1000, 100))
    await matrix.source_open("tone")
    await matrix.source_tone("tone", "dial")
    await matrix.bus_join("b", source_port("tone"), talk_db=0)
    await matrix.bus_join("b", LEFT, listen_db=0)

    async def loud() -> bool:
        return await heard.playing("handset-left") > -30

    async def lowered() -> bool:
        return -60 < await heard.playing("handset-left") < -40

    await until(loud)
    await unit.hand.speak("handset-right", unit.babble("b.wav", 2.0, loudest=20000), loop=True)
    await matrix.bus_join("other", RIGHT, talk_db=0)
    await until(lowered)
    await matrix.bus_leave("other", RIGHT)
    await until(loud)


@pytest.mark.slow
async def test_who_speaks_is_told_with_the_levels(unit: Unit) -> None:
    await unit.client.bus_join("b", LEFT, talk_db=0)
    await unit.hand.speak("handset-left", unit.babble("b.wav", 2.0, loudest=20000), loop=True)
    async with aclosing(unit.client.events([Topic.LEVELS])) as events:  # type: ignore[type-var]
        async with asyncio.timeout(10):
            while LEFT not in ((await anext(events)).details.get("active") or ()):  # type: ignore[operator]
                pass


async def test_what_does_not_fit_a_device_is_refused(unit: Unit) -> None:
    matrix = unit.client
    nowhere = (
        matrix.device_mute("nowhere", capture=True, playback=False),
        matrix.device_sidetone("nowhere", None),
        matrix.device_duck("nowhere", None),
        matrix.device_clean("nowhere", None),
        matrix.device_clean("handset-left", Cleaning(echo_of=("nowhere",))),
    )
    for call in nowhere:
        with pytest.raises(UnknownPortError, match="there are handset-left"):
            await call
    wrong = {
        "gain_db": matrix.device_sidetone("handset-left", 1),
        "depth_db": matrix.device_duck("handset-left", Ducking((RIGHT,), 61)),
        "hold_ms": matrix.device_duck("handset-left", Ducking((RIGHT,), hold_ms=10_001)),
        "release_ms": matrix.device_duck("handset-left", Ducking((RIGHT,), release_ms=-1)),
        "ports": matrix.device_duck("handset-left", Ducking((RIGHT,) * 33)),
        "noise_db": matrix.device_clean("handset-left", Cleaning(noise_db=41)),
        "tail_ms": matrix.device_clean("handset-left", Cleaning(tail_ms=19)),
    }
    for key, call in wrong.items():
        with pytest.raises(MatrixRequestError, match=key):
            await call
    assert await settings_of(matrix, "handset-left") == DeviceSettings()


class WideAudio:
    """A device that works at 48 kHz; not emulated: sound."""

    rate_hz = 48_000
    frame_samples = 480

    def open(self) -> None: ...

    def read(self) -> bytes:
        return bytes(960)

    def write(self, frame: bytes) -> None: ...

    def close(self) -> None: ...


def test_a_device_opens_at_the_rate_that_it_has(board: Board) -> None:
    specs = {"handset-left": board.devices["handset-left"]}
    devices = AudioDevices(Engine(), specs, lambda _: WideAudio(), lambda _: None, lambda _: None)
    try:
        assert devices.open("handset-left").rate_hz == 48_000
    finally:
        devices.close_all()


# ------------------------------------------------------------------ buses


@pytest.mark.parametrize(
    ("device_hz", "bus_hz"), [(8000, 8000), (16_000, 16_000), (48_000, 16_000)]
)
async def test_a_bus_suits_the_device_that_joins_first(
    unit: Unit, monkeypatch: pytest.MonkeyPatch, device_hz: int, bus_hz: int
) -> None:
    monkeypatch.setattr(EmulatedAudio, "rate_hz", device_hz)
    await unit.client.bus_join("b", LEFT, talk_db=0)
    (bus,) = await unit.client.bus_list()
    assert bus.rate_hz == bus_hz
    await unit.client.bus_join("c", leg_port((await unit.client.leg_open()).leg), talk_db=0)
    assert {each.bus: each.rate_hz for each in await unit.client.bus_list()}["c"] == 8000


async def test_a_bus_has_the_rate_of_its_first_port_until_it_is_empty(unit: Unit) -> None:
    matrix = unit.client
    legs = [leg_port((await matrix.leg_open()).leg) for _ in range(2)]
    await matrix.bus_join("b", legs[0], talk_db=0, rate_hz=16000)
    await matrix.bus_join("b", legs[1], talk_db=0)
    with pytest.raises(MatrixConflictError, match="16000 Hz, not at 8000 Hz"):
        await matrix.bus_join("b", legs[1], talk_db=0, rate_hz=8000)
    with pytest.raises(MatrixRequestError, match="rate_hz 44100"):
        await matrix.bus_join("b", legs[1], rate_hz=44100)
    (bus,) = await matrix.bus_list()
    assert bus == Bus("b", tuple(Membership(leg, 0.0, None) for leg in legs), 16000, 0)


async def test_a_bus_that_is_only_recorded_takes_the_rate_of_who_joins(unit: Unit) -> None:
    matrix = unit.client
    await matrix.recording_open("r", codec=Codec.PCMA, ptime_ms=10, stereo=True)
    await matrix.recording_tap("r", "b")
    await matrix.bus_loudest("b", 2)
    assert await matrix.bus_list() == (Bus("b", (), 8000, 2),)
    leg = leg_port((await matrix.leg_open()).leg)
    await matrix.bus_join("b", leg, talk_db=0, rate_hz=48000)
    assert await matrix.bus_list() == (Bus("b", (Membership(leg, 0.0, None),), 48000, 2),)
    (recording,) = await matrix.recording_list()
    assert (recording.buses, recording.ptime_ms, recording.stereo) == (("b",), 10, True)
    await matrix.bus_leave("b", leg)
    await matrix.recording_untap("r", "b")
    assert await matrix.bus_list() == ()


async def test_a_recording_goes_on_when_its_bus_changes_its_rate(unit: Unit) -> None:
    matrix = unit.client
    await matrix.recording_open("r")
    await matrix.recording_tap("r", "b")
    await matrix.source_open("tone", rate_hz=16000)
    await matrix.source_tone("tone", "dial")
    await matrix.bus_join("b", source_port("tone"), talk_db=0, rate_hz=16000)
    heard: list[bytes] = []

    class Recorder(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _: object) -> None:
            heard.append(data)

    transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
        Recorder, ("127.0.0.1", 0)
    )
    port = transport.get_extra_info("sockname")[1]
    await matrix.recording_fork("r", 0, ForkTarget("127.0.0.1", port))

    async def recorded() -> bool:
        return any(len(set(packet[12:])) > 20 for packet in heard)

    await until(recorded)
    transport.close()


async def test_stereo_is_refused_for_a_codec_that_has_none(unit: Unit) -> None:
    with pytest.raises(MatrixRequestError):
        await unit.client.recording_open("r", codec=Codec.G722, stereo=True)
    assert await unit.client.recording_list() == ()


async def test_a_bus_that_is_not_there_has_no_loudest(unit: Unit) -> None:
    with pytest.raises(UnknownPortError, match="no bus"):
        await unit.client.bus_loudest("nowhere", 1)
    with pytest.raises(MatrixRequestError, match="count"):
        await unit.client.bus_loudest("nowhere", -1)
