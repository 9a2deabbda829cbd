"""Packets of the usbredir protocol, version 0.7: USB transfers between a host and a guest.

A *host* has the device, a *guest* (QEMU's ``usb-redir``) wants it.  Each side begins with a
:class:`Hello`; what follows carries ids of 64 bits.  Layouts that depend on capabilities are
fixed here to those of :data:`NEEDED`, which QEMU has since 1.6 and needs for xHCI.

    >>> frame = Frame(7, SetAltSetting(interface=1, setting=1))
    >>> bytes(frame).hex()
    '090000000200000007000000000000000101'
    >>> reader = FrameReader()
    >>> list(reader.feed(bytes(Frame(0, hello(NEEDED)))))[0].packet.capabilities == NEEDED
    True
    >>> list(reader.feed(bytes(frame))) == [frame]
    True
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from struct import Struct
from types import MappingProxyType
from typing import Any, ClassVar, Final

from ...errors import RedirectionError

ENDPOINTS: Final = 32
"""Slots of an endpoint table: 0 to 15 OUT, then 16 to 31 IN."""

MAX_DATA: Final = 65_536
"""Octets of one transfer that are taken from a peer; a control transfer has at most 65 535."""

_MAX_CAPABILITY_WORDS: Final = 8
_VERSION: Final = b"OpenTurret twins"
_HELLO_HEADER: Final = Struct("<III")
_HEADER: Final = Struct("<IIQ")


class Capability(enum.IntFlag):
    """What a side understands, bit by bit as the protocol numbers it."""

    DEVICE_VERSION = 1 << 1
    DISCONNECT_ACK = 1 << 3
    MAX_PACKET_SIZE = 1 << 4
    LONG_IDS = 1 << 5
    LONG_BULK = 1 << 6


NEEDED: Final = (
    Capability.DEVICE_VERSION
    | Capability.MAX_PACKET_SIZE
    | Capability.LONG_IDS
    | Capability.LONG_BULK
)


class Status(enum.IntEnum):
    """How a request ended."""

    SUCCESS = 0
    CANCELLED = 1
    INVALID = 2
    IO_ERROR = 3
    STALL = 4


class TransferType(enum.IntEnum):
    """Of an endpoint; UNUSED is a slot of the table without one."""

    CONTROL = 0
    ISOCHRONOUS = 1
    BULK = 2
    INTERRUPT = 3
    UNUSED = 255


class Packet:
    """One message: the fields of its layout in order, and data where it has any.

    Attributes:
        TYPE: Its number on the wire.
        LAYOUT: Of its fixed fields.
        LIMIT: Octets of data that may follow.
    """

    __slots__: tuple[str, ...] = ()
    TYPE: ClassVar[int]
    LAYOUT: ClassVar[Struct]
    LIMIT: ClassVar[int] = 0

    def __bytes__(self) -> bytes:
        fields = [getattr(self, name) for name in self.__slots__]
        data = fields.pop() if self.LIMIT else b""
        return self.LAYOUT.pack(*fields) + bytes(data)

    @classmethod
    def check_length(cls, length: int) -> None:
        """Refuses a length that no such packet has.

        Raises:
            RedirectionError: It is too short or too long.
        """
        least, most = cls.LAYOUT.size, cls.LAYOUT.size + cls.LIMIT
        if not least <= length <= most:
            allowed = f"{least}" if least == most else f"{least} to {most}"
            raise RedirectionError(
                f"a {cls.__name__} packet of {length} octets; allowed is {allowed}"
            )

    @classmethod
    def parse(cls, body: bytes) -> "Packet":
        """Returns the packet with that body.

        Raises:
            RedirectionError: The body has a length that no such packet has.
        """
        cls.check_length(len(body))
        fields: list[Any] = list(cls.LAYOUT.unpack_from(body))
        if cls.LIMIT:
            fields.append(body[cls.LAYOUT.size :])
        make: Any = cls
        packet: Packet = make(*fields)
        return packet


@dataclass(frozen=True, slots=True)
class Hello(Packet):
    """The first packet of each side; ``words`` are its capabilities, 32 bits each."""

    TYPE: ClassVar[int] = 0
    LAYOUT: ClassVar[Struct] = Struct("<64s")
    LIMIT: ClassVar[int] = 4 * _MAX_CAPABILITY_WORDS

    version: bytes
    words: bytes

    @property
    def capabilities(self) -> Capability:
        """What the sender understands, of the first 32."""
        return Capability(int.from_bytes(self.words[:4], "little"))


def hello(capabilities: Capability) -> Hello:
    """Returns our hello."""
    return Hello(_VERSION.ljust(64, b"\0"), int(capabilities).to_bytes(4, "little"))


@dataclass(frozen=True, slots=True)
class DeviceConnect(Packet):
    """Host: a device is there; its tables went before."""

    TYPE: ClassVar[int] = 1
    LAYOUT: ClassVar[Struct] = Struct("<4B3H")

    speed: int
    device_class: int
    device_subclass: int
    device_protocol: int
    vid: int
    pid: int
    bcd_device: int


@dataclass(frozen=True, slots=True)
class DeviceDisconnect(Packet):
    """Host: the device is gone."""

    TYPE: ClassVar[int] = 2
    LAYOUT: ClassVar[Struct] = Struct("<")


@dataclass(frozen=True, slots=True)
class Reset(Packet):
    """Guest: reset the device's port."""

    TYPE: ClassVar[int] = 3
    LAYOUT: ClassVar[Struct] = Struct("<")


@dataclass(frozen=True, slots=True)
class InterfaceInfo(Packet):
    """Host: the interfaces in their present settings, one octet each in every table."""

    TYPE: ClassVar[int] = 4
    LAYOUT: ClassVar[Struct] = Struct("<I32s32s32s32s")

    count: int
    numbers: bytes
    classes: bytes
    subclasses: bytes
    protocols: bytes


@dataclass(frozen=True, slots=True)
class EndpointInfo(Packet):
    """Host: the endpoints in the present settings; ``max_packets`` has 16 bits for each slot."""

    TYPE: ClassVar[int] = 5
    LAYOUT: ClassVar[Struct] = Struct("<32s32s32s64s")

    types: bytes
    intervals: bytes
    interfaces: bytes
    max_packets: bytes


@dataclass(frozen=True, slots=True)
class SetConfiguration(Packet):
    """Guest: choose a configuration."""

    TYPE: ClassVar[int] = 6
    LAYOUT: ClassVar[Struct] = Struct("<B")

    configuration: int


@dataclass(frozen=True, slots=True)
class GetConfiguration(Packet):
    """Guest: which configuration is chosen?"""

    TYPE: ClassVar[int] = 7
    LAYOUT: ClassVar[Struct] = Struct("<")


@dataclass(frozen=True, slots=True)
class ConfigurationStatus(Packet):
    """Host: the answer to both."""

    TYPE: ClassVar[int] = 8
    LAYOUT: ClassVar[Struct] = Struct("<2B")

    status: int
    configuration: int


@dataclass(frozen=True, slots=True)
class SetAltSetting(Packet):
    """Guest: choose an alternate setting of an interface."""

    TYPE: ClassVar[int] = 9
    LAYOUT: ClassVar[Struct] = Struct("<2B")

    interface: int
    setting: int


@dataclass(frozen=True, slots=True)
class GetAltSetting(Packet):
    """Guest: which alternate setting does the interface have?"""

    TYPE: ClassVar[int] = 10
    LAYOUT: ClassVar[Struct] = Struct("<B")

    interface: int


@dataclass(frozen=True, slots=True)
class AltSettingStatus(Packet):
    """Host: the answer to both."""

    TYPE: ClassVar[int] = 11
    LAYOUT: ClassVar[Struct] = Struct("<3B")

    status: int
    interface: int
    setting: int


@dataclass(frozen=True, slots=True)
class StartIsoStream(Packet):
    """Guest: stream on an endpoint; so many frames in each transfer, so many transfers ahead."""

    TYPE: ClassVar[int] = 12
    LAYOUT: ClassVar[Struct] = Struct("<3B")

    endpoint: int
    packets: int
    transfers: int


@dataclass(frozen=True, slots=True)
class StopIsoStream(Packet):
    """Guest: end a stream."""

    TYPE: ClassVar[int] = 13
    LAYOUT: ClassVar[Struct] = Struct("<B")

    endpoint: int


@dataclass(frozen=True, slots=True)
class IsoStreamStatus(Packet):
    """Host: the answer to both, and news of a stream that broke."""

    TYPE: ClassVar[int] = 14
    LAYOUT: ClassVar[Struct] = Struct("<2B")

    status: int
    endpoint: int


@dataclass(frozen=True, slots=True)
class StartInterruptReceiving(Packet):
    """Guest: send what an interrupt endpoint reports."""

    TYPE: ClassVar[int] = 15
    LAYOUT: ClassVar[Struct] = Struct("<B")

    endpoint: int


@dataclass(frozen=True, slots=True)
class StopInterruptReceiving(Packet):
    """Guest: no more of that."""

    TYPE: ClassVar[int] = 16
    LAYOUT: ClassVar[Struct] = Struct("<B")

    endpoint: int


@dataclass(frozen=True, slots=True)
class InterruptReceivingStatus(Packet):
    """Host: the answer to both, and news of an endpoint that halted."""

    TYPE: ClassVar[int] = 17
    LAYOUT: ClassVar[Struct] = Struct("<2B")

    status: int
    endpoint: int


@dataclass(frozen=True, slots=True)
class CancelData(Packet):
    """Guest: the transfer with this frame's id is no longer wanted."""

    TYPE: ClassVar[int] = 21
    LAYOUT: ClassVar[Struct] = Struct("<")


@dataclass(frozen=True, slots=True)
class DisconnectAck(Packet):
    """Guest: what it sends from now on is not meant for the device that is gone."""

    TYPE: ClassVar[int] = 24
    LAYOUT: ClassVar[Struct] = Struct("<")


@dataclass(frozen=True, slots=True)
class ControlPacket(Packet):
    """A control transfer and its answer; data goes with whichever side has it to give."""

    TYPE: ClassVar[int] = 100
    LAYOUT: ClassVar[Struct] = Struct("<4B3H")
    LIMIT: ClassVar[int] = MAX_DATA

    endpoint: int
    request: int
    request_type: int
    status: int
    value: int
    index: int
    length: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class BulkPacket(Packet):
    """A bulk transfer and its answer; the length is in two halves."""

    TYPE: ClassVar[int] = 101
    LAYOUT: ClassVar[Struct] = Struct("<2BHIH")
    LIMIT: ClassVar[int] = MAX_DATA

    endpoint: int
    status: int
    length: int
    stream: int
    length_high: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class IsoPacket(Packet):
    """What one frame of a stream carries."""

    TYPE: ClassVar[int] = 102
    LAYOUT: ClassVar[Struct] = Struct("<2BH")
    LIMIT: ClassVar[int] = MAX_DATA

    endpoint: int
    status: int
    length: int
    data: bytes = b""


@dataclass(frozen=True, slots=True)
class InterruptPacket(Packet):
    """A report, in either direction; the host answers one to the device without data."""

    TYPE: ClassVar[int] = 103
    LAYOUT: ClassVar[Struct] = Struct("<2BH")
    LIMIT: ClassVar[int] = MAX_DATA

    endpoint: int
    status: int
    length: int
    data: bytes = b""


KINDS: Final[Mapping[int, type[Packet]]] = MappingProxyType(
    {
        kind.TYPE: kind
        for kind in (
            Hello,
            DeviceConnect,
            DeviceDisconnect,
            Reset,
            InterfaceInfo,
            EndpointInfo,
            SetConfiguration,
            GetConfiguration,
            ConfigurationStatus,
            SetAltSetting,
            GetAltSetting,
            AltSettingStatus,
            StartIsoStream,
            StopIsoStream,
            IsoStreamStatus,
            StartInterruptReceiving,
            StopInterruptReceiving,
            InterruptReceivingStatus,
            CancelData,
            DisconnectAck,
            ControlPacket,
            BulkPacket,
            IsoPacket,
            InterruptPacket,
        )
    }
)
"""Every packet that is understood, by its number."""


@dataclass(frozen=True, slots=True)
class Frame:
    """A packet on its way; an answer carries the ``identity`` of its request."""

    identity: int
    packet: Packet

    def __bytes__(self) -> bytes:
        body = bytes(self.packet)
        header = _HELLO_HEADER if isinstance(self.packet, Hello) else _HEADER
        return header.pack(self.packet.TYPE, len(body), self.identity) + body


class FrameReader:
    """Cuts a stream into frames and never keeps more than one packet's worth.

    The first frame is a hello, and only the first.
    """

    def __init__(self) -> None:
        self._rest = bytearray()
        self._header = _HELLO_HEADER

    def feed(self, data: bytes) -> Iterator[Frame]:
        """Yields each frame that ``data`` completes.

        Raises:
            RedirectionError: A packet of no known kind or of an impossible length, or a hello
                that does not stand first.  The stream has lost its framing: close it.
        """
        self._rest += data
        while (frame := self._next()) is not None:
            yield frame

    def _next(self) -> Frame | None:
        if len(self._rest) < self._header.size:
            return None
        number, length, identity = self._header.unpack_from(self._rest)
        kind = self._kind(number)
        kind.check_length(length)
        end = self._header.size + length
        if len(self._rest) < end:
            return None
        body = bytes(self._rest[self._header.size : end])
        del self._rest[:end]
        self._header = _HEADER
        return Frame(identity, kind.parse(body))

    def _kind(self, number: int) -> type[Packet]:
        kind = KINDS.get(number)
        if kind is None:
            known = ", ".join(map(str, KINDS))
            raise RedirectionError(f"a packet of type {number}; known are {known}")
        if (kind is Hello) is not (self._header is _HELLO_HEADER):
            raise RedirectionError(f"a {kind.__name__} packet where it must not stand")
        return kind
