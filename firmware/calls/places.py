"""The places of a desk: two handsets, and the channels of the loudspeaker."""

from __future__ import annotations

import enum
from dataclasses import dataclass

from ...hal.backoff import Waits
from ...hal.handset import Handset
from ...hal.wire.json_lines import JsonObject
from .profile import SpeakerChannel


class Side(enum.StrEnum):
    """Which handset."""

    LEFT = "left"
    RIGHT = "right"

    @property
    def position(self) -> str:
        """The device's place on the board, and the name of its bus."""
        return f"handset-{self.value}"


@dataclass(slots=True)
class HandsetPlace:
    """A handset as the desk uses it.

    Attributes:
        side: Which one.
        device: The device, None when the board has none there.
        off_hook: Lifted, by hand or on the panel.
        lifted_by: ``device``, ``panel``, or nothing while on-hook.
        muted: Its microphone is off.
    """

    side: Side
    device: Handset | None
    off_hook: bool = False
    lifted_by: str = ""
    muted: bool = False

    def snapshot(self, call_id: str | None) -> JsonObject:
        """What the panel shows."""
        return {
            "position": self.side.position,
            "attached": self.device is not None and self.device.attached,
            "off_hook": self.off_hook,
            "muted": self.muted,
            "call": call_id,
        }


@dataclass(slots=True)
class ChannelPlace:
    """A speaker channel as the desk uses it.

    Attributes:
        settings: Number, label and URI.
        waits: How long until it is dialled again.
        volume_db: Gain towards the loudspeaker.
        muted: The loudspeaker does not play it.
        talking: The gooseneck talks into it.
    """

    settings: SpeakerChannel
    waits: Waits
    volume_db: float = 0.0
    muted: bool = False
    talking: bool = False

    @property
    def bus(self) -> str:
        """The name of its bus."""
        return f"channel-{self.settings.number}"

    @property
    def listen_db(self) -> float | None:
        """What the loudspeaker hears of it."""
        return None if self.muted else self.volume_db

    def snapshot(self, state: str, call_id: str | None) -> JsonObject:
        """What the panel shows."""
        return {
            "channel": self.settings.number,
            "label": self.settings.label,
            "uri": self.settings.uri,
            "state": state,
            "volume_db": self.volume_db,
            "muted": self.muted,
            "talking": self.talking,
            "call": call_id,
        }
