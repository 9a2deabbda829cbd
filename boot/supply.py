"""What a TSS gives: asked for once, and then for as long as it takes."""

import asyncio
import logging
from typing import Final

from ..hal.backoff import Backoff
from .bell import Bell
from .errors import BootError
from .lan.connection import Connection
from .provision import Provision, Provisioner
from .status import StatusBoard

logger = logging.getLogger(__name__)

UNAVAILABLE: Final = "tss.unavailable"


class Supply:
    """Asks the TSS for configuration and firmware, and asks again.

    Args:
        provisioner: Fetches, verifies and keeps.
        connection: The network as it is now.
        status: Shown the alarm ``tss.unavailable`` meanwhile.
        retry: Delays between two attempts.
        bell: Ends such a delay.
    """

    def __init__(
        self,
        provisioner: Provisioner,
        connection: Connection,
        status: StatusBoard,
        retry: Backoff,
        bell: Bell,
    ) -> None:
        self._provisioner = provisioner
        self._connection = connection
        self._status = status
        self._retry = retry
        self._bell = bell

    async def now(self) -> Provision:
        """Returns what a TSS gives now.

        Raises:
            BootError: None gives anything acceptable; what was kept is untouched.
        """
        network = self._connection.network
        provision = await self._provisioner.provision(network.lease, network.resolver)
        self._status.clear_alarm(UNAVAILABLE)
        return provision

    async def at_last(self, error: BootError, meanwhile: str) -> Provision:
        """Returns what a TSS gives once one gives something verified.

        Args:
            error: Why none did so far.
            meanwhile: What the unit does until then, for people.
        """
        for delay_s in self._retry.delays():
            self._status.raise_alarm(UNAVAILABLE, f"{error}; {meanwhile}", error.remedy)
            logger.info("asking the TSS again in %.1f s", delay_s)
            await self._bell.wait(delay_s)
            try:
                return await self.now()
            except BootError as again:
                error = again
        raise error  # pragma: no cover - the delays have no end

    async def other_than(self, provision: Provision | None) -> Provision:
        """Returns what a TSS gives once that is something else; asks quietly."""
        for delay_s in self._retry.delays():
            await asyncio.sleep(delay_s)
            try:
                found = await self.now()
            except BootError as error:
                logger.info("nothing new: %s", error)
                continue
            if found != provision:
                return found
        raise BootError("the back-off has ended", "restart the unit")  # pragma: no cover - no end
