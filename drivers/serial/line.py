"""One serial line, by pyserial's URL: opened again and again, read on a thread, heard on the loop.

``/dev/ttyACM0``, ``/dev/serial/by-path/...``, ``socket://host:port`` and ``rfc2217://host:port``
are all the same from here.  A pty stands for a tty; it has no modem lines, so none are used.

pyserial blocks, so a line has two threads: one opens, reads and closes, one writes.  A listener
is called on the event loop, and the reading thread waits for it: whoever floods the line is
slowed down, and nothing piles up.
"""

import asyncio
import concurrent.futures
import contextlib
import logging
import random
import socket
import termios
import threading
from collections.abc import Callable, Iterator
from functools import partial
from typing import Final, Protocol

import serial

from ...hal.backoff import Backoff, Waits
from ...hal.errors import DeviceGoneError, HalError
from .cutter import LineCutter

logger = logging.getLogger(__name__)

BAUD_RATE: Final = 115_200
READ_S: Final = 0.2
"""How long a read may block, hence how long a line that is closed or given up may linger."""

WRITE_S: Final = 2.0
CLOSE_S: Final = 3.0
"""How long a line that is open may take to close: a read, and a write that is under way."""

MAX_READ_BYTES: Final = 4096
MAX_UNWRITTEN: Final = 64
FIRST_RETRY_S: Final = 0.05
LAST_RETRY_S: Final = 1.0
_BROKEN: Final = (OSError, ValueError, termios.error)
"""What pyserial raises when a port goes away under it: its own errors are OSErrors."""


class Listener(Protocol):
    """Who hears a line; a HalError out of ``opened`` or ``heard`` gives the connection up."""

    def opened(self) -> None:
        """The line is open; nothing was heard yet."""
        ...

    def heard(self, text: bytes) -> None:
        """A line of text came, without its end."""
        ...

    def lost(self, reason: str) -> None:
        """The line is not open any more; it is opened again by itself."""
        ...


class SerialLine:
    """Keeps a line open from :meth:`start` to :meth:`close`.

    Args:
        name: For logs, the position of the device.
        place: Returns the URL, anew for each attempt, or raises HalError while there is none.
        listener: Hears what the line says.
        max_line_bytes: Longest line of text that is handed on.
    """

    def __init__(
        self, name: str, place: Callable[[], str], listener: Listener, *, max_line_bytes: int
    ) -> None:
        self._name = name
        self._place = place
        self._listener = listener
        self._max_line_bytes = max_line_bytes
        self._waits = Waits(Backoff(FIRST_RETRY_S, LAST_RETRY_S, 0.25, random.Random()))
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None
        self._closing = threading.Event()
        self._writer: _Writer | None = None
        self._problem = ""

    def start(self) -> None:
        """Starts to open the line; the listener is called on the running loop."""
        if self._thread is None:
            self._loop = asyncio.get_running_loop()
            self._closing = threading.Event()
            work = partial(self._run, self._closing)
            self._thread = threading.Thread(target=work, name=self._name, daemon=True)
            self._thread.start()

    async def close(self) -> None:
        """Closes the line; its listener has heard the last of it.

        An attempt to open it that hangs, as at a host that drops what is sent to it, is left to
        end by itself: it hands nothing on any more.
        """
        thread, self._thread = self._thread, None
        if thread is not None:
            self._closing.set()
            await asyncio.to_thread(thread.join, CLOSE_S)

    def write(self, data: bytes) -> None:
        """Queues bytes; nothing is kept for a line that is not open."""
        if self._writer is not None:
            self._writer.write(data)

    def confirm(self) -> None:
        """The far end is who it should be: after its next loss it is tried again at once."""
        self._waits.reset()
        self._problem = ""

    def give_up(self, reason: str) -> None:
        """Closes the line and opens it again: whoever is at its far end does not answer."""
        if self._writer is not None:
            self._writer.fail(reason)

    # ------------------------------------------------------------ on the thread

    def _run(self, closing: threading.Event) -> None:
        while not closing.is_set():
            try:
                self._serve(self._place(), closing)
            except (*_BROKEN, HalError) as error:
                self._complain(str(error))
            closing.wait(self._waits.next_s())

    def _complain(self, problem: str) -> None:
        """Says why the line is not open, once and not at each attempt."""
        level = logging.DEBUG if problem == self._problem else logging.WARNING
        self._problem = problem
        logger.log(level, "%s: %s", self._name, problem)

    def _serve(self, url: str, closing: threading.Event) -> None:
        with _opened(url) as port:
            if closing.is_set():
                return
            writer = _Writer(port)
            reason = "closed"
            try:
                self._on_loop(partial(self._begin, writer))
                self._read(port, writer, closing)
            except (*_BROKEN, HalError) as error:
                reason = str(error)
                raise
            finally:
                self._on_loop(partial(self._end, reason))
                writer.close()

    def _begin(self, writer: "_Writer") -> None:
        self._writer = writer
        self._listener.opened()

    def _end(self, reason: str) -> None:
        self._writer = None
        self._listener.lost(reason)

    def _read(self, port: serial.Serial, writer: "_Writer", closing: threading.Event) -> None:
        cutter = LineCutter(self._max_line_bytes)
        while not closing.is_set():
            writer.check()
            data = port.read(1)
            data += port.read(min(port.in_waiting, MAX_READ_BYTES))
            if lines := cutter.feed(data):
                self._on_loop(partial(self._hear, lines))

    def _hear(self, lines: list[bytes]) -> None:
        for text in lines:
            self._listener.heard(text)

    def _on_loop(self, work: Callable[[], None]) -> None:
        """Does the work on the loop, waits for it, and raises what it raises."""
        done: concurrent.futures.Future[None] = concurrent.futures.Future()

        def run() -> None:
            try:
                work()
                done.set_result(None)
            except Exception as error:
                done.set_exception(error)

        if self._loop is None or self._loop.is_closed():
            raise DeviceGoneError("the event loop is closed")
        self._loop.call_soon_threadsafe(run)
        done.result()


class _Writer:
    """Writes to a port on a thread of its own, in order, with a bound on what waits."""

    def __init__(self, port: serial.Serial) -> None:
        self._port = port
        self._thread = concurrent.futures.ThreadPoolExecutor(1, "serial writer")
        self._room = threading.BoundedSemaphore(MAX_UNWRITTEN)
        self._problem = ""

    def write(self, data: bytes) -> None:
        """Queues bytes; when too many wait the port is given up."""
        if self._room.acquire(blocking=False):
            self._thread.submit(self._write, data)
        else:
            self.fail(f"{MAX_UNWRITTEN} writes wait: the far end does not read")

    def fail(self, reason: str) -> None:
        """Gives the port up; the first reason counts."""
        self._problem = self._problem or reason

    def check(self) -> None:
        """Raises what made the port unusable.

        Raises:
            DeviceGoneError: A write failed, or the port was given up.
        """
        if self._problem:
            raise DeviceGoneError(self._problem)

    def close(self) -> None:
        """Ends the thread; what was not written yet is dropped."""
        self._thread.shutdown(wait=True, cancel_futures=True)

    def _write(self, data: bytes) -> None:
        try:
            if not self._problem:
                self._port.write(data)
        except _BROKEN as error:
            self.fail(f"cannot write: {error}")
        finally:
            self._room.release()


@contextlib.contextmanager
def _opened(url: str) -> Iterator[serial.Serial]:
    """Opens a port.

    Over RFC 2217 pyserial has no time-out for writing; its socket has one of its own.  Answers to
    SET_CONTROL are not waited for: modem lines are not used, and behind a console server whose
    port has none (a pty at ser2net) they never come.

    pyserial 3.5 leaves a socket open whose far end has gone, so it is closed here once more, and
    lets Nagle's algorithm hold a short line back until the one before it is acknowledged.
    """
    is_remote = url.startswith("rfc2217://")
    write_s = None if is_remote else WRITE_S
    port = serial.serial_for_url(
        f"{url}?ign_set_control" if is_remote else url,
        baudrate=BAUD_RATE,
        timeout=READ_S,
        write_timeout=write_s,
        exclusive=True,
    )
    far: socket.socket | None = getattr(port, "_socket", None)
    try:
        if far is not None:
            far.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        yield port
    finally:
        port.close()
        if far is not None:
            far.close()
