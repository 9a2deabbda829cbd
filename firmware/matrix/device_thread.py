"""The blocking thread of one audio device.

The device's own clock paces it: every frame that its microphone delivers pulls one frame for its
earpiece.  The rings of the engine are the border between the two clocks.  A device that goes away
is tried again until nobody wants it; the buses never notice.
"""

import logging
import threading
from collections.abc import Callable
from typing import Final

from ...c_ext import Device as EngineDevice
from ...hal.audio import SAMPLE_BYTES, AudioPort
from ...hal.errors import HalError
from .fallback import Whereabouts

logger = logging.getLogger(__name__)

RETRY_S: Final = 0.25
"""How long a device that is away is left alone; being told of a plug-in ends it at once."""
PREFILL_FRAMES: Final = 2


class RateChangedError(Exception):
    """The device came with another rate than its rings have."""


class DeviceThread:
    """Carries audio between one device and the engine until stopped.

    Args:
        position: The device's place, for the log.
        port: The device's audio, used by this thread alone.
        device: The engine's rings.
        found: Called on the thread whenever the device is found there or away.
        ended: Called on the thread as its last act.

    Attributes:
        port: The device's audio.
        rate_changed: The thread ended because the rings have another rate than the device.
    """

    def __init__(
        self,
        position: str,
        port: AudioPort,
        device: EngineDevice,
        found: Callable[[Whereabouts, str], None],
        ended: Callable[[], None],
    ) -> None:
        self.port = port
        self.rate_changed = False
        self._position = position
        self._device = device
        self._found = found
        self._ended = ended
        self._whereabouts = Whereabouts.OPENING
        self._why = ""
        self._stop = threading.Event()
        self._wake = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"audio {position}", daemon=True)

    def start(self) -> None:
        """Starts the thread."""
        self._thread.start()

    def stop(self) -> None:
        """Asks the thread to end and wakes it; ``ended`` says when it has."""
        self._stop.set()
        self._wake.set()
        self.port.close()

    def retry(self) -> None:
        """Looks for the device at once, if it is away."""
        self._wake.set()

    def join(self, timeout_s: float) -> None:
        """Waits for the end of the thread."""
        self._thread.join(timeout_s)

    def _run(self) -> None:
        try:
            while not self._stop.is_set():
                self._wake.clear()
                self._try_to_stream()
                self._wake.wait(RETRY_S)
        except RateChangedError:
            self.rate_changed = True
        finally:
            self.port.close()
            self._ended()

    def _try_to_stream(self) -> None:
        try:
            self._stream()
        except (HalError, OSError) as error:
            self._tell(Whereabouts.AWAY, str(error))
        except RateChangedError:
            raise
        except Exception as error:  # a driver's own mistake must not end the thread that retries
            logger.exception("%s: its driver failed", self._position)
            self._tell(Whereabouts.AWAY, repr(error))
        finally:
            self.port.close()

    def _stream(self) -> None:
        self.port.open()
        if self.port.rate_hz != self._device.rate_hz:
            raise RateChangedError
        samples = self.port.frame_samples
        for _ in range(PREFILL_FRAMES):
            self.port.write(bytes(samples * SAMPLE_BYTES))
        while not self._stop.is_set():
            self._device.write_capture(self.port.read())
            self._tell(Whereabouts.THERE)  # not before sound has come: opening proves little
            self.port.write(self._device.read_playback(samples))

    def _tell(self, whereabouts: Whereabouts, why: str = "") -> None:
        if self._stop.is_set() or (whereabouts, why) == (self._whereabouts, self._why):
            return
        if whereabouts is Whereabouts.AWAY:
            logger.warning("%s is away: %s", self._position, why)
        self._whereabouts, self._why = whereabouts, why
        self._found(whereabouts, why)
