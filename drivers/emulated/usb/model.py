"""What a USB device is to its host: descriptors, control transfers, endpoints, a cable.

One model stands behind every front: :mod:`.backend` serves it to pyusb in the same process,
:mod:`.redirection` to a QEMU guest, where a real kernel drives it.  A model knows no front and no
clock but the one it is given; a front knows nothing of what the device is for.
"""

from collections.abc import Callable
from dataclasses import dataclass
from enum import IntEnum
from typing import Protocol


class Stall(Exception):  # noqa: N818 - the name USB gives to this answer
    """The device answers a request with STALL (USB 2.0 section 8.4.5): it does not do that."""


class Nak(Exception):  # noqa: N818 - the name USB gives to this answer
    """The device answers NAK until the host gives up (USB 2.0 section 8.4.5): it hangs."""


class Speed(IntEnum):
    """Of the bus, as usbredir numbers them; libusb counts one more."""

    LOW = 0
    FULL = 1
    HIGH = 2


@dataclass(frozen=True, slots=True)
class Setup:
    """The eight octets that begin a control transfer (USB 2.0 section 9.3)."""

    request_type: int
    request: int
    value: int
    index: int
    length: int

    @property
    def device_to_host(self) -> bool:
        """Whether the data stage goes to the host."""
        return bool(self.request_type & 0x80)

    @property
    def kind(self) -> int:
        """0 standard, 1 class, 2 vendor."""
        return self.request_type >> 5 & 3

    @property
    def recipient(self) -> int:
        """0 device, 1 interface, 2 endpoint."""
        return self.request_type & 0x1F


class UsbModel(Protocol):
    """A device; every method may be called from a front's thread, one at a time (``lock``).

    A standard request to an interface or endpoint that does not exist stalls, as it does on
    the wire.
    """

    @property
    def speed(self) -> Speed:
        """Of its port."""
        ...

    @property
    def attached(self) -> bool:
        """Whether the cable is in and power is there."""
        ...

    @property
    def enumerations(self) -> int:
        """How often it has attached: another number is another device to a host."""
        ...

    def bus_reset(self) -> None:
        """The host resets the port (USB 2.0 section 7.1.7.5): nothing is configured any more."""
        ...

    def device_descriptor(self) -> bytes:
        """18 octets (USB 2.0 section 9.6.1)."""
        ...

    def configuration_descriptor(self) -> bytes:
        """The configuration with all that follows it (USB 2.0 section 9.6.3)."""
        ...

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answers a control transfer; returns at most ``length`` octets of one to the host.

        Raises:
            Stall: The device does not know or does not allow the request.
            Nak: It does not answer at all.
        """
        ...

    def interrupt_in(self, endpoint: int) -> bytes | None:
        """Returns the next report, None while there is none (NAK).

        Raises:
            Stall: The endpoint is halted or does not exist.
        """
        ...

    def interrupt_out(self, endpoint: int, data: bytes) -> None:
        """Takes a report.

        Raises:
            Stall: The endpoint is halted or does not exist.
            Nak: It does not take it.
        """
        ...

    def isochronous_in(self, endpoint: int) -> bytes:
        """Returns what the device says in this frame of 1 ms; empty when it streams nothing."""
        ...

    def isochronous_out(self, endpoint: int, data: bytes) -> None:
        """Takes what the host says in this frame of 1 ms."""
        ...

    def on_change(self, changed: Callable[[], None]) -> None:
        """Calls back, from any thread, when a report waits or the cable changed."""
        ...


class Function(Protocol):
    """Interfaces of a composite device that belong together: telephony, audio, firmware update.

    The device (:mod:`.device`) answers standard requests and gives each class request to the
    function whose interface or endpoint it names.
    """

    @property
    def interfaces(self) -> int:
        """How many interface numbers it takes, from the first one it is given on."""
        ...

    def descriptors(self, first_interface: int, string: Callable[[str], int]) -> bytes:
        """Returns its interfaces, all settings, with their endpoints.

        Args:
            first_interface: Number of its first interface.
            string: Keeps a string descriptor and returns its index.
        """
        ...

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answers a class request, or ``GET_DESCRIPTOR`` for a descriptor of its class.

        Raises:
            Stall: It does not do that.
        """
        ...

    def select(self, interface: int, setting: int) -> None:
        """An interface changed its alternate setting.

        Raises:
            Stall: There is no such setting.
        """
        ...

    def interrupt_in(self, endpoint: int) -> bytes | None:
        """As :meth:`UsbModel.interrupt_in`, for its own endpoints."""
        ...

    def interrupt_out(self, endpoint: int, data: bytes) -> None:
        """As :meth:`UsbModel.interrupt_out`, for its own endpoints."""
        ...

    def isochronous_in(self, endpoint: int) -> bytes:
        """As :meth:`UsbModel.isochronous_in`, for its own endpoints."""
        ...

    def isochronous_out(self, endpoint: int, data: bytes) -> None:
        """As :meth:`UsbModel.isochronous_out`, for its own endpoints."""
        ...

    def power_on(self) -> None:
        """Power came: what is not kept in flash starts afresh."""
        ...

    def bus_reset(self) -> None:
        """The bus was reset or is gone: ends what the host had set up."""
        ...
