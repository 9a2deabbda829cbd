"""What can go wrong in drivers, below the tree of hal.errors.

::

    HalError
    ├── WireError
    │   ├── DescriptorError       a USB or HID descriptor is not what its specification says
    │   ├── ReportError           a HID report is not what its descriptor says
    │   ├── FrameError            a line on a serial cable is no frame of a box
    │   └── ConsoleLineError      a line of an XMA2's console says nothing that is known
    └── DeviceError
        ├── EmulationError        the emulated hardware cannot do what the hand asked
        │   ├── HandRefusedError  the hardware process answered with an error
        │   ├── DescribedError    an emulated host does not accept a USB descriptor
        │   ├── PortError         an emulated USB port that is not there, or taken
        │   └── RedirectionError  a guest broke the protocol of its USB port; also WireError
        ├── AccessDeniedError     the system does not let us open the device; remedy
        ├── DeviceBusyError       another program holds the device
        ├── TransferError         the device did not do what a USB transfer asked
        │   ├── StallError        it refused
        │   └── NoAnswerError     it did not answer in time
        ├── BoxRefusedError       the box on the serial line does not do what it was told
        ├── ConsoleError          the XMA2's console refused
        │   └── LoginRefusedError the secret is not the module's
        ├── UnattendedError       a self-test needs hands, and nobody is there
        └── FlashError            firmware did not get onto a device
            ├── FirmwareFileError     the file is not sound firmware
            ├── SignatureError        no key that is trusted has signed it
            ├── WrongFirmwareError    it is firmware for another device
            ├── DowngradeError        it is older than what the device runs
            ├── FlashRefusedError     the device itself says no, with its own code
            ├── ReadBackError         the device holds something else than was written
            ├── FlashTimeoutError     the device did not answer, or did not come back
            └── FlashStoppedError     somebody asked to stop
"""

from ..hal.errors import DeviceError, WireError


class DescriptorError(WireError):
    """A USB or HID descriptor is not what its specification says."""


class ReportError(WireError):
    """A HID report is not what its descriptor says."""


class FrameError(WireError):
    """A line on a serial cable is not a frame: garbled, cut, or of another protocol."""


class ConsoleLineError(WireError):
    """A line of an XMA2's console says nothing that is known."""


class EmulationError(DeviceError):
    """The emulated hardware cannot do what was asked."""


class HandRefusedError(EmulationError):
    """The hardware process refused what the hand wanted to do."""


class DescribedError(EmulationError, ValueError):
    """An emulated host does not accept a USB descriptor."""


class PortError(EmulationError, LookupError):
    """An emulated USB port has no such name, or is taken, or has nothing in it."""


class RedirectionError(EmulationError, WireError):
    """What a guest sent to its USB port is not usbredir, or it lacks what the port needs."""


class AccessDeniedError(DeviceError, PermissionError):
    """The system does not let us open the device; the message says what to do."""


class DeviceBusyError(DeviceError):
    """Another program holds the device."""


class TransferError(DeviceError):
    """The device did not do what a USB transfer asked."""


class StallError(TransferError):
    """The device refused a transfer (USB 2.0 section 8.4.5)."""


class NoAnswerError(TransferError, TimeoutError):
    """The device did not answer a transfer in time."""


class BoxRefusedError(DeviceError):
    """A box on a serial line does not know what it was told to do."""


class ConsoleError(DeviceError):
    """The console of an XMA2 refused what it was asked."""


class LoginRefusedError(ConsoleError):
    """The secret of the board is not the secret of the module."""


class UnattendedError(DeviceError):
    """Nobody is there to do, hear or see what a self-test needs."""


class FlashError(DeviceError):
    """Firmware did not get onto a device.

    Attributes:
        remedy: What a person can do about it.
    """

    def __init__(self, message: str, remedy: str = "") -> None:
        self.remedy = remedy
        super().__init__(f"{message}; {remedy}" if remedy else message)


class FirmwareFileError(FlashError, ValueError):
    """A file is not the firmware that it claims to be."""


class SignatureError(FlashError):
    """No key that is trusted has signed the firmware."""


class WrongFirmwareError(FlashError):
    """The firmware is for another device."""


class DowngradeError(FlashError):
    """The firmware is older than the one that the device runs."""


class FlashRefusedError(FlashError):
    """The device itself refused: its status or return code is in the message."""


class ReadBackError(FlashError):
    """What the device holds is not what was written."""


class FlashTimeoutError(FlashError, TimeoutError):
    """The device did not answer, or did not come back, within its bound."""


class FlashStoppedError(FlashError):
    """Somebody asked to stop; the device can be flashed again."""
