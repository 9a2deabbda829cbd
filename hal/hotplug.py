"""What is plugged in and pulled out, told as it happens.

A driver registers its own under ``<driver>.hotplug``; whoever listens looks again at what is
there.  An event is a hint that something changed, never the only source of truth.
"""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Protocol, runtime_checkable


@dataclass(frozen=True, slots=True)
class PlugEvent:
    """Something changed at a place where devices are plugged in.

    Attributes:
        port: The place, as :class:`.hardware.UsbDevice` writes it: ``1-1.2``.
        plugged: A device is there now; False is pulled out.  A device that was changed for
            another, or whose parts came later than itself, is told as plugged once more.
    """

    port: str
    plugged: bool


@runtime_checkable
class Hotplug(Protocol):
    """Tells what is plugged in and pulled out."""

    def events(self) -> AsyncIterator[PlugEvent]:
        """Yields what changes from now on, until the iterator is closed."""
        ...
