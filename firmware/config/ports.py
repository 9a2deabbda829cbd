"""Every port that a unit may open, and which ones a configuration opens."""

from __future__ import annotations

import enum
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass

from .key import Value

Settings = Mapping[str, Value]
"""Anything that answers for a key by name, a `Configuration` for one."""


class Protocol(enum.Enum):
    """What is spoken on a port, as far as a firewall cares."""

    TCP = "TCP"
    UDP = "UDP"
    TCP_UDP = "TCP+UDP"
    TLS = "TLS"

    @property
    def transports(self) -> frozenset[str]:
        """The transports that the port occupies: TLS occupies TCP."""
        return frozenset("TCP" if part == "TLS" else part for part in self.value.split("+"))


@dataclass(frozen=True, slots=True)
class Port:
    """One row of the port table.

    Attributes:
        name: Short name that keys refer to.
        protocol: Protocol on the wire.
        first: Documented first port.
        last: Documented last port, inclusive.
        use: What it is for.
        default: Whether and when it is open by default.
        served: Whether this release answers there; else nothing listens, whatever the keys say.
        shares: Name of the port whose listener it shares, if any.
        note: What a reader must know besides.
    """

    name: str
    protocol: Protocol
    first: int
    last: int
    use: str
    default: str
    served: bool = False
    shares: str = ""
    note: str = ""


@dataclass(frozen=True, slots=True)
class PortState:
    """A port as a given configuration sets it.

    Attributes:
        port: The row of the table.
        is_open: Whether the configuration opens it.
        first: First port in use, or that would be in use.
        last: Last port, inclusive.
    """

    port: Port
    is_open: bool
    first: int
    last: int

    @property
    def is_served(self) -> bool:
        """Whether anything listens there in this release."""
        return self.is_open and self.port.served

    def overlaps(self, other: PortState) -> bool:
        """Whether both occupy a port of the same transport."""
        common = self.port.protocol.transports & other.port.protocol.transports
        return bool(common) and self.first <= other.last and other.first <= self.last


PORTS: tuple[Port, ...] = (
    Port("web", Protocol.TCP, 80, 80, "web administration and panel", "on", served=True),
    Port(
        "snmp",
        Protocol.UDP,
        161,
        161,
        "SNMP",
        "on",
        note="Answers nobody until a community is set.",
    ),
    Port("capture", Protocol.TCP, 2002, 2002, "remote packet capture", "off"),
    Port(
        "xma-admin",
        Protocol.TCP,
        2305,
        2305,
        "XMA switch administration (telnet)",
        "off; only where the unit has an XMA",
    ),
    Port(
        "oldcb",
        Protocol.TCP,
        4250,
        4251,
        "OLDCB, internal mixing matrix; needed for mixed recording without XMA",
        "on without XMA, off with XMA",
        served=True,
        note="Bound to loopback unless configured otherwise.",
    ),
    Port("sip", Protocol.TCP_UDP, 5060, 5060, "SIP", "on", served=True),
    Port("sip-tls", Protocol.TLS, 5061, 5061, "SIP", "off"),
    Port(
        "sip-websocket",
        Protocol.TCP,
        80,
        80,
        "SIP over WebSocket",
        "off",
        shares="web",
        note="Shares the listener of web administration, by subprotocol.",
    ),
    Port("sip-websocket-secure", Protocol.TLS, 443, 443, "SIP over secure WebSocket", "off"),
    Port("itmh", Protocol.UDP, 9876, 9876, "ITMH multicast", "off", note="TTL 1."),
    Port("voice", Protocol.UDP, 11000, 13000, "voice RTP", "on", served=True),
    Port(
        "voice-xma",
        Protocol.UDP,
        10240,
        12287,
        "voice RTP, XMA2 only",
        "on with XMA",
        note="One of six aligned ranges; the last even port is RTP, the next odd one RTCP.",
    ),
    Port("video", Protocol.UDP, 31000, 31100, "video RTP", "on"),
)
"""The port table, in the order in which it is documented."""


def _number(settings: Settings, name: str) -> int:
    value = settings[name]
    return value if isinstance(value, int) else 0


def _by_number(name: str) -> Callable[[Settings], bool]:
    return lambda settings: _number(settings, name) > 0


def _by_flag(name: str) -> Callable[[Settings], bool]:
    return lambda settings: settings[name] is True


def _has_xma(settings: Settings) -> bool:
    return settings["application.xma.enable"] is True


_IS_OPEN: dict[str, Callable[[Settings], bool]] = {
    "web": _by_flag("application.boot.startserver"),
    "snmp": _by_flag("application.global.snmp.enable"),
    "capture": _by_flag("application.global.rpcapd.enable"),
    "xma-admin": lambda settings: (
        _has_xma(settings) and settings["application.xma.telnetaccess"] is True
    ),
    "oldcb": lambda settings: not _has_xma(settings),
    "sip": lambda _: True,
    "sip-tls": _by_number("application.sip.tlsconnection.port"),
    "sip-websocket": _by_number("application.sip.websocket.listening.port"),
    "sip-websocket-secure": _by_number("application.sip.websocketsecure.listening.port"),
    "itmh": _by_flag("profile.setting.broadcasting.enabled"),
    "voice": lambda settings: not _has_xma(settings),
    "voice-xma": _has_xma,
    "video": lambda _: True,
}

_NUMBER_KEYS = {
    "web": "application.web.port",
    "sip": "application.sip.connection.port",
    "sip-tls": "application.sip.tlsconnection.port",
    "sip-websocket": "application.sip.websocket.listening.port",
    "sip-websocket-secure": "application.sip.websocketsecure.listening.port",
}

_RANGE_KEYS = {
    "voice": ("application.mm.rtplowerport", "application.mm.rtpupperport"),
    "video": ("application.mm.vie.rtplowerport", "application.mm.vie.rtpupperport"),
}


def _range(port: Port, settings: Settings) -> tuple[int, int]:
    if port.name in _NUMBER_KEYS:
        number = _number(settings, _NUMBER_KEYS[port.name]) or port.first
        return number, number
    if port.name in _RANGE_KEYS:
        lower, upper = _RANGE_KEYS[port.name]
        return _number(settings, lower), _number(settings, upper)
    if port.name == "voice-xma":
        first = _number(settings, "application.xma.trafficin.portef")
        return first, first | (~_number(settings, "application.xma.trafficin.netmask") & 0xFFFF)
    if port.name == "itmh":
        _, _, number_text = str(settings["profile.setting.broadcasting.mcast"]).partition(":")
        return (int(number_text), int(number_text)) if number_text else (port.first, port.last)
    return port.first, port.last


def states(settings: Settings) -> tuple[PortState, ...]:
    """The port table as a configuration sets it, one state per row."""
    return tuple(
        PortState(port, _IS_OPEN[port.name](settings), *_range(port, settings)) for port in PORTS
    )


def collisions(settings: Settings) -> Iterator[tuple[PortState, PortState]]:
    """Pairs of open ports that would fight for the same number."""
    opened = [state for state in states(settings) if state.is_open]
    for index, one in enumerate(opened):
        for other in opened[index + 1 :]:
            shared = other.port.shares == one.port.name
            if one.overlaps(other) and not shared:
                yield one, other
