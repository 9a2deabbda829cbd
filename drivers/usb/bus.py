"""Where the drivers find their device, and which way they speak to it.

Where the kernel holds a HID interface and its node opens, reports go through hidraw; otherwise
libusb takes the interface.  Gains go through the card's ALSA mixer where the kernel plays through
the device, otherwise through its feature units.
"""

import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

from usb.backend import IBackend

from ...hal.board import DeviceSpec
from ...hal.errors import HalError
from ...hal.gain import Gain
from ...hal.hardware import UsbDevice
from ...hal.matching import find
from ..errors import AccessDeniedError, DescriptorError
from .alsa import open_mixer
from .gains import Gains, open_feature_units
from .hidraw import HidrawTransport
from .libusb import LibusbTransport, locate
from .link import TelephonyLink, has_call_lock
from .present import SYSFS, present
from .transport import Transport
from .vocabulary import Vocabulary

logger = logging.getLogger(__name__)

HID: Final = 0x03


class UsbBus:
    """The USB of this machine, or the twins' in its place; every call blocks.

    Args:
        backend: A pyusb backend; libusb, and sysfs to look, by default.
        root: Where sysfs is mounted.
    """

    def __init__(self, backend: IBackend | None = None, root: Path = SYSFS) -> None:
        self._backend = backend
        self._root = root

    def find(self, spec: DeviceSpec) -> UsbDevice:
        """Returns the device that answers to a board position.

        Raises:
            MatchError: Not exactly one does.
            DriverMissingError: USB cannot be seen.
        """
        return find(spec, present(self._root, backend=self._backend))

    def open(self, device: UsbDevice, vocabulary: Vocabulary) -> TelephonyLink:
        """Returns the HID interface of the device that has the most telephony in it.

        Raises:
            DeviceError: None can be opened, or the device does not answer.
            DescriptorError: None of them makes sense.
        """
        links: list[TelephonyLink] = []
        problem: HalError = DescriptorError(f"{device} has no HID interface")
        for way in self._ways(device):
            try:
                links.append(_linked(way, vocabulary, locks=has_call_lock(device)))
            except HalError as error:
                logger.debug("%s: %s", device, error)
                problem = error
        if not links:
            raise problem
        links.sort(key=lambda link: link.controls)
        for link in links[:-1]:
            link.close()
        return links[-1]

    def gains(self, device: UsbDevice, listening: Gain) -> Gains | None:
        """Returns the gains of the device, None where it has none or they cannot be reached.

        Raises:
            DescriptorError: Its audio descriptors are wrong.
            DeviceError: It does not answer.
        """
        if device.alsa_card is not None:
            return open_mixer(device.alsa_card, listening)
        return open_feature_units(locate(device, self._backend), listening)

    def _ways(self, device: UsbDevice) -> Iterator[Callable[[], Transport]]:
        for interface in device.interfaces:
            if interface.usb_class == HID:
                yield self._way(device, interface.number)

    def _way(self, device: UsbDevice, number: int) -> Callable[[], Transport]:
        def opened() -> Transport:
            node = device.hidraw.get(number)
            try:
                if node is not None:
                    return HidrawTransport(node)
            except AccessDeniedError as error:
                logger.info("%s; trying libusb", error)
            return LibusbTransport(locate(device, self._backend), number)

        return opened


def _linked(way: Callable[[], Transport], vocabulary: Vocabulary, *, locks: bool) -> TelephonyLink:
    transport = way()
    try:
        return TelephonyLink(transport, vocabulary, locks=locks)
    except HalError:
        transport.close()
        raise
