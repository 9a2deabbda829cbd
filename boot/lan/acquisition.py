"""How a DHCP client comes to an address: INIT-REBOOT, or INIT and SELECTING (RFC 2131)."""

import asyncio
import contextlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address
from typing import Final

from ..errors import AddressConflictError, AddressRefusedError, DhcpError, InterfaceError
from ..wire.dhcp import DhcpMessage, MessageType
from .binding import Binding, DhcpState, Situation
from .conflict import AddressGuard, Watch
from .dhcp_messages import Conversation
from .lease import Lease
from .link import BroadcastPort
from .offers import Offers

REMEDY: Final = "check cable, VLAN, and that a DHCP server or relay answers on this LAN"

_OFFER = (MessageType.OFFER,)


@dataclass(frozen=True, slots=True)
class _Grant:
    """What was asked of a server: an address.

    Attributes:
        server: Who offered the address, or granted it earlier.
        answer_s: How long after the first probe the address is not used yet.
    """

    address: IPv4Address
    server: IPv4Address
    answer_s: float


class Acquisition:
    """Asks for addresses on one interface.

    Attributes:
        watch: Watches over the address that came out of it.
        known: The server of the last lease, whose offers are preferred.
    """

    def __init__(self, situation: Situation, watch: Watch) -> None:
        self._here = situation
        self.watch = watch
        self.known: IPv4Address | None = None
        self._conflicts = 0
        self._began = self._seconds = situation.clock.monotonic()

    async def reboot(self, stored: Lease, waits_s: tuple[float, ...]) -> Binding | None:
        """INIT-REBOOT: asks for an address without a DISCOVER (RFC 2131 §3.2).

        Args:
            stored: The lease with the address.
            waits_s: How long to wait for an answer, once for each time of asking.

        Returns:
            The confirmed lease; None when nobody answers.

        Raises:
            AddressRefusedError: The server said NAK.
            AddressConflictError: Somebody else uses the address.
            DhcpError: The interface fails.
        """
        here = self._here
        here.listener.enter(DhcpState.INIT_REBOOT, stored.address)
        self._begin()
        wanted = _Grant(stored.address, stored.server, here.timing.arp.known_answer_s)
        request = self._message(MessageType.REQUEST, here.xid(), requested=stored.address)
        with self._broadcasting() as port, self._probing(stored.address) as guard:
            talk = Conversation(port, here.requester.mac, request.xid, here.clock)
            await guard.probe()
            here.listener.enter(DhcpState.REBOOTING, stored.address)
            for wait_s in waits_s:
                binding = await self._confirm(talk, request, guard, wanted, self._spread(wait_s))
                if binding is not None:
                    return binding
                here.listener.trouble(silence(), f"{stored.address} is not confirmed yet")
            await self._settle(guard, wanted)
        return None

    async def select(self, wish: IPv4Address | None) -> Binding:
        """INIT: DISCOVER and REQUEST until a server grants something usable."""
        here = self._here
        xid = here.xid()
        self._begin()
        for attempt, delay_s in enumerate(here.timing.backoff.delays(), start=1):
            due = here.clock.monotonic() + delay_s
            again = f"attempt {attempt}; the next one in {delay_s:.1f} s" if attempt > 1 else ""
            here.listener.enter(DhcpState.SELECTING, wish, again)
            try:
                return await self._discover(
                    Offers(self.known), xid, wish, due, broadcast=attempt % 2 == 0
                )
            except DhcpError as error:
                left_s = max(0.0, self.quiet_s(error), due - here.clock.monotonic())
                here.listener.trouble(error, f"attempt {attempt}; the next one in {left_s:.1f} s")
                if not is_still_ours(error):
                    xid, wish = here.xid(), None
            await asyncio.sleep(left_s)
        raise DhcpError("the back-off has ended")  # pragma: no cover - it has no end

    async def discover(self, due: float, acceptable: Callable[[Lease], bool]) -> Binding:
        """One DISCOVER of a unit that has an address, for a lease that may replace it.

        Raises:
            AddressConflictError: Somebody else uses the offered address.
            DhcpError: Nobody offered something acceptable, or no offer led to a lease.
        """
        offers = Offers(self.known, acceptable)
        self._here.listener.enter(DhcpState.SELECTING, self.watch.address)
        return await self._discover(offers, self._here.xid(), self.watch.address, due)

    async def decline(self, address: IPv4Address, server: IPv4Address) -> None:
        """Tells the server that somebody else uses an address (RFC 2131 §4.4.4).

        Raises:
            DhcpError: The interface fails.
        """
        self._conflicts += 1
        decline = self._here.requester.message(
            MessageType.DECLINE, self._here.xid(), requested=address, server=server
        )
        with self._broadcasting() as port:
            await port.send(decline)

    def quiet_s(self, error: DhcpError) -> float:
        """Returns how long to be quiet after a failure; conflicts must not follow fast."""
        if not isinstance(error, AddressConflictError):
            return 0.0
        arp = self._here.timing.arp
        rarely = self._conflicts >= arp.max_conflicts
        return arp.rate_limit_s if rarely else self._here.timing.decline_s

    def forget_conflicts(self) -> None:
        """Notes that an address has proved good."""
        self._conflicts = 0

    async def _discover(
        self,
        offers: Offers,
        xid: int,
        wish: IPv4Address | None,
        due: float,
        *,
        broadcast: bool = False,
    ) -> Binding:
        """SELECTING: takes the best offer, and the next one when that leads nowhere.

        Some LANs lose answers to a unit without an address, so every other time they are
        asked to be broadcast.
        """
        here = self._here
        self._seconds = here.clock.monotonic() - self._began
        failure = silence()
        discover = self._message(MessageType.DISCOVER, xid, requested=wish, broadcast=broadcast)
        with self._broadcasting() as port:
            talk = Conversation(
                port, here.requester.mac, xid, here.clock, lambda other: self._note(other, offers)
            )
            await talk.send(discover)
            while (offer := await self._next_offer(talk, offers, due)) is not None:
                try:
                    return await self._request(talk, discover, offer)
                except AddressConflictError:
                    raise
                except DhcpError as error:
                    failure = error
                    here.listener.trouble(error, "asking the next server that offers")
        raise failure

    async def _next_offer(self, talk: Conversation, offers: Offers, due: float) -> Lease | None:
        """Returns an offer about a TSS at once, another one after a wait for a better one."""
        clock = self._here.clock
        while not offers.preferred:
            if offers:
                due = min(due, clock.monotonic() + self._here.timing.offer_s)
            message = await talk.answer(_OFFER, due - clock.monotonic())
            if message is None:
                break
            self._note(message, offers)
        offer = offers.take()
        self._here.listener.count(0 if offer is None else 1)
        return offer

    def _note(self, message: DhcpMessage, offers: Offers) -> None:
        if message.type is not MessageType.OFFER:
            return
        try:
            offers.add(message, self._here.clock.unix())
        except DhcpError as error:
            self._here.listener.trouble(error, "waiting for another offer")

    async def _request(self, talk: Conversation, discover: DhcpMessage, offered: Lease) -> Binding:
        """REQUESTING: takes the offer, with the ARP probe beside it.

        Raises:
            AddressRefusedError: The server changed its mind.
            AddressConflictError: Somebody else uses the address.
            DhcpError: The server fell silent.
        """
        here = self._here
        here.listener.enter(DhcpState.REQUESTING, offered.address)
        request = self._message(
            MessageType.REQUEST, discover.xid, requested=offered.address, server=offered.server,
            broadcast=discover.broadcast,
        )  # fmt: skip
        wanted = _Grant(offered.address, offered.server, here.timing.arp.answer_s)
        with self._probing(offered.address) as guard:
            await guard.probe()
            for wait_s in here.timing.request_s:
                binding = await self._confirm(talk, request, guard, wanted, wait_s, selecting=True)
                if binding is not None:
                    return binding
            raise DhcpError(
                f"{offered.server} offered {offered.address} and then fell silent", REMEDY
            )

    async def _confirm(
        self,
        talk: Conversation,
        request: DhcpMessage,
        guard: AddressGuard,
        wanted: _Grant,
        wait_s: float,
        *,
        selecting: bool = False,
    ) -> Binding | None:
        """Sends a REQUEST and takes the lease into use; None when nobody answers.

        Raises:
            AddressRefusedError: The server said NAK.
            AddressConflictError: Somebody else uses the address; it was declined.
            DhcpError: The answer is not usable.
        """
        here, asked_at = self._here, self._here.clock.monotonic()
        await talk.send(request)
        lease = await talk.lease(
            wanted.address,
            wait_s,
            here.timing.contradiction_s,
            server=wanted.server if selecting else None,
        )
        if lease is None:
            return None
        here.listener.count(1)
        await self._settle(guard, wanted)
        self.known = lease.server
        here.listener.enter(DhcpState.BOUND, lease.address)
        return Binding(lease, asked_at)

    async def _settle(self, guard: AddressGuard, wanted: _Grant) -> None:
        """Waits out the probe, and watches over the address from now on.

        Raises:
            AddressConflictError: Somebody else uses it; it was declined.
        """
        try:
            await guard.settle(wanted.answer_s)
        except AddressConflictError:
            await self.decline(wanted.address, wanted.server)
            raise
        self.watch.start(guard)

    @contextlib.contextmanager
    def _broadcasting(self) -> Iterator[BroadcastPort]:
        """Opens the broadcast port; an interface that fails meanwhile is asked again like silence.

        Raises:
            DhcpError: The interface is down or gone.
        """
        try:
            with contextlib.closing(self._here.ports.broadcast()) as port:
                yield port
        except (OSError, InterfaceError) as error:
            raise DhcpError(f"the interface fails: {error}", REMEDY) from error

    @contextlib.contextmanager
    def _probing(self, address: IPv4Address) -> Iterator[AddressGuard]:
        """Opens a guard, and closes it unless it watches over the address at the end."""
        here = self._here
        port = here.ports.arp(address)
        guard = AddressGuard(port, clock=here.clock, rng=here.rng, timing=here.timing.arp)
        try:
            yield guard
        finally:
            if not self.watch.has(guard):
                guard.close()

    def _message(
        self,
        kind: MessageType,
        xid: int,
        *,
        requested: IPv4Address | None,
        server: IPv4Address | None = None,
        broadcast: bool = False,
    ) -> DhcpMessage:
        return self._here.requester.message(
            kind, xid, seconds=self._seconds, requested=requested, server=server,
            broadcast=broadcast,
        )  # fmt: skip

    def _begin(self) -> None:
        self._began, self._seconds = self._here.clock.monotonic(), 0.0

    def _spread(self, wait_s: float) -> float:
        return wait_s * self._here.rng.uniform(0.75, 1.25)


def silence() -> DhcpError:
    """Returns that nobody answers."""
    return DhcpError("no DHCP server answered", REMEDY)


def is_still_ours(error: DhcpError) -> bool:
    """Returns whether an address may be wished for after a failure."""
    return not isinstance(error, (AddressConflictError, AddressRefusedError))
