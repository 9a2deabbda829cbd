"""The one PortAudio of the process, its list of devices, and its streams.

PortAudio reads its list once, at its start.  What was plugged in later is found only by ending
and starting PortAudio, which closes every stream: the library does that when the system says that
a device is there and the list does not know it, and opens the other streams again at once.  They
miss what is said meanwhile, 0.3 s with four JACK devices; nothing above them notices but by that.
"""

import logging
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Protocol

import pyaudio

from ...hal.clock import Clock, SystemClock
from ...hal.errors import DeviceGoneError
from .formats import Samples, StreamFormat
from .stream import Api, Direction, Handle, Plan, Stream, Target

logger = logging.getLogger(__name__)

ASOUND: Final = Path("/proc/asound")
VAIN_S: Final = 10.0
"""How long PortAudio is not ended again for a device that it did not find the last time."""
PERIODS_PER_S: Final = 50
"""Of a sound card.  It keeps two periods: 40 ms bridge what Python may be late."""
_BUFFER: Final = re.compile(r"^buffer_size: (\d{1,7})$", re.MULTILINE)
_CARD: Final = re.compile(r"\((hw:\d+),\d+\)$")
_FORMATS: Final = {Samples.INT16: pyaudio.paInt16, Samples.FLOAT32: pyaudio.paFloat32}


class Server(Protocol):
    """The JACK server that PortAudio is a client of."""

    @property
    def alive(self) -> bool:
        """Whether it runs."""
        ...

    @property
    def period_frames(self) -> int:
        """Frames that it handles at a time."""
        ...


@dataclass(frozen=True, slots=True)
class Listed:
    """A device in PortAudio's list."""

    index: int
    target: Target
    inputs: int
    outputs: int

    def channels(self, direction: Direction) -> int:
        """Returns how many channels it has that way."""
        return self.inputs if direction is Direction.CAPTURE else self.outputs


class Library:
    """PortAudio, started when the first device is looked for.

    Args:
        watch_jack: Returns the JACK server that runs now.
        clock: Tells how long the streams were interrupted.
        asound: Where the kernel shows its sound cards.

    Attributes:
        interrupted_s: How long streams were closed when the list was last read anew.
    """

    def __init__(
        self,
        watch_jack: Callable[[], Server],
        clock: Clock | None = None,
        asound: Path = ASOUND,
    ) -> None:
        self.interrupted_s = 0.0
        self._watch_jack = watch_jack
        self._clock = clock or SystemClock()
        self._asound = asound
        self._lock = threading.RLock()
        self._portaudio: pyaudio.PyAudio | None = None
        self._jack: Server | None = None
        self._listed: tuple[Listed, ...] = ()
        self._streams: set[Stream] = set()
        self._vain: dict[Target, float] = {}

    def find(self, target: Target) -> tuple[Listed, ...]:
        """Returns what PortAudio lists of a device that is there: a card may be listed in parts.

        Raises:
            DeviceGoneError: PortAudio does not list it, not even after it was started anew.
        """
        with self._lock:
            if self._portaudio is None:
                self._start()
            if not self._known(target) and self._worth_a_refresh(target):
                self.refresh()
            found = self._known(target)
            if not found:
                self._vain[target] = self._clock.monotonic()
                raise DeviceGoneError(f"PortAudio does not list {target.name}; is it in use?")
            return found

    def supports(self, device: Listed, direction: Direction, form: StreamFormat) -> bool:
        """Returns whether a device can do a format; PortAudio asks the device itself."""
        with self._lock:
            try:
                return self._running().is_format_supported(
                    form.rate_hz,
                    **{
                        f"{_SIDE[direction]}_device": device.index,
                        f"{_SIDE[direction]}_channels": form.channels,
                        f"{_SIDE[direction]}_format": _FORMATS[form.samples],
                    },
                )
            except ValueError:  # how PyAudio says no
                return False

    def open(self, target: Target, direction: Direction, form: StreamFormat) -> Stream:
        """Returns a stream, which is still.

        Raises:
            DeviceGoneError: The device does not open.
        """
        with self._lock:
            plan = Plan(target, direction, form)
            try:
                stream = Stream(plan, self._handle(plan), self._clock)
            except OSError as error:
                raise DeviceGoneError(f"{target.name} does not open: {error}") from error
            self._streams.add(stream)
            return stream

    def start(self, stream: Stream) -> None:
        """Lets sound come or go; a second time does nothing.

        PortAudio starts, opens and closes one stream at a time: on JACK those of several threads
        would take each other's signals for their own.

        Raises:
            DeviceGoneError: The device went away, or the stream was closed.
        """
        if not stream.started:
            with self._lock:
                stream.start()

    def close(self, stream: Stream) -> None:
        """Ends a stream; ending it twice does nothing."""
        with self._lock:
            if stream in self._streams:
                self._streams.discard(stream)
                stream.suspend(abandon=self._is_lost(stream))
                stream.resume(None)

    def refresh(self) -> None:
        """Ends and starts PortAudio, so that it reads its list anew, and opens every stream again.

        Raises:
            DeviceGoneError: The JACK server is gone, and PortAudio cannot be ended without it.
        """
        with self._lock, ExitStack() as interrupted:
            self._check_jack()
            before = self._clock.monotonic()
            for stream in self._streams:
                stream.suspend()
                interrupted.callback(stream.resume, self._handle)
            self._end()
            self._start()
            interrupted.close()
            self.interrupted_s = self._clock.monotonic() - before
            self._tell_interruption()

    def end(self) -> None:
        """Ends PortAudio and every stream; finding a device starts it again."""
        with self._lock:
            for stream in tuple(self._streams):
                self.close(stream)
            if self._jack is None or self._jack.alive:
                self._end()

    def _tell_interruption(self) -> None:
        logger.info(
            "PortAudio read its list anew: %d devices; %d streams stood still for %.0f ms",
            len(self._listed),
            len(self._streams),
            1000 * self.interrupted_s,
        )

    def _start(self) -> None:
        self._portaudio = pyaudio.PyAudio()
        self._listed = tuple(self._list(self._portaudio))
        self._jack = self._watch_jack() if self._has_jack(self._portaudio) else None

    def _end(self) -> None:
        portaudio, self._portaudio, self._listed = self._portaudio, None, ()
        if portaudio is not None:
            portaudio.terminate()

    def _running(self) -> pyaudio.PyAudio:
        if self._portaudio is None:
            raise DeviceGoneError("PortAudio does not run")
        return self._portaudio

    def _list(self, portaudio: pyaudio.PyAudio) -> Iterator[Listed]:
        apis = {
            number: portaudio.get_host_api_info_by_index(number)["type"]
            for number in range(portaudio.get_host_api_count())
        }
        for index in range(portaudio.get_device_count()):
            found = portaudio.get_device_info_by_index(index)
            inputs, outputs = int(found["maxInputChannels"]), int(found["maxOutputChannels"])
            api, name = apis[int(found["hostApi"])], str(found["name"])
            if api == Api.JACK.value:
                target = Target(Api.JACK, name, jack_stamp(inputs, outputs))
            elif card := _CARD.search(name):
                target = Target(Api.ALSA, card[1], card_stamp(card[1], self._asound))
            else:
                continue
            yield Listed(index, target, inputs, outputs)

    def _has_jack(self, portaudio: pyaudio.PyAudio) -> bool:
        apis = range(portaudio.get_host_api_count())
        types = (portaudio.get_host_api_info_by_index(number)["type"] for number in apis)
        return Api.JACK.value in types

    def _known(self, target: Target) -> tuple[Listed, ...]:
        return tuple(each for each in self._listed if each.target == target)

    def _worth_a_refresh(self, target: Target) -> bool:
        tried = self._vain.get(target)
        return tried is None or self._clock.monotonic() - tried > VAIN_S

    def _handle(self, plan: Plan) -> Handle:
        device = next(
            (each for each in self._known(plan.target) if each.channels(plan.direction)), None
        )
        if device is None:
            raise OSError(f"PortAudio no longer lists it for {plan.direction.value}")
        capture, card = plan.direction is Direction.CAPTURE, plan.target.api is Api.ALSA
        stream = self._running().open(
            rate=plan.form.rate_hz,
            channels=plan.form.channels,
            format=_FORMATS[plan.form.samples],
            frames_per_buffer=plan.form.rate_hz // PERIODS_PER_S if card else _JACKS_OWN,
            input=capture,
            output=not capture,
            start=False,
            input_device_index=device.index if capture else None,
            output_device_index=None if capture else device.index,
        )
        return Handle(stream, self._kept_frames(plan))

    def _kept_frames(self, plan: Plan) -> int:
        if plan.target.api is Api.ALSA:
            kept = buffer_frames(plan.target.name, plan.direction, self._asound)
            return kept or 2 * plan.form.rate_hz // PERIODS_PER_S
        return fifo_frames(self._jack.period_frames if self._jack is not None else 0)

    def _is_lost(self, stream: Stream) -> bool:
        jack = stream.plan.target.api is Api.JACK
        return jack and self._jack is not None and not self._jack.alive

    def _check_jack(self) -> None:
        if self._jack is not None and not self._jack.alive:
            raise DeviceGoneError(
                "the JACK server is gone, and PortAudio lists nothing anew without it; "
                "restart the matrix"
            )


_JACKS_OWN: Final = pyaudio.paFramesPerBufferUnspecified
_SIDE: Final = {Direction.CAPTURE: "input", Direction.PLAYBACK: "output"}


def jack_stamp(inputs: int, outputs: int) -> str:
    """Returns the stamp of a JACK client: its ports, which come one after the other."""
    return f"{inputs} in, {outputs} out"


def card_stamp(card: str, asound: Path = ASOUND) -> str:
    """Returns the stamp of a sound card ``hw:N``: which product it is; "" when there is none."""
    try:
        text = (asound / f"card{card.removeprefix('hw:')}" / "usbid").read_text(errors="replace")
    except OSError:
        return ""
    return text.strip()


def buffer_frames(card: str, direction: Direction, asound: Path = ASOUND) -> int:
    """Returns the frames that an open sound card keeps; 0 where the kernel does not say."""
    letter = "c" if direction is Direction.CAPTURE else "p"
    for path in sorted((asound / f"card{card.removeprefix('hw:')}").glob(f"pcm*{letter}/sub0")):
        try:
            found = _BUFFER.search((path / "hw_params").read_text(errors="replace"))
        except OSError:
            continue
        if found:
            return int(found[1])
    return 0


def fifo_frames(period_frames: int) -> int:
    """Returns the frames that PortAudio keeps for a blocking stream on JACK.

    >>> fifo_frames(480)
    2048

    As ``OpenStream`` and ``BlockingBegin`` of pa_jack.c have it: three periods, rounded up to a
    power of two.
    """
    frames = 32
    while frames < 3 * period_frames:
        frames *= 2
    return frames
