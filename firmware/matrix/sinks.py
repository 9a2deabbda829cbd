"""Sinks: WAV files that keep what is said on the buses they are on.

To the engine a sink is a device without a microphone.  A thread of its own takes what it would
play, at our own clock's pace, and writes it a second at a time: a slow disk delays that thread
and nobody else.
"""

import logging
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...c_ext import Device as EngineDevice
from ...c_ext import Engine
from ...hal.clock import Clock
from .errors import ConflictError, ExhaustedError, UnknownThingError
from .wav import SAMPLE_BYTES, WavFile

logger = logging.getLogger(__name__)

MAX_SINKS: Final = 8
MAX_SECONDS: Final = 14_400
RING_MS: Final = 200
STEP_MS: Final = 10
WRITE_MS: Final = 1000


class SinkThread:
    """Writes what one sink hears until it is stopped, the file is long enough, or the disk fails.

    Args:
        name: Of the sink, for the log.
        device: The engine's rings.
        file: Owned by this thread, and closed by it.
        clock: Sets the pace.
        max_samples: Where the file ends.
        ended: Called on the thread as its last act.
    """

    def __init__(
        self,
        name: str,
        device: EngineDevice,
        file: WavFile,
        clock: Clock,
        *,
        max_samples: int,
        ended: Callable[[], None],
    ) -> None:
        self._device = device
        self._file = file
        self._clock = clock
        self._max_samples = max_samples
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"sink {name}", daemon=True)
        self._pending = bytearray()
        self.samples = 0
        self.why = ""

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to write what is left and end."""
        self._stop.set()

    def join(self, timeout_s: float) -> None:
        """Waits for the end of the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            self._record()
            self._flush()
        except OSError as error:
            self.why = error.strerror or str(error)
        finally:
            self._file.close()
            self._ended()

    def _record(self) -> None:
        due = self._clock.monotonic()
        while not self._stop.wait(max(0.0, due - self._clock.monotonic())):
            self._take()
            if self.samples >= self._max_samples:
                self.why = "long enough"
                return
            due = max(due + STEP_MS / 1000, self._clock.monotonic() - RING_MS / 1000)

    def _take(self) -> None:
        samples = min(self._device.rate_hz * STEP_MS // 1000, self._max_samples - self.samples)
        self._pending += self._device.read_playback(samples)
        self.samples += samples
        if len(self._pending) >= self._device.rate_hz * WRITE_MS // 1000 * SAMPLE_BYTES:
            self._flush()

    def _flush(self) -> None:
        self._file.append(bytes(self._pending))
        self._pending.clear()


@dataclass(slots=True)
class OpenSink:
    """One sink, its file and its thread."""

    name: str
    engine: EngineDevice
    path: Path
    thread: SinkThread

    def describe(self) -> dict[str, object]:
        """Returns the sink as OLDCB lists it."""
        return {
            "name": self.name,
            "path": self.path.name,
            "rate_hz": self.engine.rate_hz,
            "seconds": round(self.thread.samples / self.engine.rate_hz, 2),
            "ended": self.thread.why,
        }

    def levels(self) -> list[float]:
        """Returns silence, for it says nothing, and what it hears in dBFS."""
        return [-127.0, round(self.engine.stats().playback_level_dbfs, 1)]


class Sinks:
    """Every sink by name.

    Args:
        engine: Where the media runs.
        folder: Where the files go; made when the first sink opens.
        clock: Sets their pace.
        later: Runs a callable on the control thread, from any thread.
        ended: Told on the control thread of a sink that ended by itself.
    """

    def __init__(
        self,
        engine: Engine,
        folder: Path,
        clock: Clock,
        later: Callable[[Callable[[], None]], object],
        ended: Callable[[OpenSink], None],
    ) -> None:
        self._engine = engine
        self._folder = folder
        self._clock = clock
        self._later = later
        self._ended = ended
        self._sinks: dict[str, OpenSink] = {}
        self._ending: set[SinkThread] = set()

    def __iter__(self) -> Iterator[OpenSink]:
        return iter(self._sinks.values())

    def __len__(self) -> int:
        return len(self._sinks)

    def __getitem__(self, name: str) -> OpenSink:
        if name not in self._sinks:
            raise UnknownThingError(f"there is no sink {name[:40]!r}")
        return self._sinks[name]

    def open(self, name: str, file: str, rate_hz: int, max_seconds: int) -> OpenSink:
        """Begins a file.

        Raises:
            ConflictError: A sink of that name is open, or the file is there already.
            ExhaustedError: As many sinks are open as there may be.
        """
        if name in self._sinks:
            raise ConflictError(f"sink {name[:40]!r} is open already")
        if len(self._sinks) + len(self._ending) >= MAX_SINKS:
            raise ExhaustedError(f"all {MAX_SINKS} sinks are in use")
        sink = self._start(name, file, rate_hz, max_seconds)
        self._sinks[name] = sink
        sink.thread.start()
        logger.info("sink %s writes %s", name, sink.path)
        return sink

    def close(self, name: str) -> OpenSink:
        """Finishes the file; the sink must be on no bus."""
        sink = self[name]
        del self._sinks[name]
        if sink.thread.why:
            sink.engine.close()
        else:
            self._ending.add(sink.thread)
            sink.thread.stop()
        logger.info("sink %s closed", name)
        return sink

    def close_all(self) -> None:
        """Finishes every file and waits for the threads."""
        for name in tuple(self._sinks):
            self.close(name)
        for thread in tuple(self._ending):
            thread.join(1.0)

    def _start(self, name: str, file: str, rate_hz: int, max_seconds: int) -> OpenSink:
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / file
        device = self._engine.open_device(rate_hz=rate_hz, capture_ms=20, playback_ms=RING_MS)
        try:
            wav = WavFile(path, rate_hz)
        except FileExistsError as error:
            device.close()
            raise ConflictError(f"{file} is there already; name another path") from error
        except OSError:
            device.close()
            raise

        def ended() -> None:
            self._later(lambda: self._finish(sink))

        thread = SinkThread(
            name, device, wav, self._clock, max_samples=rate_hz * max_seconds, ended=ended
        )
        sink = OpenSink(name, device, path, thread)
        return sink

    def _finish(self, sink: OpenSink) -> None:
        if sink.thread in self._ending:
            self._ending.discard(sink.thread)
            sink.engine.close()
        elif self._sinks.get(sink.name) is sink:
            logger.warning("sink %s ended: %s", sink.name, sink.thread.why)
            self._ended(sink)
