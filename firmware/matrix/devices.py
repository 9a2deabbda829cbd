"""The audio devices: one blocking thread for each device that is on a bus, none otherwise."""

import logging
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from typing import Final

from ...c_ext import Device as EngineDevice
from ...c_ext import Engine
from ...hal.audio import AudioPort, CountsXruns
from ...hal.board import DeviceSpec
from .device_thread import DeviceThread
from .errors import UnknownThingError
from .fallback import Whereabouts

logger = logging.getLogger(__name__)

RING_MS: Final = 80


@dataclass(slots=True)
class OpenDevice:
    """A device that is wanted on a bus, whether it is there or away; ``why`` it is away."""

    engine: EngineDevice
    thread: DeviceThread
    whereabouts: Whereabouts = Whereabouts.OPENING
    why: str = ""

    def levels(self) -> tuple[list[float], bool]:
        """Returns capture and playback level in dBFS, and whether somebody speaks into it."""
        stats = self.engine.stats()
        levels = [round(stats.capture_level_dbfs, 1), round(stats.playback_level_dbfs, 1)]
        return levels, stats.capture_active

    def xruns(self) -> dict[str, int] | None:
        """Returns how often device and host lost hold of each other; None is not counted."""
        port = self.thread.port
        return asdict(port.xruns) if isinstance(port, CountsXruns) else None


class AudioDevices:
    """Every audio device of the board, open while it is on a bus.

    Args:
        engine: Where the media runs.
        specs: The board's audio devices, by position.
        make_port: Makes the audio port that a spec describes.
        later: Runs a callable on the control thread, from any thread.
        moved: Told on the control thread of a device that came, went away, or has new rings.
    """

    def __init__(
        self,
        engine: Engine,
        specs: Mapping[str, DeviceSpec],
        make_port: Callable[[DeviceSpec], AudioPort],
        later: Callable[[Callable[[], None]], object],
        moved: Callable[[str], None],
    ) -> None:
        self._engine = engine
        self._specs = specs
        self._make_port = make_port
        self._later = later
        self._moved = moved
        self._open: dict[str, OpenDevice] = {}
        self._ending: set[DeviceThread] = set()

    def open(self, position: str) -> EngineDevice:
        """Returns the engine's end of the device and starts its audio unless it runs.

        Raises:
            UnknownThingError: The board has no such audio device.
        """
        self.check(position)
        if position not in self._open:
            spec = self._specs[position]
            self._open[position] = self._start(position, self._make_port(spec))
            logger.info("%s opened", position)
        return self._open[position].engine

    def check(self, position: str) -> None:
        """Passes when the board has such an audio device.

        Raises:
            UnknownThingError: It has none.
        """
        if position not in self._specs:
            known = ", ".join(self._specs) or "none"
            raise UnknownThingError(f"no audio device {position[:40]!r}; there are {known}")

    def whereabouts(self, position: str) -> Whereabouts:
        """Returns what is known of a device."""
        device = self._open.get(position)
        return Whereabouts.CLOSED if device is None else device.whereabouts

    def retry(self) -> None:
        """Looks at once for the devices that are away: something was plugged in."""
        for device in self._open.values():
            device.thread.retry()

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

    def _start(self, position: str, port: AudioPort) -> OpenDevice:
        device = self._engine.open_device(
            rate_hz=port.rate_hz, capture_ms=RING_MS, playback_ms=RING_MS
        )

        def found(whereabouts: Whereabouts, why: str) -> None:
            self._on_control(lambda: self._note(position, thread, whereabouts, why))

        def ended() -> None:
            self._on_control(lambda: self._finish(position, device, thread))

        thread = DeviceThread(position, port, device, found, ended)
        thread.start()
        return OpenDevice(device, thread)

    def _on_control(self, work: Callable[[], None]) -> None:
        with suppress(RuntimeError):  # the loop ended first: nobody waits for this
            self._later(work)

    def _note(
        self, position: str, thread: DeviceThread, whereabouts: Whereabouts, why: str
    ) -> None:
        device = self._open.get(position)
        if device is not None and device.thread is thread:
            device.whereabouts, device.why = whereabouts, why
            self._moved(position)

    def _finish(self, position: str, device: EngineDevice, thread: DeviceThread) -> None:
        self._ending.discard(thread)
        current = self._open.get(position)
        if thread.rate_changed and current is not None and current.thread is thread:
            logger.info("%s runs at %d Hz", position, thread.port.rate_hz)
            self._open[position] = self._start(position, thread.port)
            self._moved(position)
        device.close()

    def _describe(self, position: str) -> dict[str, object]:
        device = self._open.get(position)
        return {
            "device": position,
            "open": device is not None,
            "attached": self.whereabouts(position) is Whereabouts.THERE,
            "rate_hz": None if device is None else device.engine.rate_hz,
            "why_away": "" if device is None else device.why,
            "xruns": None if device is None else device.xruns(),
            "stats": {} if device is None else asdict(device.engine.stats()),
        }
