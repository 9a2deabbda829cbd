"""What the drivers of USB telephony devices share: attached, followed and found again, untiringly.

One thread reads the device and one writes to it for as long as the driver is open; all state
lives on the event loop.  Nothing is polled while the device answers; while it does not, it is
looked for once a second at most.
"""

import asyncio
import contextlib
import logging
import random
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

from ...hal.backoff import Backoff, Waits
from ...hal.board import DeviceSpec
from ...hal.clock import Clock
from ...hal.errors import HalError
from ...hal.events import AttachedEvent, DetachedEvent, DeviceEvent, EventHub, EventQueue
from ...hal.gain import Gain, GainRange
from ...hal.hardware import UsbDevice
from ...hal.ring import RingLight
from .bus import UsbBus
from .levels import Levels
from .link import TelephonyLink
from .telephony import Telephony
from .vocabulary import Vocabulary

logger = logging.getLogger(__name__)

FIRST_RETRY_S: Final = 0.05
LAST_RETRY_S: Final = 1.0
READ_TIMEOUT_S: Final = 0.25
"""How long a read may keep a driver from being closed."""

T = TypeVar("T")


class Telephone:
    """Not a driver by itself.

    Args:
        spec: The board position.
        clock: Stamps events.
        bus: Where devices are looked for; this machine's by default.
        vocabulary: What keys and lamps are called.
    """

    def __init__(
        self, spec: DeviceSpec, clock: Clock, bus: UsbBus | None, vocabulary: Vocabulary
    ) -> None:
        self._spec = spec
        self._clock = clock
        self._bus = UsbBus() if bus is None else bus
        self._vocabulary = vocabulary
        self._hub = EventHub()
        self._ring = RingLight()
        self._dirty = asyncio.Event()
        self._attached = False
        self._complaint = ""
        self._task: asyncio.Task[None] | None = None
        self._link: TelephonyLink | None = None
        self._reader: ThreadPoolExecutor
        self._writer: ThreadPoolExecutor
        self._state = Telephony(spec.position, clock)

    @property
    def position(self) -> str:
        """The device's place on the board."""
        return self._spec.position

    @property
    def attached(self) -> bool:
        """Whether the device answers now."""
        return self._attached

    def events(self) -> EventQueue:
        """Returns an async iterator of what happens from now on."""
        return self._hub.subscribe()

    async def open(self) -> None:
        """Starts listening to the device; an AttachedEvent says when it answers."""
        if self._task is None:
            self._reader = ThreadPoolExecutor(1, f"{self.position} reader")
            self._writer = ThreadPoolExecutor(1, f"{self.position} writer")
            self._task = asyncio.create_task(self._run(), name=f"usb {self.position}")

    async def close(self) -> None:
        """Lets go of the device and ends its events."""
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
            await asyncio.to_thread(self._reader.shutdown)
            await asyncio.to_thread(self._writer.shutdown)
        self._hub.close()

    async def set_lamp(self, lamp: str, *, lit: bool) -> None:
        """Lights or darkens a lamp; remembered and shown again after a re-attach."""
        self._publish(self._state.light(lamp, lit=lit))
        self._dirty.set()

    def _show_ring(self, light: RingLight) -> None:
        self._ring = light
        self._dirty.set()

    # ------------------------------------------------------------ the device, while it is there

    async def _run(self) -> None:
        waits = Waits(Backoff(FIRST_RETRY_S, LAST_RETRY_S, jitter=0.1, rng=random.Random()))
        while True:
            try:
                await self._serve(waits)
            except* (HalError, OSError) as errors:
                self._complain(_first(errors))
            await asyncio.sleep(waits.next_s())

    async def _serve(self, waits: Waits) -> None:
        try:
            device = await self._on(self._reader, self._bus.find, self._spec)
            link = await self._on(self._reader, self._open_link, device)
            await self._on(self._writer, self._open_gains, device)
            await self._attach(link)
            waits.reset()
            async with asyncio.TaskGroup() as both_ways:
                both_ways.create_task(self._read(link))
                both_ways.create_task(self._write(link))
        finally:
            await self._detach()

    async def _attach(self, link: TelephonyLink) -> None:
        readings = await self._on(self._reader, link.state)
        self._attached = True
        self._complaint = ""
        logger.info("%s: attached", self.position)
        changes = self._state.attach(link.parts, readings)
        self._publish([AttachedEvent(self._clock.unix(), self.position), *changes])

    async def _detach(self) -> None:
        """Each thread comes to this after what it was doing, even when nobody waits for that."""
        if self._attached:
            self._attached = False
            self._publish([DetachedEvent(self._clock.unix(), self.position)])
        await self._on(self._writer, self._close_gains)
        await self._on(self._reader, self._close_link)

    async def _read(self, link: TelephonyLink) -> None:
        while True:
            readings = await self._on(self._reader, link.read, self._patience_s())
            self._publish(self._state.report(readings))

    async def _write(self, link: TelephonyLink) -> None:
        while True:
            self._dirty.clear()
            await self._on(self._writer, link.show, self._state.lit, self._ring)
            await self._dirty.wait()

    def _patience_s(self) -> float:
        due_s = self._state.due_s
        if due_s is None:
            return READ_TIMEOUT_S
        return min(max(due_s - self._clock.monotonic(), 0.0), READ_TIMEOUT_S)

    def _open_link(self, device: UsbDevice) -> TelephonyLink:
        self._link = self._bus.open(device, self._vocabulary)
        return self._link

    def _close_link(self) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _open_gains(self, device: UsbDevice) -> None:
        """A telephone has none; see :class:`AdjustableTelephone`."""

    def _close_gains(self) -> None:
        """Lets go of what :meth:`_open_gains` took."""

    def _publish(self, events: Iterable[DeviceEvent]) -> None:
        for event in events:
            self._hub.publish(event)
            self._dirty.set()

    def _complain(self, error: BaseException) -> None:
        level = logging.DEBUG if str(error) == self._complaint else logging.WARNING
        self._complaint = str(error)
        logger.log(level, "%s is not attached: %s", self.position, error)

    async def _on(self, thread: ThreadPoolExecutor, work: Callable[..., T], *args: object) -> T:
        return await asyncio.get_running_loop().run_in_executor(thread, work, *args)


class AdjustableTelephone(Telephone):
    """Not a driver by itself: a telephone with gains.

    Args:
        spec: The board position.
        clock: Stamps events.
        bus: Where devices are looked for; this machine's by default.
        vocabulary: What keys and lamps are called.
        listening: What the output of the device is: ``EARPIECE`` or ``LOUDSPEAKER``.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        clock: Clock,
        bus: UsbBus | None,
        vocabulary: Vocabulary,
        listening: Gain,
    ) -> None:
        super().__init__(spec, clock, bus, vocabulary)
        self._listening = listening
        self._levels = Levels(spec.position)

    def gains(self) -> Mapping[Gain, GainRange]:
        """Returns what it can adjust; empty while it has not answered yet."""
        return self._levels.ranges

    async def set_gain(self, gain: Gain, gain_db: float) -> float:
        """Sets a gain and returns the nearest that the device took; kept over a re-attach.

        Raises:
            GainError: The device has no such gain.
            TransferError: The device refuses it.
            DeviceGoneError: The device does not answer; the gain is set when it does again.
        """
        if self._task is None:
            return self._levels.set(gain, gain_db)
        return await self._on(self._writer, self._levels.set, gain, gain_db)

    def _open_gains(self, device: UsbDevice) -> None:
        try:
            self._levels.attach(self._bus.gains(device, self._listening))
        except HalError as error:
            logger.warning("%s: its gains stay as they are: %s", self.position, error)
            self._levels.attach(None)

    def _close_gains(self) -> None:
        self._levels.detach()


def _first(errors: BaseExceptionGroup[BaseException]) -> BaseException:
    error: BaseException = errors
    while isinstance(error, BaseExceptionGroup):
        error = error.exceptions[0]
    return error
