"""A box on a serial line whose firmware is changed by SMP: a pseudo-terminal before MCUboot.

Emulated: the image group (state, upload with resumption, erase) and of the system group echo,
reset and parameters; a new image on trial, confirmation, swap back; a cable that is pulled and a
power cut at any write of flash, after either of which the line is gone until it comes back.

Unlike Zephyr, which forgets it, the box keeps with the half image which one it is, so that an
upload continues even after a power cut.  Not emulated: modem lines, and everything else that a box
does on its line beside SMP.
"""

import hashlib
import logging
import os
import select
import threading
import tty
from collections.abc import Callable
from pathlib import Path
from typing import Final, TypeAlias

from ...hal.clock import SystemClock
from ...hal.errors import WireError
from ..errors import EmulationError, FirmwareFileError
from ..flash.image import SignedImage
from .bootloader import Bootloader, Slot
from .flash_memory import ERASED, PowerCutError
from .smp_frames import MAX_FRAME_BYTES, FrameReader, SmpMessage, lines

logger = logging.getLogger(__name__)

Body: TypeAlias = dict[str, object]
_READ, _WRITE = 0, 2
_SYSTEM, _IMAGES, _RESET = 0, 1, 5
_EINVAL, _ENOENT, _EBADSTATE, _ENOTSUP = 3, 5, 6, 8
_IMAGE_CODES: Final = {_EINVAL: 21, _ENOENT: 8, _EBADSTATE: 28}
"""Codes of the image group in version 2: a bad length, no such hash, already pending."""

RESTART_S: Final = 0.02
"""How long it goes on answering after a reset was asked for; Zephyr takes a quarter of a second."""

_SHA_BYTES: Final = 32
_LENGTH_BYTES: Final = 4
_CHUNK: Final = 4096
_MAX_LINE: Final = 256


class _RefusedError(EmulationError):
    """The box answers with a return code."""

    def __init__(self, code: int) -> None:
        super().__init__(f"SMP return code {code}")
        self.code = code


class SmpBox:
    """The box; it is plugged in and has power when it is made.

    Args:
        link: A symbolic link to its line, there while the line is.
        memory: Its slots, with a first image in them.
        buffer_bytes: The largest message it takes, as its parameters say.
        starts: Whether a firmware comes up; one that does not is swapped back by the watchdog.

    Attributes:
        silent: It takes requests and does not answer.
        distort: Changes what it says, line by line.
        lost: Set while the line is gone.
    """

    def __init__(
        self,
        link: Path,
        memory: Bootloader,
        *,
        buffer_bytes: int = 512,
        starts: Callable[[SignedImage], bool] = lambda _image: True,
    ) -> None:
        self.silent = False
        self.distort: Callable[[bytes], bytes] = bytes
        self.lost = threading.Event()
        self.lost.set()
        self._link = link
        self._memory = memory
        self._buffer_bytes = min(buffer_bytes, MAX_FRAME_BYTES)
        self._starts = starts
        self._clock = SystemClock()
        self._restart_at: float | None = None
        self._uploaded = 0
        self._thread: threading.Thread | None = None
        self._stop = -1
        self._acts: dict[tuple[int, int, int], Callable[[Body], Body]] = {
            (_SYSTEM, 0, _WRITE): self._echo,
            (_SYSTEM, _RESET, _WRITE): self._reset,
            (_SYSTEM, 6, _READ): self._parameters,
            (_IMAGES, 0, _READ): self._states,
            (_IMAGES, 0, _WRITE): self._set_state,
            (_IMAGES, 1, _WRITE): self._upload,
            (_IMAGES, 5, _WRITE): self._erase,
        }
        self.restore_power()

    @property
    def running(self) -> SignedImage | None:
        """The firmware that runs."""
        return self._memory.image(Slot.PRIMARY)

    def plug(self) -> None:
        """Puts the cable in: the line is there again."""
        if self._thread is not None:
            return
        master, slave = os.openpty()
        tty.setraw(slave)
        wake, self._stop = os.pipe()
        self._link.unlink(missing_ok=True)
        self._link.symlink_to(os.ttyname(slave))
        self.lost.clear()
        self._thread = threading.Thread(target=self._live, args=(master, slave, wake), name="smp")
        self._thread.start()

    def unplug(self) -> None:
        """Pulls the cable; the box itself goes on."""
        thread, self._thread = self._thread, None
        if thread is not None:
            os.close(self._stop)
            thread.join()

    def cut_power(self) -> None:
        """Takes the power away; what is not in flash is forgotten."""
        self.unplug()
        self._uploaded = 0

    def restore_power(self) -> None:
        """Gives power back: the box boots.

        Raises:
            PowerCutError: It failed again meanwhile.
        """
        self.cut_power()
        self._boot()
        self.plug()

    def _boot(self) -> None:
        self._restart_at = None
        image = self._memory.boot()
        if image is not None and not self._starts(image):
            self._memory.boot()
        self._uploaded = self._found()

    def _live(self, master: int, slave: int, wake: int) -> None:
        """Answers what comes until the cable is pulled or the power fails."""
        try:
            self._serve(master, wake)
            if self._restart_at is not None:
                self._boot()
        except PowerCutError:
            logger.info("the power fails")
        finally:
            self._link.unlink(missing_ok=True)
            for descriptor in (master, slave, wake):
                os.close(descriptor)
            self.lost.set()

    def _serve(self, master: int, wake: int) -> None:
        reader, rest = FrameReader(), b""
        while True:
            ready, _, _ = select.select([master, wake], [], [], self._until_restart())
            if wake in ready:
                return
            if not ready:
                self._boot()
                continue
            *whole, rest = (rest + os.read(master, _CHUNK)).split(b"\n")
            rest = rest[-_MAX_LINE:]
            for line in whole:
                self._take(master, reader, line)

    def _until_restart(self) -> float | None:
        if self._restart_at is None:
            return None
        return max(0.0, self._restart_at - self._clock.monotonic())

    def _take(self, master: int, reader: FrameReader, line: bytes) -> None:
        try:
            frame = reader.feed(line)
            request = None if frame is None else SmpMessage.parse(frame)
        except WireError as error:
            logger.info("passed over: %s", error)
            return
        if request is not None:
            self._answer(master, request)

    def _answer(self, master: int, request: SmpMessage) -> None:
        kind = (request.group, request.command, request.operation)
        try:
            body = self._acts.get(kind, _unknown)(request.body)
        except _RefusedError as refusal:
            body = _refusal(request, refusal.code)
        if not self.silent:
            for line in lines(bytes(request.answer(body))):
                _write(master, self.distort(line))

    def _echo(self, body: Body) -> Body:
        return {"r": _text(body, "d")}

    def _reset(self, _body: Body) -> Body:
        self._restart_at = self._clock.monotonic() + RESTART_S
        return {}

    def _parameters(self, _body: Body) -> Body:
        return {"buf_size": self._buffer_bytes, "buf_count": 1}

    def _states(self, _body: Body) -> Body:
        images = []
        for slot in Slot:
            image = self._held(slot)
            if image is not None:
                images.append(self._state(slot, image))
        return {"images": images}

    def _state(self, slot: Slot, image: SignedImage) -> Body:
        runs = slot is Slot.PRIMARY
        version = image.version
        return {
            "slot": int(slot),
            "version": f"{version.major}.{version.minor}.{version.revision}.{version.build}",
            "hash": image.digest,
            "bootable": True,
            "active": runs,
            "confirmed": runs and self._memory.confirmed,
            "pending": not runs and self._memory.requested,
            "permanent": False,
        }

    def _held(self, slot: Slot) -> SignedImage | None:
        """What a slot says it holds; only the loader looks at signatures."""
        try:
            return SignedImage.parse_slot(self._memory.read(slot, 0, self._memory.slot_bytes))
        except FirmwareFileError:
            return None

    def _set_state(self, body: Body) -> Body:
        wanted, confirm = body.get("hash"), body.get("confirm") is True
        primary, spare = self._held(Slot.PRIMARY), self._held(Slot.SPARE)
        if confirm and (wanted is None or (primary and wanted == primary.digest)):
            self._memory.confirm()
        elif spare is not None and wanted == spare.digest:
            self._memory.request(for_good=confirm)
        else:
            raise _RefusedError(_ENOENT if confirm or wanted is not None else _EINVAL)
        return self._states({})

    def _erase(self, body: Body) -> Body:
        if body.get("slot", int(Slot.SPARE)) != Slot.SPARE:
            raise _RefusedError(_EINVAL)
        self._must_be_free()
        self._memory.erase_spare()
        self._uploaded = 0
        return {}

    def _upload(self, body: Body) -> Body:
        data, offset = body.get("data"), body.get("off")
        if not isinstance(data, bytes) or not isinstance(offset, int):
            raise _RefusedError(_EINVAL)
        self._must_be_free()
        if offset == 0 and not self._begin(body):
            return {"off": self._uploaded}
        sha, length = self._noted()
        if offset != self._uploaded:
            return {"off": self._uploaded}
        if offset + len(data) > length:
            raise _RefusedError(_EINVAL)
        self._memory.write_spare(offset, data)
        self._uploaded += len(data)
        whole = self._uploaded == length
        return {"off": self._uploaded, **({"match": self._matches(sha, length)} if whole else {})}

    def _begin(self, body: Body) -> bool:
        """Whether an upload begins; the half of one that is there is continued instead."""
        sha, length = body.get("sha", b""), body.get("len")
        if not isinstance(sha, bytes) or not isinstance(length, int) or len(sha) > _SHA_BYTES:
            raise _RefusedError(_EINVAL)
        if not 0 < length <= self._memory.slot_bytes:
            raise _RefusedError(_EINVAL)
        if self._uploaded and len(sha) == _SHA_BYTES and self._noted() == (sha, length):
            return False
        self._memory.erase_spare()
        self._memory.note(sha.ljust(_SHA_BYTES, b"\x00") + length.to_bytes(_LENGTH_BYTES))
        self._uploaded = 0
        return True

    def _matches(self, sha: bytes, length: int) -> bool:
        """Compares what was written with what was announced; a wrong image does not stay."""
        found = hashlib.sha256(self._memory.read(Slot.SPARE, 0, length)).digest()
        if not any(sha) or sha == found:
            return True
        self._memory.erase_spare()
        self._uploaded = 0
        return False

    def _noted(self) -> tuple[bytes, int]:
        record = self._memory.noted(_SHA_BYTES + _LENGTH_BYTES)
        return record[:_SHA_BYTES], int.from_bytes(record[_SHA_BYTES:])

    def _found(self) -> int:
        """How much of an upload is in flash: up to the last byte that is not blank."""
        _, length = self._noted()
        held = self._memory.read(Slot.SPARE, 0, min(length, self._memory.slot_bytes))
        return len(held.rstrip(bytes([ERASED])))

    def _must_be_free(self) -> None:
        if self._memory.requested:
            raise _RefusedError(_EBADSTATE)


def _unknown(_body: Body) -> Body:
    raise _RefusedError(_ENOTSUP)


def _refusal(request: SmpMessage, code: int) -> Body:
    if request.version and request.group == _IMAGES and code in _IMAGE_CODES:
        return {"err": {"group": _IMAGES, "rc": _IMAGE_CODES[code]}}
    return {"rc": code}


def _text(body: Body, key: str) -> str:
    value = body.get(key)
    if not isinstance(value, str):
        raise _RefusedError(_EINVAL)
    return value


def _write(master: int, data: bytes) -> None:
    while data:
        data = data[os.write(master, data) :]
