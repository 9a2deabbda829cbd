"""What the kept configuration says about fetching: over what, and how fast."""

import logging
from dataclasses import dataclass
from typing import Final

from ...hal.clock import Clock
from ..document import Document
from ..errors import DocumentError
from .bandwidth import Bandwidth
from .visit import DEFAULT_ORDER, OPENERS

logger = logging.getLogger(__name__)

TRANSPORTS_KEY: Final = "application.boot.transports"
BANDWIDTH_KEY: Final = "application.boot.bandwidth"
MIN_KBIT_S: Final = 64
MAX_KBIT_S: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class Preferences:
    """How files are fetched.

    Attributes:
        order: The transports, the first one first.
        kbit_s: How fast, at most; 0 is as fast as they come.
    """

    order: tuple[str, ...] = DEFAULT_ORDER
    kbit_s: int = 0

    @classmethod
    def of(cls, configuration: Document) -> "Preferences":
        """Returns what a configuration says; nonsense in it never keeps a unit from fetching."""
        return cls(_order(configuration), _kbit_s(configuration))

    def bandwidth(self, clock: Clock) -> Bandwidth | None:
        """Returns the limit; None when there is none."""
        return Bandwidth(self.kbit_s, clock) if self.kbit_s else None


def _order(configuration: Document) -> tuple[str, ...]:
    try:
        names = configuration.texts(TRANSPORTS_KEY)
    except DocumentError as error:
        logger.warning("%s; the default is used", error)
        return DEFAULT_ORDER
    unknown = [name for name in names if name not in OPENERS]
    if unknown:
        logger.warning("%s: %s is none of %s", TRANSPORTS_KEY, unknown, sorted(OPENERS))
    known = tuple(dict.fromkeys(name for name in names if name in OPENERS))
    return known or DEFAULT_ORDER


def _kbit_s(configuration: Document) -> int:
    try:
        kbit_s = configuration.number(BANDWIDTH_KEY)
    except DocumentError as error:
        logger.warning("%s; there is no limit", error)
        return 0
    if kbit_s and not MIN_KBIT_S <= kbit_s <= MAX_KBIT_S:
        logger.warning("%s: %d is neither 0 nor from %d to %d; there is no limit",
                       BANDWIDTH_KEY, kbit_s, MIN_KBIT_S, MAX_KBIT_S)  # fmt: skip
        return 0
    return kbit_s
