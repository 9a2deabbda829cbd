"""One direction of one device: the frames that are there or fit now, without waiting for more."""

import ctypes
import enum
import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

import pyaudio

from ...hal.clock import Clock
from ...hal.errors import DeviceGoneError
from .formats import Samples, StreamFormat

logger = logging.getLogger(__name__)

T = TypeVar("T")


class Api(enum.Enum):
    """The parts of PortAudio that we use, by its own numbers."""

    ALSA = pyaudio.paALSA
    JACK = pyaudio.paJACK


class Direction(enum.Enum):
    """Which way sound goes, seen from the unit."""

    CAPTURE = "capture"
    PLAYBACK = "playback"


@dataclass(frozen=True, slots=True)
class Target:
    """A device as the system names it, which PortAudio's own list must be found to know.

    Attributes:
        api: Who speaks to it.
        name: ``hw:1`` is an ALSA card, ``Handset 1`` a JACK client.
        stamp: What the system says about the device of that name: it is another one, or has
            changed, when this differs from what it was as PortAudio made its list.
    """

    api: Api
    name: str
    stamp: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Everything that is needed to open a stream, also once more."""

    target: Target
    direction: Direction
    form: StreamFormat


@dataclass(frozen=True, slots=True)
class Handle:
    """A stream of PyAudio's, and how many frames are kept for it between the device and us.

    PyAudio closes a stream when it is asked to raise at an overflow or underflow, so it is not
    asked: that frames were lost is seen by those that are kept.
    """

    stream: pyaudio.Stream
    kept_frames: int


class Stream:
    """An open stream, which the library may interrupt to read its list anew.

    Args:
        plan: What is opened.
        handle: That it was opened as.
        clock: Tells how long nobody has asked for what came.

    Attributes:
        plan: What was opened.
        started: Whether sound comes or goes.
        xruns: Times that frames were lost: input that came while nobody took it, output that
            was due while there was none.
    """

    def __init__(self, plan: Plan, handle: Handle, clock: Clock) -> None:
        self.plan = plan
        self.started = False
        self.xruns = 0
        self._clock = clock
        self._lock = threading.Lock()
        self._handle: Handle | None = handle
        self._asked: float | None = None

    def start(self) -> None:
        """Lets sound come or go; a second time does nothing.

        Raises:
            DeviceGoneError: The device went away, or the stream was closed.
        """
        with self._lock:
            if not self.started:
                self._checked(self._opened().stream.start_stream)
                self.started = True

    def read(self, most: int) -> bytes:
        """Returns the frames that are there, at most so many.

        Raises:
            DeviceGoneError: The device went away, or the stream was closed.
        """
        with self._lock:
            handle = self._opened()
            available = self._checked(handle.stream.get_read_available)
            now, before = self._clock.monotonic(), self._asked
            self._asked = now
            kept_s = handle.kept_frames / self.plan.form.rate_hz
            late = before is not None and now - before > kept_s
            self.xruns += late or available >= handle.kept_frames
            frames = min(available, most)
            return self._checked(lambda: handle.stream.read(frames, False)) if frames else b""

    def write(self, data: bytes) -> int:
        """Queues the frames that fit and returns how many bytes they are.

        Raises:
            DeviceGoneError: The device went away, or the stream was closed.
        """
        with self._lock:
            handle, size = self._opened(), self.plan.form.frame_bytes
            available = self._checked(handle.stream.get_write_available)
            if self._asked is not None and available >= handle.kept_frames:
                self.xruns += 1
                available -= self._prime(handle.stream, handle.kept_frames // 2)
            frames = min(available, len(data) // size)
            if frames:
                self._asked = self._clock.monotonic()
                self._checked(lambda: handle.stream.write(data[: frames * size], frames))
            return frames * size

    def _prime(self, stream: pyaudio.Stream, frames: int) -> int:
        """Plays silence before what comes: else it would run dry again at the next short delay."""
        self._checked(lambda: stream.write(bytes(frames * self.plan.form.frame_bytes), frames))
        return frames

    def suspend(self, *, abandon: bool = False) -> None:
        """Closes the stream and lets whoever uses it wait until :meth:`resume`.

        Args:
            abandon: Never close it, because the system below it is gone.
        """
        self._lock.acquire()
        handle, self._handle, self._asked = self._handle, None, None
        if handle is not None:
            (keep_for_ever if abandon else _close)(handle.stream)

    def resume(self, reopen: Callable[[Plan], Handle] | None) -> None:
        """Opens the stream again, unless there is no way to; whoever uses it is told."""
        try:
            if reopen is not None:
                self._handle = reopen(self.plan)
                if self.started:
                    self._handle.stream.start_stream()
        except OSError as error:
            logger.warning("%s did not open again: %s", self.plan.target.name, error)
        finally:
            self._lock.release()

    def _opened(self) -> Handle:
        if self._handle is None:
            raise DeviceGoneError(f"{self.plan.target.name} is not open")
        return self._handle

    def _checked(self, call: Callable[[], T]) -> T:
        """Returns what PyAudio does; it hands on some of PortAudio's error codes as they are."""
        try:
            result = call()
        except OSError as error:
            raise DeviceGoneError(f"{self.plan.target.name}: {error}") from error
        if isinstance(result, int) and result < 0:
            raise DeviceGoneError(f"{self.plan.target.name}: PortAudio error {result}")
        return result


def device_format(api: Api, rate_hz: int, channels: int) -> StreamFormat:
    """Returns how a device of so many channels is opened.

    ALSA: 16 bits, one channel where there is one, else two: which of more the sound is on, and
    whether one alone would do, PortAudio cannot tell.  JACK: two channels of floats and nothing
    else, because PortAudio's blocking streams on JACK take every frame for eight bytes long
    (``BlockingBegin`` in pa_jack.c, from version 19.6 to now).
    """
    if api is Api.JACK:
        return StreamFormat(rate_hz, 2, Samples.FLOAT32)
    return StreamFormat(rate_hz, min(channels, 2), Samples.INT16)


def keep_for_ever(handle: object) -> None:
    """Takes a reference that is never given back.

    PortAudio ends the process (an ``assert``) when a JACK stream is closed whose server is gone,
    and PyAudio closes what nobody refers to.
    """
    ctypes.pythonapi.Py_IncRef(ctypes.py_object(handle))


def _close(handle: pyaudio.Stream) -> None:
    try:
        handle.close()
    except OSError as error:
        logger.debug("closing a stream: %s", error)
