"""The audio port of an emulated device, for one blocking thread of the matrix."""

import contextlib
import socket
from typing import Final

from ...hal.audio import RATE_HZ, SAMPLE_BYTES
from ...hal.board import DeviceSpec
from ...hal.errors import AudioFormatError, DeviceGoneError
from .sockets import sockets_of

CONNECT_TIMEOUT_S: Final = 1.0
SILENCE_TIMEOUT_S: Final = 2.0


class EmulatedAudio:
    """Frames over ``<position>.audio``; the hardware process sets the pace.

    Not emulated: sample rates other than 8 kHz, and a stream that stalls without an error
    for less than ``SILENCE_TIMEOUT_S``.
    """

    def __init__(self, spec: DeviceSpec) -> None:
        self._position = spec.position
        self._path = sockets_of(spec).audio
        self._bytes = RATE_HZ * spec.frame_ms // 1000 * SAMPLE_BYTES
        self._socket: socket.socket | None = None

    @property
    def rate_hz(self) -> int:
        """Samples in a second, each way."""
        return RATE_HZ

    @property
    def frame_samples(self) -> int:
        """Samples in every frame, each way."""
        return self._bytes // SAMPLE_BYTES

    def open(self) -> None:
        """Starts the stream.

        Raises:
            DeviceGoneError: The hardware process does not serve the device.
        """
        self.close()
        # Known before it is connected, so that a close meanwhile finds it.
        stream = self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        try:
            stream.settimeout(CONNECT_TIMEOUT_S)
            stream.connect(str(self._path))
            stream.settimeout(SILENCE_TIMEOUT_S)
        except OSError as error:
            self.close()
            raise DeviceGoneError(f"{self._position}: {error}") from error

    def read(self) -> bytes:
        """Blocks until the microphone has a frame and returns it.

        Raises:
            DeviceGoneError: The device went away, stalled, or the port was closed.
        """
        try:
            frame = self._stream().recv(self._bytes + 1)
        except OSError as error:
            raise DeviceGoneError(f"{self._position}: {error}") from error
        if len(frame) != self._bytes:
            raise DeviceGoneError(f"{self._position}: the stream ended")
        return frame

    def write(self, frame: bytes) -> None:
        """Queues a frame for the earpiece; a full device queue drops it.

        Raises:
            AudioFormatError: The frame has the wrong length.
            DeviceGoneError: The device went away, or the port was closed.
        """
        if len(frame) != self._bytes:
            raise AudioFormatError(f"a frame of {len(frame)} bytes, not {self._bytes}")
        try:
            with contextlib.suppress(BlockingIOError):
                self._stream().send(frame, socket.MSG_DONTWAIT)
        except OSError as error:
            raise DeviceGoneError(f"{self._position}: {error}") from error

    def close(self) -> None:
        """Stops the stream and wakes a reader that is blocked."""
        stream, self._socket = self._socket, None
        if stream is not None:
            with contextlib.suppress(OSError):
                stream.shutdown(socket.SHUT_RDWR)
            stream.close()

    def _stream(self) -> socket.socket:
        if self._socket is None:
            raise DeviceGoneError(f"{self._position} is not open")
        return self._socket
