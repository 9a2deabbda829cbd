r"""DHCP messages (RFC 2131) and their options (RFC 2132, 3396, 3397, 3442, 3925).

>>> offer = DhcpMessage(BootpOp.REPLY, xid=7, options=Options(((Option.ROUTER, b"\n\1\0\1"),)))
>>> DhcpMessage.parse(bytes(offer)).options.addresses(Option.ROUTER)
(IPv4Address('10.1.0.1'),)
"""

import enum
import struct
from collections.abc import Iterator
from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Network
from typing import Final

from .errors import MalformedError, OptionError, TruncatedError

MAGIC: Final = b"\x63\x82\x53\x63"
MIN_MESSAGE_BYTES: Final = 300
"""BOOTP relays and servers may drop anything shorter (RFC 1542 §2.1)."""

INFINITE_S: Final = 0xFFFFFFFF
"""A lease time that never ends (RFC 2131 §3.3)."""

MAX_SEARCH_DOMAINS: Final = 8
"""More search domains than this are not read: each of them costs queries."""

_FIXED = struct.Struct("!BBBBIHH4s4s4s4s16s64s128s4s")
_BROADCAST = 0x8000
_PAD, _END = 0, 255
_MAX_NAME = 253
_ANY = IPv4Address(0)


class BootpOp(enum.IntEnum):
    """Who speaks (RFC 2131 §2)."""

    REQUEST = 1
    REPLY = 2


class MessageType(enum.IntEnum):
    """Values of option 53 (RFC 2132 §9.6)."""

    DISCOVER = 1
    OFFER = 2
    REQUEST = 3
    DECLINE = 4
    ACK = 5
    NAK = 6
    RELEASE = 7
    INFORM = 8


class Option(enum.IntEnum):
    """The options that a unit asks for, sends or understands."""

    SUBNET_MASK = 1
    ROUTER = 3
    DNS_SERVER = 6
    HOST_NAME = 12
    DOMAIN_NAME = 15
    NTP_SERVER = 42
    VENDOR_SPECIFIC = 43
    REQUESTED_ADDRESS = 50
    LEASE_TIME = 51
    OVERLOAD = 52
    MESSAGE_TYPE = 53
    SERVER_ID = 54
    PARAMETER_REQUEST = 55
    MESSAGE = 56
    MAX_MESSAGE_SIZE = 57
    RENEWAL_TIME = 58
    REBINDING_TIME = 59
    VENDOR_CLASS = 60
    CLIENT_ID = 61
    TFTP_SERVER = 66
    BOOT_FILE = 67
    DOMAIN_SEARCH = 119
    CLASSLESS_ROUTES = 121
    VENDOR_IDENTIFYING_CLASS = 124
    VENDOR_IDENTIFYING = 125
    TFTP_SERVER_LIST = 150


@dataclass(frozen=True, slots=True)
class Route:
    """One classless static route (RFC 3442); gateway 0.0.0.0 means on-link."""

    network: IPv4Network
    gateway: IPv4Address


@dataclass(frozen=True, slots=True)
class Options:
    """The options of a message, in order, each code once (RFC 3396 pieces joined)."""

    items: tuple[tuple[int, bytes], ...] = ()

    def __contains__(self, code: int) -> bool:
        return any(known == code for known, _ in self.items)

    def raw(self, code: int) -> bytes | None:
        """Returns the value of an option, or None when it was not sent."""
        return next((value for known, value in self.items if known == code), None)

    def address(self, code: int) -> IPv4Address | None:
        """Returns an option that holds exactly one address.

        Raises:
            OptionError: Its length is not 4.
        """
        value = self.raw(code)
        return None if value is None else IPv4Address(_exactly(4, code, value))

    def addresses(self, code: int) -> tuple[IPv4Address, ...]:
        """Returns an option that holds a list of addresses; empty when it was not sent.

        Raises:
            OptionError: Its length is not a positive multiple of 4.
        """
        value = self.raw(code)
        if value is None:
            return ()
        if not value or len(value) % 4:
            raise OptionError(f"option {code}: {len(value)} bytes are no list of addresses")
        return tuple(IPv4Address(value[at : at + 4]) for at in range(0, len(value), 4))

    def seconds(self, code: int) -> int | None:
        """Returns an option that holds a duration in seconds.

        Raises:
            OptionError: Its length is not 4.
        """
        value = self.raw(code)
        return None if value is None else int.from_bytes(_exactly(4, code, value), "big")

    def text(self, code: int) -> str | None:
        """Returns a text option without the NULs that some servers append.

        Raises:
            OptionError: It is not printable ASCII.
        """
        value = self.raw(code)
        return None if value is None else _text(f"option {code}", value)

    def routes(self) -> tuple[Route, ...]:
        """Returns the classless routes of option 121 (RFC 3442).

        Raises:
            OptionError: A prefix length is above 32, or the option ends inside a route.
        """
        return tuple(_parse_routes(self.raw(Option.CLASSLESS_ROUTES) or b""))

    def vendor_specific(self) -> dict[int, bytes]:
        """Returns the sub-options of option 43 (RFC 2132 §8.4).

        Raises:
            OptionError: A sub-option runs past the end.
        """
        return dict(_split(self.raw(Option.VENDOR_SPECIFIC) or b"", "option 43"))

    def vendor_identifying(self) -> dict[int, dict[int, bytes]]:
        """Returns option 125 as enterprise number to sub-options (RFC 3925 §4).

        Raises:
            OptionError: An enterprise's data or a sub-option runs past the end.
        """
        return dict(_parse_enterprises(self.raw(Option.VENDOR_IDENTIFYING) or b""))

    def domain_search(self) -> tuple[str, ...]:
        """Returns the search domains of option 119 (RFC 3397), in order, without the last dot.

        Raises:
            OptionError: A name is truncated, too long, not printable, or points forwards.
        """
        return tuple(_parse_names(self.raw(Option.DOMAIN_SEARCH) or b""))

    def __bytes__(self) -> bytes:
        return b"".join(_pieces(code, value) for code, value in self.items) + bytes([_END])


@dataclass(frozen=True, slots=True)
class DhcpMessage:
    """One DHCP message.

    ``server_name`` and ``file`` are empty when options overloaded them, and when they hold
    what is no text: a careless server must not cost the lease.
    """

    op: BootpOp
    xid: int
    hardware_address: bytes = bytes(6)
    seconds: int = 0
    broadcast: bool = False
    client_address: IPv4Address = _ANY
    your_address: IPv4Address = _ANY
    next_server: IPv4Address = _ANY
    relay_address: IPv4Address = _ANY
    server_name: str = ""
    file: str = ""
    hops: int = 0
    options: Options = field(default_factory=Options)

    @property
    def type(self) -> MessageType:
        """The message type of option 53.

        Raises:
            OptionError: It is missing (plain BOOTP) or unknown.
        """
        value = self.options.raw(Option.MESSAGE_TYPE)
        try:
            return MessageType(_exactly(1, Option.MESSAGE_TYPE, value or b"")[0])
        except ValueError as error:
            raise OptionError(f"message type {value!r} is missing or unknown") from error

    @classmethod
    def parse(cls, data: bytes) -> "DhcpMessage":
        """Returns the message in a UDP payload.

        Raises:
            TruncatedError: It ends inside the fixed part or inside an option.
            MalformedError: Wrong cookie, operation, hardware type or overload.
        """
        if len(data) < _FIXED.size:
            raise TruncatedError(f"{len(data)} bytes are shorter than {_FIXED.size}")
        (op, htype, hlen, hops, xid, secs, flags, ciaddr, yiaddr, siaddr, giaddr, chaddr, sname,
         file, magic) = _FIXED.unpack_from(data)  # fmt: skip
        if magic != MAGIC:
            raise MalformedError("no DHCP magic cookie: plain BOOTP or not DHCP at all")
        if op not in (BootpOp.REQUEST, BootpOp.REPLY) or htype != 1 or hlen != 6:
            raise MalformedError(f"operation {op} on hardware type {htype}, length {hlen}")
        options, overload = _parse_options(data[_FIXED.size :], sname, file)
        return cls(
            op=BootpOp(op),
            xid=xid,
            hardware_address=chaddr[:hlen],
            seconds=secs,
            broadcast=bool(flags & _BROADCAST),
            client_address=IPv4Address(ciaddr),
            your_address=IPv4Address(yiaddr),
            next_server=IPv4Address(siaddr),
            relay_address=IPv4Address(giaddr),
            server_name="" if overload & 2 else _fixed_text(sname),
            file="" if overload & 1 else _fixed_text(file),
            hops=hops,
            options=options,
        )

    def __bytes__(self) -> bytes:
        fixed = _FIXED.pack(
            self.op, 1, len(self.hardware_address), self.hops, self.xid, self.seconds,
            _BROADCAST if self.broadcast else 0, self.client_address.packed,
            self.your_address.packed, self.next_server.packed, self.relay_address.packed,
            self.hardware_address, self.server_name.encode("ascii"), self.file.encode("ascii"),
            MAGIC,
        )  # fmt: skip
        return (fixed + bytes(self.options)).ljust(MIN_MESSAGE_BYTES, b"\0")


def _parse_options(data: bytes, sname: bytes, file: bytes) -> tuple[Options, int]:
    """Joins the options of the main field, then ``file``, then ``sname`` (RFC 3396 §5)."""
    pieces = list(_split(data, "options"))
    overload = next((value for code, value in pieces if code == Option.OVERLOAD), b"\0")
    if len(overload) != 1 or overload[0] > 3:
        raise MalformedError(f"overload {overload!r} is none of 1, 2, 3")
    if overload[0] & 1:
        pieces += _split(file, "file")
    if overload[0] & 2:
        pieces += _split(sname, "sname")
    return Options(tuple(_joined(pieces).items())), overload[0]


def _joined(pieces: list[tuple[int, bytes]]) -> dict[int, bytes]:
    values: dict[int, bytes] = {}
    for code, value in pieces:
        if code != Option.OVERLOAD:
            values[code] = values.get(code, b"") + value
    return values


def _split(data: bytes, place: str) -> Iterator[tuple[int, bytes]]:
    at = 0
    while at < len(data) and data[at] != _END:
        if data[at] == _PAD:
            at += 1
            continue
        if at + 2 > len(data) or at + 2 + data[at + 1] > len(data):
            raise TruncatedError(f"{place}: code {data[at]} runs past the end")
        yield data[at], data[at + 2 : at + 2 + data[at + 1]]
        at += 2 + data[at + 1]


def _parse_routes(data: bytes) -> Iterator[Route]:
    at = 0
    while at < len(data):
        prefix = data[at]
        octets = (prefix + 7) // 8
        if prefix > 32 or at + 1 + octets + 4 > len(data):
            raise OptionError(f"option 121: bad route at byte {at}")
        network = data[at + 1 : at + 1 + octets].ljust(4, b"\0")
        gateway = data[at + 1 + octets : at + 5 + octets]
        yield Route(IPv4Network((network, prefix), strict=False), IPv4Address(gateway))
        at += 5 + octets


def vendor_identifying(enterprise: int, data: bytes) -> bytes:
    """Returns the value of option 124 or 125 with one enterprise's data (RFC 3925 §3, §4)."""
    return enterprise.to_bytes(4, "big") + bytes([len(data)]) + data


def _parse_enterprises(data: bytes) -> Iterator[tuple[int, dict[int, bytes]]]:
    at = 0
    while at < len(data):
        if at + 5 > len(data) or at + 5 + data[at + 4] > len(data):
            raise OptionError(f"option 125: truncated at byte {at}")
        body = data[at + 5 : at + 5 + data[at + 4]]
        yield int.from_bytes(data[at : at + 4], "big"), dict(_split(body, "option 125"))
        at += 5 + data[at + 4]


def _parse_names(data: bytes) -> Iterator[str]:
    at = 0
    for _ in range(MAX_SEARCH_DOMAINS):
        if at >= len(data):
            return
        labels, at = _parse_name(data, at)
        if labels:
            yield ".".join(labels)


def _parse_name(data: bytes, at: int) -> tuple[list[str], int]:
    """Reads a compressed name (RFC 1035 §4.1.4) and where the next one starts.

    Pointers lead to an earlier name only, so that there are no loops.
    """
    labels: list[str] = []
    start, after = at, None
    while (length := _byte(data, at)) != 0:
        if length & 0xC0 == 0xC0:
            after = at + 2 if after is None else after
            target = (length & 0x3F) << 8 | _byte(data, at + 1)
            if target >= start:
                raise OptionError(f"option 119: the pointer at byte {at} leads forwards")
            at = start = target
            continue
        labels.append(_label(data[at + 1 : at + 1 + length], length))
        if sum(map(len, labels)) + len(labels) > _MAX_NAME:
            raise OptionError(f"option 119: a name is longer than {_MAX_NAME} bytes")
        at += 1 + length
    return labels, at + 1 if after is None else after


def _byte(data: bytes, at: int) -> int:
    if at >= len(data):
        raise OptionError("option 119: it ends inside a name")
    return data[at]


def _label(value: bytes, length: int) -> str:
    if length > 63 or len(value) < length:
        raise OptionError(f"option 119: {length} is no length of a label here")
    text = value.decode("latin-1")
    if not all("!" <= character <= "~" and character != "." for character in text):
        raise OptionError("option 119: a label is not printable ASCII")
    return text


def _exactly(length: int, code: int, value: bytes) -> bytes:
    if len(value) != length:
        raise OptionError(f"option {code}: {len(value)} bytes instead of {length}")
    return value


def _fixed_text(value: bytes) -> str:
    """Reads a NUL-terminated field; what follows the first NUL is padding."""
    try:
        return _text("field", value.partition(b"\0")[0])
    except OptionError:
        return ""


def _text(name: str, value: bytes) -> str:
    text = value.rstrip(b"\0").decode("latin-1")
    if not all(" " <= character <= "~" for character in text):
        raise OptionError(f"{name}: not printable ASCII")
    return text


def _pieces(code: int, value: bytes) -> bytes:
    """Cuts a long value into several options of the same code (RFC 3396 §6)."""
    cuts = [value[at : at + 255] for at in range(0, len(value), 255)] or [b""]
    return b"".join(bytes([code, len(cut)]) + cut for cut in cuts)
