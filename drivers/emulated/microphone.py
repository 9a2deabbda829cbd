"""The audio half of an emulated device: a microphone and an earpiece behind one socket.

Emulated: the device's own clock, a stream that exists only while a host has it open, a
playback queue that runs dry (silence is heard and counted) or over (the oldest frame is
dropped and counted), a host that does not read (frames are dropped and counted), the
cable pulled and put back.

Not emulated: a clock that drifts against the host's, sample rates other than 8 kHz,
acoustics (the earpiece is never heard by the microphone), and USB transfers: a frame
is one SOCK_SEQPACKET packet.
"""

import asyncio
import logging
import socket
from collections import deque
from pathlib import Path
from typing import Final

from ...hal.audio import RATE_HZ, SAMPLE_BYTES
from ..errors import EmulationError
from .sound import Heard, Silence, Source

logger = logging.getLogger(__name__)

PLAYBACK_FRAMES: Final = 8
CATCH_UP_FRAMES: Final = 10


class AudioTwin:
    """Serves one ``<position>.audio`` socket on the running loop, whose time is its clock."""

    def __init__(self, path: Path, frame_ms: int) -> None:
        self.path = path
        self._loop = asyncio.get_running_loop()
        self._epoch = self._loop.time()
        self._samples = RATE_HZ * frame_ms // 1000
        self._period_s = frame_ms / 1000
        self._listener: socket.socket | None = None
        self._stream: socket.socket | None = None
        self._tick: asyncio.TimerHandle | None = None
        self._queue: deque[bytes] = deque()
        self._source: Source = Silence()
        self._source_first = 0
        self._heard: Heard | None = None
        self.muted = False
        self.counters = dict.fromkeys(("sent", "played", "silent", "dropped", "late", "skipped"), 0)

    def plug(self) -> None:
        """Makes the device available to a host."""
        if self._listener is not None:
            return
        self.path.unlink(missing_ok=True)
        self._listener = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._listener.setblocking(False)
        self._listener.bind(str(self.path))
        self._listener.listen(1)
        self._loop.add_reader(self._listener, self._accept)

    def unplug(self) -> None:
        """Pulls the cable; the hand's listening goes on and hears silence."""
        self._stop_stream()
        if self._listener is not None:
            self._loop.remove_reader(self._listener)
            self._listener.close()
            self._listener = None
            self.path.unlink(missing_ok=True)

    def close(self) -> None:
        """Ends the device and the file of whoever listens."""
        self.unplug()
        if self._heard is not None:
            self.stop_listening()

    def speak(self, source: Source) -> None:
        """Lets the source speak from the next frame on, in place of what spoke before."""
        self._source, self._source_first = source, self._now() + 1

    def listen(self, path: Path) -> None:
        """Starts to keep what is heard from the next frame on.

        Raises:
            EmulationError: Somebody listens already.
        """
        if self._heard is not None:
            raise EmulationError("already listening; stop listening first")
        self._heard = Heard(path, self._now() + 1, self._samples)

    def stop_listening(self) -> float:
        """Ends the file and returns how many seconds it holds.

        Raises:
            EmulationError: Nobody listens.
        """
        if self._heard is None:
            raise EmulationError("nobody is listening")
        heard, self._heard = self._heard, None
        return heard.close(self._now() + 1)

    @property
    def rate_hz(self) -> int:
        """Samples in a second."""
        return RATE_HZ

    @property
    def streaming(self) -> bool:
        """Whether a host has the stream open."""
        return self._stream is not None

    def _accept(self) -> None:
        if self._listener is None:
            return
        try:
            stream, _ = self._listener.accept()
        except OSError:
            return
        stream.setblocking(False)
        self._stop_stream()
        self._stream = stream
        self._schedule(self._now() + 1)

    def _stop_stream(self) -> None:
        if self._tick is not None:
            self._tick.cancel()
        if self._stream is not None:
            self._stream.close()
        self._tick = self._stream = None
        self._queue.clear()

    def _now(self) -> int:
        return int((self._loop.time() - self._epoch) / self._period_s)

    def _schedule(self, number: int) -> None:
        when = self._epoch + number * self._period_s
        self._tick = self._loop.call_at(when, self._run, number)

    def _run(self, number: int) -> None:
        if self._stream is None:
            return
        behind = self._now() - number
        self.counters["late"] += behind > 0
        if behind > CATCH_UP_FRAMES:
            self.counters["skipped"] += behind
            number += behind
        if self._exchange(self._stream, number):
            self._schedule(number + 1)
        else:
            self._stop_stream()

    def _exchange(self, stream: socket.socket, number: int) -> bool:
        if not self._receive(stream):
            return False
        self._play(number)
        return self._send(stream, number)

    def _receive(self, stream: socket.socket) -> bool:
        for _ in range(2 * PLAYBACK_FRAMES):
            try:
                frame = stream.recv(self._samples * SAMPLE_BYTES + 1)
            except BlockingIOError:
                return True
            except OSError:
                return False
            if not frame:
                return False
            self._keep(frame)
        return True

    def _keep(self, frame: bytes) -> None:
        if len(frame) != self._samples * SAMPLE_BYTES:
            self.counters["dropped"] += 1
            return
        if len(self._queue) == PLAYBACK_FRAMES:
            self._queue.popleft()
            self.counters["dropped"] += 1
        self._queue.append(frame)

    def _play(self, number: int) -> None:
        frame = self._queue.popleft() if self._queue else None
        self.counters["played" if frame else "silent"] += 1
        if self._heard is not None:
            self._heard.put(number, frame)

    def _send(self, stream: socket.socket, number: int) -> bool:
        source = Silence() if self.muted else self._source
        try:
            stream.send(source.frame(max(0, number - self._source_first), self._samples))
        except BlockingIOError:
            self.counters["dropped"] += 1
        except OSError:
            return False
        self.counters["sent"] += 1
        return True
