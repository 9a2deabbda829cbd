"""A pyusb backend that serves models on an emulated bus.

>>> import usb.core
>>> from openturret.drivers.emulated.usb.backend import EmulatedBackend
>>> from openturret.drivers.emulated.usb.bus import EmulatedBus
>>> from openturret.drivers.emulated.usb.handset import HandsetModel
>>> bus = EmulatedBus()
>>> bus.connect(HandsetModel("HS-0007"), "1-1")
>>> found = usb.core.find(idVendor=0x1209, idProduct=0x7701, backend=EmulatedBackend(bus))
>>> found.serial_number, found.port_numbers
('HS-0007', (1,))

It does what pyusb's own ``libusb1`` backend does on Linux, error codes included; :mod:`.usbfs`
says what is known about those.  Isochronous transfers are not paced: they take no time.
"""

import struct
from array import array
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Final

from .bus import BusDevice, EmulatedBus
from .described import Configuration, Described, Setting
from .libusb_errors import Code, failure
from .model import Setup
from .usbfs import Handle

_DEVICE: Final = (
    "<BBHBBBBHHHBBBB",
    "bLength bDescriptorType bcdUSB bDeviceClass bDeviceSubClass bDeviceProtocol bMaxPacketSize0"
    " idVendor idProduct bcdDevice iManufacturer iProduct iSerialNumber bNumConfigurations",
)
_CONFIGURATION: Final = (
    "<BBHBBBBB",
    "bLength bDescriptorType wTotalLength bNumInterfaces bConfigurationValue iConfiguration"
    " bmAttributes bMaxPower",
)
_INTERFACE: Final = (
    "<9B",
    "bLength bDescriptorType bInterfaceNumber bAlternateSetting bNumEndpoints bInterfaceClass"
    " bInterfaceSubClass bInterfaceProtocol iInterface",
)
_ENDPOINT: Final = (
    "<BBBBHBBB",
    "bLength bDescriptorType bEndpointAddress bmAttributes wMaxPacketSize bInterval bRefresh"
    " bSynchAddress",
)
_ENDPOINT_OCTETS: Final = 9


class EmulatedBackend:
    """Everything of ``usb.backend.IBackend``, on a bus; see pyusb for what the methods mean."""

    def __init__(self, bus: EmulatedBus) -> None:
        self._bus = bus

    def enumerate_devices(self) -> Iterator[BusDevice]:
        """Yields what is on the bus now."""
        return iter(self._bus.devices())

    def get_parent(self, _device: BusDevice) -> None:
        """Nobody has a hub above it that is listed."""

    def get_device_descriptor(self, device: BusDevice) -> SimpleNamespace:
        """Returns the device descriptor, with bus, address, ports and speed."""
        return _fields(
            _DEVICE,
            device.device_descriptor,
            bus=device.bus,
            address=device.address,
            port_number=device.ports[-1],
            port_numbers=device.ports,
            speed=int(device.model.speed) + 1,
        )

    def get_configuration_descriptor(self, device: BusDevice, config: int) -> SimpleNamespace:
        """Returns the configuration descriptor."""
        found = _configuration(device, config)
        extra = {"extra_descriptors": found.head.extra}
        return _fields(_CONFIGURATION, found.head.octets, **extra)

    def get_interface_descriptor(
        self, device: BusDevice, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        """Returns a setting of an interface, both by their index."""
        setting = _setting(device, intf, alt, config)
        counted = {"extra_descriptors": setting.interface.extra}
        found = _fields(_INTERFACE, setting.interface.octets, **counted)
        found.bNumEndpoints = len(setting.endpoints)
        return found

    def get_endpoint_descriptor(
        self, device: BusDevice, ep: int, intf: int, alt: int, config: int
    ) -> SimpleNamespace:
        """Returns an endpoint of a setting, by their index."""
        return _endpoint(_setting(device, intf, alt, config).endpoints[ep])

    def open_device(self, device: BusDevice) -> Handle:
        """Opens a device."""
        return Handle(self._bus, device)

    def close_device(self, handle: Handle) -> None:
        """Closes a device; what it had claimed is free."""
        handle.close()

    def set_configuration(self, handle: Handle, config_value: int) -> None:
        """Chooses a configuration."""
        handle.set_configuration(config_value)

    def get_configuration(self, handle: Handle) -> int:
        """Returns the active configuration."""
        return handle.get_configuration()

    def set_interface_altsetting(self, handle: Handle, intf: int, altsetting: int) -> None:
        """Chooses an alternate setting."""
        handle.set_interface(intf, altsetting)

    def claim_interface(self, handle: Handle, intf: int) -> None:
        """Takes an interface."""
        handle.claim(intf)

    def release_interface(self, handle: Handle, intf: int) -> None:
        """Gives an interface back."""
        handle.release(intf)

    def ctrl_transfer(
        self,
        handle: Handle,
        request_type: int,
        request: int,
        value: int,
        index: int,
        data: "array[int]",
        timeout: int,
    ) -> int:
        """Does a control transfer; what the device answers stands in ``data`` afterwards."""
        setup = Setup(request_type, request, value, index, len(data))
        answer = handle.control(setup, b"" if setup.device_to_host else data.tobytes(), timeout)
        if not setup.device_to_host:
            return len(data)
        return _fill(data, answer)

    def intr_read(
        self, handle: Handle, ep: int, _intf: int, buff: "array[int]", timeout: int
    ) -> int:
        """Waits for a report and puts it into ``buff``."""
        return _fill(buff, handle.interrupt_in(ep, len(buff), timeout))

    def intr_write(
        self, handle: Handle, ep: int, _intf: int, data: "array[int]", timeout: int
    ) -> int:
        """Sends a report."""
        handle.interrupt_out(ep, data.tobytes(), timeout)
        return len(data)

    bulk_read = intr_read
    """The kernel does an interrupt transfer where an interrupt endpoint is."""

    bulk_write = intr_write
    """As :attr:`bulk_read`."""

    def iso_read(
        self, handle: Handle, ep: int, _intf: int, buff: "array[int]", _timeout: int
    ) -> int:
        """Puts one packet for each ``wMaxPacketSize`` of ``buff`` where that begins."""
        step = handle.packet_octets(ep)
        return sum(
            _fill(buff, handle.device.model.isochronous_in(ep)[: len(buff) - start], start)
            for start in range(0, len(buff), step)
        )

    def iso_write(
        self, handle: Handle, ep: int, _intf: int, data: "array[int]", _timeout: int
    ) -> int:
        """Sends ``data`` in packets of ``wMaxPacketSize``."""
        step = handle.packet_octets(ep)
        for start in range(0, len(data), step):
            handle.device.model.isochronous_out(ep, data[start : start + step].tobytes())
        return len(data)

    def clear_halt(self, handle: Handle, ep: int) -> None:
        """Ends the halt of an endpoint."""
        handle.clear_halt(ep)

    def reset_device(self, handle: Handle) -> None:
        """Resets the port."""
        handle.reset()

    def is_kernel_driver_active(self, handle: Handle, intf: int) -> bool:
        """Whether a driver of the kernel has an interface."""
        return handle.kernel_driver_active(intf)

    def detach_kernel_driver(self, handle: Handle, intf: int) -> None:
        """Takes an interface from the kernel's driver."""
        handle.detach_kernel_driver(intf)

    def attach_kernel_driver(self, handle: Handle, intf: int) -> None:
        """Gives an interface to the kernel's driver of its class."""
        handle.attach_kernel_driver(intf)


def _fields(layout: tuple[str, str], octets: bytes, **more: object) -> SimpleNamespace:
    form, names = layout
    values = struct.unpack_from(form, octets)
    return SimpleNamespace(**dict(zip(names.split(), values, strict=True)), **more)


def _endpoint(found: Described) -> SimpleNamespace:
    octets = found.octets.ljust(_ENDPOINT_OCTETS, b"\0")
    return _fields(_ENDPOINT, octets, extra_descriptors=found.extra)


def _configuration(device: BusDevice, config: int) -> Configuration:
    if config >= device.device_descriptor[17]:
        raise failure(Code.NOT_FOUND)
    if config or device.configuration is None:
        raise failure(Code.IO)
    return device.configuration


def _setting(device: BusDevice, intf: int, alt: int, config: int) -> Setting:
    """An index too far is an IndexError, by which pyusb knows where the list ends."""
    return _configuration(device, config).interfaces[intf][alt]


def _fill(buffer: "array[int]", octets: bytes, start: int = 0) -> int:
    buffer[start : start + len(octets)] = array("B", octets)
    return len(octets)
