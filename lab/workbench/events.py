"""What units ask a bench TSS, one event each: a line for people, an object for machines."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime
from typing import Final

from ..syslog_sink import MalformedMessageError, SyslogMessage
from ..tss.request import Request


@dataclass(frozen=True, slots=True)
class Event:
    """One thing that happened.

    Attributes:
        service: ``dhcp``, ``dns``, ``tftp``, ``ftpes``, ``https``, ``syslog`` or ``tss``.
        client: the address it came from, "" when it has none yet.
        unit: the MAC, "" when it is not known.
        text: what happened.
        good: whether it went well.
        time: seconds since 1970.
    """

    service: str
    client: str
    unit: str
    text: str
    good: bool = True
    time: float = 0.0

    def as_line(self) -> str:
        """For people."""
        clock = datetime.fromtimestamp(self.time).astimezone().strftime("%H:%M:%S")
        mark = " " if self.good else "!"
        return f"{clock} {mark} {self.unit or self.client:<17}  {self.service:<6} {self.text}"

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return asdict(self)


Tell = Callable[[Event], None]

_DHCP: Final = re.compile(
    r"(DHCP[A-Z]+)\([^)]*\) (?:([0-9.]+) )?((?:[0-9a-f]{2}:){5}[0-9a-f]{2})(?: (.*))?"
)
_SENT: Final = re.compile(r"sent \S*/tftp/(\S+) to ([0-9.]+)")
_MISSING: Final = re.compile(r"file \S*/tftp/(\S+) not found for ([0-9.]+)")
_QUERY: Final = re.compile(r"query\[(\w+)\] (\S+) from ([0-9.]+)")
_HASH: Final = re.compile(r"[0-9a-f]{64}\.")
_ABSENT: Final = frozenset({"missing", "404 not found"})
_REFUSALS: Final = frozenset({"DHCPNAK", "DHCPDECLINE"})


@dataclass(slots=True)
class Watcher:
    """Turns what the servers say into events, and remembers which unit has which address.

    Attributes:
        clock: seconds since 1970.
        tell: told every event.
    """

    clock: Callable[[], float]
    tell: Tell
    _units: dict[str, str] = field(default_factory=dict)

    def event(self, event: Event) -> None:
        """Pass an event on, with its time and, where it can be known, its unit."""
        if event.unit and event.client:
            self._units[event.client] = event.unit
        unit = event.unit or self._units.get(event.client, "")
        self.tell(replace(event, unit=unit, time=self.clock()))

    def dnsmasq(self, line: str) -> None:
        """Take a line of dnsmasq's log."""
        for event in _from_dnsmasq(line):
            self.event(event)

    def request(self, request: Request) -> None:
        """Take a request to the TSS."""
        size = f", {request.octets:,} octets" if request.octets else ""
        what, result = _HASH.sub("", request.what), request.result
        if result in _ABSENT and what.endswith("root.json"):
            result = "none newer"  # how a unit learns that its root is the newest
        good = result in ("ok", "none newer")
        text = f"{what}{size}" if result == "ok" else f"{what}: {result}"
        self.event(Event(request.protocol, request.client, request.unit, text, good))

    def syslog(self, data: bytes, client: str) -> None:
        """Take a datagram of a unit's log."""
        try:
            message = SyslogMessage.parse(data)
        except MalformedMessageError:
            self.event(Event("syslog", client, "", repr(data[:200]), good=False))
        else:
            good = message.severity > 4
            text = f"{message.application}: {_printable(message.message)}"
            self.event(Event("syslog", client, "", text, good))


def _from_dnsmasq(line: str) -> Iterator[Event]:
    if found := _DHCP.search(line):
        kind, address, mac, rest = found.groups()
        text = " ".join(filter(None, (kind.removeprefix("DHCP").lower(), address, rest)))
        yield Event("dhcp", address or "", mac, text, kind not in _REFUSALS)
    elif found := _SENT.search(line):
        yield Event("tftp", found[2], "", found[1])
    elif found := _MISSING.search(line):
        yield Event("tftp", found[2], "", f"{found[1]}: missing")
    elif found := _QUERY.search(line):
        yield Event("dns", found[3], "", f"{found[2]} {found[1]}")


def _printable(text: str) -> str:
    """One line without control characters: what a unit says must not steer a terminal."""
    return "".join(character if character.isprintable() else "·" for character in text)
