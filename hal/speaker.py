"""A loudspeaker that carries the open lines; it has lamps and may have keys."""

from typing import Protocol, runtime_checkable

from .device import Device


@runtime_checkable
class Speaker(Device, Protocol):
    """A loudspeaker; volume per channel is mixed before it, so it has none of its own."""
