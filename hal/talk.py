"""Push-to-talk and latch: when a microphone is open, from what its key does.

Held, the key talks.  Pressed twice within :data:`DOUBLE_PRESS_S` it latches: the microphone
stays open until the key is pressed once more.  A latch switch of the device's own does the same.

    >>> key = TalkKey()
    >>> [key.press(0.0), key.release(), key.press(2.0), key.release(), key.press(2.3)]
    [True, False, True, False, True]
    >>> key.release(), key.latched
    (True, True)
    >>> key.press(9.0), key.release()
    (True, False)
"""

from typing import Final

DOUBLE_PRESS_S: Final = 0.4


class TalkKey:
    """State of one push-to-talk key; times are seconds of any clock that does not go back."""

    def __init__(self) -> None:
        self._pressed_at: float | None = None
        self._held = self._latched = self._unlatching = False

    @property
    def open(self) -> bool:
        """Whether the microphone is open."""
        return self._held or self._latched

    @property
    def latched(self) -> bool:
        """Whether it stays open without a hand at the key."""
        return self._latched

    def press(self, at_s: float) -> bool:
        """The key was pressed; returns whether the microphone is open now."""
        if self._held:
            return self.open
        self._held = True
        self._unlatching = self._latched
        before = self._pressed_at
        if not self._latched and before is not None and at_s - before <= DOUBLE_PRESS_S:
            self._latched = True
        self._pressed_at = None if self._latched else at_s
        return self.open

    def release(self) -> bool:
        """The key was released; returns whether the microphone is open now."""
        self._held = False
        if self._unlatching:
            self._latched = self._unlatching = False
        return self.open

    def latch(self, *, latched: bool) -> bool:
        """The device's own latch switch moved; returns whether the microphone is open now."""
        self._latched = latched
        return self.open

    def detach(self) -> bool:
        """The device is gone: nobody holds a key that is not there.  Returns False."""
        self._pressed_at = None
        self._held = self._latched = self._unlatching = False
        return self.open
