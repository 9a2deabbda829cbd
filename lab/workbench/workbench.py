"""Everything that a unit needs from a TSS, up at once and down at once."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import tempfile
import time
from dataclasses import dataclass
from ipaddress import IPv4Address
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from ..bundle.errors import BundleError
from ..bundle.publisher import Publisher
from ..errors import PublishError
from ..plan import SYSLOG_PORT, TSS_PORTS
from ..tss.node import Node
from ..tss.request import Request
from . import dnsmasq, hints, probe, rights
from .dnsmasq import Dhcp, Dnsmasq
from .events import Event, Tell, Watcher
from .place import Place
from .rights import TCP, UDP, Port

logger = logging.getLogger(__name__)

FTPES_PORT, HTTPS_PORT = TSS_PORTS
REFRESH_S: Final = 3600.0
"""How often it is asked whether what is published must be signed anew."""

_DNS_PORT, _DHCP_PORT, _TFTP_PORT = 53, 67, 69


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to be served.

    Attributes:
        place: where.
        dhcp: addresses for units; None when the LAN has a DHCP server.
        syslog: whether the units' logs are taken too.
    """

    place: Place
    dhcp: Dhcp | None
    syslog: bool = True

    def ports(self) -> list[Port]:
        """Every port that it needs."""
        always = [Port("TFTP", UDP, _TFTP_PORT), Port("FTPES", TCP, FTPES_PORT),
                  Port("HTTPS", TCP, HTTPS_PORT)]  # fmt: skip
        if self.syslog:
            always.append(Port("syslog", UDP, SYSLOG_PORT))
        if self.dhcp is not None:
            always += [Port("DNS", UDP, _DNS_PORT), Port("DNS", TCP, _DNS_PORT)]
        return always

    def check(self) -> None:
        """Try every port.

        Raises:
            PortError: ports are taken or may not be used; every one is told.
        """
        rights.check_ports(self.place.address, self.ports())
        if self.dhcp is not None:
            rights.check_ports("", [Port("DHCP", UDP, _DHCP_PORT)])


async def find_dhcp_server(place: Place) -> IPv4Address | None:
    """The LAN's own DHCP server; None when nobody answers.

    Raises:
        PortError: this user may not ask.
    """
    rights.check_raw(place.interface)
    return await probe.dhcp_server(place)


class Workbench:
    """A bench TSS that serves a site.

    Args:
        publisher: of the site.
        plan: what is served, and where.
        tell: told everything that units ask.

    Example::

        async with Workbench(publisher, plan, tell) as bench:
            await bench.serve()
    """

    def __init__(self, publisher: Publisher, plan: Plan, tell: Tell) -> None:
        self._publisher = publisher
        self._plan = plan
        self._watcher = Watcher(time.time, tell)
        self._folder = Path(tempfile.mkdtemp(prefix="openturret-tss-"))
        self._dnsmasq = self._make_dnsmasq()
        self._node: Node | None = None
        self._stack = contextlib.AsyncExitStack()

    async def __aenter__(self) -> Self:
        """Start everything.

        Raises:
            PortError: a port is taken, or a right is missing.
            WorkbenchError: dnsmasq does not start.
            ToolMissingError: there is no dnsmasq.
        """
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(shutil.rmtree, self._folder, ignore_errors=True)
            self._plan.check()
            await self._start_node(stack)
            await self._start_syslog(stack)
            await self._start_dnsmasq(stack)
            self._stack = stack.pop_all()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    async def serve(self) -> None:
        """Serve until cancelled; what would expire meanwhile is signed anew.

        Raises:
            WorkbenchError: dnsmasq ended.
        """
        async with asyncio.TaskGroup() as group:
            group.create_task(self._dnsmasq.ended())
            group.create_task(self._keep_fresh())

    async def _keep_fresh(self) -> None:
        while True:
            await asyncio.sleep(REFRESH_S)
            await asyncio.to_thread(self._refresh)

    def _refresh(self) -> None:
        """A site that is being edited may be wrong for a while; what is published stays."""
        try:
            outcome = self._publisher.publish(logger.info)
        except (BundleError, PublishError) as error:
            self._watcher.event(Event("tss", "", "", f"not published: {error}", good=False))
        else:
            if outcome.published:
                text = f"version {outcome.version} is published"
                self._watcher.event(Event("tss", "", "", text))

    def _make_dnsmasq(self) -> Dnsmasq:
        self._folder.chmod(0o755)  # dnsmasq reads the hints as a user without rights
        root = self._folder / "tftp"
        hints.write_hints(root, self._plan.place.address)
        text = dnsmasq.configuration(self._plan.place, root, self._plan.dhcp)
        return Dnsmasq(text, self._folder, self._watcher.dnsmasq)

    async def _start_node(self, stack: contextlib.AsyncExitStack) -> None:
        address = self._plan.place.address
        certificate = self._publisher.authority().issue(
            "server", self._names(), addresses=[address]
        )
        loop = asyncio.get_running_loop()

        def tell(request: Request) -> None:
            loop.call_soon_threadsafe(self._watcher.request, request)

        node = Node(address, self._publisher.site.tss, certificate.both, tell=tell)
        stack.push_async_callback(node.close)
        await node.start()

    def _names(self) -> list[str]:
        domain = self._plan.dhcp.domain if self._plan.dhcp else "invalid"
        return [f"tss.{domain}"]

    async def _start_syslog(self, stack: contextlib.AsyncExitStack) -> None:
        if self._plan.syslog:
            transport, _ = await asyncio.get_running_loop().create_datagram_endpoint(
                lambda: _Syslog(self._watcher), local_addr=(self._plan.place.address, SYSLOG_PORT)
            )
            stack.callback(transport.close)

    async def _start_dnsmasq(self, stack: contextlib.AsyncExitStack) -> None:
        stack.push_async_callback(self._dnsmasq.close)
        await self._dnsmasq.start()


class _Syslog(asyncio.DatagramProtocol):
    def __init__(self, watcher: Watcher) -> None:
        self._watcher = watcher

    def datagram_received(self, data: bytes, sender: tuple[str, int]) -> None:
        self._watcher.syslog(data, sender[0])


class FirstVisit:
    """Knows when the first unit has come and gone: it fetched something and then fell silent.

    Args:
        quiet_s: how long it must have been silent.
    """

    def __init__(self, quiet_s: float = 5.0) -> None:
        self._quiet_s = quiet_s
        self._over = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None

    def note(self, event: Event) -> None:
        """Take an event."""
        if event.service in ("ftpes", "https") and event.unit and event.good:
            if self._timer is not None:
                self._timer.cancel()
            loop = asyncio.get_running_loop()
            self._timer = loop.call_later(self._quiet_s, self._over.set)

    async def over(self) -> None:
        """Wait for it."""
        await self._over.wait()
