"""What goes wrong on the bench: cut cables, silent black holes, dead and frozen servers.

A fault is a context manager, so it always ends; cut and blackhole can also be called one
by one.

Example::

    with faults.cut("fibre"):
        ...                              # carrier is lost: routers use the SDSL at once
    with faults.blackhole("pbx1"):
        ...                              # nobody is told: only a timeout finds out
    with faults.frozen("directory1"):
        ...                              # its sockets are there, nobody serves them
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Iterator

from .errors import NetworkError
from .network import Link, Network
from .processes import Processes

_PREFERENCE = 10
_LISTENING, _FORWARDING = 1, 3
"""States of a bridge's port (IEEE 802.1D): one that listens carries nothing."""


class Faults:
    """The faults of one bench.

    Args:
        network: the network whose links fail.
        processes: the servers that die or freeze.
    """

    def __init__(self, network: Network, processes: Processes) -> None:
        self._network = network
        self._processes = processes

    @contextlib.contextmanager
    def cut(self, link: str) -> Iterator[None]:
        """A cable is cut: both ends lose the carrier.

        Args:
            link: ``fibre``, ``sdsl``, ``cpe``, or the name of a host.

        Raises:
            NetworkError: there is no such link.
        """
        self.cut_link(link)
        try:
            yield
        finally:
            self.mend_link(link)

    @contextlib.contextmanager
    def blackhole(self, link: str) -> Iterator[None]:
        """A cable swallows everything in both directions and keeps its carrier.

        Args:
            link: as for `cut`.

        Raises:
            NetworkError: there is no such link.
        """
        self.swallow_link(link)
        try:
            yield
        finally:
            self.release_link(link)

    @contextlib.contextmanager
    def frozen(self, name: str) -> Iterator[None]:
        """A server is stopped with SIGSTOP: it accepts connections and never answers."""
        process = self._processes[name]
        process.freeze()
        try:
            yield
        finally:
            process.thaw()

    @contextlib.asynccontextmanager
    async def dead(self, name: str) -> AsyncIterator[None]:
        """A server is killed with SIGKILL, and started again afterwards."""
        await self._processes[name].kill()
        try:
            yield
        finally:
            await self._processes[name].restart()

    def cut_link(self, name: str) -> None:
        """Take the far end down; the near end sees that its carrier is gone."""
        far = self._link(name).ends[1]
        self._network.configure(far.namespace, [f"link set {far.interface} down"])

    def mend_link(self, name: str) -> None:
        """Bring the far end up, with the routes that it lost."""
        link = self._link(name)
        far = link.ends[1]
        routes = [
            route.command
            for route in self._network.routes_of(link)
            if route.namespace == far.namespace
        ]
        self._network.configure(far.namespace, [f"link set {far.interface} up", *routes])

    def swallow_link(self, name: str) -> None:
        """Make a link drop everything."""
        link = self._link(name)
        if link.switched:
            self._set_port(link, _LISTENING)
            return
        for end in link.ends:
            rule = f"rule add iif {end.interface} blackhole preference {_PREFERENCE}"
            self._network.configure(end.namespace, [rule])

    def release_link(self, name: str) -> None:
        """Make a link carry again what it swallowed."""
        link = self._link(name)
        if link.switched:
            self._set_port(link, _FORWARDING)
            return
        for end in link.ends:
            rule = f"rule del iif {end.interface} blackhole preference {_PREFERENCE}"
            self._network.configure(end.namespace, [rule])

    def _set_port(self, link: Link, state: int) -> None:
        port = link.ends[1]
        self._network.configure(
            port.namespace, [f"link set {port.interface} type bridge_slave state {state}"]
        )

    def _link(self, name: str) -> Link:
        if name not in self._network.links:
            known = ", ".join(sorted(self._network.links))
            raise NetworkError(f"there is no link {name!r}; known are {known}")
        return self._network.links[name]
