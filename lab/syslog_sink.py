"""A syslog server that keeps what it gets: RFC 5424 over UDP (RFC 5426), to a JSON-lines file.

One line per datagram, with the time of arrival and the sender. What does not parse is kept
as well, under ``malformed``; a sink that drops what it does not understand hides faults.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import re
import signal
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TextIO

from .plan import SYSLOG_PORT, Host
from .processes import Service, logged

logger = logging.getLogger(__name__)

READY = "syslog sink listens"

_HEADER = re.compile(
    r"<(?P<priority>\d{1,3})>1 (?P<time>\S{1,64}) (?P<host>\S{1,255}) (?P<application>\S{1,48}) "
    r"(?P<process>\S{1,128}) (?P<message_id>\S{1,32}) "
    r"(?P<structured>-|(?:\[(?:[^\]\\]|\\.)*\])+)(?: (?P<message>.*))?",
    re.DOTALL,
)
_MARK = "\ufeff"


class MalformedMessageError(ValueError):
    """A datagram that is not an RFC 5424 message."""


@dataclass(frozen=True, slots=True)
class SyslogMessage:
    """One message (RFC 5424 section 6)."""

    facility: int
    severity: int
    time: str
    host: str
    application: str
    process: str
    message_id: str
    structured: str
    message: str

    @classmethod
    def parse(cls, data: bytes) -> SyslogMessage:
        """Parse a datagram.

        Raises:
            MalformedMessageError: it is not RFC 5424.
        """
        match = _HEADER.fullmatch(data.decode("utf-8", errors="replace"))
        if match is None:
            raise MalformedMessageError("not an RFC 5424 message")
        priority = int(match["priority"])
        if priority > 191:
            raise MalformedMessageError(f"priority {priority} is above 191")
        return cls(
            facility=priority >> 3,
            severity=priority & 7,
            time=match["time"],
            host=match["host"],
            application=match["application"],
            process=match["process"],
            message_id=match["message_id"],
            structured=match["structured"],
            message=(match["message"] or "").removeprefix(_MARK),
        )


class SyslogSink(asyncio.DatagramProtocol):
    """Writes every datagram to a file.

    Args:
        file: where the lines go.
        clock: the time of arrival, Unix seconds.
    """

    def __init__(self, file: TextIO, clock: Callable[[], float]) -> None:
        self._file = file
        self._clock = clock

    def datagram_received(self, data: bytes, sender: tuple[str | int, int]) -> None:
        """Keep one datagram."""
        record: dict[str, object] = {"received": self._clock(), "sender": str(sender[0])}
        try:
            record |= asdict(SyslogMessage.parse(data))
        except MalformedMessageError:
            record["malformed"] = data.decode("latin-1")
        self._file.write(json.dumps(record) + "\n")
        self._file.flush()


def service(host: Host, file: Path, *, port: int = SYSLOG_PORT) -> Service:
    """The sink as a process on a host."""
    argv = [sys.executable, "-m", __name__, "--address", host.address, "--port", str(port)]
    return Service("syslog", host.name, [*argv, "--file", str(file)], ready=logged(READY))


async def _serve(address: str, port: int, path: Path) -> None:
    loop = asyncio.get_running_loop()
    stopped = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    with path.open("a", encoding="utf-8") as file:
        transport, _ = await loop.create_datagram_endpoint(
            lambda: SyslogSink(file, time.time), local_addr=(address, port)
        )
        logger.info("%s on %s:%d", READY, address, port)
        await stopped.wait()
        transport.close()


def main(argv: Sequence[str] | None = None) -> None:
    """``python -m openturret.lab.syslog_sink``."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--address", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=SYSLOG_PORT)
    parser.add_argument("--file", type=Path, required=True)
    options = parser.parse_args(argv)
    logging.basicConfig(level=logging.INFO)
    asyncio.run(_serve(options.address, options.port, options.file))


if __name__ == "__main__":
    main()
