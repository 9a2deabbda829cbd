"""One end of a box's serial line: numbers, acknowledgements, repeats, and a pulse.

Each end numbers what it says from 1 to 255 and round again, and says one thing at a time: the
next only after the answer.  What is not answered is repeated; a repeat is answered again and not
acted on again.  Nothing here knows a cable or a clock: bytes leave through ``write``, and
:meth:`Exchange.tick` is called every :data:`TICK_S`.
"""

import logging
from collections import deque
from collections.abc import Callable
from typing import Final

from ...hal.errors import DeviceGoneError
from ..errors import BoxRefusedError
from .frame import Frame, check_word

logger = logging.getLogger(__name__)

TICK_S: Final = 0.1
REPEAT_TICKS: Final = 2
LOST_TICKS: Final = 10
"""After so many ticks without an answer nobody is there."""

PULSE_TICKS: Final = 10
"""After so many ticks in which nothing was said, the pulse is."""

MAX_UNSAID: Final = 256
ACK: Final = "ack"
NO: Final = "no"
PING: Final = "ping"
_ANSWERS: Final = (ACK, NO)


class Exchange:
    """The state of one end, from the opening of the line to its loss.

    Args:
        write: Sends bytes; never blocks.
        pulse: Whether this end says ``ping`` when it has nothing else to say.
    """

    def __init__(self, write: Callable[[bytes], None], *, pulse: bool) -> None:
        self._write = write
        self._pulse = pulse
        self._unsaid: deque[tuple[str, tuple[str, ...]]] = deque()
        self._unanswered: Frame | None = None
        self._age_ticks = 0
        self._number = 0
        self._heard: Frame | None = None
        self._answer = b""

    def say(self, verb: str, *words: str) -> None:
        """Says something as soon as everything before it was answered.

        Raises:
            FrameError: A word cannot be sent.
            DeviceGoneError: The far end answers more slowly than things are said.
        """
        checked = tuple(check_word(word) for word in words)
        if len(self._unsaid) >= MAX_UNSAID:
            raise DeviceGoneError(f"{MAX_UNSAID} things wait for the answer to one")
        self._unsaid.append((verb, checked))
        self._say_next()

    def take(self, frame: Frame, act: Callable[[Frame], None]) -> None:
        """Takes a frame of the far end: an answer, a repeat, or something to act on once.

        Args:
            frame: What came.
            act: Does what the frame says, or raises BoxRefusedError.
        """
        if frame.verb in _ANSWERS:
            self._settle(frame)
            return
        if frame != self._heard:
            self._answer = self._act(frame, act)
            self._heard = frame
        self._write(self._answer)

    def tick(self) -> None:
        """Repeats, and says the pulse; called every :data:`TICK_S`.

        Raises:
            DeviceGoneError: The far end has not answered for :data:`LOST_TICKS`.
        """
        self._age_ticks += 1
        if self._unanswered is None:
            if self._pulse and self._age_ticks >= PULSE_TICKS:
                self.say(PING)
        elif self._age_ticks >= LOST_TICKS:
            lost_s = LOST_TICKS * TICK_S
            raise DeviceGoneError(f"{self._unanswered.verb!r} was not answered in {lost_s} s")
        elif self._age_ticks % REPEAT_TICKS == 0:
            self._write(bytes(self._unanswered))

    def _act(self, frame: Frame, act: Callable[[Frame], None]) -> bytes:
        try:
            act(frame)
        except BoxRefusedError:
            return bytes(Frame(frame.number, NO))
        return bytes(Frame(frame.number, ACK))

    def _settle(self, answer: Frame) -> None:
        if self._unanswered is None or answer.number != self._unanswered.number:
            return
        if answer.verb == NO:
            logger.info("the far end does not know %r", self._unanswered.text)
        self._unanswered = None
        self._age_ticks = 0
        self._say_next()

    def _say_next(self) -> None:
        if self._unanswered is not None or not self._unsaid:
            return
        self._number = self._number % 0xFF + 1
        verb, words = self._unsaid.popleft()
        self._unanswered = Frame(self._number, verb, words)
        self._age_ticks = 0
        self._write(bytes(self._unanswered))
