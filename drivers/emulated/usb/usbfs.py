"""What libusb and Linux's usbfs make of a program's requests to a device on an emulated bus.

Where the kernel or libusb refuses before anything reaches the device, this refuses with the same
code; found in libusb's linux_usbfs.c and the kernel's devio.c:

- A control transfer to an interface that is not there never reaches the wire: the kernel's
  ``check_ctrlrecip`` answers ENOENT and libusb makes ``LIBUSB_ERROR_IO`` of it.  pyusb never gets
  so far, because it claims the interface first, which is ``LIBUSB_ERROR_NOT_FOUND``.  Only a
  vendor request is let through, and the device stalls it: ``LIBUSB_ERROR_PIPE``.
- An interface that a program uses without having claimed it is claimed for it, if a kernel
  driver or another program does not have it.
- Nobody may choose a configuration while any interface is taken.
"""

import contextlib
from collections.abc import Callable
from typing import Final, TypeVar

from usb.core import USBError

from .bus import BusDevice, EmulatedBus
from .libusb_errors import Code, failure
from .model import Nak, Setup, Stall

MAX_INTERFACES: Final = 32
MAX_CONTROL_OCTETS: Final = 4096
KERNEL_TIMEOUT_MS: Final = 5000
"""How long the kernel waits for what it asks by itself."""

_VENDOR: Final = 2
_INTERFACE: Final = 1
_ENDPOINT: Final = 2
T = TypeVar("T")


class Handle:
    """A device that a program has opened; every method raises ``USBError`` as pyusb does.

    Args:
        bus: Where the device is.
        device: The device.
    """

    def __init__(self, bus: EmulatedBus, device: BusDevice) -> None:
        self._bus = bus
        self.device = device
        self._require_present()

    def close(self) -> None:
        """Lets go of everything."""
        for interface in self._claimed():
            with contextlib.suppress(USBError):
                self.release(interface)

    def claim(self, interface: int) -> None:
        """Takes an interface."""
        self._require_number(interface)
        self._require_present()
        if interface not in self.device.interfaces:
            raise failure(Code.NOT_FOUND)
        holder = self.device.claims.get(interface, self)
        if interface in self.device.drivers or holder is not self:
            raise failure(Code.BUSY)
        self.device.claims[interface] = self

    def release(self, interface: int) -> None:
        """Gives an interface back, in its setting 0 as the kernel leaves it."""
        self._require_number(interface)
        self._require_claimed(interface)
        del self.device.claims[interface]
        self._require_present()
        if self.device.settings.get(interface):
            self._set_interface(interface, 0)

    def set_configuration(self, value: int) -> None:
        """Chooses a configuration."""
        self._require_present()
        if self.device.drivers or self.device.claims:
            raise failure(Code.BUSY)
        if self.device.configuration is None or value not in (0, 1):
            raise failure(Code.NOT_FOUND)
        self._do(lambda: self.device.configure(value))

    def get_configuration(self) -> int:
        """Returns the active configuration, as the kernel remembers it."""
        self._require_present()
        return self.device.value

    def set_interface(self, interface: int, setting: int) -> None:
        """Chooses an alternate setting of a claimed interface."""
        self._require_number(interface)
        self._require_claimed(interface)
        self._require_present()
        if self.device.setting(interface, setting) is None:
            raise failure(Code.NOT_FOUND)
        self._set_interface(interface, setting)

    def control(self, setup: Setup, data: bytes, timeout_ms: int) -> bytes:
        """Does a control transfer; waits while the device does not answer."""
        if setup.length > MAX_CONTROL_OCTETS:
            raise failure(Code.INVALID_PARAM)
        self._require_present()
        self._check_recipient(setup)
        return self._wait(lambda: self.device.model.control(setup, data), timeout_ms)

    def interrupt_in(self, endpoint: int, size: int, timeout_ms: int) -> bytes:
        """Waits for a report."""
        self._require_endpoint(endpoint)
        report = self._wait(lambda: self.device.model.interrupt_in(endpoint), timeout_ms)
        if len(report) > size:
            raise failure(Code.OVERFLOW)
        return report

    def interrupt_out(self, endpoint: int, data: bytes, timeout_ms: int) -> None:
        """Sends a report."""
        self._require_endpoint(endpoint)
        self._do(lambda: self.device.model.interrupt_out(endpoint, data), timeout_ms)

    def packet_octets(self, endpoint: int) -> int:
        """Returns ``wMaxPacketSize`` of an endpoint of the setting that its interface is in."""
        interface = self._require_endpoint(endpoint)
        setting = self.device.active(interface)
        found = None if setting is None else setting.endpoint(endpoint)
        if found is None:
            raise failure(Code.IO)
        return int.from_bytes(found.octets[4:6], "little") & 0x7FF

    def clear_halt(self, endpoint: int) -> None:
        """Ends the halt of an endpoint."""
        self._require_present()
        interface = self.device.interface_of(endpoint)
        if interface is None:
            raise failure(Code.NOT_FOUND)
        self._use(interface, otherwise=Code.OTHER)
        self._do(lambda: self.device.model.control(Setup(0x02, 1, 0, endpoint, 0), b""))

    def reset(self) -> None:
        """Resets the port; a device that comes back as another one is not found again."""
        self._require_present()
        self.device.model.bus_reset()
        if not self.device.present:
            raise failure(Code.NOT_FOUND)
        self._do(self.device.reconfigure)

    def kernel_driver_active(self, interface: int) -> bool:
        """Whether a driver of the kernel has an interface."""
        self._require_number(interface)
        self._require_present()
        return interface in self.device.drivers

    def detach_kernel_driver(self, interface: int) -> None:
        """Takes an interface from the kernel's driver."""
        self._require_number(interface)
        self._require_present()
        if interface not in self.device.interfaces:
            raise failure(Code.INVALID_PARAM)
        if self.device.drivers.pop(interface, None) is None:
            raise failure(Code.NOT_FOUND)

    def attach_kernel_driver(self, interface: int) -> None:
        """Gives an interface to the kernel's driver of its class."""
        self._require_number(interface)
        self._require_present()
        if interface not in self.device.interfaces:
            raise failure(Code.INVALID_PARAM)
        if interface in self.device.drivers or interface in self.device.claims:
            raise failure(Code.BUSY)
        driver = self.device.driver_for(interface)
        if driver is None:
            raise failure(Code.NOT_FOUND)
        self.device.drivers[interface] = driver

    def _claimed(self) -> list[int]:
        return [n for n, holder in tuple(self.device.claims.items()) if holder is self]

    def _use(self, interface: int, *, otherwise: Code = Code.IO) -> None:
        """Claims an interface that the program forgot to claim, as the kernel does."""
        if self.device.claims.get(interface) is self:
            return
        taken = interface in self.device.claims or interface in self.device.drivers
        if taken or interface not in self.device.interfaces:
            raise failure(otherwise)
        self.device.claims[interface] = self

    def _check_recipient(self, setup: Setup) -> None:
        number = setup.index & 0xFF
        if setup.kind == _VENDOR:
            return
        if setup.recipient == _INTERFACE:
            self._use(number)
        elif setup.recipient == _ENDPOINT and number & 0x7F:
            self._require_endpoint(number)

    def _require_present(self) -> None:
        if not self.device.present:
            raise failure(Code.NO_DEVICE)

    def _require_number(self, interface: int) -> None:
        if not 0 <= interface < MAX_INTERFACES:
            raise failure(Code.INVALID_PARAM)

    def _require_claimed(self, interface: int) -> None:
        if self.device.claims.get(interface) is not self:
            raise failure(Code.NOT_FOUND)

    def _require_endpoint(self, endpoint: int) -> int:
        self._require_present()
        interface = self.device.interface_of(endpoint)
        if interface is None:
            raise failure(Code.IO)
        self._use(interface)
        return interface

    def _set_interface(self, interface: int, setting: int) -> None:
        request = Setup(0x01, 11, setting, interface, 0)
        self._do(lambda: self.device.model.control(request, b""))
        self.device.settings[interface] = setting

    def _do(self, action: Callable[[], object], timeout_ms: int = KERNEL_TIMEOUT_MS) -> None:
        def done() -> bool:
            action()
            return True

        self._wait(done, timeout_ms)

    def _wait(self, attempt: Callable[[], T | None], timeout_ms: int) -> T:
        deadline_s = self._bus.deadline(timeout_ms)
        while True:
            seen = self._bus.changes
            self._require_present()
            answer = _answered(attempt)
            if answer is not None:
                return answer
            if not self._bus.wait(seen, deadline_s):
                raise failure(Code.TIMEOUT)


def _answered(attempt: Callable[[], T | None]) -> T | None:
    try:
        return attempt()
    except Stall as error:
        raise failure(Code.PIPE) from error
    except Nak:
        return None
