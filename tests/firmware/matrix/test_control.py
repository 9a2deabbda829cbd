"""Bad clients of the control port: each gets an error or is closed, no other notices."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Protocol

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.control import MAX_CLIENTS, ControlServer
from openturret.firmware.matrix.errors import MatrixProcessError
from openturret.firmware.matrix.matrix import Matrix
from openturret.firmware.matrix.methods import METHODS, SLOW_METHODS, perform
from openturret.hal.errors import MatrixGoneError, WireError
from openturret.hal.wire.json_lines import MAX_LINE_BYTES, JsonObject, decode, encode


class Unit(Protocol):
    @property
    def client(self) -> OldcbMatrix: ...
    @property
    def matrix(self) -> Matrix: ...
    @property
    def control_port(self) -> int: ...
    @property
    def event_port(self) -> int: ...


Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def connection(port: int) -> AsyncIterator[Streams]:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.transport.abort()


async def ask(streams: Streams, line: bytes) -> JsonObject:
    streams[1].write(line)
    async with asyncio.timeout(5):
        return decode(await streams[0].readline())


@pytest.mark.parametrize(
    ("line", "code", "number"),
    [
        (b"garbage\n", "bad_request", None),
        (b"\x00\xff\xfe\n", "bad_request", None),
        (b"[1]\n", "bad_request", None),
        (b'{"id": 7}\n', "bad_request", 7),
        (b'{"id": 7, "method": 5}\n', "bad_request", 7),
        (b'{"id": 7, "method": "hello", "params": []}\n', "bad_request", 7),
        (b'{"id": 7, "method": "hello", "params": {"protocol": 99}}\n', "bad_request", 7),
        (b'{"id": 7, "method": "__init__"}\n', "unsupported", 7),
        (b'{"id": 7, "method": "leg.close", "params": {"leg": 99}}\n', "unknown", 7),
        (b'{"id": 7, "method": "leg.close", "params": {"leg": true}}\n', "bad_request", 7),
        (b'{"id": {"a": 1}, "method": "x"}\n', "unsupported", None),
        (b'{"id": 7, "method": "leg.open", "params": {"codec": "G729"}}\n', "bad_request", 7),
        (b'{"id": 7, "method": "bus.join", "params": {"bus": "\\u0000", "port": "leg:1"}}\n',
         "bad_request", 7),
        (b'{"id": 7, "method": "bus.join", "params": {"bus": "a", "port": "leg:1e9"}}\n',
         "bad_request", 7),
    ],
)  # fmt: skip
async def test_nonsense_gets_an_error_and_the_connection_goes_on(
    unit: Unit, line: bytes, code: str, number: int | None
) -> None:
    async with connection(unit.control_port) as streams:
        reply = await ask(streams, line)
        error = reply["error"]
        assert isinstance(error, dict)
        assert (reply["id"], error["code"]) == (number, code)
        assert "result" in await ask(streams, b'{"id": 8, "method": "hello"}\n')


async def test_an_overlong_line_gets_an_error_and_the_connection_ends(unit: Unit) -> None:
    async with connection(unit.control_port) as streams:
        reply = await ask(streams, b"x" * (MAX_LINE_BYTES + 1))
        assert isinstance(reply["error"], dict)
        assert reply["error"]["code"] == "bad_request"
        with pytest.raises((ConnectionResetError, EOFError)):
            await asyncio.wait_for(streams[0].readexactly(1), 5)
    assert (await unit.client.hello()).protocol == 1


async def test_a_tag_larger_than_a_newcomer_should_have_to_read_is_refused(unit: Unit) -> None:
    with pytest.raises(Exception, match="exceeds 8192"):
        await unit.client.leg_open(tag={"note": "x" * 9000})
    assert await unit.client.leg_list() == ()


async def test_a_half_open_flood_does_not_keep_a_client_out(unit: Unit) -> None:
    assert (await unit.client.hello()).protocol == 1
    flood = [await asyncio.open_connection("127.0.0.1", unit.control_port)
             for _ in range(3 * MAX_CLIENTS)]  # fmt: skip
    for _, writer in flood:
        writer.write(b'{"id": 1, "meth')
    newcomer = OldcbMatrix(control_port=unit.control_port)
    assert (await newcomer.hello()).protocol == 1
    status = await unit.client.status()
    server = status["server"]
    assert isinstance(server, dict)
    assert isinstance(server["clients"], int)
    assert server["clients"] <= MAX_CLIENTS
    for _, writer in flood:
        writer.transport.abort()
    await newcomer.close()


async def test_a_connection_without_a_valid_request_ends_by_itself(unit: Unit) -> None:
    counters: Counter[str] = Counter()
    server = ControlServer(unit.matrix, counters, patience_s=0.05)
    port = await server.open(["127.0.0.1"], 0)
    async with connection(port) as idle, connection(port) as good:
        assert "result" in await ask(good, b'{"id": 8, "method": "hello"}\n')
        assert "error" in await ask(idle, b"nonsense\n")
        with pytest.raises((ConnectionResetError, EOFError)):
            await asyncio.wait_for(idle[0].readexactly(1), 5)
        assert "result" in await ask(good, b'{"id": 9, "method": "hello"}\n')
    assert counters["expired"] == 1
    await server.close()


async def test_a_client_that_never_reads_holds_up_nobody(unit: Unit) -> None:
    async with connection(unit.control_port) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        request = encode({"id": 1, "method": "status"})
        writer.write(request * 20_000)
        async with asyncio.timeout(5):
            for _ in range(50):
                assert (await unit.client.hello()).protocol == 1


async def test_a_client_that_never_reads_is_closed(unit: Unit) -> None:
    counters: Counter[str] = Counter()
    server = ControlServer(unit.matrix, counters, patience_s=0.05)
    port = await server.open(["127.0.0.1"], 0)
    async with connection(port) as (_, writer):
        writer.transport.pause_reading()  # type: ignore[attr-defined]
        writer.write(encode({"id": 1, "method": "status"}) * 20_000)
        async with asyncio.timeout(20):
            while not counters["requests"] or counters["clients"]:
                await asyncio.sleep(0.01)
    await server.close()


async def test_a_burst_of_one_client_leaves_the_others_their_turn(unit: Unit) -> None:
    counters: Counter[str] = Counter()
    server = ControlServer(unit.matrix, counters)
    port = await server.open(["127.0.0.1"], 0)
    async with connection(port) as noisy, connection(port) as good:
        for streams in (noisy, good):
            assert "result" in await ask(streams, b'{"id": 8, "method": "hello"}\n')
        noisy[1].write(b"x\n" * 8000)
        assert "result" in await ask(good, b'{"id": 9, "method": "hello"}\n')
        assert counters["refused"] < 4000
    await server.close()


async def test_a_newcomer_can_list_whatever_could_be_opened(unit: Unit) -> None:
    tag = {"note": "x" * 8100}
    legs = [await unit.client.leg_open(tag=tag) for _ in range(256)]
    assert [found.leg for found in await unit.client.leg_list()] == [leg.leg for leg in legs]


async def test_requests_in_one_packet_are_answered_in_order(unit: Unit) -> None:
    async with connection(unit.control_port) as (reader, writer):
        writer.write(b"".join(encode({"id": n, "method": "hello"}) for n in range(50)))
        replies = [decode(await reader.readline())["id"] for _ in range(50)]
    assert replies == list(range(50))


async def test_the_client_comes_back_after_its_connection_broke(unit: Unit) -> None:
    first = ControlServer(unit.matrix, Counter())
    port = await first.open(["127.0.0.1"], 0)
    client = OldcbMatrix(control_port=port)
    leg = await client.leg_open()
    await first.close()
    with pytest.raises(MatrixGoneError):
        await client.hello()
    second = ControlServer(unit.matrix, Counter())
    await second.open(["127.0.0.1"], port)
    assert [found.leg for found in await client.leg_list()] == [leg.leg]
    await client.close()
    await second.close()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(0, 130) | st.text()
    | st.sampled_from(["PCMU", "OPUS_16K", "127.0.0.1", "leg:1", "device:panel", "x", "source:x",
                       "sink:x", "x.wav", "busy", "12#", "handset-left", "AEAD_AES_128_GCM"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(st.text() | st.sampled_from(
        ["suite", "send", "receive", "parts", "steps", "repeats", "echo", "echo_of", "tail_ms"]),
        inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
NAMES = st.sampled_from(
    ["leg", "address", "rtp_port", "rtcp_port", "codec", "payload_type", "ptime_ms", "send", "tag",
     "bus", "port", "talk_db", "listen_db", "name", "index", "remote_address", "remote_rtp_port",
     "event_type", "noise_type", "redundancy", "srtp", "bitrate_bps", "fec", "digits",
     "duration_ms", "rate_hz", "count", "device", "capture", "playback", "gain_db", "ports",
     "depth_db", "hold_ms", "cleaning", "tone", "zone", "path", "times", "max_seconds", "stereo"]
)  # fmt: skip


async def test_no_parameters_bring_a_method_down(unit: Unit) -> None:
    loop = asyncio.get_running_loop()

    @settings(deadline=None)
    @given(st.sampled_from(sorted({*METHODS, *SLOW_METHODS})), st.dictionaries(NAMES, VALUES))
    def throw(method: str, params: JsonObject) -> None:
        result = asyncio.run_coroutine_threadsafe(perform(unit.matrix, method, params), loop)
        try:
            encode(result.result(20), max_line_bytes=1 << 20)
        except (WireError, MatrixProcessError, OSError):
            return

    await asyncio.to_thread(throw)
