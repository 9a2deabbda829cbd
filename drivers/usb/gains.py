"""Gains of a USB audio device: its feature units by control transfers (UAC 1.0 section 5.2.2.4)."""

import contextlib
import logging
import struct
from collections.abc import Mapping
from typing import Final, Protocol

import usb.core
import usb.util

from ...hal.gain import Gain, GainRange
from ..errors import DescriptorError, TransferError
from .audio_control import Unit, gain_units
from .failures import failure
from .libusb import interfaces, kernel_holds
from .transport import TRANSFER_TIMEOUT_S

logger = logging.getLogger(__name__)

AUDIO: Final = 0x01
AUDIO_CONTROL: Final = 0x01
SILENCE: Final = -32768
"""What stands for minus infinity, and is no dB (UAC 1.0 section 5.2.2.4.3.2)."""

_TIMEOUT_MS: Final = int(TRANSFER_TIMEOUT_S * 1000)
_SET: Final = 0x21
_GET: Final = 0xA1
_SET_CUR: Final = 0x01
_GET_CUR: Final = 0x81
_GET_MIN: Final = 0x82
_GET_MAX: Final = 0x83
_GET_RES: Final = 0x84
_VOLUME: Final = 0x02


class Gains(Protocol):
    """The gains of an open device; calls block."""

    @property
    def ranges(self) -> Mapping[Gain, GainRange]:
        """What it can adjust."""
        ...

    def set(self, gain: Gain, gain_db: float) -> float:
        """Sets a gain and returns what the device took.

        Raises:
            TransferError: The device refuses or does not answer.
            DeviceGoneError: The device is gone.
        """
        ...

    def close(self) -> None:
        """Lets go of the device."""
        ...


class FeatureUnits:
    """The feature units of a device whose AudioControl interface no kernel driver holds.

    Args:
        device: As pyusb found it.
        interface: Its AudioControl interface, setting 0.
        listening: What its output is: ``EARPIECE`` or ``LOUDSPEAKER``.

    Raises:
        DescriptorError: Its descriptors are wrong.
        DeviceError: It cannot be opened, or does not answer.
    """

    def __init__(
        self, device: usb.core.Device, interface: usb.core.Interface, listening: Gain
    ) -> None:
        self._device = device
        self._number: int = interface.bInterfaceNumber
        found = gain_units(bytes(interface.extra_descriptors), listening)
        try:
            usb.util.claim_interface(device, self._number)
        except usb.core.USBError as error:
            raise failure("the audio control interface", error) from error
        self._units = found
        self.ranges = dict(self._measured())

    def set(self, gain: Gain, gain_db: float) -> float:
        """Sets every channel of a gain and returns what the device took, in dB."""
        unit = self._units[gain]
        wanted = struct.pack("<h", round(self.ranges[gain].nearest(gain_db) * 256))
        for channel in unit.channels:
            self._transfer(_SET, _SET_CUR, unit, channel, wanted)
        return self._number_of(unit, _GET_CUR) / 256

    def close(self) -> None:
        """Lets go of the interface."""
        with contextlib.suppress(usb.core.USBError):
            usb.util.release_interface(self._device, self._number)
        usb.util.dispose_resources(self._device)

    def _measured(self) -> list[tuple[Gain, GainRange]]:
        found: list[tuple[Gain, GainRange]] = []
        for gain, unit in self._units.items():
            try:
                found.append((gain, self._range(unit)))
            except (TransferError, DescriptorError) as error:
                logger.warning("%s cannot be adjusted: %s", gain, error)
        return found

    def _range(self, unit: Unit) -> GainRange:
        least, most, step = (self._number_of(unit, ask) for ask in (_GET_MIN, _GET_MAX, _GET_RES))
        if least == SILENCE:
            least += 1
        if least >= most or step < 0:
            raise DescriptorError(f"volume from {least}/256 to {most}/256 dB by {step}/256")
        return GainRange(least / 256, most / 256, max(step, 1) / 256)

    def _number_of(self, unit: Unit, request: int) -> int:
        octets = self._transfer(_GET, request, unit, unit.channels[0], 2)
        if len(octets) != 2:
            raise TransferError(f"a volume of {len(octets)} octets, not 2")
        number: int = struct.unpack("<h", octets)[0]
        return number

    def _transfer(
        self, kind: int, request: int, unit: Unit, channel: int, data: bytes | int
    ) -> bytes:
        value = _VOLUME << 8 | channel
        index = unit.number << 8 | self._number
        try:
            answer = self._device.ctrl_transfer(kind, request, value, index, data, _TIMEOUT_MS)
        except usb.core.USBError as error:
            raise failure(f"feature unit {unit.number}", error) from error
        return bytes(answer) if kind == _GET else b""


def open_feature_units(device: usb.core.Device, listening: Gain) -> FeatureUnits | None:
    """Returns the gains of a device, None where it has no audio or the kernel plays through it.

    Args:
        device: As pyusb found it.
        listening: What its output is: ``EARPIECE`` or ``LOUDSPEAKER``.

    Raises:
        DescriptorError: Its descriptors make no sense.
        DeviceError: It does not answer, or may not be opened.
    """
    for interface in interfaces(device):
        if (interface.bInterfaceClass, interface.bInterfaceSubClass) == (AUDIO, AUDIO_CONTROL):
            held = _kernel_plays(device, interface.bInterfaceNumber)
            return None if held else FeatureUnits(device, interface, listening)
    return None


def _kernel_plays(device: usb.core.Device, number: int) -> bool:
    try:
        return kernel_holds(device, number)
    except usb.core.USBError as error:
        raise failure(f"interface {number}", error) from error
