"""A USB port of a QEMU guest: a model on a socket, spoken to in usbredir.

QEMU connects with ``-chardev socket,id=p0,path=handset-left.usb -device usb-redir,chardev=p0``;
the guest's own kernel then drives the model.  One guest at a time is served.

Not emulated: bulk endpoints (refused), superspeed, and a bus that several devices share.
"""

import asyncio
import logging
import socket
import struct
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Final, TypeAlias

from ...errors import DescribedError, RedirectionError
from .described import Setting, read_configuration
from .model import Nak, Setup, Stall, UsbModel
from .streams import PlaybackQueue, Stream
from .usbredir import (
    ENDPOINTS,
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
    TransferType,
    hello,
)

logger = logging.getLogger(__name__)

MAX_REPORTS: Final = 64
"""Reports that one wake-up sends from one endpoint; a device that has more must wake us again."""

STREAM_UNSENT_BYTES: Final = 65_536
"""More than this unsent, and a microphone's frames are dropped."""

MAX_HANGING: Final = 16
"""Transfers that may hang at once; one more fails instead."""

MAX_UNSENT_BYTES: Final = 1_048_576
"""More than this unsent, and the guest is taken for dead."""

_READ_BYTES: Final = 65_536
_CONTROL_PACKET_BYTES: Final = 64
_CONTROL_SLOTS: Final = (0, 16)
_DEVICE_DESCRIPTOR_BYTES: Final = 18
_CONFIGURATION_VALUE: Final = 5
_INTERFACE_FIELDS: Final = (2, 5, 6, 7)
"""``bInterfaceNumber``, ``bInterfaceClass``, ``bInterfaceSubClass``, ``bInterfaceProtocol``."""

_ADDRESS: Final = 2
_ATTRIBUTES: Final = 3
_IDENTITY: Final = struct.Struct("<HHH")
_Transfer: TypeAlias = ControlPacket | BulkPacket | InterruptPacket

_GET_CONFIGURATION: Final = Setup(0x80, 8, 0, 0, 1)


def _set_configuration(number: int) -> Setup:
    return Setup(0x00, 9, number, 0, 0)


def _get_interface(number: int) -> Setup:
    return Setup(0x81, 10, 0, number, 1)


def _set_interface(number: int, setting: int) -> Setup:
    return Setup(0x01, 11, setting, number, 0)


class UsbPort:
    """Serves one model to whichever guest connects; lives on the loop that makes it.

    Args:
        model: The device in the port.
        listener: A bound TCP or Unix socket; belongs to the port from now on.

    Attributes:
        counters: Frames ``dropped``, ``skipped`` and transfers ``late`` since the beginning.
    """

    def __init__(self, model: UsbModel, listener: socket.socket) -> None:
        self._model = model
        self._listener = listener
        self._loop = asyncio.get_running_loop()
        self._server: asyncio.Server | None = None
        self._guest: Redirection | None = None
        self._conversations: set[asyncio.Task[None]] = set()
        self.counters: Counter[str] = Counter()
        model.on_change(self._changed)

    @property
    def streaming(self) -> frozenset[int]:
        """Addresses of the endpoints that stream to or from the guest."""
        return frozenset() if self._guest is None else self._guest.streaming

    async def open(self) -> None:
        """Begins to listen."""
        self._server = await asyncio.start_server(self._serve, sock=self._listener)

    async def close(self) -> None:
        """Takes the port away from its guest."""
        server, self._server = self._server, None
        if server is None:
            return
        server.close()
        for conversation in self._conversations:
            conversation.cancel()
        await asyncio.gather(*self._conversations, return_exceptions=True)
        await server.wait_closed()

    def _changed(self) -> None:
        """Called from any thread."""
        if self._server is not None:
            self._loop.call_soon_threadsafe(self._follow)

    def _follow(self) -> None:
        if self._guest is not None:
            self._guest.follow()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        if self._guest is not None or task is None:
            logger.warning("a second guest is refused")
            writer.close()
            return
        self._conversations.add(task)
        task.add_done_callback(self._conversations.discard)
        self._guest = Redirection(self._model, writer, self.counters)
        try:
            await _talk(self._guest, reader)
        except (RedirectionError, OSError) as error:
            logger.warning("guest: %s", error)
        finally:
            self._guest.close()
            self._guest = None


async def _talk(guest: "Redirection", reader: asyncio.StreamReader) -> None:
    frames = FrameReader()
    guest.greet()
    while data := await reader.read(_READ_BYTES):
        for frame in frames.feed(data):
            guest.take(frame)


class Redirection:
    """One guest's use of one device, from hello to the end of the connection."""

    def __init__(
        self, model: UsbModel, writer: asyncio.StreamWriter, counters: Counter[str]
    ) -> None:
        self._model = model
        self._writer = writer
        self._counters = counters
        self._met = self._draining = self._acknowledges = False
        self._connected: int | None = None
        self._hanging: dict[int, _Transfer] = {}
        self._receiving: set[int] = set()
        self._streams: dict[int, Stream] = {}
        self._playing: dict[int, PlaybackQueue] = {}

    @property
    def streaming(self) -> frozenset[int]:
        """Addresses of the endpoints that stream."""
        return frozenset(self._streams)

    def greet(self) -> None:
        """Says what we understand."""
        self._send(hello(NEEDED | Capability.DISCONNECT_ACK))

    def close(self) -> None:
        """Ends every stream and the connection, sent or not."""
        self._stop_all()
        self._writer.transport.abort()

    def follow(self) -> None:
        """Tells what changed: the cable, or reports that wait where the guest listens."""
        plugged = self._model.enumerations if self._model.attached else None
        if self._connected is not None and self._connected != plugged:
            self._disconnect()
        if plugged is not None:
            self._connect(plugged)
        self._report_all()

    def take(self, frame: Frame) -> None:
        """Answers one frame of the guest.

        Raises:
            RedirectionError: The guest may not send this, or cannot work with us.
        """
        match frame.packet:
            case Hello() as packet:
                self._meet(packet)
            case DisconnectAck():
                self._draining = False
                self.follow()
            case packet if self._connected is not None:
                self._obey(packet, frame.identity)

    def _obey(self, packet: Packet, identity: int) -> None:
        match packet:
            case IsoPacket():
                self._play(packet)
            case CancelData():
                self._cancel(identity)
            case Reset():
                self._reset()
            case ControlPacket() | BulkPacket() | InterruptPacket():
                self._transfer(packet, identity)
            case _:
                self._send(self._answer(packet), identity)
                self._report_all()

    def _answer(self, packet: Packet) -> Packet:
        match packet:
            case SetConfiguration() | GetConfiguration():
                return self._configuration(packet)
            case SetAltSetting() | GetAltSetting():
                return self._setting(packet)
            case StartIsoStream() | StopIsoStream():
                return IsoStreamStatus(self._stream(packet), packet.endpoint)
            case StartInterruptReceiving() | StopInterruptReceiving():
                return self._interrupts(packet)
        name = type(packet).__name__
        raise RedirectionError(f"a guest sent {name}, which only a host sends")

    # The device as a whole.

    def _meet(self, packet: Hello) -> None:
        if lacking := NEEDED & ~packet.capabilities:
            raise RedirectionError(f"the guest lacks {lacking!r}; use a QEMU of at least 1.6")
        self._met = True
        self._acknowledges = Capability.DISCONNECT_ACK in packet.capabilities
        self.follow()

    def _connect(self, enumeration: int) -> None:
        if not self._met or self._connected is not None or self._draining:
            return
        self._connected = enumeration
        self._configure(self._first_configuration())
        self._send_tables()
        descriptor = self._model.device_descriptor()
        self._send(_connection(int(self._model.speed), descriptor))

    def _disconnect(self) -> None:
        self._connected = None
        self._draining = self._acknowledges
        self._stop_all()
        self._send(DeviceDisconnect())

    def _reset(self) -> None:
        self._stop_all()
        self._model.bus_reset()
        self._configure(self._first_configuration())
        self._send_tables()

    def _first_configuration(self) -> int:
        """What another computer's kernel has chosen for a device that it passes on."""
        value = self._model.configuration_descriptor()[_CONFIGURATION_VALUE:][:1]
        return value[0] if value else 1

    def _configure(self, number: int) -> Status:
        return self._ask(_set_configuration(number))[0]

    def _send_tables(self) -> None:
        present = self._present()
        self._send(_interface_table(present))
        self._send(_endpoint_table(present))

    def _present(self) -> list[Setting]:
        """The interfaces in the settings that they have now; none when nobody can read them."""
        try:
            found = read_configuration(self._model.configuration_descriptor())
        except DescribedError:
            return []
        chosen = (found.setting(number, self._selected(number)) for number in found.numbers)
        return [setting for setting in chosen if setting is not None]

    def _selected(self, interface: int) -> int:
        return self._ask(_get_interface(interface))[1]

    def _ask(self, setup: Setup) -> tuple[Status, int]:
        """Makes a standard request; returns how it ended and the octet that came back, or 0."""
        try:
            answer = self._model.control(setup, b"")
        except Stall:
            return Status.STALL, 0
        except Nak:
            return Status.IO_ERROR, 0
        return Status.SUCCESS, answer[0] if answer else 0

    # Settings.

    def _configuration(self, packet: SetConfiguration | GetConfiguration) -> ConfigurationStatus:
        if isinstance(packet, GetConfiguration):
            return ConfigurationStatus(*self._ask(_GET_CONFIGURATION))
        self._stop_all()
        status = self._configure(packet.configuration)
        self._send_tables()
        return ConfigurationStatus(status, packet.configuration)

    def _setting(self, packet: SetAltSetting | GetAltSetting) -> AltSettingStatus:
        if isinstance(packet, GetAltSetting):
            status, setting = self._ask(_get_interface(packet.interface))
            return AltSettingStatus(status, packet.interface, setting)
        status, _ = self._ask(_set_interface(packet.interface, packet.setting))
        self._stop_vanished()
        self._send_tables()
        return AltSettingStatus(status, packet.interface, packet.setting)

    def _endpoints(self) -> list[tuple[int, int]]:
        """Address and type of every endpoint that there is now."""
        ends = (end.octets for setting in self._present() for end in setting.endpoints)
        return [(octets[_ADDRESS], octets[_ATTRIBUTES] & 3) for octets in ends]

    def _has(self, address: int, transfer: TransferType) -> bool:
        return (address, transfer) in self._endpoints()

    # Transfers, each answered when it comes; what hangs is answered when the guest gives up.

    def _transfer(self, packet: _Transfer, identity: int) -> None:
        try:
            answer = self._carry_out(packet)
        except Stall:
            answer = _ended(packet, Status.STALL)
        except Nak:
            self._hang(packet, identity)
            return
        self._send(answer, identity)

    def _carry_out(self, packet: _Transfer) -> Packet:
        match packet:
            case ControlPacket():
                return self._control(packet)
            case InterruptPacket():
                return self._interrupt_out(packet)
        return _ended(packet, Status.INVALID)

    def _control(self, packet: ControlPacket) -> Packet:
        setup = Setup(
            packet.request_type, packet.request, packet.value, packet.index, packet.length
        )
        expected = 0 if setup.device_to_host else packet.length
        if packet.endpoint & 0x0F or len(packet.data) != expected:
            return _ended(packet, Status.INVALID)
        answer = self._model.control(setup, packet.data)[: packet.length]
        length = len(answer) if setup.device_to_host else packet.length
        return replace(packet, status=Status.SUCCESS, length=length, data=answer)

    def _interrupt_out(self, packet: InterruptPacket) -> Packet:
        if packet.endpoint & 0x80 or len(packet.data) != packet.length:
            return _ended(packet, Status.INVALID)
        self._model.interrupt_out(packet.endpoint, packet.data)
        return replace(packet, status=Status.SUCCESS, data=b"")

    def _hang(self, packet: _Transfer, identity: int) -> None:
        if len(self._hanging) < MAX_HANGING:
            self._hanging[identity] = packet
        else:
            self._send(_ended(packet, Status.IO_ERROR), identity)

    def _cancel(self, identity: int) -> None:
        packet = self._hanging.pop(identity, None)
        if packet is not None:
            self._send(_ended(packet, Status.CANCELLED), identity)

    # Interrupt endpoints that the guest listens to.

    def _interrupts(
        self, packet: StartInterruptReceiving | StopInterruptReceiving
    ) -> InterruptReceivingStatus:
        address = packet.endpoint
        if isinstance(packet, StopInterruptReceiving):
            self._receiving.discard(address)
            return InterruptReceivingStatus(Status.SUCCESS, address)
        if not self._has(address, TransferType.INTERRUPT) or not address & 0x80:
            return InterruptReceivingStatus(Status.INVALID, address)
        self._receiving.add(address)
        return InterruptReceivingStatus(Status.SUCCESS, address)

    def _report_all(self) -> None:
        for endpoint in sorted(self._receiving):
            self._report(endpoint)

    def _report(self, endpoint: int) -> None:
        try:
            for _ in range(MAX_REPORTS):
                report = self._model.interrupt_in(endpoint)
                if report is None:
                    return
                self._send(InterruptPacket(endpoint, Status.SUCCESS, len(report), report))
        except Stall:
            self._receiving.discard(endpoint)
            self._send(InterruptReceivingStatus(Status.STALL, endpoint))

    # Isochronous streams.

    def _stream(self, packet: StartIsoStream | StopIsoStream) -> Status:
        address = packet.endpoint
        self._stop_stream(address)
        if isinstance(packet, StopIsoStream):
            return Status.SUCCESS
        if not self._has(address, TransferType.ISOCHRONOUS):
            return Status.INVALID
        exchange = self._capture(address) if address & 0x80 else self._playback(address)
        self._streams[address] = Stream(packet.packets, exchange, self._counters)
        return Status.SUCCESS

    def _capture(self, address: int) -> Callable[[], None]:
        def exchange() -> None:
            said = self._model.isochronous_in(address)
            if self._unsent() > STREAM_UNSENT_BYTES:
                self._counters["dropped"] += 1
            else:
                self._send(IsoPacket(address, Status.SUCCESS, len(said), said))

        return exchange

    def _playback(self, address: int) -> Callable[[], None]:
        queue = self._playing[address] = PlaybackQueue(self._counters)

        def exchange() -> None:
            self._model.isochronous_out(address, queue.take())

        return exchange

    def _play(self, packet: IsoPacket) -> None:
        queue = self._playing.get(packet.endpoint)
        if queue is not None and len(packet.data) == packet.length:
            queue.put(packet.data)
        else:
            self._counters["dropped"] += 1

    def _stop_stream(self, address: int) -> None:
        self._playing.pop(address, None)
        stream = self._streams.pop(address, None)
        if stream is not None:
            stream.stop()

    def _stop_vanished(self) -> None:
        """A setting was changed: what streamed on an endpoint of the old one ends."""
        for address in tuple(self._streams):
            if not self._has(address, TransferType.ISOCHRONOUS):
                self._stop_stream(address)
        self._receiving &= {address for address, _ in self._endpoints()}

    def _stop_all(self) -> None:
        for address in tuple(self._streams):
            self._stop_stream(address)
        self._receiving.clear()
        self._hanging.clear()

    # The wire.

    def _send(self, packet: Packet, identity: int = 0) -> None:
        if self._writer.is_closing():
            return
        if self._unsent() > MAX_UNSENT_BYTES:
            logger.warning("the guest left %d octets unread; dropped", self._unsent())
            self._writer.transport.abort()
            return
        self._writer.write(bytes(Frame(identity, packet)))

    def _unsent(self) -> int:
        return self._writer.transport.get_write_buffer_size()


def _ended(packet: _Transfer, status: Status) -> Packet:
    """The answer to a transfer that moved nothing."""
    if isinstance(packet, BulkPacket):
        return replace(packet, status=status, length=0, length_high=0, data=b"")
    return replace(packet, status=status, length=0, data=b"")


def _connection(speed: int, device: bytes) -> DeviceConnect:
    """Packs a device descriptor; one that is cut counts as filled up with zeros."""
    whole = device.ljust(_DEVICE_DESCRIPTOR_BYTES, b"\0")
    vid, pid, release = _IDENTITY.unpack_from(whole, 8)
    usb_class, subclass, protocol = whole[4:7]
    return DeviceConnect(speed, usb_class, subclass, protocol, vid, pid, release)


def _interface_table(present: Sequence[Setting]) -> InterfaceInfo:
    heads = [setting.interface.octets for setting in present]
    numbers, classes, subclasses, protocols = (
        bytes(head[at] for head in heads).ljust(ENDPOINTS, b"\0") for at in _INTERFACE_FIELDS
    )
    return InterfaceInfo(len(heads), numbers, classes, subclasses, protocols)


def _endpoint_table(present: Sequence[Setting]) -> EndpointInfo:
    types = bytearray([TransferType.UNUSED] * ENDPOINTS)
    intervals, numbers = bytearray(ENDPOINTS), bytearray(ENDPOINTS)
    sizes = [0] * ENDPOINTS
    for slot in _CONTROL_SLOTS:
        types[slot], sizes[slot] = TransferType.CONTROL, _CONTROL_PACKET_BYTES
    for setting in present:
        for end in setting.endpoints:
            _, _, address, attributes, *size, interval = end.octets[:7]
            slot = (address & 0x80) >> 3 | address & 0x0F
            types[slot], intervals[slot] = attributes & 3, interval
            numbers[slot], sizes[slot] = setting.number, int.from_bytes(size, "little")
    table = struct.pack(f"<{ENDPOINTS}H", *sizes)
    return EndpointInfo(bytes(types), bytes(intervals), bytes(numbers), table)
