"""Notices that the cable was pulled and plugged in again (rtnetlink(7))."""

import asyncio
import logging
import socket

from ..wire.errors import WireError
from ..wire.netlink import LINK_GROUP, LinkState, question

logger = logging.getLogger(__name__)

_MAX_DATAGRAM = 65_536


class Carrier:
    """The cable of one interface, as the kernel tells of it."""

    def __init__(self, changes: socket.socket, index: int) -> None:
        """Takes over a non-blocking socket that brings netlink messages.

        Args:
            changes: The socket.
            index: The interface.
        """
        self._changes = changes
        self._index = index
        self._is_lost = False
        self._losses: int | None = None

    @classmethod
    def of(cls, interface: str) -> "Carrier":
        """Listens to the kernel from now on.

        Raises:
            OSError: There is no such interface.
        """
        index = socket.if_nametoindex(interface)
        changes = socket.socket(
            socket.AF_NETLINK, socket.SOCK_RAW | socket.SOCK_NONBLOCK, socket.NETLINK_ROUTE
        )
        changes.bind((0, LINK_GROUP))
        changes.send(question(index))
        return cls(changes, index)

    async def returned(self) -> None:
        """Waits until the carrier has been lost and is back.

        A loss that was noticed by an earlier call, which was cancelled, still counts.
        """
        while not await self._is_back():
            continue
        self._is_lost = False

    async def _is_back(self) -> bool:
        for state in await self._states():
            self._is_lost |= not state.carrier or self._has_lost_again(state.losses)
            self._losses = state.losses
            if state.carrier and self._is_lost:
                return True
        return False

    def _has_lost_again(self, losses: int | None) -> bool:
        """Returns whether a loss was too short to be told of by itself."""
        return None not in (losses, self._losses) and losses != self._losses

    async def _states(self) -> list[LinkState]:
        """A socket that overflowed may have missed a loss; asking once too often does no harm."""
        try:
            data = await asyncio.get_running_loop().sock_recv(self._changes, _MAX_DATAGRAM)
            return list(LinkState.parse_all(data, index=self._index))
        except OSError as error:
            logger.info("news of the cable were lost: %s", error)
            return [LinkState(carrier=False), LinkState(carrier=True)]
        except WireError as error:
            logger.warning("netlink: %s", error)
            return []

    def close(self) -> None:
        """Closes the socket."""
        self._changes.close()
