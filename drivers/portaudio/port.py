"""The audio port of a device that PortAudio carries."""

import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Final, Protocol

from ...hal.audio import SAMPLE_BYTES, Xruns
from ...hal.board import Capability, DeviceSpec
from ...hal.errors import AudioFormatError, DeviceGoneError
from .formats import RATES_HZ, best_rate, from_mono, to_mono
from .library import Library, Listed
from .stream import Api, Direction, Stream, Target, device_format

STALL_S: Final = 0.5
"""A stream that gives or takes nothing for so long is taken for gone: it says itself active."""
START_S: Final = 1.0
"""The same, until a stream has given or taken something for the first time."""
SHORTEST_WAIT_S: Final = 0.001
LONGEST_WAIT_S: Final = 0.010
"""PortAudio keeps 40 ms and more: what came is taken long before that is full."""
_CAPABILITIES: Final = {
    Direction.CAPTURE: Capability.CAPTURE,
    Direction.PLAYBACK: Capability.PLAYBACK,
}


class Place(Protocol):
    """Where a device of the board is plugged in."""

    def target(self) -> Target:
        """Returns what is there now.

        Raises:
            DeviceError: Nothing is, or not exactly one thing; the message has the remedy.
        """
        ...

    def check(self) -> None:
        """Passes while that is still there; asked at every frame.

        Raises:
            DeviceGoneError: It is not.
        """
        ...


@dataclass(slots=True)
class _Open:
    """The streams of an open port; a device without microphone or earpiece has one."""

    capture: Stream | None = None
    playback: Stream | None = None
    began: bool = False
    """Whether sound has come or gone."""
    queued: bytes = b""
    """What the device had no room for yet, at most a frame; it goes out while a read waits."""

    def streams(self) -> Iterator[tuple[Direction, Stream]]:
        """Yields the streams that there are."""
        if self.capture is not None:
            yield Direction.CAPTURE, self.capture
        if self.playback is not None:
            yield Direction.PLAYBACK, self.playback

    def put(self, direction: Direction, stream: Stream) -> None:
        """Adds a stream."""
        if direction is Direction.CAPTURE:
            self.capture = stream
        else:
            self.playback = stream

    def flush(self) -> int:
        """Gives the device what it has room for and returns how many bytes that was."""
        if self.playback is None or not self.queued:
            return 0
        taken = self.playback.write(self.queued)
        self.queued = self.queued[taken:]
        return taken


class _Patience:
    """Waits for a device a little at a time; only time spent asleep counts as its stall."""

    def __init__(self, position: str, place: Place, stop: threading.Event, opened: _Open) -> None:
        self._position = position
        self._place = place
        self._stop = stop
        self._opened = opened
        self._waited_s = 0.0

    def wait(self, *, progress: bool, at_most_s: float) -> None:
        """Sleeps, unless there was progress, for no longer than the rest can take to come.

        Raises:
            DeviceGoneError: It is gone or stalled, or the port was closed.
        """
        self._place.check()
        if self._stop.is_set():
            raise DeviceGoneError(f"{self._position} was closed")
        if progress:
            self._waited_s, self._opened.began = 0.0, True
            return
        if self._waited_s > (STALL_S if self._opened.began else START_S):
            raise DeviceGoneError(f"{self._position} stalled for {self._waited_s:.1f} s")
        pause_s = max(SHORTEST_WAIT_S, min(at_most_s, LONGEST_WAIT_S))
        self._stop.wait(pause_s)
        self._waited_s += pause_s


class PortAudioPort:
    """Frames of a device, at the device's own pace.

    The rate before the first ``open`` is the board's or the best of the engine; ``open`` finds the
    real one.

    Args:
        spec: The device on the board.
        place: Where it is plugged in.
        library: PortAudio.
    """

    def __init__(self, spec: DeviceSpec, place: Place, library: Library) -> None:
        self._spec = spec
        self._place = place
        self._library = library
        self._rate_hz = spec.rate_hz or RATES_HZ[0]
        self._stop = threading.Event()
        self._open: _Open | None = None
        self._xruns = dict.fromkeys(Direction, 0)

    @property
    def rate_hz(self) -> int:
        """Samples in a second, each way."""
        return self._rate_hz

    @property
    def frame_samples(self) -> int:
        """Samples in every frame, each way."""
        return self._rate_hz * self._spec.frame_ms // 1000

    @property
    def xruns(self) -> Xruns:
        """Frames lost since the port was made."""
        counts = dict(self._xruns)
        opened = self._open
        for direction, stream in opened.streams() if opened is not None else ():
            counts[direction] += stream.xruns
        return Xruns(counts[Direction.CAPTURE], counts[Direction.PLAYBACK])

    def open(self) -> None:
        """Starts the stream.

        Raises:
            DeviceError: The device is not there, or not alone in answering to the board.
            AudioFormatError: It can do no rate of the engine's, or lacks what the board says.
        """
        self.close()
        self._stop = threading.Event()
        target = self._place.target()
        parts = self._library.find(target)
        sides = {direction: self._part(parts, direction) for direction in self._wanted()}
        self._rate_hz = self._negotiated(target, sides)
        opened = self._open = _Open()
        for direction, part in sides.items():
            form = device_format(target.api, self._rate_hz, part.channels(direction))
            stream = self._library.open(target, direction, form)
            opened.put(direction, stream)
            if direction is Direction.PLAYBACK:
                self._library.start(stream)

    def read(self) -> bytes:
        """Blocks until the microphone has a frame, or until a loudspeaker alone took one.

        Raises:
            DeviceGoneError: The device went away or stalled, or the port was closed.
        """
        opened = self._opened()
        capture = opened.capture
        if capture is None:
            self._wait_until_taken(opened)
            return bytes(self.frame_samples * SAMPLE_BYTES)
        return to_mono(self._collect(opened, capture), capture.plan.form)

    def write(self, frame: bytes) -> None:
        """Queues a frame for the earpiece; a full device queue drops it.

        Raises:
            AudioFormatError: The frame has the wrong length.
            DeviceGoneError: The device went away, or the port was closed.
        """
        size = self.frame_samples * SAMPLE_BYTES
        if len(frame) != size:
            raise AudioFormatError(f"a frame of {len(frame)} bytes, not {size}")
        opened = self._opened()
        opened.flush()
        if opened.playback is not None and not opened.queued:
            opened.queued = from_mono(frame, opened.playback.plan.form)
            opened.flush()

    def close(self) -> None:
        """Stops the stream and wakes a reader that is blocked."""
        self._stop.set()
        opened, self._open = self._open, None
        for direction, stream in opened.streams() if opened is not None else ():
            self._library.close(stream)
            self._xruns[direction] += stream.xruns

    def _opened(self) -> _Open:
        opened = self._open
        if opened is None:
            raise DeviceGoneError(f"{self._spec.position} is not open")
        return opened

    def _collect(self, opened: _Open, capture: Stream) -> bytes:
        """Returns a frame of the microphone, put together as it comes.

        The microphone begins with the first: a sound card keeps little until somebody listens.
        """
        self._library.start(capture)
        form, frame = capture.plan.form, bytearray()
        size = self.frame_samples * form.frame_bytes
        patience = _Patience(self._spec.position, self._place, self._stop, opened)
        while (missing := (size - len(frame)) // form.frame_bytes) > 0:
            data = capture.read(missing)
            frame += data
            opened.flush()
            patience.wait(progress=bool(data), at_most_s=missing / self._rate_hz)
        return bytes(frame)

    def _wait_until_taken(self, opened: _Open) -> None:
        patience = _Patience(self._spec.position, self._place, self._stop, opened)
        while opened.queued:
            patience.wait(progress=bool(opened.flush()), at_most_s=LONGEST_WAIT_S)

    def _wanted(self) -> list[Direction]:
        having = self._spec.capabilities
        return [each for each, capability in _CAPABILITIES.items() if capability in having]

    def _part(self, parts: tuple[Listed, ...], direction: Direction) -> Listed:
        able = [part for part in parts if part.channels(direction)]
        if not able:
            raise AudioFormatError(
                f"{self._spec.position}: {parts[0].target.name} has no {direction.value}; "
                f"take it out of the capabilities, or plug in a device that has it"
            )
        return able[0]

    def _negotiated(self, target: Target, sides: dict[Direction, Listed]) -> int:
        if target.api is Api.JACK:
            self._check_stereo(sides)
        name = f"{self._spec.position}: {target.name}"
        return best_rate(name, partial(self._supports, target.api, sides), self._spec.rate_hz)

    def _supports(self, api: Api, sides: dict[Direction, Listed], rate_hz: int) -> bool:
        return all(
            self._library.supports(
                part, direction, device_format(api, rate_hz, part.channels(direction))
            )
            for direction, part in sides.items()
        )

    def _check_stereo(self, sides: dict[Direction, Listed]) -> None:
        for direction, part in sides.items():
            if part.channels(direction) < 2:
                raise AudioFormatError(
                    f"{self._spec.position}: {part.target.name} has one port for "
                    f"{direction.value}, and PortAudio needs two on JACK; register a second one"
                )
