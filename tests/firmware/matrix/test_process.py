"""The matrix end to end: devices, legs, buses and recordings, by what is heard."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from functools import partial
from pathlib import Path
from typing import Protocol

import pytest

from openturret.drivers.emulated.hand import Hand
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.matrix.settings import Settings
from openturret.hal.errors import (
    MatrixError,
    MatrixGoneError,
    MatrixRequestError,
    PortsExhaustedError,
    UnknownPortError,
)
from openturret.hal.matrix import (
    Bus,
    Codec,
    ForkTarget,
    Leg,
    LegTarget,
    MatrixEvent,
    Membership,
    Topic,
    device_port,
    leg_port,
)
from openturret.lab.listening import compare

LEFT = device_port("handset-left")
RIGHT = device_port("handset-right")


class Unit(Protocol):
    @property
    def folder(self) -> Path: ...
    @property
    def hand(self) -> Hand: ...
    @property
    def client(self) -> OldcbMatrix: ...
    @property
    def control_port(self) -> int: ...
    def newcomer(self) -> OldcbMatrix: ...
    def babble(self, name: str, seconds: float) -> Path: ...


async def until(condition: Callable[[], "asyncio.Future[bool] | object"]) -> None:
    async with asyncio.timeout(10):
        while not await condition():  # type: ignore[misc]
            await asyncio.sleep(0.01)


def towards(leg: Leg, **changes: object) -> LegTarget:
    return LegTarget(address=leg.address, rtp_port=leg.rtp_port, **changes)  # type: ignore[arg-type]


async def linked_pair(matrix: OldcbMatrix) -> tuple[Leg, Leg]:
    one, two = await matrix.leg_open(), await matrix.leg_open()
    await matrix.leg_connect(one.leg, towards(two))
    await matrix.leg_connect(two.leg, towards(one))
    return one, two


async def call_left_to_right(matrix: OldcbMatrix) -> tuple[Leg, Leg]:
    one, two = await linked_pair(matrix)
    for bus, device, leg in (("handset-left", LEFT, one), ("handset-right", RIGHT, two)):
        await matrix.bus_join(bus, device, talk_db=0, listen_db=0)
        await matrix.bus_join(bus, leg_port(leg.leg), talk_db=0, listen_db=0)
    return one, two


async def leg_now(matrix: OldcbMatrix, leg: Leg) -> Leg:
    return next(found for found in await matrix.leg_list() if found.leg == leg.leg)


@asynccontextmanager
async def udp_sink() -> AsyncIterator[tuple[int, list[bytes]]]:
    heard: list[bytes] = []

    class Sink(asyncio.DatagramProtocol):
        def datagram_received(self, data: bytes, _: object) -> None:
            heard.append(data)

    loop = asyncio.get_running_loop()
    transport, _ = await loop.create_datagram_endpoint(Sink, ("127.0.0.1", 0))
    try:
        yield transport.get_extra_info("sockname")[1], heard
    finally:
        transport.close()


@pytest.mark.slow
async def test_what_is_said_at_one_handset_is_heard_at_the_other(unit: Unit) -> None:
    await call_left_to_right(unit.client)
    heard = unit.folder / "heard.wav"
    spoken = unit.babble("spoken.wav", 2.0)
    await unit.hand.listen("handset-right", heard)
    await unit.hand.speak("handset-left", spoken)
    await asyncio.sleep(2.8)
    await unit.hand.stop_listening("handset-right")
    assert compare(spoken, heard).correlation > 0.9


@pytest.mark.slow
async def test_nobody_hears_himself(unit: Unit) -> None:
    await call_left_to_right(unit.client)
    heard = unit.folder / "heard.wav"
    spoken = unit.babble("spoken.wav", 1.0)
    await unit.hand.listen("handset-left", heard)
    await unit.hand.speak("handset-left", spoken)
    await asyncio.sleep(1.5)
    await unit.hand.stop_listening("handset-left")
    assert compare(spoken, heard).correlation < 0.3


@pytest.mark.slow
async def test_killing_the_client_loses_no_packet_and_a_newcomer_finds_everything(
    unit: Unit,
) -> None:
    """The runtime's death is played by a client process that is killed with SIGKILL."""
    script = f"""
import asyncio, sys
from openturret.drivers.oldcb import OldcbMatrix
from openturret.hal.matrix import LegTarget
async def main():
    matrix = OldcbMatrix(control_port={unit.control_port})
    one = await matrix.leg_open(tag={{"call": "a"}})
    two = await matrix.leg_open(tag={{"call": "b"}})
    await matrix.leg_connect(one.leg, LegTarget(two.address, two.rtp_port))
    await matrix.leg_connect(two.leg, LegTarget(one.address, one.rtp_port))
    await matrix.bus_join("handset-left", f"leg:{{one.leg}}", talk_db=0, listen_db=0)
    await matrix.bus_join("handset-left", "device:handset-left", talk_db=0, listen_db=-6)
    sys.stdout.write("up\\n"); sys.stdout.flush()
    await asyncio.sleep(60)
asyncio.run(main())
"""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", script, stdout=asyncio.subprocess.PIPE
    )
    assert process.stdout is not None
    assert await process.stdout.readline() == b"up\n"
    process.send_signal(signal.SIGKILL)
    await process.communicate()
    newcomer = unit.newcomer()
    one, two = await newcomer.leg_list()
    assert [one.tag, two.tag] == [{"call": "a"}, {"call": "b"}]
    assert one.target == towards(two, rtcp_port=two.rtcp_port)
    assert await newcomer.bus_list() == (
        Bus(
            "handset-left",
            (Membership(leg_port(one.leg), 0.0, 0.0), Membership(LEFT, 0.0, -6.0)),
        ),
    )
    await asyncio.sleep(1.0)
    for leg in await newcomer.leg_list():
        assert leg.stats.packets_sent > 45
        assert leg.stats.packets_lost == 0
        assert leg.stats.receive_gap_max_ms < 1000
    await newcomer.close()


async def test_a_device_streams_only_while_it_is_on_a_bus(unit: Unit) -> None:
    async def streaming() -> bool:
        return bool((await unit.hand.counters("handset-left"))["streaming"])

    async def quiet() -> bool:
        return not await streaming()

    assert await quiet()
    for bus in ("a", "b"):
        await unit.client.bus_join(bus, LEFT, talk_db=0, listen_db=0)
    await until(streaming)
    await unit.client.bus_leave("a", LEFT)
    assert {d.device: d.open for d in await unit.client.device_list()}["handset-left"]
    await unit.client.bus_leave("b", LEFT)
    await until(quiet)
    assert await unit.client.bus_list() == ()


async def test_a_cable_pulled_and_put_back_leaves_the_buses_alone(unit: Unit) -> None:
    async def state(*, wanted: bool) -> bool:
        devices = {d.device: d.attached for d in await unit.client.device_list()}
        return devices["handset-left"] is wanted

    await unit.client.bus_join("a", LEFT, talk_db=0, listen_db=0)
    await until(lambda: state(wanted=True))
    await unit.hand.unplug("handset-left")
    await until(lambda: state(wanted=False))
    await unit.hand.plug("handset-left")
    await until(lambda: state(wanted=True))
    assert len((await unit.client.bus_list())[0].members) == 1


async def test_a_device_taken_off_and_put_on_again_at_once_streams(unit: Unit) -> None:
    for _ in range(5):
        await unit.client.bus_join("a", LEFT, talk_db=0, listen_db=0)
        await unit.client.bus_leave("a", LEFT)
    await unit.client.bus_join("a", LEFT, talk_db=0, listen_db=0)

    async def attached() -> bool:
        devices = {d.device: d.attached for d in await unit.client.device_list()}
        return devices["handset-left"]

    await until(attached)


@pytest.mark.parametrize(
    "settings", [Settings(oldcb_address="127.0.0.1", rtp_lower=12900, rtp_upper=12905)]
)
async def test_an_exhausted_port_range_is_a_clean_error_until_a_leg_closes(unit: Unit) -> None:
    legs = [await unit.client.leg_open() for _ in range(3)]
    with pytest.raises(PortsExhaustedError):
        await unit.client.leg_open()
    await unit.client.leg_close(legs[1].leg)
    again = await unit.client.leg_open()
    assert again.rtp_port == legs[1].rtp_port
    assert again.leg > legs[2].leg


async def test_a_port_that_somebody_else_has_is_passed_over(unit: Unit) -> None:
    first = await unit.client.leg_open()
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as squatter:
        squatter.bind(("127.0.0.1", first.rtp_port + 2))
        second = await unit.client.leg_open()
    assert second.rtp_port >= first.rtp_port + 4


async def test_a_closed_leg_leaves_its_buses_and_its_number_is_not_used_again(unit: Unit) -> None:
    leg = await unit.client.leg_open()
    await unit.client.bus_join("x", leg_port(leg.leg), talk_db=0)
    await unit.client.leg_close(leg.leg)
    assert await unit.client.bus_list() == ()
    with pytest.raises(UnknownPortError):
        await unit.client.leg_connect(leg.leg, towards(leg))
    assert (await unit.client.leg_open()).leg > leg.leg


async def test_legs_speak_the_address_that_boot_got(unit: Unit) -> None:
    (unit.folder / "network.json").write_text('{"address": "127.0.0.2"}')
    assert (await unit.client.leg_open()).address == "127.0.0.2"
    (unit.folder / "network.json").write_text("{")
    assert (await unit.client.leg_open()).address == "127.0.0.1"


async def test_both_recorders_get_the_same_payload(unit: Unit) -> None:
    matrix = unit.client
    await unit.hand.tone("handset-left", 1000, -10)
    await matrix.bus_join("handset-left", LEFT, talk_db=0, listen_db=0)
    await matrix.recording_open("handsets", codec=Codec.PCMA)
    await matrix.recording_tap("handsets", "handset-left")
    async with udp_sink() as (port_a, heard_a), udp_sink() as (port_b, heard_b):
        reserved = await matrix.recording_reserve("handsets", 0)
        for index, port in enumerate((port_a, port_b)):
            place = await matrix.recording_fork(
                "handsets", index, ForkTarget("127.0.0.1", port, payload_type=8)
            )
            assert index == 1 or place == reserved

        async def enough() -> bool:
            return min(len(heard_a), len(heard_b)) > 10

        await until(enough)
    payloads = [{packet[:8]: packet[12:] for packet in heard} for heard in (heard_a, heard_b)]
    common = payloads[0].keys() & payloads[1].keys()
    assert len(common) > 5
    assert all(payloads[0][key] == payloads[1][key] for key in common)
    assert any(len(set(payloads[0][key])) > 4 for key in common)
    (recording,) = await matrix.recording_list()
    assert recording.buses == ("handset-left",)
    assert [fork.packets_sent > 10 for fork in recording.forks] == [True, True]


async def test_a_recorder_that_refuses_is_an_alarm_within_a_second_and_the_other_goes_on(
    unit: Unit,
) -> None:
    matrix = unit.client
    await matrix.recording_open("handsets")
    await matrix.recording_tap("handsets", "handset-left")
    events = matrix.events([Topic.ALARMS])
    assert (await anext(events)).event == "connected"
    async with udp_sink() as (port, heard):
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
            nobody.bind(("127.0.0.1", 0))
            closed = nobody.getsockname()[1]
        await matrix.recording_fork("handsets", 0, ForkTarget("127.0.0.1", closed))
        await matrix.recording_fork("handsets", 1, ForkTarget("127.0.0.1", port))
        async with asyncio.timeout(1.5):
            alarm = await anext(events)
        before = len(heard)

        async def goes_on() -> bool:
            return len(heard) > before + 5

        await until(goes_on)
    assert (alarm.event, alarm.details["code"]) == ("alarm", "recording.refused")
    assert (alarm.details["recording"], alarm.details["index"]) == ("handsets", 0)
    late = unit.newcomer().events([Topic.ALARMS])
    assert [(await anext(late)).event for _ in range(2)] == ["connected", "alarm"]
    for stream in (events, late):
        await stream.aclose()  # type: ignore[attr-defined]


@pytest.mark.slow
async def test_an_alarm_ends_when_the_recorder_takes_the_packets_again(unit: Unit) -> None:
    matrix = unit.client
    await matrix.recording_open("handsets")
    events = matrix.events([Topic.ALARMS])
    assert (await anext(events)).event == "connected"
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nobody:
        nobody.bind(("127.0.0.1", 0))
        port = nobody.getsockname()[1]
    await matrix.recording_fork("handsets", 0, ForkTarget("127.0.0.1", port))
    async with asyncio.timeout(10):
        assert (await anext(events)).details["code"] == "recording.refused"
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as recorder:
            recorder.bind(("127.0.0.1", port))
            assert (await anext(events)).details["code"] == "recording.accepted"
    assert [fork.refused for fork in (await matrix.recording_list())[0].forks] == [False]
    await events.aclose()  # type: ignore[attr-defined]


async def test_a_fork_that_sends_moves_to_another_recorder(unit: Unit) -> None:
    matrix = unit.client
    await matrix.recording_open("handsets")
    async with udp_sink() as (port_a, heard_a), udp_sink() as (port_b, heard_b):
        for port, heard in ((port_a, heard_a), (port_b, heard_b)):
            place = await matrix.recording_fork("handsets", 0, ForkTarget("127.0.0.1", port))
            await until(partial(received, heard))
            (recording,) = await matrix.recording_list()
            assert recording.forks[0].rtp_port == place.rtp_port
            assert recording.forks[0].target == ForkTarget("127.0.0.1", port)


async def test_a_fork_asked_for_again_where_it_sends_goes_on_untouched(unit: Unit) -> None:
    matrix = unit.client
    await matrix.recording_open("handsets")
    async with udp_sink() as (port, heard):
        target = ForkTarget("127.0.0.1", port)
        first = await matrix.recording_fork("handsets", 0, target)
        await until(partial(received, heard))
        assert await matrix.recording_fork("handsets", 0, target) == first
        before = len(heard)
        await until(partial(more_than, heard, before + 3))
    sequences = [int.from_bytes(packet[2:4], "big") for packet in heard]
    assert sequences == [(sequences[0] + n) % 65536 for n in range(len(sequences))]


async def more_than(heard: list[bytes], count: int) -> bool:
    return len(heard) > count


async def test_a_bus_lives_while_a_recording_taps_it(unit: Unit) -> None:
    matrix = unit.client
    await matrix.recording_open("handsets")
    await matrix.recording_tap("handsets", "handset-left")
    await matrix.recording_tap("handsets", "handset-left")
    assert await matrix.bus_list() == (Bus("handset-left"),)
    await matrix.recording_untap("handsets", "handset-left")
    assert await matrix.bus_list() == ()
    await matrix.recording_tap("handsets", "handset-right")
    await matrix.recording_close("handsets")
    assert (await matrix.bus_list(), await matrix.recording_list()) == ((), ())


async def received(heard: list[bytes]) -> bool:
    return len(heard) > 3


async def test_levels_come_while_somebody_wants_them(unit: Unit) -> None:
    await unit.hand.tone("handset-left", 1000, -10)
    await unit.client.bus_join("x", LEFT, talk_db=0, listen_db=0)
    events = unit.client.events([Topic.LEVELS])

    def loud(event: MatrixEvent) -> bool:
        levels = event.details.get("levels")
        pair = levels.get(LEFT) if isinstance(levels, dict) else None
        return isinstance(pair, list) and isinstance(pair[0], float) and pair[0] > -20

    async with asyncio.timeout(5):
        async for event in events:
            if loud(event):
                break
    await events.aclose()  # type: ignore[attr-defined]


async def test_changes_of_legs_are_reported(unit: Unit) -> None:
    events = unit.client.events([Topic.LEGS])
    assert (await anext(events)).event == "connected"
    leg = await unit.client.leg_open(tag={"call": "x"})
    await unit.client.leg_tag(leg.leg, {"call": "y"})
    await unit.client.leg_close(leg.leg)
    seen = [await anext(events) for _ in range(3)]
    assert [event.event for event in seen] == ["leg.opened", "leg.tagged", "leg.closed"]
    assert [event.details["tag"] for event in seen] == [{"call": "x"}, {"call": "y"}, {"call": "y"}]
    await events.aclose()  # type: ignore[attr-defined]


async def test_what_is_wrong_is_refused_with_the_error_that_says_so(unit: Unit) -> None:
    matrix = unit.client
    leg = await matrix.leg_open()
    with pytest.raises(UnknownPortError, match="there are handset-left"):
        await matrix.bus_join("x", device_port("nowhere"))
    with pytest.raises(MatrixRequestError, match="neither leg:N, device:POSITION"):
        await matrix.bus_join("x", "handset-left")
    with pytest.raises(MatrixRequestError, match="talk_db"):
        await matrix.bus_join("x", leg_port(leg.leg), talk_db=99)
    with pytest.raises(MatrixRequestError, match="address is not an IPv4 address"):
        await matrix.leg_connect(leg.leg, LegTarget("localhost", 5000))
    with pytest.raises(MatrixRequestError, match="ptime_ms 25"):
        await matrix.leg_open(ptime_ms=25)
    with pytest.raises(UnknownPortError):
        await matrix.recording_tap("nothing", "x")
    await matrix.recording_open("r")
    with pytest.raises(MatrixError, match="open already"):
        await matrix.recording_open("r")
    with pytest.raises(UnknownPortError):
        await matrix.recording_unfork("r", 1)
    assert await matrix.bus_list() == ()


async def free_ports() -> tuple[int, int]:
    with socket.socket() as one, socket.socket() as two:
        one.bind(("127.0.0.1", 0))
        two.bind(("127.0.0.1", 0))
        return one.getsockname()[1], two.getsockname()[1]


@pytest.mark.slow
async def test_the_process_serves_says_where_it_is_and_ends_on_sigterm(
    folder: Path, board_file: Path, hand: Hand
) -> None:
    control, events = await free_ports()
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-W", "error", "-m", "openturret.firmware.matrix",
        "--state", str(folder), "--board", str(board_file),
        "--control-port", str(control), "--event-port", str(events),
        stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    matrix = OldcbMatrix(control_port=control, event_port=events)

    async def serving() -> bool:
        try:
            return (await matrix.hello()).pid == process.pid
        except MatrixGoneError:
            return False

    await until(serving)
    assert (folder / "run" / "matrix.pid").read_text() == f"{process.pid}\n"
    await matrix.bus_join("x", LEFT, talk_db=0, listen_db=0)
    await matrix.leg_open()
    status = await matrix.status()
    assert status["legs"] == 1
    process.send_signal(signal.SIGTERM)
    _, log = await process.communicate()
    assert process.returncode == 0
    assert b"closed" in log
    assert not (folder / "run" / "matrix.pid").exists()
    assert (await hand.counters("handset-left"))["sent"] >= 0
    with pytest.raises(MatrixGoneError):
        await matrix.status()
    await matrix.close()
