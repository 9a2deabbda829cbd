"""Firmware update of a USB device: USB DFU 1.1, at run time and in the loader.

Emulated: every state of figure A.1 and what is allowed in it, ``bwPollTimeout`` (who asks again
too early gets a stall), status codes, re-enumeration under another product, two slots with a
signature check (:mod:`..bootloader`), a firmware that does not start, and power cut anywhere.

Not emulated: several memories (alternate settings) and the older DFU 1.0.
"""

import logging
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from ....hal.clock import Clock
from ...flash import dfu_protocol
from ...flash.dfu_protocol import Code, DfuDescriptor, DfuStatus, Request, State
from ...flash.image import HEADER_BYTES, SignedImage
from ..bootloader import Bootloader, Slot
from ..flash_memory import PowerCutError
from . import descriptors
from .descriptors import Identity, InterfaceClass
from .device import CompositeDevice
from .model import Function, Setup, Stall

logger = logging.getLogger(__name__)

_IMAGE_MAGIC: Final = bytes.fromhex("3db8f396")
_BLOCKS: Final = 0x1_0000
_Answer: TypeAlias = Callable[[Setup, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Durations:
    """How long the memory takes, in milliseconds; the host is told by ``bwPollTimeout``.

    A block that takes no time is programmed when the host first asks for the status.
    """

    erase_ms: int = 20
    write_ms: int = 2
    manifest_ms: int = 10


class Body(Protocol):
    """The device around a function, as far as firmware is concerned."""

    @property
    def on_bus(self) -> bool:
        """Whether cable and power are there."""
        ...

    def start(self) -> None:
        """Boots: what is due is done, and what is to run comes onto the bus."""
        ...

    def load(self) -> None:
        """Leaves the bus and comes back as the loader."""
        ...

    def fail_power(self) -> None:
        """The power is gone."""
        ...


@contextmanager
def _power_may_fail(body: Body) -> Iterator[None]:
    """Takes the power from the device when it fails in the middle of a write."""
    try:
        yield
    except PowerCutError:
        body.fail_power()


class _DfuFunction(ABC):
    """What both faces of DFU have in common: one interface without endpoints."""

    interfaces = 1

    def __init__(self, protocol: int, abilities: DfuDescriptor, name: str, body: Body) -> None:
        self._protocol = protocol
        self._abilities = abilities
        self._name = name
        self._body = body

    def power_on(self) -> None:
        """Power came: the device boots."""
        self._body.start()

    def descriptors(self, first_interface: int, string: Callable[[str], int]) -> bytes:
        """Returns the interface and its functional descriptor (DFU 1.1 sections 4.1 and 4.2)."""
        kind = InterfaceClass(dfu_protocol.DFU_CLASS, dfu_protocol.DFU_SUBCLASS, self._protocol)
        head = descriptors.interface(first_interface, kind, name=string(self._name))
        return head + bytes(self._abilities)

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answers a DFU request, or gives the functional descriptor.

        Raises:
            Stall: It is not allowed now.
        """
        if setup.kind == 0:
            if setup.value >> 8 != dfu_protocol.FUNCTIONAL:
                raise Stall
            return bytes(self._abilities)
        return self.request(setup, data)

    @abstractmethod
    def request(self, setup: Setup, data: bytes) -> bytes:
        """Answers a DFU request; see :meth:`control`."""

    def select(self, interface: int, setting: int) -> None:
        """There is but one setting, and the device has checked that."""
        logger.debug("interface %d is in setting %d", interface, setting)

    def interrupt_in(self, endpoint: int) -> bytes | None:
        """There is no endpoint."""
        raise Stall

    def interrupt_out(self, endpoint: int, data: bytes) -> None:
        """There is no endpoint."""
        raise Stall

    def isochronous_in(self, endpoint: int) -> bytes:
        """There is no endpoint."""
        raise Stall

    def isochronous_out(self, endpoint: int, data: bytes) -> None:
        """There is no endpoint."""
        raise Stall


class DfuRuntime(_DfuFunction):
    """DFU beside the device's firmware: all it can do is leave for the loader.

    Args:
        abilities: Its functional descriptor.
        clock: For ``wDetachTimeOut``.
        body: The device around it.
    """

    def __init__(self, abilities: DfuDescriptor, clock: Clock, body: Body) -> None:
        super().__init__(dfu_protocol.RUN_TIME, abilities, "Firmware update", body)
        self._clock = clock
        self._detach_before: float | None = None

    def request(self, setup: Setup, data: bytes) -> bytes:
        """Answers ``DFU_DETACH``, ``DFU_GETSTATUS`` and ``DFU_GETSTATE`` (section 5)."""
        state = State.APP_IDLE if self._detach_before is None else State.APP_DETACH
        if setup.request == Request.GETSTATUS:
            return bytes(DfuStatus(Code.OK, 0, state))
        if setup.request == Request.GETSTATE:
            return bytes([state])
        if setup.request != Request.DETACH:
            raise Stall
        if self._abilities.will_detach:
            self._body.load()
        else:
            wait_ms = min(setup.value, self._abilities.detach_ms)
            self._detach_before = self._clock.monotonic() + wait_ms / 1000
        return b""

    def bus_reset(self) -> None:
        """A reset in time after ``DFU_DETACH`` starts the loader (figure A.1)."""
        until, self._detach_before = self._detach_before, None
        if until is not None and self._clock.monotonic() <= until:
            self._body.load()


class DfuLoader(_DfuFunction):
    """DFU mode: takes an image into the spare slot, checks it, and leaves at a bus reset.

    Args:
        abilities: Its functional descriptor.
        memory: Its slots.
        clock: For ``bwPollTimeout``.
        durations: Of its memory.
        body: The device around it.

    Attributes:
        faults: Status that the device answers for a block, by its number, in place of taking it.
        stuck: It answers that it is busy, for ever.
    """

    def __init__(
        self,
        abilities: DfuDescriptor,
        memory: Bootloader,
        clock: Clock,
        durations: Durations,
        body: Body,
    ) -> None:
        super().__init__(dfu_protocol.DFU_MODE, abilities, "Firmware slot", body)
        self.faults: dict[int, Code] = {}
        self.stuck = False
        self._memory = memory
        self._clock = clock
        self._durations = durations
        self._next_block = self._received = self._uploaded = 0
        self._allowed = self._table()
        self.enter()

    def _table(self) -> dict[State, dict[int, _Answer]]:
        """What is allowed in which state (DFU 1.1 appendix A.2); everything else stalls."""
        always: dict[int, _Answer] = {
            Request.GETSTATUS: self._status,
            Request.GETSTATE: self._get_state,
        }
        stoppable: dict[int, _Answer] = {**always, Request.ABORT: self._clear}
        begin: dict[int, _Answer] = {
            Request.DNLOAD: self._begin,
            Request.UPLOAD: self._upload_first,
        }
        return {
            State.DFU_IDLE: {**stoppable, **begin},
            State.DFU_DNLOAD_SYNC: {**stoppable, Request.GETSTATUS: self._synchronise},
            State.DFU_DNLOAD_IDLE: {**stoppable, Request.DNLOAD: self._block},
            State.DFU_MANIFEST_SYNC: {**stoppable, Request.GETSTATUS: self._manifest},
            State.DFU_UPLOAD_IDLE: {**stoppable, Request.UPLOAD: self._upload},
            State.DFU_ERROR: {**always, Request.CLRSTATUS: self._clear},
        }

    def enter(self) -> None:
        """Starts afresh: nothing of an earlier download is left but what is in flash."""
        self._state, self._code = State.DFU_IDLE, Code.OK
        self._spoken = False
        self._waiting: bytes | None = None
        self._busy_until = 0.0

    def fail(self, code: Code) -> None:
        """Enters ``dfuERROR`` with that status."""
        self._state, self._code = State.DFU_ERROR, code

    def bus_reset(self) -> None:
        """The host has done what it wanted; the resets of an enumeration come before that."""
        if self._spoken and self._body.on_bus:
            self._spoken = False
            with _power_may_fail(self._body):
                self._body.start()

    def request(self, setup: Setup, data: bytes) -> bytes:
        """Answers a request as the state allows (DFU 1.1 appendix A)."""
        self._spoken = True
        self._end_of_busy()
        if self._state is State.DFU_MANIFEST_WAIT_RESET:
            raise Stall
        answer = self._allowed.get(self._state, {}).get(setup.request)
        if answer is None:
            self.fail(Code.ERR_STALLEDPKT)
            raise Stall
        with _power_may_fail(self._body):
            return answer(setup, data)
        raise Stall

    def _end_of_busy(self) -> None:
        if self._clock.monotonic() < self._busy_until:
            return
        if self._state is State.DFU_DNBUSY:
            self._state = State.DFU_DNLOAD_SYNC
        elif self._state is State.DFU_MANIFEST:
            tolerant = self._abilities.manifestation_tolerant
            self._state = State.DFU_MANIFEST_SYNC if tolerant else State.DFU_MANIFEST_WAIT_RESET

    def _busy(self, state: State, wait_ms: int) -> bytes:
        self._busy_until = self._clock.monotonic() + wait_ms / 1000
        self._state = state
        return bytes(DfuStatus(Code.OK, wait_ms, state))

    def _status(self, _setup: Setup, _data: bytes) -> bytes:
        return bytes(DfuStatus(self._code, 0, self._state))

    def _get_state(self, _setup: Setup, _data: bytes) -> bytes:
        return bytes([self._state])

    def _clear(self, _setup: Setup, _data: bytes) -> bytes:
        self._state, self._code = State.DFU_IDLE, Code.OK
        return b""

    def _begin(self, setup: Setup, data: bytes) -> bytes:
        self._next_block = self._received = 0
        if not data:
            self.fail(Code.ERR_STALLEDPKT)
            raise Stall
        return self._block(setup, data)

    def _block(self, setup: Setup, data: bytes) -> bytes:
        too_much = len(data) > self._abilities.transfer_bytes
        if setup.value != self._next_block % _BLOCKS or too_much:
            self.fail(Code.ERR_STALLEDPKT)
            raise Stall
        self._waiting = data
        self._state = State.DFU_DNLOAD_SYNC if data else State.DFU_MANIFEST_SYNC
        return b""

    def _synchronise(self, setup: Setup, data: bytes) -> bytes:
        """Programs the block that waits; without one, says how the last one went."""
        if self.stuck:
            return self._busy(State.DFU_DNBUSY, 0)
        block, self._waiting = self._waiting, None
        if block is None:
            self._state = State.DFU_DNLOAD_IDLE
            return self._status(setup, data)
        first = self._next_block == 0
        refused = self.faults.get(self._next_block) or self._refusal(block)
        if refused:
            self.fail(refused)
            return self._status(setup, data)
        if first:
            self._memory.erase_spare()
        self._memory.write_spare(self._received, block)
        self._received += len(block)
        self._next_block += 1
        wait_ms = self._durations.write_ms + (self._durations.erase_ms if first else 0)
        if not wait_ms:
            return self._synchronise(setup, data)
        return self._busy(State.DFU_DNBUSY, wait_ms)

    def _refusal(self, block: bytes) -> Code | None:
        if self._next_block == 0 and block[:4] != _IMAGE_MAGIC:
            return Code.ERR_FILE
        if self._received + len(block) > self._memory.slot_bytes:
            return Code.ERR_ADDRESS
        return None

    def _manifest(self, setup: Setup, data: bytes) -> bytes:
        """Checks what came and requests its start; then says whether that was done."""
        if self._waiting is None:
            self._state = State.DFU_IDLE
            return self._status(setup, data)
        self._waiting = None
        image = self._memory.image(Slot.SPARE)
        if image is None or len(image.data) != self._received:
            self.fail(Code.ERR_NOTDONE if self._is_short() else Code.ERR_VERIFY)
            return self._status(setup, data)
        self._memory.request()
        return self._busy(State.DFU_MANIFEST, self._durations.manifest_ms)

    def _is_short(self) -> bool:
        """Whether less came than the image's own header says (32 bytes, sizes at 8 and 12)."""
        header = self._memory.read(Slot.SPARE, 0, HEADER_BYTES)
        before = int.from_bytes(header[8:10], "little")
        return self._received < before + int.from_bytes(header[12:16], "little")

    def _upload_first(self, setup: Setup, data: bytes) -> bytes:
        self._uploaded = 0
        return self._upload(setup, data)

    def _upload(self, setup: Setup, _data: bytes) -> bytes:
        slot, length = self._readable()
        block = self._memory.read(slot, self._uploaded, min(setup.length, length - self._uploaded))
        self._uploaded += len(block)
        whole = len(block) == setup.length
        self._state = State.DFU_UPLOAD_IDLE if whole else State.DFU_IDLE
        return block

    def _readable(self) -> tuple[Slot, int]:
        """What an upload gives: what was just taken over, otherwise what runs."""
        if self._memory.requested:
            return Slot.SPARE, self._received
        image = self._memory.image(Slot.PRIMARY)
        return Slot.PRIMARY, 0 if image is None else len(image.data)


class UpdatableDevice:
    """A composite device with DFU beside its functions, and a loader in their place.

    Args:
        identity: What it is while its firmware runs; ``bcd_device`` follows the firmware.
        functions: What its firmware can do.
        memory: Its slots, with a first image in them.
        clock: For everything that takes time.
        abilities: Its DFU functional descriptor.
        durations: Of its memory.
        starts: Whether a firmware comes up and confirms itself; every one does by default.
        device: The device to bring onto the bus, a bare one by default.

    Attributes:
        device: On the bus, whatever runs.
        loader: Its DFU mode.
    """

    def __init__(
        self,
        identity: Identity,
        functions: Sequence[Function],
        memory: Bootloader,
        clock: Clock,
        *,
        abilities: DfuDescriptor = DfuDescriptor(),  # noqa: B008 - frozen
        durations: Durations = Durations(),
        starts: Callable[[SignedImage], bool] = lambda _image: True,
        device: CompositeDevice | None = None,
    ) -> None:
        self._identity = identity
        self._memory = memory
        self._starts = starts
        runtime = DfuRuntime(abilities, clock, self)
        self._functions = (*functions, runtime)
        self.loader = DfuLoader(abilities, memory, clock, durations, self)
        self.device = CompositeDevice(*self._now()) if device is None else device
        if device is not None:
            self.start()

    @property
    def running(self) -> SignedImage | None:
        """The image that runs, or would if the loader were left."""
        return self._memory.image(Slot.PRIMARY)

    @property
    def on_bus(self) -> bool:
        """As :attr:`Body.on_bus`."""
        return self.device.attached

    def start(self) -> None:
        """As :meth:`Body.start`.

        Raises:
            PowerCutError: The power failed while slots were swapped.
        """
        self.device.become(*self._now())

    def load(self) -> None:
        """As :meth:`Body.load`."""
        self.loader.enter()
        self.device.become(self._loading(), [self.loader])

    def fail_power(self) -> None:
        """As :meth:`Body.fail_power`."""
        self.device.cut_power()

    def _now(self) -> tuple[Identity, Sequence[Function]]:
        """Boots and returns what comes onto the bus."""
        image = self._memory.boot()
        if image is not None and not self._starts(image):
            image = self._memory.boot()
        if image is None:
            self.loader.enter()
            self.loader.fail(Code.ERR_FIRMWARE)
            return self._loading(), [self.loader]
        self._memory.confirm()
        return replace(self._identity, bcd_device=image.version.bcd()), self._functions

    def _loading(self) -> Identity:
        image = self.running
        return replace(
            self._identity,
            pid=dfu_protocol.loader_pid(self._identity.vid, self._identity.pid),
            product=f"{self._identity.product} loader",
            bcd_device=0 if image is None else image.version.bcd(),
        )
