"""The key panel beside the touch screen: keys that report, lamps that show."""

from typing import Protocol, runtime_checkable

from .device import Device


@runtime_checkable
class Panel(Device, Protocol):
    """Keys and their lamps; a lamp carries the name of its key."""

    @property
    def pressed(self) -> frozenset[str]:
        """The keys that are held down, as last reported."""
        ...
