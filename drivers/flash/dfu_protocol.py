"""USB DFU 1.1 as bytes: requests, states, status, functional descriptor; nothing here waits.

Sections are of "Universal Serial Bus Device Class Specification for Device Firmware Upgrade",
revision 1.1.
"""

import struct
from dataclasses import dataclass
from enum import IntEnum
from typing import Final

from ...hal.hardware import UsbDevice, UsbInterface
from ..errors import FlashRefusedError

DFU_CLASS: Final = 0xFE
DFU_SUBCLASS: Final = 0x01
RUN_TIME, DFU_MODE = 0x01, 0x02
FUNCTIONAL: Final = 0x21
"""``bDescriptorType`` of the functional descriptor."""

STATUS_BYTES: Final = 6
MAX_POLL_MS: Final = 60_000
"""A device that asks for more patience between two answers is taken to be broken."""

MAX_TRANSFER_BYTES: Final = 4096
"""Linux carries no more in one control transfer (usbfs)."""

OPENTURRET_VID: Final = 0x1209
_RUNNING_PIDS: Final = range(0x7700, 0x7780)
_LOADER_OFFSET: Final = 0x80


class Request(IntEnum):
    """``bRequest`` (table 3.2)."""

    DETACH = 0
    DNLOAD = 1
    UPLOAD = 2
    GETSTATUS = 3
    CLRSTATUS = 4
    GETSTATE = 5
    ABORT = 6


class State(IntEnum):
    """``bState`` (section 6.1.2)."""

    APP_IDLE = 0
    APP_DETACH = 1
    DFU_IDLE = 2
    DFU_DNLOAD_SYNC = 3
    DFU_DNBUSY = 4
    DFU_DNLOAD_IDLE = 5
    DFU_MANIFEST_SYNC = 6
    DFU_MANIFEST = 7
    DFU_MANIFEST_WAIT_RESET = 8
    DFU_UPLOAD_IDLE = 9
    DFU_ERROR = 10


class Code(IntEnum):
    """``bStatus`` (section 6.1.2)."""

    OK = 0x00
    ERR_TARGET = 0x01
    ERR_FILE = 0x02
    ERR_WRITE = 0x03
    ERR_ERASE = 0x04
    ERR_CHECK_ERASED = 0x05
    ERR_PROG = 0x06
    ERR_VERIFY = 0x07
    ERR_ADDRESS = 0x08
    ERR_NOTDONE = 0x09
    ERR_FIRMWARE = 0x0A
    ERR_VENDOR = 0x0B
    ERR_USBR = 0x0C
    ERR_POR = 0x0D
    ERR_UNKNOWN = 0x0E
    ERR_STALLEDPKT = 0x0F


MEANINGS: Final = {
    Code.OK: "no error",
    Code.ERR_TARGET: "the file is not for this device",
    Code.ERR_FILE: "the device does not take this file: its own check failed",
    Code.ERR_WRITE: "the device cannot write its memory",
    Code.ERR_ERASE: "the device cannot erase its memory",
    Code.ERR_CHECK_ERASED: "the memory is not blank after it was erased",
    Code.ERR_PROG: "the memory does not keep what is programmed",
    Code.ERR_VERIFY: "what was programmed does not verify: damaged, or not signed for this device",
    Code.ERR_ADDRESS: "the firmware is larger than the memory",
    Code.ERR_NOTDONE: "the device expected more data",
    Code.ERR_FIRMWARE: "the firmware in the device is damaged, it cannot run",
    Code.ERR_VENDOR: "an error of the vendor's own",
    Code.ERR_USBR: "an unexpected USB reset",
    Code.ERR_POR: "an unexpected power-on reset",
    Code.ERR_UNKNOWN: "something went wrong that the device cannot name",
    Code.ERR_STALLEDPKT: "the device stalled an unexpected request",
}


@dataclass(frozen=True, slots=True)
class DfuStatus:
    """The answer to ``DFU_GETSTATUS`` (section 6.1.2).

    Attributes:
        code: ``bStatus``.
        poll_ms: ``bwPollTimeout``: the host asks again after this time, not before.
        state: ``bState``, that the device enters with this answer.
    """

    code: Code
    poll_ms: int
    state: State

    @classmethod
    def parse(cls, data: bytes) -> "DfuStatus":
        """Takes an answer apart.

        Raises:
            FlashRefusedError: It is not six bytes, or names a status or state that DFU has not,
                or asks for more patience than ``MAX_POLL_MS``.
        """
        if len(data) != STATUS_BYTES:
            raise FlashRefusedError(f"a DFU status of {len(data)} bytes, not {STATUS_BYTES}")
        poll_ms = int.from_bytes(data[1:4], "little")
        try:
            code, state = Code(data[0]), State(data[4])
        except ValueError as error:
            raise FlashRefusedError(f"the DFU status {data.hex()} means nothing") from error
        if poll_ms > MAX_POLL_MS:
            raise FlashRefusedError(
                f"the device asks to be left alone for {poll_ms} ms; {MAX_POLL_MS} ms is the bound"
            )
        return cls(code, poll_ms, state)

    def __bytes__(self) -> bytes:
        poll = self.poll_ms.to_bytes(3, "little")
        return bytes([self.code, *poll, self.state, 0])

    def must_be_ok(self, doing: str) -> None:
        """Refuses every status but OK.

        Raises:
            FlashRefusedError: With the device's code and what it means.
        """
        if self.code is not Code.OK or self.state is State.DFU_ERROR:
            raise FlashRefusedError(f"while {doing}: {self.code.name}: {MEANINGS[self.code]}")


@dataclass(frozen=True, slots=True)
class DfuDescriptor:
    """What a device can do (section 4.1.3).

    Attributes:
        can_download: It takes firmware.
        can_upload: It gives firmware back.
        manifestation_tolerant: It answers after it has taken over new firmware.
        will_detach: It leaves the bus by itself after ``DFU_DETACH``.
        detach_ms: ``wDetachTimeOut``: how long it waits for the reset after ``DFU_DETACH``.
        transfer_bytes: ``wTransferSize``: most that one block may hold.
    """

    can_download: bool = True
    can_upload: bool = True
    manifestation_tolerant: bool = True
    will_detach: bool = True
    detach_ms: int = 1000
    transfer_bytes: int = 1024

    @classmethod
    def parse(cls, data: bytes) -> "DfuDescriptor":
        """Finds it among the class descriptors that follow an interface.

        Raises:
            FlashRefusedError: It is not there, is cut, or allows no transfer.
        """
        place = 0
        while place + 2 <= len(data):
            length, kind = data[place], data[place + 1]
            if length < 2 or place + length > len(data):
                break
            if kind == FUNCTIONAL:
                return cls._of(data[place : place + length])
            place += length
        raise FlashRefusedError("the device has no sound DFU functional descriptor")

    @classmethod
    def _of(cls, data: bytes) -> "DfuDescriptor":
        if len(data) < _DESCRIPTOR.size - 2:
            raise FlashRefusedError(f"a DFU functional descriptor of {len(data)} bytes")
        attributes, detach_ms, transfer_bytes = struct.unpack_from("<BHH", data, 2)
        if transfer_bytes == 0:
            raise FlashRefusedError("wTransferSize is 0: nothing can be sent")
        return cls(
            can_download=bool(attributes & 1),
            can_upload=bool(attributes & 2),
            manifestation_tolerant=bool(attributes & 4),
            will_detach=bool(attributes & 8),
            detach_ms=detach_ms,
            transfer_bytes=transfer_bytes,
        )

    def __bytes__(self) -> bytes:
        bits = (
            self.can_download, self.can_upload, self.manifestation_tolerant, self.will_detach
        )  # fmt: skip
        attributes = sum(bit << place for place, bit in enumerate(bits))
        return _DESCRIPTOR.pack(
            _DESCRIPTOR.size, FUNCTIONAL, attributes, self.detach_ms, self.transfer_bytes, 0x0110
        )

    @property
    def block_bytes(self) -> int:
        """How much this host sends in a block."""
        return min(self.transfer_bytes, MAX_TRANSFER_BYTES)


_DESCRIPTOR: Final = struct.Struct("<BBBHHH")


def dfu_interface(device: UsbDevice) -> UsbInterface | None:
    """Returns the DFU interface of a device, None when it has none."""
    for interface in device.interfaces:
        if (interface.usb_class, interface.subclass) == (DFU_CLASS, DFU_SUBCLASS):
            return interface
    return None


def in_dfu_mode(device: UsbDevice) -> bool:
    """Whether its loader runs in place of its firmware (section 4.2.3)."""
    interface = dfu_interface(device)
    return interface is not None and interface.protocol == DFU_MODE


def loader_pid(vid: int, pid: int) -> int:
    """Returns the ``idProduct`` under which a device of ours shows its loader.

    Ours: devices of vendor 1209 with products 7700 to 777f load as 7780 to 77ff.  Others
    are found again by their port.
    """
    ours = vid == OPENTURRET_VID and pid in _RUNNING_PIDS
    return pid + _LOADER_OFFSET if ours else pid


def running_pid(device: UsbDevice) -> int:
    """Returns the ``idProduct`` that a device has, or will have, when its firmware runs."""
    pid = device.pid - _LOADER_OFFSET
    loads = in_dfu_mode(device) and device.vid == OPENTURRET_VID and pid in _RUNNING_PIDS
    return pid if loads else device.pid
