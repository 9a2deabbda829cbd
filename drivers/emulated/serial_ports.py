"""Where the cable of an emulated serial device ends: a pty, a TCP port, an RFC 2217 port.

Emulated: the port appears when it is plugged and vanishes when it is pulled, as a USB serial
adapter does; over TCP and RFC 2217 the newest client wins, as at a console server.

Not emulated: modem lines (a pty has none), rate and parity errors, flow control, and the
clock of the wire: bytes arrive at once.
"""

import asyncio
import contextlib
import logging
import os
import socket
import struct
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import serial
from serial.rfc2217 import PortManager

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
Received = Callable[[bytes], None]


class SerialPort(Protocol):
    """The socket that a device's cable is plugged into."""

    @property
    def url(self) -> str:
        """How a host names it; of a port that has been plugged once."""
        ...

    async def plug(self, received: Received) -> None:
        """Puts the cable in; what the host says goes to ``received``."""
        ...

    async def pull(self) -> None:
        """Pulls the cable: the port is gone."""
        ...

    def write(self, data: bytes) -> None:
        """Says something to the host; lost when none is there."""
        ...


class PtyPort:
    """A pseudo-terminal behind a name that stays.

    Args:
        link: A symbolic link to the terminal while it is plugged.
    """

    def __init__(self, link: Path) -> None:
        self._link = link
        self._ends: tuple[int, int] | None = None

    @property
    def url(self) -> str:
        """The path of the link."""
        return str(self._link)

    async def plug(self, received: Received) -> None:
        """Makes the terminal and its name."""
        if self._ends is not None:
            return
        self._ends = ours, theirs = os.openpty()
        tty.setraw(theirs)
        os.set_blocking(ours, False)
        new = self._link.with_name(f"{self._link.name}.new")
        new.symlink_to(os.ttyname(theirs))
        new.replace(self._link)
        asyncio.get_running_loop().add_reader(ours, self._read, ours, received)

    async def pull(self) -> None:
        """Ends the terminal; whoever has it open is told so by an error."""
        if self._ends is None:
            return
        (ours, theirs), self._ends = self._ends, None
        asyncio.get_running_loop().remove_reader(ours)
        self._link.unlink(missing_ok=True)
        os.close(theirs)
        os.close(ours)

    def write(self, data: bytes) -> None:
        """Says something; a terminal that nobody reads loses it when it is full."""
        if self._ends is not None:
            with contextlib.suppress(BlockingIOError):
                os.write(self._ends[0], data)

    def _read(self, ours: int, received: Received) -> None:
        with contextlib.suppress(BlockingIOError):
            received(os.read(ours, 4096))


class TcpPort:
    """A TCP port of a console server; keeps its number once it has one."""

    scheme = "socket"

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        self._host = host
        self._port = port
        self._listener: socket.socket | None = None
        self._client: socket.socket | None = None

    @property
    def url(self) -> str:
        """``socket://host:port``."""
        return f"{self.scheme}://{self._host}:{self._port}"

    async def plug(self, received: Received) -> None:
        """Starts to listen."""
        if self._listener is not None:
            return
        self._listener = socket.create_server((self._host, self._port))
        self._listener.setblocking(False)
        self._port = self._listener.getsockname()[1]
        asyncio.get_running_loop().add_reader(self._listener, self._accept, received)

    async def pull(self) -> None:
        """Stops listening and breaks the connection; the kernel resets one not accepted yet."""
        listener, self._listener = self._listener, None
        if listener is not None:
            asyncio.get_running_loop().remove_reader(listener)
            listener.close()
        self._drop_client()

    def write(self, data: bytes) -> None:
        """Says something to the client; one that does not read is dropped."""
        self._send(data)

    def _send(self, data: bytes) -> None:
        if self._client is None:
            return
        try:
            unread = self._client.send(data) < len(data)
        except OSError:
            unread = True
        if unread:
            logger.debug("%s: the host does not read; dropped", self.url)
            self._drop_client()

    def _accept(self, received: Received) -> None:
        if self._listener is None:
            return
        with contextlib.suppress(OSError):
            client, _ = self._listener.accept()
            self._drop_client()
            client.setblocking(False)
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._client = client
            asyncio.get_running_loop().add_reader(client, self._read, client, received)
            self._greet()

    def _greet(self) -> None:
        """A client is there."""

    def _read(self, client: socket.socket, received: Received) -> None:
        try:
            data = client.recv(4096)
        except BlockingIOError:
            return
        except OSError:
            data = b""
        if data:
            received(self._plain(data))
        else:
            self._drop_client()

    def _plain(self, data: bytes) -> bytes:
        """Returns what of it is the host's."""
        return data

    def _drop_client(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            asyncio.get_running_loop().remove_reader(client)
            client.close()


class Rfc2217Port(TcpPort):
    """A console server that also takes the settings of the line (RFC 2217), by pyserial's own."""

    scheme = "rfc2217"

    def __init__(self, host: str = LOOPBACK, port: int = 0) -> None:
        super().__init__(host, port)
        self._manager: PortManager | None = None

    def write(self, data: bytes) -> None:
        """Says something to the client, with telnet's escape doubled."""
        if self._manager is not None:
            self._send(b"".join(self._manager.escape(data)))

    def _greet(self) -> None:
        """Begins telnet's negotiation; pyserial's loop:// keeps what the client sets."""
        settings, wire = serial.serial_for_url("loop://"), _Wire(self._send)
        # The stubs ask for more than the manager uses of either.
        self._manager = PortManager(settings, wire)  # type: ignore[arg-type]

    def _plain(self, data: bytes) -> bytes:
        """Takes telnet's commands out and answers them."""
        if self._manager is None:
            return b""
        try:
            return b"".join(self._manager.filter(data))
        except (ValueError, KeyError, TypeError, struct.error) as error:
            logger.warning("%s: the client does not speak RFC 2217: %s", self.url, error)
            self._drop_client()
            return b""


class _Wire:
    """What the port manager writes its side of the negotiation to."""

    def __init__(self, write: Received) -> None:
        self.write = write
