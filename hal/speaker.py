"""Loudspeakers of the open lines: channels with a knob, a key and an activity lamp each."""

from typing import Protocol, runtime_checkable

from .device import Device


def channel_name(channel: int) -> str:
    """Returns the name that the key and the activity lamp of a channel carry, ``channel-3``."""
    return f"channel-{channel}"


@runtime_checkable
class Speaker(Device, Protocol):
    """A loudspeaker of one or more channels.

    A knob reports ``VolumeEvent``, a key ``KeyEvent`` with the name of its channel, and
    ``set_lamp`` of that name is its activity lamp.  Volume is applied by the matrix.
    """

    @property
    def channels(self) -> int:
        """How many channels it carries, from 1."""
        ...
