"""Pings addresses and says how many answers came: ``python -m openturret.lab.ping``.

Sends ICMP echo requests (RFC 792) at a steady pace from wherever it runs, so run it with
`Network.run_in` in a host. Prints one JSON object: address to sent, received and the
longest time without an answer.
"""

from __future__ import annotations

import argparse
import json
import selectors
import socket
import struct
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass

_ECHO_REQUEST, _ECHO_REPLY = 8, 0
_HEADER = struct.Struct("!BBHHH")
_WAIT_S = 0.5


@dataclass(slots=True)
class Answers:
    """What came back from an address.

    Attributes:
        sent: echo requests sent.
        received: echo replies received.
        longest_gap_s: longest time between two replies, and until the first.
    """

    sent: int = 0
    received: int = 0
    longest_gap_s: float = 0.0


class Pinger:
    """Sends to all addresses in turn.

    Args:
        raw: a raw ICMP socket.
        addresses: whom to ask.
        clock: monotonic seconds.
    """

    def __init__(
        self, raw: socket.socket, addresses: Sequence[str], clock: Callable[[], float]
    ) -> None:
        self.answers = {address: Answers() for address in addresses}
        self._raw = raw
        self._clock = clock
        self._last = dict.fromkeys(addresses, clock())
        self._selector = selectors.DefaultSelector()
        self._selector.register(raw, selectors.EVENT_READ)

    def run(self, count: int, interval_s: float) -> None:
        """Send ``count`` requests to every address, then wait for what is still under way."""
        start = self._clock()
        for number in range(count):
            self._send(number)
            self._listen_until(start + (number + 1) * interval_s)
        end = self._clock() + _WAIT_S
        while self._missing() and self._clock() < end:
            self._listen_until(min(end, self._clock() + 0.01))

    def _missing(self) -> bool:
        return any(found.received < found.sent for found in self.answers.values())

    def _send(self, number: int) -> None:
        for address, found in self.answers.items():
            found.sent += 1
            try:
                self._raw.sendto(_request(number), (address, 0))
            except OSError:
                continue

    def _listen_until(self, deadline: float) -> None:
        while (left := deadline - self._clock()) > 0:
            if self._selector.select(left):
                self._take(*self._raw.recvfrom(2048))

    def _take(self, packet: bytes, sender: tuple[str, int]) -> None:
        payload = packet[(packet[0] & 15) * 4 :]
        found = self.answers.get(sender[0])
        if found is None or payload[:1] != bytes([_ECHO_REPLY]):
            return
        now = self._clock()
        found.received += 1
        found.longest_gap_s = max(found.longest_gap_s, now - self._last[sender[0]])
        self._last[sender[0]] = now


def _request(number: int) -> bytes:
    header = _HEADER.pack(_ECHO_REQUEST, 0, 0, 0x7075, number & 0xFFFF)
    return _HEADER.pack(_ECHO_REQUEST, 0, _checksum(header), 0x7075, number & 0xFFFF)


def _checksum(data: bytes) -> int:
    total: int = sum(struct.unpack(f"!{len(data) // 2}H", data))
    total = (total & 0xFFFF) + (total >> 16)
    return ~(total + (total >> 16)) & 0xFFFF


def main(argv: Sequence[str] | None = None) -> int:
    """Ping; 0 when every request was answered."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("addresses", nargs="+")
    parser.add_argument("--count", type=int, default=1)
    parser.add_argument("--interval", type=float, default=0.01, help="seconds")
    options = parser.parse_args(argv)
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_ICMP) as raw:
        pinger = Pinger(raw, options.addresses, time.monotonic)
        pinger.run(options.count, options.interval)
    answers = {address: asdict(found) for address, found in pinger.answers.items()}
    sys.stdout.write(json.dumps(answers) + "\n")
    return int(any(found.received < found.sent for found in pinger.answers.values()))


if __name__ == "__main__":
    sys.exit(main())
