"""The port filter of an emulated XMA2: what lets a datagram in to the matrix, or does not.

The module's address stands in front of the matrix's: a datagram to ``outside:port`` goes on to
``inside:port`` when the filter accepts the port, and what the matrix sends back goes to whoever
sent last.  No name space is needed: on Linux the whole of 127.0.0.0/8 is loopback.

Not emulated: the module's Ethernet; ports are opened by :meth:`PortGate.open` as they are needed,
for a filter that looks at frames needs no socket per port.
"""

import asyncio
import contextlib
import socket
from collections import Counter

from ...hal.xma import PortFilter

Address = tuple[str, int]


class PortGate:
    """Filters datagrams to the ports it was told to open.

    Args:
        outside: The module's address, for example 127.0.0.2.
        inside: The address of its matrix, for example 127.0.0.1.
        ports: The filter that is in force at first.
    """

    def __init__(self, outside: str, inside: str, ports: PortFilter) -> None:
        self._outside = outside
        self._inside = inside
        self._sockets: dict[int, socket.socket] = {}
        self._peers: dict[int, Address] = {}
        self.ports = ports
        self.counters: Counter[str] = Counter(accepted=0, filtered=0)

    def open(self, port: int) -> None:
        """Lets datagrams to that port arrive at the filter.

        Raises:
            OSError: The port is in use at the module's address.
        """
        gate = self._sockets[port] = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        gate.setblocking(False)
        gate.bind((self._outside, port))
        asyncio.get_running_loop().add_reader(gate, self._pass, port)

    def close(self) -> None:
        """Lets nothing in any more."""
        for gate in self._sockets.values():
            asyncio.get_running_loop().remove_reader(gate)
            gate.close()
        self._sockets.clear()

    def _pass(self, port: int) -> None:
        gate = self._sockets[port]
        with contextlib.suppress(OSError):  # a datagram that the kernel refuses is lost
            datagram, source = gate.recvfrom(65_536)
            if source == (self._inside, port):
                self._out(gate, port, datagram)
            else:
                self._in(gate, port, datagram, source)

    def _in(self, gate: socket.socket, port: int, datagram: bytes, source: Address) -> None:
        accepted = self.ports.accepts(port)
        self.counters["accepted" if accepted else "filtered"] += 1
        if accepted:
            self._peers[port] = source
            gate.sendto(datagram, (self._inside, port))

    def _out(self, gate: socket.socket, port: int, datagram: bytes) -> None:
        if port in self._peers:
            gate.sendto(datagram, self._peers[port])
