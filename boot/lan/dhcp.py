"""Gets an address and keeps it: the DHCP client of RFC 2131.

It never gives up.  Silence, refusal and conflict are told to the listener and asked
again with a delay that doubles up to a cap, jittered.
"""

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Network
from typing import NoReturn, TypeAlias

from ..errors import AddressConflictError, AddressRefusedError, DhcpError
from ..wire.dhcp import MessageType
from ..wire.frame import BROADCAST_ADDRESS
from .acquisition import REMEDY, Acquisition, is_still_ours, silence
from .binding import Binding, DhcpState, Situation
from .conflict import Watch
from .dhcp_messages import Conversation
from .lease import Lease

logger = logging.getLogger(__name__)

OnLease: TypeAlias = Callable[[Lease], Awaitable[None]]

_LONGEST_SLEEP_S = 86_400.0


class DhcpClient:
    """One client on one interface."""

    def __init__(self, situation: Situation) -> None:
        self._here = situation
        self._watch = Watch(self._defended)
        self._acquisition = Acquisition(situation, self._watch)
        self._seeking = asyncio.Event()
        self._fruitless: set[IPv4Address] = set()

    async def acquire(self, stored: Lease | None) -> Binding:
        """Returns a lease: the stored one confirmed, a new one, or the stored one unconfirmed.

        Asks for ever when there is no unexpired lease to fall back to.
        """
        if stored is None:
            return await self._acquisition.select(None)
        self._acquisition.known = stored.server
        if stored.remaining_s(self._here.clock.unix()) <= 0:
            return await self._acquisition.select(stored.address)
        try:
            confirmed = await self._acquisition.reboot(stored, self._here.timing.reboot_s)
        except DhcpError as error:
            return await self._start_again(error, stored)
        return confirmed or self._unconfirmed(stored)

    async def keep(self, binding: Binding, on_lease: OnLease, on_expiry: OnLease) -> NoReturn:
        """Renews before T2, rebinds after it, and starts again when the lease has ended.

        A cable that was pulled and plugged in again has the lease confirmed at once, as
        the unit may be on another LAN now.  A rival that insists on the address ends the
        lease.

        Args:
            binding: What ``acquire`` returned.
            on_lease: Called with every lease that a server confirms.
            on_expiry: Called with a lease that ended; its address may not be used any more.
        """
        with contextlib.closing(self._here.ports.carrier()) as carrier:
            try:
                while True:
                    try:
                        binding = await self._hold(binding, carrier.returned)
                    except DhcpError as error:
                        self._watch.stop()
                        await on_expiry(binding.lease)
                        binding = await self._start_again(error, binding.lease)
                    if binding.confirmed:
                        await on_lease(binding.lease)
            finally:
                self.close()

    @contextlib.contextmanager
    def seeking(self) -> Iterator[None]:
        """Looks for the lease of another server meanwhile, as the one in use leads nowhere.

        Anybody on the LAN can offer a lease; only what comes after it tells a good one.
        """
        self._seeking.set()
        try:
            yield
        finally:
            self._seeking.clear()

    def close(self) -> None:
        """Lets the address go unwatched."""
        self._watch.stop()

    async def release(self, lease: Lease) -> None:
        """RELEASE: tells the server that the address is free (RFC 2131 §4.4.6).

        Nobody answers it.  The address may not be used after it.
        """
        self.close()
        message = self._here.requester.message(
            MessageType.RELEASE, self._here.xid(), own=lease.address, server=lease.server
        )
        try:
            with contextlib.closing(self._here.ports.unicast(lease.server)) as port:
                await port.send(message)
        except OSError as error:
            logger.warning("%s is not released: %s", lease.address, error)
        self._here.listener.enter(DhcpState.INIT, None)

    async def _start_again(self, error: DhcpError, lost: Lease) -> Binding:
        """INIT; an address that was refused or is disputed is not wished for."""
        wait_s = self._acquisition.quiet_s(error)
        self._here.listener.trouble(error, f"asking for a new address in {wait_s:.1f} s")
        self._here.listener.enter(DhcpState.INIT, None)
        await asyncio.sleep(wait_s)
        return await self._acquisition.select(lost.address if is_still_ours(error) else None)

    def _unconfirmed(self, stored: Lease) -> Binding:
        """RFC 2131 §3.7: an unexpired lease may be used although nobody answers."""
        logger.warning("no DHCP server confirms %s; its lease has not ended", stored.address)
        used_s = stored.lease_s - stored.remaining_s(self._here.clock.unix())
        bound_at = self._here.clock.monotonic() - (0.0 if stored.endless else used_s)
        return Binding(stored, bound_at, confirmed=False)

    async def _hold(
        self, binding: Binding, replugged: Callable[[], Coroutine[None, None, None]]
    ) -> Binding:
        """Returns what became of a lease in use.

        Raises:
            DhcpError: The address may not be used any more.
        """
        extended = asyncio.create_task(self._extend(binding))
        sought = asyncio.create_task(self._seek(binding.lease))
        returned = asyncio.create_task(replugged())
        disputed = asyncio.create_task(self._watch.lost())
        tasks = (extended, sought, returned, disputed)
        try:
            await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in (extended, sought):
                if task.done():
                    return task.result()
        finally:
            await _cancel(*tasks)
        if not disputed.cancelled():
            await self._give_way(binding.lease, disputed.result())
        return await self._check(binding)

    async def _seek(self, lease: Lease) -> Binding:
        """Returns the lease of another server, when one is wanted and there is one.

        Servers that led nowhere before are asked again when there is no other.
        """
        self._fruitless.add(lease.server)
        for delay_s in self._here.timing.backoff.delays():
            await self._seeking.wait()
            await asyncio.sleep(delay_s)
            due = self._here.clock.monotonic() + delay_s
            try:
                return await self._acquisition.discover(
                    due, lambda offer: offer.server not in self._fruitless
                )
            except DhcpError as error:
                logger.info("no other DHCP server helps: %s", error)
                self._fruitless = {lease.server}
                self._here.listener.enter(DhcpState.BOUND, lease.address)
        raise DhcpError("the back-off has ended")  # pragma: no cover - it has no end

    async def _give_way(self, lease: Lease, error: AddressConflictError) -> NoReturn:
        """Declines an address that was in use (RFC 5227 §2.4).

        Raises:
            AddressConflictError: Always.
        """
        with contextlib.suppress(DhcpError):
            await self._acquisition.decline(lease.address, lease.server)
        raise error

    async def _check(self, binding: Binding) -> Binding:
        """Asks whether the lease still holds where the cable leads now; it is used meanwhile.

        Raises:
            AddressRefusedError: It does not.
            AddressConflictError: Somebody else uses the address here.
        """
        logger.info("the cable is back: asking whether %s still holds", binding.lease.address)
        confirmed = None
        try:
            confirmed = await self._acquisition.reboot(binding.lease, self._here.timing.reboot_s)
        except (AddressRefusedError, AddressConflictError):
            raise
        except DhcpError as error:
            self._here.listener.trouble(error, f"{binding.lease.address} is kept")
        return confirmed or replace(binding, confirmed=False)

    async def _extend(self, binding: Binding) -> Binding:
        """RENEWING by unicast until T2, then REBINDING by broadcast until the end.

        Raises:
            AddressRefusedError: The server said NAK.
            DhcpError: The lease has ended.
        """
        if not binding.confirmed:
            return await self._confirm_at_last(binding)
        lease = binding.lease
        renew_at, rebind_at, end = self._deadlines(binding)
        await self._sleep_until(renew_at)
        while (now := self._here.clock.monotonic()) < end:
            renewing = now < rebind_at
            wait_s = ((rebind_at if renewing else end) - now) / 2
            wait_s = min(max(wait_s, self._here.timing.renew_floor_s), end - now)
            extended = await self._renew(lease, wait_s, renewing=renewing)
            if extended is not None:
                self._acquisition.forget_conflicts()
                return extended
            self._here.listener.trouble(silence(), f"{lease.address} is not renewed yet")
            await self._sleep_until(now + wait_s)
        raise _ended(lease)

    async def _confirm_at_last(self, binding: Binding) -> Binding:
        """Asks for a lease that nobody has confirmed yet, until it ends.

        Who does not know the lease stays silent, so a DISCOVER follows.  What is offered
        then is taken when it is the same address, or when it is of another subnet, as
        the unit has been moved then; otherwise the address in use is better.

        Raises:
            AddressRefusedError: The server said NAK.
            AddressConflictError: Somebody else uses the address.
            DhcpError: The lease has ended.
        """
        lease, (_, _, end) = binding.lease, self._deadlines(binding)
        here = IPv4Network((lease.address, lease.prefix), strict=False)
        for delay_s in self._here.timing.backoff.delays():
            now = self._here.clock.monotonic()
            if now >= end:
                break
            due = min(now + delay_s, end)
            try:
                confirmed = await self._acquisition.reboot(lease, ((due - now) / 2,))
                if confirmed is not None:
                    return confirmed
                return await self._acquisition.discover(
                    due, lambda offer: offer.address == lease.address or offer.address not in here
                )
            except (AddressRefusedError, AddressConflictError):
                raise
            except DhcpError as error:
                self._here.listener.trouble(error, f"{lease.address} is not confirmed yet")
            await self._sleep_until(due)
        raise _ended(lease)

    async def _sleep_until(self, due: float) -> None:
        """Sleeps in slices, because an endless lease has no due time that a timer accepts."""
        while (left := due - self._here.clock.monotonic()) > 0:
            await asyncio.sleep(min(left, _LONGEST_SLEEP_S))

    async def _renew(self, lease: Lease, wait_s: float, *, renewing: bool) -> Binding | None:
        """Sends one REQUEST from the address in use; None when nobody answers in time.

        Raises:
            AddressRefusedError: The server said NAK.
        """
        here = self._here
        here.listener.enter(DhcpState.RENEWING if renewing else DhcpState.REBINDING, lease.address)
        request = here.requester.message(MessageType.REQUEST, here.xid(), own=lease.address)
        asked_at = here.clock.monotonic()
        try:
            with contextlib.closing(
                here.ports.unicast(lease.server if renewing else BROADCAST_ADDRESS)
            ) as port:
                talk = Conversation(port, here.requester.mac, request.xid, here.clock)
                await talk.send(request)
                renewed = await talk.lease(lease.address, wait_s, here.timing.contradiction_s)
        except AddressRefusedError:
            raise
        except (OSError, DhcpError) as error:
            logger.warning("%s is not renewed: %s", lease.address, error)
            return None
        if renewed is None:
            return None
        here.listener.enter(DhcpState.BOUND, lease.address)
        return Binding(renewed, asked_at)

    def _deadlines(self, binding: Binding) -> tuple[float, float, float]:
        """T1, T2 and the end of a lease on the monotonic clock; T1 and T2 a little earlier."""
        lease, start = binding.lease, binding.bound_at
        if lease.endless:
            return float("inf"), float("inf"), float("inf")
        share = 1 - self._here.rng.uniform(0, self._here.timing.spread)
        return start + lease.renew_s * share, start + lease.rebind_s * share, start + lease.lease_s

    def _defended(self, error: AddressConflictError) -> None:
        self._here.listener.trouble(error, "the address is defended")


def _ended(lease: Lease) -> DhcpError:
    return DhcpError(f"the lease of {lease.address} has ended", REMEDY)


async def _cancel(
    *tasks: "asyncio.Task[Binding] | asyncio.Task[None] | asyncio.Task[AddressConflictError]",
) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
