"""A device under test, with what its checks need."""

import asyncio
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from ...hal.audio import AudioPort
from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.device import Device
from ...hal.events import DeviceEvent, EventQueue, Overflow
from .hands import Hands
from .verdict import Outcome, Verdict


@dataclass(frozen=True, slots=True)
class Subject:
    """One device.

    Attributes:
        spec: Its place on the board.
        device: Its driver, opened and attached.
        events: What happens to it, since before it was opened.
        audio: Its sound, not opened; None where it has none.
        hands: Who works it.
        clock: Times what is measured.
    """

    spec: DeviceSpec
    device: Device
    events: EventQueue
    audio: AudioPort | None
    hands: Hands
    clock: Clock

    async def event(
        self, wanted: Callable[[DeviceEvent], bool], patience_s: float
    ) -> DeviceEvent | None:
        """Returns the next event of that kind, None when it does not come in time."""
        try:
            async with asyncio.timeout(patience_s):
                async for event in self.events:
                    if not isinstance(event, Overflow) and wanted(event):
                        return event
        except TimeoutError:
            pass
        return None

    def passed(self, check: str, text: str, figures: Mapping[str, float] | None = None) -> Verdict:
        """Returns the verdict of a check that held."""
        return Verdict(self.spec.position, check, Outcome.PASSED, text, figures or {})

    def failed(
        self,
        check: str,
        text: str,
        remedy: str,
        figures: Mapping[str, float] | None = None,
    ) -> Verdict:
        """Returns the verdict of a check that did not hold."""
        return Verdict(self.spec.position, check, Outcome.FAILED, text, figures or {}, remedy)

    def skipped(self, check: str, text: str, figures: Mapping[str, float] | None = None) -> Verdict:
        """Returns the verdict of a check that nobody could make."""
        return Verdict(self.spec.position, check, Outcome.SKIPPED, text, figures or {})
