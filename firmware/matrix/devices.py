"""The audio devices: one blocking thread for each device that is on a bus, none otherwise.

The device's own clock paces its thread: every frame that its microphone delivers pulls
one frame for its earpiece.  The rings of the engine are the border between the two
clocks.  A device that goes away is tried again until nobody wants it; the buses never
notice.
"""

import logging
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from ...c_ext import Device as EngineDevice
from ...c_ext import Engine
from ...hal.audio import SAMPLE_BYTES, AudioPort
from ...hal.board import DeviceSpec
from ...hal.errors import HalError
from .errors import UnknownThingError

logger = logging.getLogger(__name__)

RETRY_S: Final = 0.5
PREFILL_FRAMES: Final = 2
RING_MS: Final = 80


class DeviceThread:
    """Carries audio between one device and the engine until stopped.

    Args:
        position: The device's place, for the log.
        port: The device's audio, used by this thread alone.
        device: The engine's rings.
        ended: Called on the thread as its last act.
    """

    def __init__(
        self, position: str, port: AudioPort, device: EngineDevice, ended: Callable[[], None]
    ) -> None:
        self._position = position
        self._port = port
        self._device = device
        self._ended = ended
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"audio {position}", daemon=True)
        self.attached = False

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end and wakes it; ``ended`` says when it has."""
        self._stop.set()
        self._port.close()

    def join(self, timeout_s: float) -> None:
        """Waits for the end of the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._try_to_stream()
                self._stop.wait(RETRY_S)
        finally:
            self._port.close()
            self._ended()

    def _try_to_stream(self) -> None:
        try:
            self._stream()
        except (HalError, OSError) as error:
            self._report_gone(error)
        except Exception:  # a driver's own mistake must not end the only thread that retries
            logger.exception("%s: its driver failed", self._position)
            self.attached = False
        finally:
            self._port.close()

    def _stream(self) -> None:
        self._port.open()
        self.attached = True
        samples = self._port.frame_samples
        for _ in range(PREFILL_FRAMES):
            self._port.write(bytes(samples * SAMPLE_BYTES))
        while not self._stop.is_set():
            self._device.write_capture(self._port.read())
            self._port.write(self._device.read_playback(samples))

    def _report_gone(self, error: Exception) -> None:
        if self.attached and not self._stop.is_set():
            logger.warning("%s went away: %s", self._position, error)
        self.attached = False


@dataclass(slots=True)
class OpenDevice:
    """A device that is on a bus."""

    engine: EngineDevice
    thread: DeviceThread

    def levels(self) -> tuple[list[float], bool]:
        """Returns capture and playback level in dBFS, and whether somebody speaks into it."""
        stats = self.engine.stats()
        levels = [round(stats.capture_level_dbfs, 1), round(stats.playback_level_dbfs, 1)]
        return levels, stats.capture_active


class AudioDevices:
    """Every audio device of the board, open while it is on a bus.

    Args:
        engine: Where the media runs.
        specs: The board's audio devices, by position.
        make_port: Makes the audio port that a spec describes.
        later: Runs a callable on the control thread, from any thread.
    """

    def __init__(
        self,
        engine: Engine,
        specs: Mapping[str, DeviceSpec],
        make_port: Callable[[DeviceSpec], AudioPort],
        later: Callable[[Callable[[], None]], object],
    ) -> None:
        self._engine = engine
        self._specs = specs
        self._make_port = make_port
        self._later = later
        self._open: dict[str, OpenDevice] = {}
        self._ending: set[DeviceThread] = set()

    def open(self, position: str) -> EngineDevice:
        """Returns the engine's end of the device and starts its audio unless it runs.

        Raises:
            UnknownThingError: The board has no such audio device.
        """
        self.check(position)
        if position not in self._open:
            self._open[position] = self._start(self._specs[position])
        return self._open[position].engine

    def check(self, position: str) -> None:
        """Passes when the board has such an audio device.

        Raises:
            UnknownThingError: It has none.
        """
        if position not in self._specs:
            known = ", ".join(self._specs) or "none"
            raise UnknownThingError(f"no audio device {position[:40]!r}; there are {known}")

    def close(self, position: str) -> None:
        """Stops the device's audio if it runs; the device must be on no bus."""
        device = self._open.pop(position, None)
        if device is None:
            return
        self._ending.add(device.thread)
        device.thread.stop()
        logger.info("%s closed", position)

    def close_all(self) -> None:
        """Stops every device and waits for the threads."""
        for position in tuple(self._open):
            self.close(position)
        for thread in self._ending:
            thread.join(1.0)

    def describe(self) -> list[dict[str, object]]:
        """Returns every audio device as OLDCB lists it."""
        return [self._describe(position) for position in self._specs]

    def opened(self) -> Mapping[str, OpenDevice]:
        """Returns the devices that are open."""
        return self._open

    def _start(self, spec: DeviceSpec) -> OpenDevice:
        port = self._make_port(spec)
        device = self._engine.open_device(
            rate_hz=port.rate_hz, capture_ms=RING_MS, playback_ms=RING_MS
        )

        def ended() -> None:
            with suppress(RuntimeError):  # the loop ended first: nobody waits for this
                self._later(lambda: self._finish(device, thread))

        thread = DeviceThread(spec.position, port, device, ended)
        thread.start()
        logger.info("%s opened", spec.position)
        return OpenDevice(device, thread)

    def _finish(self, device: EngineDevice, thread: DeviceThread) -> None:
        self._ending.discard(thread)
        device.close()

    def _describe(self, position: str) -> dict[str, object]:
        device = self._open.get(position)
        return {
            "device": position,
            "open": device is not None,
            "attached": device is not None and device.thread.attached,
            "stats": {} if device is None else asdict(device.engine.stats()),
        }
