"""What a leg can negotiate: codecs, SRTP, digits; and that a key is never said again."""

import asyncio
import base64
import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import aclosing
from typing import Protocol

import pytest

from openturret.drivers.oldcb import OldcbMatrix
from openturret.hal.errors import (
    MatrixConflictError,
    MatrixRequestError,
    UnknownPortError,
)
from openturret.hal.matrix import (
    Codec,
    Leg,
    LegStats,
    LegTarget,
    MatrixEvent,
    Srtp,
    SrtpSuite,
    Topic,
    leg_port,
    source_port,
)
from openturret.hal.wire.json_lines import JsonObject, encode

EVENTS = 101


class Unit(Protocol):
    @property
    def client(self) -> OldcbMatrix: ...
    @property
    def control_port(self) -> int: ...
    @property
    def event_port(self) -> int: ...


async def until(condition: Callable[[], Awaitable[bool]]) -> None:
    async with asyncio.timeout(10):
        while not await condition():
            await asyncio.sleep(0.01)


def towards(leg: Leg, **changes: object) -> LegTarget:
    return LegTarget(address=leg.address, rtp_port=leg.rtp_port, **changes)  # type: ignore[arg-type]


async def gone(writer: asyncio.StreamWriter) -> None:
    writer.close()
    await writer.wait_closed()


async def stats_of(matrix: OldcbMatrix, leg: Leg) -> LegStats:
    return next(found.stats for found in await matrix.leg_list() if found.leg == leg.leg)


async def speaking_pair(matrix: OldcbMatrix, tone: str, **changes: object) -> tuple[Leg, Leg]:
    """Two legs that send to each other; the first one says a tone."""
    one, two = await matrix.leg_open(), await matrix.leg_open()
    await matrix.leg_connect(one.leg, towards(two, **changes))
    await matrix.leg_connect(two.leg, towards(one, **changes))
    await matrix.source_open("tone", rate_hz=16000)
    await matrix.source_tone("tone", tone)
    await matrix.bus_join("said", source_port("tone"), talk_db=0)
    await matrix.bus_join("said", leg_port(one.leg), listen_db=0)
    return one, two


@pytest.mark.parametrize("codec", list(Codec))
async def test_every_codec_carries_sound(unit: Unit, codec: Codec) -> None:
    payload_type = 96 if codec.payload_type is None else codec.payload_type
    ptime_ms = codec.ptimes_ms[0]
    _, two = await speaking_pair(
        unit.client, "dial", codec=codec, payload_type=payload_type, ptime_ms=ptime_ms
    )

    async def heard() -> bool:
        return (await stats_of(unit.client, two)).receive_level_dbfs > -40

    await until(heard)


async def test_a_codec_without_static_payload_type_needs_one(unit: Unit) -> None:
    leg = await unit.client.leg_open(codec=Codec.OPUS_16K)
    params = {"leg": leg.leg, "address": "127.0.0.1", "rtp_port": 4000, "codec": "OPUS_16K"}
    line = encode({"method": "leg.connect", "params": params})
    reader, writer = await asyncio.open_connection("127.0.0.1", unit.control_port)
    writer.write(line)
    assert "'payload_type' is missing" in (await reader.readline()).decode()
    await gone(writer)


@pytest.mark.parametrize(("codec", "ptime_ms"), [(Codec.L16_48K, 20), (Codec.OPUS_8K, 30)])
async def test_a_packet_time_that_the_codec_does_not_have_is_refused(
    unit: Unit, codec: Codec, ptime_ms: int
) -> None:
    leg = await unit.client.leg_open()
    target = LegTarget("127.0.0.1", 4000, codec=codec, payload_type=96, ptime_ms=ptime_ms)
    with pytest.raises(MatrixRequestError, match=f"{codec} goes in packets of 10"):
        await unit.client.leg_connect(leg.leg, target)
    with pytest.raises(MatrixRequestError, match="packets of 10"):
        await unit.client.leg_open(codec=codec, ptime_ms=ptime_ms)
    with pytest.raises(MatrixRequestError, match="packets of 10"):
        await unit.client.recording_open("r", codec=codec, ptime_ms=ptime_ms)


async def test_payload_types_must_differ(unit: Unit) -> None:
    leg = await unit.client.leg_open()
    target = LegTarget("127.0.0.1", 4000, event_type=101, noise_type=101)
    with pytest.raises(MatrixRequestError, match="not different"):
        await unit.client.leg_connect(leg.leg, target)


@pytest.mark.parametrize(
    "changes",
    [
        {"event_type": 0},
        {"event_type": 128},
        {"redundancy": 3},
        {"bitrate_bps": -1},
        {"loss_percent": 101},
        {"payload_type": 128},
    ],
)
async def test_what_is_out_of_bounds_is_refused_by_name(
    unit: Unit, changes: dict[str, int]
) -> None:
    leg = await unit.client.leg_open()
    with pytest.raises(MatrixRequestError, match=next(iter(changes))):
        await unit.client.leg_connect(leg.leg, LegTarget("127.0.0.1", 4000, **changes))  # type: ignore[arg-type]


# ------------------------------------------------------------------ SRTP


def key(suite: SrtpSuite, seed: int) -> str:
    return base64.b64encode(bytes((seed + n) % 256 for n in range(suite.key_octets))).decode()


def keys(suite: SrtpSuite, send: int, receive: int) -> Srtp:
    return Srtp(suite, key(suite, send), key(suite, receive))


@pytest.mark.parametrize("suite", list(SrtpSuite))
async def test_what_is_protected_is_heard_by_who_has_the_key(unit: Unit, suite: SrtpSuite) -> None:
    matrix = unit.client
    one, two = await speaking_pair(matrix, "dial")
    await matrix.leg_connect(one.leg, towards(two, srtp=keys(suite, 1, 101)))
    await matrix.leg_connect(two.leg, towards(one, srtp=keys(suite, 101, 1)))
    before = (await stats_of(matrix, two)).packets_unauthentic

    async def heard() -> bool:
        stats = await stats_of(matrix, two)
        return stats.receive_level_dbfs > -40 and stats.packets_received > 20

    await until(heard)
    # A packet that was on its way while the keys came is not protected yet.
    assert (await stats_of(matrix, two)).packets_unauthentic <= before + 2


async def test_what_does_not_verify_is_dropped_and_counted(unit: Unit) -> None:
    matrix, suite = unit.client, SrtpSuite.AES_CM_128_HMAC_SHA1_80
    one, two = await matrix.leg_open(), await matrix.leg_open()
    await matrix.leg_connect(two.leg, towards(one, srtp=keys(suite, 101, 1)))
    await matrix.leg_connect(one.leg, towards(two, srtp=keys(suite, 2, 101)))

    async def counted() -> bool:
        return (await stats_of(matrix, two)).packets_unauthentic > 5

    await until(counted)
    assert (await stats_of(matrix, two)).packets_received == 0


async def test_a_newcomer_holds_and_resumes_a_call_without_knowing_its_keys(unit: Unit) -> None:
    matrix, suite = unit.client, SrtpSuite.AEAD_AES_128_GCM
    leg = await matrix.leg_open()
    with pytest.raises(MatrixConflictError, match="no keys"):
        await matrix.leg_connect(leg.leg, LegTarget("127.0.0.1", 4000, srtp=Srtp(suite)))
    await matrix.leg_connect(leg.leg, LegTarget("127.0.0.1", 4000, srtp=keys(suite, 1, 2)))
    (found,) = await matrix.leg_list()
    assert found.target is not None
    assert found.target.srtp == Srtp(suite)
    await matrix.leg_connect(leg.leg, found.target)
    other = Srtp(SrtpSuite.AEAD_AES_256_GCM)
    with pytest.raises(MatrixConflictError, match="AEAD_AES_256_GCM"):
        await matrix.leg_connect(leg.leg, LegTarget("127.0.0.1", 4000, srtp=other))


class Overheard:
    """Everything that a matrix says on either port."""

    def __init__(self, unit: Unit) -> None:
        self.lines: list[bytes] = []
        self._unit = unit

    async def ask(self, method: str, **params: object) -> None:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._unit.control_port)
        writer.write(encode({"id": 1, "method": method, "params": params}))
        self.lines.append(await reader.readline())
        await gone(writer)

    async def listen(self) -> asyncio.StreamWriter:
        reader, writer = await asyncio.open_connection("127.0.0.1", self._unit.event_port)
        writer.write(encode({"subscribe": list(Topic)}))
        self.lines.append(await reader.readline())
        self._reading = asyncio.create_task(self._read(reader))
        return writer

    async def _read(self, reader: asyncio.StreamReader) -> None:
        while line := await reader.readline():
            self.lines.append(line)

    @property
    def text(self) -> str:
        return b"".join(self.lines).decode()

    async def heard(self, words: str) -> None:
        async with asyncio.timeout(5):
            while words not in self.text:
                await asyncio.sleep(0.01)


CANARIES = ("Q2FuYXJ5LXRoYXQtc2luZ3Mtc2VuZC1rZXkhISEh", "Q2FuYXJ5LXRoYXQtc2luZ3MtcmVjdi1rZXkhISEh")


def wrong_ways(good: JsonObject) -> list[object]:
    """Ways to give a key that end in an error, each with the canaries inside."""
    send, receive = CANARIES
    return [
        {**good, "suite": send},
        {**good, "suite": "AEAD_AES_256_GCM"},
        {**good, "send": send[:-4]},
        {**good, "send": f"inline:{send}"},
        {**good, "send": [send]},
        {**good, "receive": {"key": receive}},
        {"suite": [send, receive]},
        {"suite": good["suite"], "send": send},
        f"{send} {receive}",
        [send, receive],
    ]


async def test_a_key_is_never_said_again(unit: Unit, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    overheard = Overheard(unit)
    events = await overheard.listen()
    place = {"leg": (await unit.client.leg_open()).leg, "address": "127.0.0.1", "rtp_port": 4000}
    good: JsonObject = {
        "suite": "AES_CM_128_HMAC_SHA1_80", "send": CANARIES[0], "receive": CANARIES[1],
    }  # fmt: skip
    for wrong in wrong_ways(good):
        await overheard.ask("leg.connect", **place, srtp=wrong)
    assert overheard.text.count('"error"') == len(wrong_ways(good))
    await overheard.ask("leg.connect", **place, srtp=good)
    await overheard.ask("leg.connect", **{**place, "rtp_port": 0}, srtp=good)
    await overheard.ask("leg.connect", **{**place, "leg": 99}, srtp=good)
    await overheard.ask("leg.connect", **{**place, "address": "0.0.0.1"}, srtp=good)
    await overheard.ask("leg.list")
    await overheard.ask("leg.close", leg=place["leg"])
    await overheard.ask("status")
    await overheard.heard("leg.closed")
    said = overheard.text + caplog.text
    assert "leg.connected" in said
    assert '"srtp":{"suite":"AES_CM_128_HMAC_SHA1_80"}' in said
    for canary in CANARIES:
        assert canary[:8] not in said
        assert repr(base64.b64decode(canary))[2:12] not in said
        assert canary not in repr(Srtp(SrtpSuite.AES_CM_128_HMAC_SHA1_80, *CANARIES))
    await gone(events)


def test_the_canaries_are_keys() -> None:
    octets = {len(base64.b64decode(canary)) for canary in CANARIES}
    assert octets == {SrtpSuite.AES_CM_128_HMAC_SHA1_80.key_octets}
    assert json.dumps(CANARIES[0]) == f'"{CANARIES[0]}"'


# ------------------------------------------------------------------ digits


async def digits(unit: Unit, wanted: int) -> asyncio.Task[list[MatrixEvent]]:
    listening = asyncio.Event()

    async def read() -> list[MatrixEvent]:
        found: list[MatrixEvent] = []
        async with aclosing(unit.client.events([Topic.DIGITS])) as events:  # type: ignore[type-var]
            while len(found) < wanted:
                event = await anext(events)
                listening.set()
                found += [event] if event.event == "digit" else []
        return found

    task = asyncio.create_task(read())
    async with asyncio.timeout(5):
        await listening.wait()
    return task


async def test_what_is_dialled_at_one_end_is_told_at_the_other(unit: Unit) -> None:
    matrix = unit.client
    one, two = await speaking_pair(matrix, "dial", event_type=EVENTS)
    reading = await digits(unit, 8)
    await matrix.leg_dial(one.leg, "1#D!", duration_ms=60)
    async with asyncio.timeout(10):
        told = [event.details for event in await reading]
    assert {event["leg"] for event in told} == {two.leg}
    assert [event["digit"] for event in told] == list("11##DD!!")
    assert [event["ended"] for event in told] == [False, True] * 4
    assert not any(event["inband"] for event in told)
    assert all(event["duration_ms"] == 60 for event in told if event["ended"])
    assert (await stats_of(matrix, one)).digits_sent == 4
    assert (await stats_of(matrix, two)).digits_received == 4


async def test_digits_in_the_sound_are_told_when_they_are_wanted(unit: Unit) -> None:
    _, two = await speaking_pair(unit.client, "dtmf-5", inband_digits=True)
    reading = await digits(unit, 1)
    await unit.client.source_tone("tone", "dtmf-7")
    async with asyncio.timeout(10):
        (told,) = [event.details for event in await reading]
    assert (told["leg"], told["inband"], told["ended"]) == (two.leg, True, True)
    assert told["digit"] in ("5", "7")


async def test_digits_that_were_not_negotiated_are_a_conflict(unit: Unit) -> None:
    one, _ = await speaking_pair(unit.client, "dial")
    with pytest.raises(MatrixConflictError, match="event_type"):
        await unit.client.leg_dial(one.leg, "1")


@pytest.mark.parametrize("wrong", ["", "12x", "1" * 33, "\u0661"])
async def test_what_is_no_digit_is_refused(unit: Unit, wrong: str) -> None:
    leg = await unit.client.leg_open()
    with pytest.raises(MatrixRequestError, match="digits"):
        await unit.client.leg_dial(leg.leg, wrong)


async def test_a_leg_that_is_not_there_dials_nothing(unit: Unit) -> None:
    with pytest.raises(UnknownPortError):
        await unit.client.leg_dial(99, "1")
    leg = await unit.client.leg_open()
    with pytest.raises(MatrixRequestError, match="duration_ms"):
        await unit.client.leg_dial(leg.leg, "1", duration_ms=39)
