"""What the matrix takes from the unit's configuration, its state folder and its board."""

import ipaddress
import json
import logging
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...hal.board import Board, load_board
from ..config.errors import ConfigError
from ..config.store import Configuration, load

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"


@dataclass(frozen=True, slots=True)
class Settings:
    """The configuration keys that govern the matrix."""

    oldcb_address: str
    rtp_lower: int
    rtp_upper: int

    @property
    def oldcb_hosts(self) -> tuple[str, ...]:
        """Where OLDCB listens: always on loopback, for boot and the runtime of this unit.

        >>> Settings("10.1.0.7", 11000, 13000).oldcb_hosts
        ('127.0.0.1', '10.1.0.7')
        """
        every = ipaddress.ip_address(self.oldcb_address).is_unspecified
        return (self.oldcb_address,) if every else tuple({LOOPBACK: 0, self.oldcb_address: 0})


def read_settings(path: Path) -> Settings:
    """Returns the settings of a configuration file; the registry's defaults without one.

    A file that cannot be used is logged and the defaults serve: boot verified it, and voice
    on default ports is better than none.
    """
    try:
        config = load(path) if path.exists() else Configuration()
    except ConfigError as error:
        logger.error("%s is not usable, defaults apply: %s", path, error)  # noqa: TRY400
        config = Configuration()
    return Settings(
        oldcb_address=config.text("application.oldcb.address"),
        rtp_lower=config.integer("application.mm.rtplowerport"),
        rtp_upper=config.integer("application.mm.rtpupperport"),
    )


def read_board(path: Path) -> Board:
    """Returns the board; one without devices, and a warning, when there is no file.

    Raises:
        BoardError: The file is there but says something that is not understood.
    """
    if path.exists():
        return load_board(path)
    logger.warning("no board description at %s: no audio devices; give --board", path)
    return Board("none", {})


def unit_address(path: Path) -> str:
    """Returns the address that boot got for the unit, loopback while there is none."""
    try:
        return str(ipaddress.IPv4Address(json.loads(path.read_text())["address"]))
    except (OSError, ValueError, KeyError, TypeError):
        return LOOPBACK
