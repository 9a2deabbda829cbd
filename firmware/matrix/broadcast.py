"""The event port of OLDCB: what subscribers asked for, on TCP 4251.

A subscriber that does not read is dropped from, never waited for: it is told how many
events it lost once it reads again.
"""

import asyncio
import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

from ...hal.clock import Clock
from ...hal.errors import FieldError, WireError
from ...hal.matrix import Topic
from ...hal.wire import json_lines
from .parting import part

logger = logging.getLogger(__name__)

MAX_SUBSCRIBERS: Final = 16
MAX_UNSENT_BYTES: Final = 65_536
FIRST_REQUEST_S: Final = 10.0
LEVELS_S: Final = 0.04


@dataclass(eq=False, slots=True)
class Subscriber:
    """One connection, what it wants, and what it lost."""

    writer: asyncio.StreamWriter
    topics: frozenset[Topic] = frozenset()
    lost: int = 0
    splitter: json_lines.LineSplitter = field(default_factory=json_lines.LineSplitter)


class EventServer:
    """Tells subscribers what happens; levels are read only while somebody wants them.

    Args:
        clock: Stamps the events.
        counters: Where dropped events and subscribers are counted.
        patience_s: How long a connection may last without a subscription, and how long the last
            words to it may wait to be read.
    """

    def __init__(
        self, clock: Clock, counters: dict[str, int], *, patience_s: float = FIRST_REQUEST_S
    ) -> None:
        self._patience_s = patience_s
        self._clock = clock
        self._counters = counters
        self._subscribers: list[Subscriber] = []
        self._conversations: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self._meter: asyncio.Task[None] | None = None
        self._levels: Callable[[], Mapping[str, object]] = dict
        self._standing: Callable[[], Sequence[Mapping[str, object]]] = list

    async def open(
        self,
        hosts: Sequence[str],
        port: int,
        levels: Callable[[], Mapping[str, object]],
        standing: Callable[[], Sequence[Mapping[str, object]]],
    ) -> int:
        """Listens; returns the port.

        Args:
            hosts: Addresses to listen on.
            port: Port to listen on; 0 lets the system choose.
            levels: Asked 25 times a second for the event's details while somebody wants levels.
            standing: Asked for the standing alarms when somebody subscribes to them.
        """
        self._levels, self._standing = levels, standing
        self._server = await asyncio.start_server(self._serve, hosts, port)
        bound: int = self._server.sockets[0].getsockname()[1]
        return bound

    async def close(self) -> None:
        """Stops listening and drops every subscriber."""
        self._stop_meter()
        if self._server is not None:
            self._server.close()
            for subscriber in self._subscribers:
                subscriber.writer.transport.abort()
            await asyncio.gather(*self._conversations, return_exceptions=True)
            await self._server.wait_closed()

    def publish(self, topic: Topic, event: str, details: Mapping[str, object]) -> None:
        """Sends an event to whoever asked for its topic; never blocks."""
        wanted = [each for each in self._subscribers if topic in each.topics]
        if wanted:
            line = self._line(event, details)
            for subscriber in wanted:
                self._send(subscriber, line)

    def _line(self, event: str, details: Mapping[str, object]) -> bytes:
        message = {**details, "event": event, "time": round(self._clock.unix(), 3)}
        return json_lines.encode(message, max_line_bytes=1_048_576)

    def _send(self, subscriber: Subscriber, line: bytes) -> None:
        transport = subscriber.writer.transport
        if transport.get_write_buffer_size() > MAX_UNSENT_BYTES:
            subscriber.lost += 1
            self._counters["events_dropped"] += 1
            return
        if subscriber.lost:
            transport.write(self._line("dropped", {"count": subscriber.lost}))
            subscriber.lost = 0
        transport.write(line)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        subscriber = Subscriber(writer)
        self._admit(subscriber)
        self._remember(asyncio.current_task())
        timer = asyncio.get_running_loop().call_later(self._patience_s, _expire, subscriber)
        try:
            await self._listen(reader, subscriber)
        except WireError as error:
            error_line = {"error": {"code": "bad_request", "message": str(error)}}
            writer.write(json_lines.encode(error_line))
        except OSError as error:
            logger.debug("subscriber: %s", error)
        finally:
            timer.cancel()
            self._forget(subscriber)
            part(writer, patience_s=self._patience_s)

    async def _listen(self, reader: asyncio.StreamReader, subscriber: Subscriber) -> None:
        while data := await reader.read(4096):
            for line in subscriber.splitter.feed(data):
                self._subscribe(subscriber, _topics(json_lines.decode(line)))

    def _subscribe(self, subscriber: Subscriber, topics: frozenset[Topic]) -> None:
        fresh, subscriber.topics = topics - subscriber.topics, topics
        self._send(subscriber, self._line("subscribed", {"topics": sorted(topics)}))
        for alarm in self._standing() if Topic.ALARMS in fresh else ():
            self._send(subscriber, self._line("alarm", alarm))
        self._tend_meter()

    def _remember(self, conversation: asyncio.Task[None] | None) -> None:
        if conversation is not None:
            self._conversations.add(conversation)
            conversation.add_done_callback(self._conversations.discard)

    def _admit(self, subscriber: Subscriber) -> None:
        self._subscribers.append(subscriber)
        if len(self._subscribers) > MAX_SUBSCRIBERS:
            idle = (each for each in self._subscribers if not each.topics)
            victim = next(idle, subscriber)
            victim.writer.transport.abort()
            self._subscribers.remove(victim)
        self._counters["subscribers"] = len(self._subscribers)

    def _forget(self, subscriber: Subscriber) -> None:
        if subscriber in self._subscribers:
            self._subscribers.remove(subscriber)
        self._counters["subscribers"] = len(self._subscribers)
        self._tend_meter()

    def _tend_meter(self) -> None:
        wanted = any(Topic.LEVELS in each.topics for each in self._subscribers)
        if wanted and self._meter is None:
            self._meter = asyncio.create_task(self._measure(), name="levels")
        elif not wanted:
            self._stop_meter()

    def _stop_meter(self) -> None:
        if self._meter is not None:
            self._meter.cancel()
            self._meter = None

    async def _measure(self) -> None:
        loop = asyncio.get_running_loop()
        due = loop.time()
        while True:
            try:
                self.publish(Topic.LEVELS, "levels", self._levels())
            except OSError as error:
                logger.warning("no levels: %s", error)
            due = max(due + LEVELS_S, loop.time())
            await asyncio.sleep(due - loop.time())


def _expire(subscriber: Subscriber) -> None:
    if not subscriber.topics:
        subscriber.writer.transport.abort()


def _topics(message: json_lines.JsonObject) -> frozenset[Topic]:
    names = json_lines.field(message, "subscribe", list)
    try:
        return frozenset(Topic(str(name)) for name in names)
    except ValueError as error:
        raise FieldError(f"{error}; topics are {', '.join(Topic)}") from error
