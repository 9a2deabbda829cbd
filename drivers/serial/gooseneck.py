"""A gooseneck's push-to-talk box and light ring on a serial line."""

from ...hal.ring import RingLight
from .box import BoxDevice


class SerialGooseneck(BoxDevice):
    """Push-to-talk, latch, mute, a light ring and lamps; its sound goes another way.

    A board describes it without ``capture``: the microphone is a sound card of its own.
    """

    @property
    def talking(self) -> bool:
        """Whether the push-to-talk key is held, as last reported."""
        return self._state.talking

    @property
    def latched(self) -> bool:
        """Whether its latch switch is on, as last reported."""
        return self._state.latched

    @property
    def muted(self) -> bool:
        """Whether its own mute is on, as last reported."""
        return self._state.muted

    async def set_ring(self, light: RingLight) -> None:
        """Shows a light; remembered and shown again after a re-attach."""
        await self._set_ring(light)
