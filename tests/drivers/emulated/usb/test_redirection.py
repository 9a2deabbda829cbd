"""A usbredir guest in miniature talks to the twins' ports over real sockets."""

import asyncio
import socket
import struct
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TypeVar

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.descriptors import DescriptorType
from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.misbehaviour import cut_after, overwritten
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.redirection import MAX_HANGING, UsbPort
from openturret.drivers.emulated.usb.usbredir import (
    NEEDED,
    AltSettingStatus,
    BulkPacket,
    CancelData,
    Capability,
    ConfigurationStatus,
    ControlPacket,
    DeviceConnect,
    DeviceDisconnect,
    DisconnectAck,
    EndpointInfo,
    Frame,
    FrameReader,
    GetAltSetting,
    GetConfiguration,
    Hello,
    InterfaceInfo,
    InterruptPacket,
    InterruptReceivingStatus,
    IsoPacket,
    IsoStreamStatus,
    Packet,
    Reset,
    SetAltSetting,
    SetConfiguration,
    StartInterruptReceiving,
    StartIsoStream,
    Status,
    StopInterruptReceiving,
    StopIsoStream,
    hello,
)
from openturret.drivers.emulated.usb.voices import Tone

P = TypeVar("P", bound=Packet)
EARPIECE, MICROPHONE, KEYS = 0x01, 0x82, 0x83
HID_INTERFACE = 3


class Guest:
    """The guest's end: what QEMU does, one step at a time."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._frames = FrameReader()
        self._waiting: list[Frame] = []
        self._next_id = 0

    def send(self, packet: Packet) -> int:
        self._next_id += 1
        self.writer.write(bytes(Frame(self._next_id, packet)))
        return self._next_id

    async def receive(self) -> Frame:
        async with asyncio.timeout(5):
            while not self._waiting:
                data = await self.reader.read(65_536)
                if not data:
                    raise EOFError
                self._waiting += self._frames.feed(data)
        return self._waiting.pop(0)

    async def next(self, kind: type[P]) -> P:
        while True:
            packet = (await self.receive()).packet
            if isinstance(packet, kind):
                return packet

    async def meet(self, capabilities: Capability = NEEDED | Capability.DISCONNECT_ACK) -> None:
        self.send(hello(capabilities))
        await self.next(DeviceConnect)

    async def ask(self, packet: Packet, kind: type[P]) -> P:
        self.send(packet)
        return await self.next(kind)

    async def control(
        self, request_type: int, request: int, value: int, index: int, rest: int | bytes
    ) -> ControlPacket:
        length, data = (rest, b"") if isinstance(rest, int) else (len(rest), rest)
        packet = ControlPacket(0, request, request_type, 0, value, index, length, data)
        return await self.ask(packet, ControlPacket)

    async def closed(self) -> bool:
        try:
            while True:
                await self.receive()
        except (EOFError, ConnectionError):
            return True


@asynccontextmanager
async def port_of(model: Peripheral, folder: Path) -> AsyncIterator[tuple[UsbPort, Path]]:
    path = folder / "port"
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    port = UsbPort(model, listener)
    await port.open()
    try:
        yield port, path
    finally:
        await port.close()
        path.unlink()


@asynccontextmanager
async def guest_at(path: Path) -> AsyncIterator[Guest]:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        yield Guest(reader, writer)
    finally:
        writer.transport.abort()


@pytest.fixture
def model() -> HandsetModel:
    return HandsetModel("HS-0007")


@pytest.fixture
async def port(model: HandsetModel, tmp_path: Path) -> AsyncIterator[UsbPort]:
    async with port_of(model, tmp_path) as (served, _):
        yield served


@pytest.fixture
async def guest(port: UsbPort, tmp_path: Path) -> AsyncIterator[Guest]:
    async with guest_at(tmp_path / "port") as found:
        await found.meet()
        yield found


async def test_a_guest_is_told_tables_first_and_then_the_device(
    port: UsbPort, tmp_path: Path
) -> None:
    async with guest_at(tmp_path / "port") as guest:
        assert isinstance((await guest.receive()).packet, Hello)
        guest.send(hello(NEEDED))
        interfaces, endpoints, device = [(await guest.receive()).packet for _ in range(3)]
    assert isinstance(interfaces, InterfaceInfo)
    assert interfaces.count == 4
    assert interfaces.numbers[:4] == bytes([0, 1, 2, HID_INTERFACE])
    assert interfaces.classes[:4] == bytes([1, 1, 1, 3])
    assert isinstance(endpoints, EndpointInfo)
    assert endpoints.types[16 + (KEYS & 15)] == 3
    assert endpoints.types[EARPIECE] == endpoints.types[16 + (MICROPHONE & 15)] == 255
    assert isinstance(device, DeviceConnect)
    assert (device.speed, device.vid, device.pid, device.bcd_device) == (1, 0x1209, 0x7701, 0x0100)


async def test_over_tcp_as_well(model: HandsetModel) -> None:
    listener = socket.create_server(("127.0.0.1", 0))
    port = UsbPort(model, listener)
    await port.open()
    reader, writer = await asyncio.open_connection(*listener.getsockname())
    await Guest(reader, writer).meet()
    await port.close()
    assert await Guest(reader, writer).closed()
    writer.close()


async def test_control_transfers_reach_the_device(guest: Guest) -> None:
    descriptor = await guest.control(0x80, 6, 0x0100, 0, 18)
    assert (descriptor.status, descriptor.length, descriptor.data[0]) == (0, 18, 18)
    volume = (0x0200, 2 << 8)
    done = await guest.control(0x21, 1, *volume, struct.pack("<h", -10 * 256))
    assert (done.status, done.length, done.data) == (0, 2, b"")
    asked = await guest.control(0xA1, 0x81, *volume, 2)
    assert struct.unpack("<h", asked.data) == (-10 * 256,)


async def test_an_answer_carries_the_id_of_its_question(guest: Guest) -> None:
    first = guest.send(GetConfiguration())
    second = guest.send(GetAltSetting(1))
    assert await guest.receive() == Frame(first, ConfigurationStatus(0, 1))
    assert await guest.receive() == Frame(second, AltSettingStatus(0, 1, 0))


async def test_what_the_device_does_not_do_stalls(guest: Guest) -> None:
    answer = await guest.control(0x80, 6, 0x0F00, 0, 5)
    assert (answer.status, answer.length, answer.data) == (Status.STALL, 0, b"")
    assert (await guest.ask(SetAltSetting(1, 7), AltSettingStatus)).status == Status.STALL
    assert (await guest.ask(SetConfiguration(9), ConfigurationStatus)).status == Status.STALL
    assert (await guest.ask(SetConfiguration(1), ConfigurationStatus)).status == Status.SUCCESS


@pytest.mark.parametrize(
    "packet",
    [
        ControlPacket(0, 6, 0x80, 0, 0x0100, 0, 18, b"data"),
        ControlPacket(0, 9, 0x00, 0, 1, 0, 3, b"four"),
        ControlPacket(2, 6, 0x80, 0, 0x0100, 0, 18),
        InterruptPacket(0x83, 0, 0),
        InterruptPacket(0x03, 0, 5, b"four"),
        BulkPacket(0x02, 0, 4, 0, 0, b"data"),
        BulkPacket(0x82, 0, 512, 0, 0),
    ],
)
async def test_a_transfer_that_cannot_be_is_refused_and_nothing_else(
    guest: Guest, packet: Packet
) -> None:
    answer = await guest.ask(packet, type(packet))
    assert bytes(answer)[1 if isinstance(packet, BulkPacket | InterruptPacket) else 3] == 2
    assert (await guest.ask(GetConfiguration(), ConfigurationStatus)).configuration == 1


async def test_a_device_that_hangs_is_given_up_by_the_guest(
    guest: Guest, model: HandsetModel
) -> None:
    model.misbehaviour.hung = True
    question = guest.send(ControlPacket(0, 6, 0x80, 0, 0x0100, 0, 18))
    guest.writer.write(bytes(Frame(question, CancelData())))
    answer = await guest.receive()
    assert answer.identity == question
    assert isinstance(answer.packet, ControlPacket)
    assert answer.packet.status == Status.CANCELLED


async def test_no_more_transfers_hang_than_are_bounded(guest: Guest, model: HandsetModel) -> None:
    model.misbehaviour.hung = True
    ids = [guest.send(ControlPacket(0, 6, 0x80, 0, 0x0100, 0, 18)) for _ in range(MAX_HANGING + 1)]
    answer = await guest.receive()
    assert answer.identity == ids[-1]
    assert isinstance(answer.packet, ControlPacket)
    assert answer.packet.status == Status.IO_ERROR


async def test_reports_come_once_the_guest_listens(guest: Guest, model: HandsetModel) -> None:
    model.lift()
    started = await guest.ask(StartInterruptReceiving(KEYS), InterruptReceivingStatus)
    assert started == InterruptReceivingStatus(0, KEYS)
    report = await guest.next(InterruptPacket)
    assert (report.endpoint, report.length) == (KEYS, len(report.data))
    model.cradle()
    assert (await guest.next(InterruptPacket)).data != report.data
    stopped = await guest.ask(StopInterruptReceiving(KEYS), InterruptReceivingStatus)
    assert stopped.status == Status.SUCCESS


async def test_a_report_from_another_thread_arrives(guest: Guest, model: HandsetModel) -> None:
    await guest.ask(StartInterruptReceiving(KEYS), InterruptReceivingStatus)
    await asyncio.to_thread(model.lift)
    assert (await guest.next(InterruptPacket)).endpoint == KEYS


async def test_lamps_are_ordered_by_interrupt_and_by_request(
    guest: Guest, model: HandsetModel
) -> None:
    order = bytes([2, 0b1])
    answer = await guest.ask(InterruptPacket(0x03, 0, 2, order), InterruptPacket)
    assert (answer.status, answer.data) == (0, b"")
    assert model.lamps
    done = await guest.control(0x21, 9, 0x0202, HID_INTERFACE, bytes([2, 0]))
    assert done.status == Status.SUCCESS
    assert not model.lamps


async def test_a_halted_endpoint_tells_and_goes_on_when_cleared(
    guest: Guest, model: HandsetModel
) -> None:
    await guest.ask(StartInterruptReceiving(KEYS), InterruptReceivingStatus)
    model.halt(KEYS)
    assert await guest.next(InterruptReceivingStatus) == InterruptReceivingStatus(4, KEYS)
    assert (await guest.control(0x02, 1, 0, KEYS, b"")).status == Status.SUCCESS
    await guest.ask(StartInterruptReceiving(KEYS), InterruptReceivingStatus)
    model.lift()
    assert (await guest.next(InterruptPacket)).endpoint == KEYS


@pytest.mark.parametrize("endpoint", [0x03, 0x84, MICROPHONE, 0x00, 0xFF])
async def test_nobody_listens_where_no_interrupt_endpoint_is(guest: Guest, endpoint: int) -> None:
    answer = await guest.ask(StartInterruptReceiving(endpoint), InterruptReceivingStatus)
    assert answer == InterruptReceivingStatus(Status.INVALID, endpoint)


async def test_a_microphone_streams_what_is_said(guest: Guest, model: HandsetModel) -> None:
    model.speak(Tone(1000, -10))
    assert (await guest.ask(SetAltSetting(2, 1), AltSettingStatus)).status == 0
    assert (await guest.ask(StartIsoStream(MICROPHONE, 8, 4), IsoStreamStatus)).status == 0
    frames = [await guest.next(IsoPacket) for _ in range(40)]
    assert {(frame.endpoint, frame.length) for frame in frames} == {(MICROPHONE, 96)}
    said = b"".join(frame.data for frame in frames)
    samples = struct.unpack(f"<{len(said) // 2}h", said)
    assert samples[: 48 * 20] == samples[48 * 20 :]
    assert max(samples) == pytest.approx(32767 * 10 ** (-10 / 20), abs=2)
    assert (await guest.ask(StopIsoStream(MICROPHONE), IsoStreamStatus)).status == 0
    guest.send(GetConfiguration())
    assert isinstance((await guest.receive()).packet, ConfigurationStatus)


async def test_an_earpiece_hears_what_is_played_frame_by_frame(
    guest: Guest, model: HandsetModel
) -> None:
    model.listen()
    await guest.ask(SetAltSetting(1, 1), AltSettingStatus)
    await guest.ask(StartIsoStream(EARPIECE, 1, 4), IsoStreamStatus)
    spoken = [struct.pack("<48h", *[number] * 48) for number in range(1, 31)]
    for frame in spoken:
        guest.send(IsoPacket(EARPIECE, 0, 96, frame))
    heard = b""
    while spoken[-1] not in heard:
        await guest.ask(GetConfiguration(), ConfigurationStatus)
        model_heard = model.stop_listening()
        heard += model_heard.pcm
        model.listen()
    assert b"".join(spoken) in heard


async def test_a_setting_that_goes_takes_its_stream_along(guest: Guest, port: UsbPort) -> None:
    await guest.ask(SetAltSetting(2, 1), AltSettingStatus)
    await guest.ask(StartIsoStream(MICROPHONE, 1, 1), IsoStreamStatus)
    await guest.next(IsoPacket)
    assert port.streaming == {MICROPHONE}
    await guest.ask(SetAltSetting(2, 0), AltSettingStatus)
    assert port.streaming == frozenset()


async def test_no_stream_without_its_setting(guest: Guest) -> None:
    for endpoint in (MICROPHONE, EARPIECE, KEYS, 0x00):
        answer = await guest.ask(StartIsoStream(endpoint, 8, 4), IsoStreamStatus)
        assert answer == IsoStreamStatus(Status.INVALID, endpoint)


async def test_what_is_said_to_no_stream_is_counted(guest: Guest, port: UsbPort) -> None:
    guest.send(IsoPacket(EARPIECE, 0, 4, b"lost"))
    await guest.ask(GetConfiguration(), ConfigurationStatus)
    assert port.counters["dropped"] == 1


async def test_a_pulled_cable_and_what_the_guest_says_meanwhile(
    guest: Guest, model: HandsetModel
) -> None:
    await guest.ask(StartInterruptReceiving(KEYS), InterruptReceivingStatus)
    model.unplug()
    await guest.next(DeviceDisconnect)
    guest.send(GetConfiguration())
    model.plug()
    guest.send(DisconnectAck())
    kinds = [type((await guest.receive()).packet) for _ in range(3)]
    assert kinds == [InterfaceInfo, EndpointInfo, DeviceConnect]
    asked = guest.send(GetAltSetting(1))
    assert (await guest.receive()).identity == asked
    model.lift()
    await guest.ask(StartInterruptReceiving(KEYS), InterruptReceivingStatus)
    assert (await guest.next(InterruptPacket)).endpoint == KEYS


async def test_a_jerk_at_the_cable_is_two_events(guest: Guest, model: HandsetModel) -> None:
    model.unplug()
    model.plug()
    assert isinstance((await guest.receive()).packet, DeviceDisconnect)
    guest.send(DisconnectAck())
    assert (await guest.next(DeviceConnect)).pid == 0x7701


async def test_a_guest_without_acknowledgement_gets_the_device_at_once(
    port: UsbPort, model: HandsetModel, tmp_path: Path
) -> None:
    async with guest_at(tmp_path / "port") as guest:
        await guest.meet(NEEDED)
        model.cut_power()
        model.restore_power()
        await guest.next(DeviceDisconnect)
        assert (await guest.next(DeviceConnect)).pid == 0x7701


async def test_a_reset_ends_what_was_set_up(guest: Guest) -> None:
    await guest.ask(SetAltSetting(2, 1), AltSettingStatus)
    await guest.ask(Reset(), EndpointInfo)
    assert (await guest.ask(GetAltSetting(2), AltSettingStatus)).setting == 0
    assert (await guest.ask(GetConfiguration(), ConfigurationStatus)).configuration == 1


async def test_a_second_guest_is_refused_and_the_first_goes_on(
    guest: Guest, tmp_path: Path
) -> None:
    async with guest_at(tmp_path / "port") as second:
        assert await second.closed()
    assert (await guest.ask(GetConfiguration(), ConfigurationStatus)).configuration == 1


async def test_the_next_guest_finds_the_device(port: UsbPort, tmp_path: Path) -> None:
    for _ in range(3):
        async with guest_at(tmp_path / "port") as guest:
            await guest.meet()
            guest.writer.close()
            assert await guest.closed()


@pytest.mark.parametrize(
    "sent",
    [
        b"\xff" * 64,
        bytes(Frame(0, hello(NEEDED & ~Capability.LONG_IDS))),
        bytes(Frame(0, hello(NEEDED))) + bytes(Frame(1, DeviceConnect(1, 0, 0, 0, 1, 1, 1))),
        bytes(Frame(0, hello(NEEDED))) + struct.pack("<IIQ", 100, 1 << 31, 0),
    ],
)
async def test_a_guest_that_breaks_the_protocol_is_hung_up_on(
    port: UsbPort, tmp_path: Path, sent: bytes
) -> None:
    async with guest_at(tmp_path / "port") as guest:
        guest.writer.write(sent)
        assert await guest.closed()
    async with guest_at(tmp_path / "port") as another:
        await another.meet()


async def test_a_guest_that_never_reads_is_hung_up_on(
    guest: Guest, model: HandsetModel, port: UsbPort
) -> None:
    guest.writer.transport.pause_reading()  # type: ignore[attr-defined]
    async with asyncio.timeout(10):
        with pytest.raises(ConnectionError):
            await ask_for_ever(guest.writer)


async def ask_for_ever(writer: asyncio.StreamWriter) -> None:
    question = bytes(Frame(1, ControlPacket(0, 6, 0x80, 0, 0x0200, 0, 4096)))
    while True:
        writer.write(question * 500)
        await writer.drain()


@pytest.mark.parametrize(
    "distortion", [cut_after(9), cut_after(40), overwritten(9, b"\0"), overwritten(4, b"\xff")]
)
async def test_wrong_descriptors_are_passed_on_as_they_are(
    model: HandsetModel, port: UsbPort, tmp_path: Path, distortion: object
) -> None:
    model.misbehaviour.wrong[DescriptorType.CONFIGURATION] = distortion  # type: ignore[assignment]
    async with guest_at(tmp_path / "port") as guest:
        await guest.meet()
        answer = await guest.control(0x80, 6, 0x0200, 0, 4096)
    assert answer.data == model.configuration_descriptor()


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.tuples(st.sampled_from([6, 7, 9, 10, 12, 13, 15, 16, 21, 100, 101, 102, 103]),
                          st.binary(max_size=40)), max_size=8))  # fmt: skip
def test_no_packet_ends_the_port(tmp_path: Path, sent: list[tuple[int, bytes]]) -> None:
    async def talk() -> None:
        async with port_of(GooseneckModel(), tmp_path) as (_, path):
            async with guest_at(path) as guest:
                await guest.meet()
                for number, body in sent:
                    guest.writer.write(struct.pack("<IIQ", number, len(body), 5) + body)
                guest.writer.write_eof()
                assert await guest.closed()
            async with guest_at(path) as another:
                await another.meet()

    asyncio.run(talk())
