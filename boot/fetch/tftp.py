"""Fetches files over TFTP (RFC 1350, 2347, 2348, 2349, 7440).

What comes over TFTP is a hint: it may say where the TSS is, it never configures.
"""

import asyncio
import contextlib
import logging
import re
import socket
from collections.abc import Callable, Iterator
from ipaddress import IPv4Address

from ..errors import TftpError, TftpRefusedError
from ..wire.tftp import ReadRequest
from .transfer import REMEDY, LongFileError, OptionsError, Settings, Transfer

logger = logging.getLogger(__name__)

_SEGMENT = r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,63}"
_FILE = re.compile(rf"{_SEGMENT}(/{_SEGMENT})?")
_OVERHEAD_BYTES = 1024
"""What the kernel counts for a packet beside its bytes, generously."""


def is_acceptable(file: str) -> bool:
    """Returns whether a file name may be asked for.

    At most one folder; no segment begins with a dot, so nothing leads upwards.

        >>> is_acceptable("units/02-54-50-00-00-01.yaml"), is_acceptable("../etc/passwd")
        (True, False)
    """
    return _FILE.fullmatch(file) is not None


def waterfall(boot_file: str, folder: str, model: str, site: str = "") -> Iterator[str]:
    """Yields file names from specific to generic; the one that DHCP names comes first.

    Args:
        boot_file: Option 67; left out when empty or not acceptable.
        folder: The unit's MAC with dashes.
        model: The unit's model.
        site: Where the unit stands; left out when empty or not acceptable.
    """
    if boot_file and not is_acceptable(boot_file):
        logger.warning("boot file %r from DHCP is not acceptable", boot_file)
    names = [boot_file, f"units/{folder}.yaml", f"models/{model.lower()}.yaml"]
    names += [f"sites/{site.lower()}.yaml"] if site else []
    yield from dict.fromkeys(filter(is_acceptable, [*names, "default.yaml"]))


class TftpClient:
    """Reads files; learns how large a window each server and the way to it can bear.

    Args:
        settings: What it asks for.
        count: Told of every round trip.
    """

    def __init__(self, settings: Settings, count: Callable[[int], None]) -> None:
        self._settings = settings
        self._count = count
        self._windows: dict[IPv4Address, int] = {}

    async def fetch(self, server: IPv4Address, file: str, *, small: bool = False) -> bytes:
        """Returns the content of a file.

        Args:
            server: Where it is.
            file: Its name there.
            small: It is likely to be shorter than 512 bytes.  Then it is asked for without
                options, which takes one round trip instead of two, and again with options
                when it is longer.

        Raises:
            TftpRefusedError: The server does not have it, it is too large, or its
                answers break the protocol.
            TftpError: The server does not answer.
        """
        if not is_acceptable(file):
            raise TftpRefusedError(
                f"{file!r} is not an acceptable file name",
                "use letters, digits, '.', '_' and '-', and one folder at most (option 67)",
            )
        try:
            async with asyncio.timeout(self._settings.deadline_s):
                return await self._fetch(server, file, small=small)
        except TimeoutError as error:
            raise TftpError(
                f"TFTP server {server} is too slow: {file} did not come within "
                f"{self._settings.deadline_s:g} s",
                REMEDY,
                server=str(server),
                file=file,
            ) from error
        except OSError as error:
            raise TftpError(f"TFTP server {server}: {error}", server=str(server)) from error

    async def _fetch(self, server: IPv4Address, file: str, *, small: bool) -> bytes:
        """Asks as what is wanted suggests, and once more in plain RFC 1350 if options only harm."""
        if small:
            with contextlib.suppress(LongFileError):
                return await self._attempt(server, file, options=False, one_block=True)
        try:
            return await self._attempt(server, file)
        except OptionsError as error:
            logger.info("%s; asking without options", error)
            return await self._attempt(server, file, options=False)

    async def _attempt(
        self, server: IPv4Address, file: str, *, options: bool = True, one_block: bool = False
    ) -> bytes:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as udp:
            udp.bind(("", 0))
            wishes = self._wishes(server, udp) if options else {}
            transfer = Transfer(udp, server, ReadRequest(file, wishes), self._settings, self._count)
            data = await transfer.run(one_block=one_block)
            self._learn(server, transfer)
            return data

    def _wishes(self, server: IPv4Address, udp: socket.socket) -> dict[str, str]:
        settings = self._settings
        window = min(settings.window, self._windows.get(server, settings.window))
        return {
            "blksize": str(settings.block_bytes),
            "tsize": "0",
            "timeout": str(max(1, round(settings.timeout_s))),
            "windowsize": str(_fitting(udp, window, settings.block_bytes)),
        }

    def _learn(self, server: IPv4Address, transfer: Transfer) -> None:
        """Halves the next window where most of this one was lost, doubles it where none was."""
        window, used = transfer.window, transfer.blocks_per_acknowledgement
        if transfer.blocks < 2 * window:
            return
        if used < window / 2:
            self._windows[server] = max(1, window // 2)
        elif transfer.undisturbed:
            self._windows[server] = window * 2


def _fitting(udp: socket.socket, window: int, block_bytes: int) -> int:
    """Returns how many blocks of a window the socket can hold, after asking for enough room."""
    each = 2 * block_bytes + _OVERHEAD_BYTES
    udp.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, window * each)
    return max(1, min(window, udp.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF) // each))
