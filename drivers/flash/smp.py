"""A device that is flashed over a serial line by SMP, as MCUboot and Zephyr speak it (smpclient).

::

    state ─▶ erase another image ─▶ upload, from where the device is ─▶ test ─▶ reset ─▶ confirm

An upload that was cut continues at the offset that the device names in its first answer.  A new
image runs on trial until it is confirmed: one that does not come up is swapped back at the next
reset, and that is seen here.
"""

import asyncio
import contextlib
import logging
from collections.abc import Coroutine, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, TypeVar

from smp.error import ErrorV1, ErrorV2
from smp.image_management import ImageState
from smp.message import ReadResponse, WriteResponse
from smpclient import SMPClient
from smpclient.exceptions import SMPBadSequence, SMPUploadError
from smpclient.generics import SMPRequest, error, error_v1
from smpclient.requests.image_management import ImageErase, ImageStatesRead, ImageStatesWrite
from smpclient.requests.os_management import ResetWrite
from smpclient.transport import SMPTransportDisconnected
from smpclient.transport.serial import SMPSerialTransport

from ...hal.errors import DeviceGoneError, HalError
from ...hal.hardware import UsbDevice
from ..errors import FirmwareFileError, FlashRefusedError, FlashTimeoutError, ReadBackError
from .firmware import Firmware
from .flashing import Count, Running
from .image import SignedImage
from .pace import Pace
from .version import Version

logger = logging.getLogger(__name__)

Reply = TypeVar("Reply", bound=ReadResponse | WriteResponse)
Refusal1 = TypeVar("Refusal1", bound=ErrorV1)
Refusal2 = TypeVar("Refusal2", bound=ErrorV2[Any])
T = TypeVar("T")

SPARE: Final = 1
"""The slot that receives; slot 0 runs."""

LOOK_S: Final = 0.2
_MAX_REASON: Final = 120


@dataclass(frozen=True, slots=True)
class Patience:
    """How long to wait for a device.

    Attributes:
        answer_s: For an answer.
        erase_s: For the answer to a request that erases a slot.
        back_s: For new firmware to answer after a reset, or for the old one to be swapped back.
    """

    answer_s: float = 2.5
    erase_s: float = 40.0
    back_s: float = 90.0


class SmpDevice:
    """A device on a serial line.

    Args:
        path: Of the line: ``/dev/ttyACM0``, or better ``/dev/serial/by-path/…``.
        pace: For waiting until the device is back.
        name: How people call it; the path by default.
        device: The USB device that has this line, if it is known.
        patience: How long to wait for it.
    """

    def __init__(
        self,
        path: str,
        pace: Pace,
        *,
        name: str = "",
        device: UsbDevice | None = None,
        patience: Patience = Patience(),
    ) -> None:
        self._path = path
        self._pace = pace
        self._name = name or path
        self._device = device
        self._patience = patience
        self._runner = asyncio.Runner()
        self._client: SMPClient | None = None
        self._image: SignedImage | None = None

    @property
    def name(self) -> str:
        """The line, or what it was called."""
        return self._name

    def inspect(self, firmware: Firmware) -> Running:
        """As :meth:`Flashable.inspect`."""
        device = self._device
        if firmware.suffix is not None and device is not None:
            firmware.suffix.must_fit(device.vid, device.pid, device.bcd_device)
        self._image = firmware.image
        return _running(self._states())

    def detach(self) -> None:
        """Nothing to do: the firmware itself takes the new image."""

    def erase(self) -> None:
        """Erases another image in the spare slot; half of one is left, to be continued."""
        spare = self._spare()
        if spare is None or spare.hash == self._wanted().digest:
            return
        if spare.pending or spare.permanent:
            raise FlashRefusedError(
                f"another firmware, {spare.version}, waits to be started",
                "switch the device off and on, then flash it again",
            )
        self._ask(ImageErase(), self._patience.erase_s)

    def write(self, data: bytes, count: Count) -> None:
        """Uploads the image, from the offset on that the device names.

        A spare slot that shows the right hash may still lack the signature behind it, so that
        alone is no reason to leave the upload out. One that waits to be started was whole.
        """
        spare = self._spare()
        if spare is not None and spare.pending and spare.hash == self._wanted().digest:
            logger.info("%s waits to start the image already", self._name)
            count(len(data))
            return
        self._run(self._upload(data, count))

    def verify(self, data: bytes, count: Count) -> None:
        """Reads the hash of the spare slot back."""
        spare = self._spare()
        if spare is None or spare.hash != self._wanted().digest:
            held = "nothing" if spare is None else f"{spare.version} {_short(spare)}"
            raise ReadBackError(f"the spare slot holds {held}", "flash it again")
        count(len(data))

    def reboot(self) -> None:
        """Requests a trial of the image, resets, and waits until some firmware answers."""
        self._ask(ImageStatesWrite(hash=self._wanted().digest), self._patience.answer_s)
        self._ask(ResetWrite(), self._patience.answer_s)
        self._disconnect()
        until = self._pace.monotonic() + self._patience.back_s
        while not self._is_back():
            self._disconnect()
            if self._pace.monotonic() >= until:
                raise FlashTimeoutError(
                    f"nothing answers on {self._path} within {self._patience.back_s:.0f} s",
                    "switch it off and on: its loader then starts the former firmware",
                )
            self._pace.wait(LOOK_S)

    def confirm(self) -> Running:
        """Keeps the image if it is the one that runs, and returns what runs."""
        digest = self._wanted().digest
        if _active(self._states()).hash == digest:
            self._ask(ImageStatesWrite(hash=digest, confirm=True), self._patience.answer_s)
            if not _active(self._states()).confirmed:
                raise FlashRefusedError(
                    "the device does not keep the new firmware", "flash it again"
                )
        return _running(self._states())

    def release(self) -> None:
        """Closes the line; what is not confirmed is swapped back at the next reset."""
        self._disconnect()
        self._runner.close()

    def _wanted(self) -> SignedImage:
        if self._image is None:
            raise FlashRefusedError("the device has not been inspected")
        return self._image

    def _is_back(self) -> bool:
        """Whether it answers and has restarted: until then the request still stands."""
        try:
            states = self._states()
        except HalError as error:
            logger.debug("%s: not yet: %s", self._name, error)
            return False
        return not any(state.slot == SPARE and state.pending for state in states)

    def _spare(self) -> ImageState | None:
        return next((state for state in self._states() if state.slot == SPARE), None)

    def _states(self) -> list[ImageState]:
        answer = self._ask(ImageStatesRead(), self._patience.answer_s)
        return [state for state in answer.images if not state.image]

    def _ask(self, request: SMPRequest[Reply, Refusal1, Refusal2], patience_s: float) -> Reply:
        """Returns the answer to a request.

        Raises:
            FlashRefusedError: The device answers with an error, or nonsense.
            FlashTimeoutError: It does not answer.
            DeviceGoneError: The line is gone.
        """
        return self._run(self._request(request, patience_s))

    async def _request(
        self, request: SMPRequest[Reply, Refusal1, Refusal2], patience_s: float
    ) -> Reply:
        client = await self._connected()
        answer = await client.request(request, patience_s)
        if error(answer):
            code = answer.rc if error_v1(answer) else answer.err.rc
            raise FlashRefusedError(f"{type(request).__name__} was refused: {code!r}")
        return answer

    async def _upload(self, data: bytes, count: Count) -> None:
        """Uploads; the offsets are the device's and not believed to move."""
        client = await self._connected()
        before = -1
        uploading = client.upload(data, first_timeout_s=self._patience.erase_s)
        async with contextlib.aclosing(uploading):  # type: ignore[type-var]
            async for offset in uploading:
                if not before < offset <= len(data):
                    raise FlashRefusedError(
                        f"the device asks for byte {offset} after {before} of {len(data)}"
                    )
                if before < 0 < offset:
                    logger.info("%s continues at byte %d", self._name, offset)
                before = offset
                self._pace.wait(0)
                count(offset)

    async def _connected(self) -> SMPClient:
        if self._client is None:
            if not Path(self._path).exists():
                raise DeviceGoneError(f"there is no line {self._path}")
            line = SMPSerialTransport(exclusive=True)
            client = SMPClient(line, self._path, self._patience.answer_s)
            try:
                await client.connect(connect_timeout_s=LOOK_S)
            except BaseException:
                await client.disconnect()
                raise
            self._client = client
        return self._client

    def _disconnect(self) -> None:
        client, self._client = self._client, None
        if client is not None:
            with contextlib.suppress(OSError):
                self._runner.run(client.disconnect())

    def _run(self, doing: Coroutine[Any, Any, T]) -> T:
        with _as_flash_errors(self._path):
            return self._runner.run(doing)


@contextlib.contextmanager
def _as_flash_errors(path: str) -> Iterator[None]:
    """Says in our words what smpclient and what lies below it raise.

    A device that answers garbage makes them raise nearly anything: assertions, ``struct.error``,
    ``termios.error``, errors of the CBOR and model libraries.
    """
    try:
        yield
    except HalError:
        raise
    except SMPUploadError as error:
        raise FlashRefusedError(f"the upload was refused: {_reason(error)}") from error
    except TimeoutError as error:
        raise FlashTimeoutError(f"no answer on {path}", "is it switched on?") from error
    except SMPBadSequence as error:
        text = f"no answer on {path} in time; a late one came"
        raise FlashTimeoutError(text, "flash it again") from error
    except (OSError, SMPTransportDisconnected) as error:
        raise DeviceGoneError(f"the line {path} is gone: {error}") from error
    except Exception as error:
        raise FlashRefusedError(f"nonsense on {path}: {type(error).__name__}: {error}") from error


def _reason(error: SMPUploadError) -> str:
    """What smpclient puts into that error: the device's answer, or a sentence."""
    answer = error.args[0]
    if isinstance(answer, ErrorV1):
        return repr(answer.rc)
    return repr(answer.err.rc) if isinstance(answer, ErrorV2) else str(answer)[:_MAX_REASON]


def _active(states: list[ImageState]) -> ImageState:
    for state in states:
        if state.active:
            return state
    raise FlashRefusedError("the device names no running image")


def _running(states: list[ImageState]) -> Running:
    active = _active(states)
    try:
        version = Version.parse(active.version)
    except FirmwareFileError as error:
        raise FlashRefusedError(f"the device runs {error}") from error
    return Running(version, digest=bytes(active.hash or b""))


def _short(state: ImageState) -> str:
    return bytes(state.hash or b"").hex()[:16]
