"""An emulated USB bus: ports, the devices in them, their addresses and kernel drivers.

This is what the Linux kernel is to libusb.  A device is enumerated when somebody looks at the
bus: it gets the next address, configuration 1, and the kernel's drivers.  One that was unplugged
and plugged in again is another device with another address.

Not emulated: hubs (a port path names them, they are not listed), bandwidth, permissions, and a
kernel that reads more out of wrong descriptors than libusb does.
"""

import contextlib
import logging
import re
import threading
from types import MappingProxyType
from typing import Final

from ....hal.clock import Clock, SystemClock
from ...errors import DescribedError, PortError
from .chapter9 import CONFIGURATION
from .described import Configuration, Setting, read_configuration
from .descriptors import DescriptorType
from .model import Nak, Setup, Stall, UsbModel

logger = logging.getLogger(__name__)

KERNEL_DRIVERS: Final = MappingProxyType({0x01: "snd-usb-audio", 0x03: "usbhid"})
"""By ``bInterfaceClass``."""

FIRST_ADDRESS: Final = 2
LAST_ADDRESS: Final = 127
ENUMERATION_TRIES: Final = 3
_DEVICE_OCTETS: Final = 18
_HEAD_OCTETS: Final = 9
_PORT: Final = re.compile(r"([1-9]\d?)-([1-9]\d?(?:\.[1-9]\d?){0,5})")


class BusDevice:
    """A device from one enumeration to its end.

    Args:
        model: What answers.
        port: Where it is, as sysfs writes it.
        address: On the bus.

    Raises:
        DescribedError: Its descriptors are none, or it gives none: no host accepts it.

    Attributes:
        model: As given.
        bus: Number of the bus.
        ports: Port numbers from the root on.
        address: As given.
        device_descriptor: As read at enumeration.
        configuration_octets: As read at enumeration.
        configuration: What libusb reads in them; None when it refuses them.
        value: ``bConfigurationValue`` of the active configuration, 0 when there is none.
        drivers: Kernel driver of each interface that one has.
        claims: Open handle of each interface that one has claimed.
        settings: Alternate setting of each interface where it is not 0.
    """

    def __init__(self, model: UsbModel, port: str, address: int) -> None:
        self.model = model
        self.bus, self.ports = parse_port(port)
        self.address = address
        self._enumeration = model.enumerations
        self._removed = False
        self.device_descriptor = _device_descriptor(model)
        self.configuration_octets = _configuration_octets(model)
        self.configuration = _read(self.configuration_octets)
        self.value = 0
        self.drivers: dict[int, str] = {}
        self.claims: dict[int, object] = {}
        self.settings: dict[int, int] = {}

    @property
    def present(self) -> bool:
        """Whether it is still this device that is in the port."""
        same = self.model.enumerations == self._enumeration
        return same and self.model.attached and not self._removed

    def remove(self) -> None:
        """It is not in the port any more."""
        self._removed = True

    @property
    def interfaces(self) -> frozenset[int]:
        """Numbers of the interfaces that there are now."""
        return frozenset() if self._active is None else self._active.numbers

    def setting(self, interface: int, alternate: int) -> Setting | None:
        """Returns a setting of an interface, None if it is not there."""
        return None if self._active is None else self._active.setting(interface, alternate)

    def active(self, interface: int) -> Setting | None:
        """Returns the setting that an interface is in, None if it is not there."""
        return self.setting(interface, self.settings.get(interface, 0))

    def interface_of(self, endpoint: int) -> int | None:
        """Returns the interface that has an endpoint in any of its settings."""
        return None if self._active is None else self._active.interface_of(endpoint)

    def driver_for(self, interface: int) -> str | None:
        """Returns the kernel driver that takes an interface of that class."""
        setting = self.setting(interface, 0)
        return None if setting is None else KERNEL_DRIVERS.get(setting.usb_class)

    def configure(self, value: int) -> None:
        """Chooses a configuration.

        Raises:
            Stall: The device refuses.
            Nak: It does not answer.
        """
        self.model.control(Setup(0x00, 9, value, 0, 0), b"")
        self.value = value
        self.settings.clear()
        self.drivers.clear()

    def reconfigure(self) -> None:
        """Sets up again what was set up before a reset, as the kernel does.

        Raises:
            Stall: The device refuses.
            Nak: It does not answer.
        """
        self.model.control(Setup(0x00, 9, self.value, 0, 0), b"")
        for interface, setting in self.settings.items():
            self.model.control(Setup(0x01, 11, setting, interface, 0), b"")

    def bind(self) -> None:
        """Lets the kernel's drivers take what is theirs."""
        for interface in self.interfaces:
            driver = self.driver_for(interface)
            if driver is not None:
                self.drivers[interface] = driver

    @property
    def _active(self) -> Configuration | None:
        return self.configuration if self.value else None


class EmulatedBus:
    """Ports, and what is in them.

    Args:
        clock: Of timeouts.
        kernel_drivers: Whether the kernel's drivers take the interfaces of their classes, as
            Linux does; a host program then has to detach them before it can claim.
    """

    def __init__(self, *, clock: Clock | None = None, kernel_drivers: bool = True) -> None:
        self._clock = SystemClock() if clock is None else clock
        self._kernel_drivers = kernel_drivers
        self._models: dict[str, UsbModel] = {}
        self._devices: dict[str, BusDevice] = {}
        self._tried: dict[str, int] = {}
        self._next_address: dict[int, int] = {}
        self._lock = threading.RLock()
        self._change = threading.Condition()
        self._changes = 0

    def connect(self, model: UsbModel, port: str) -> None:
        """Lays a cable from a port to a model, which may be plugged in or not.

        Args:
            model: The device; its own ``plug`` and ``unplug`` work the cable.
            port: Bus and port path as sysfs writes it, ``1-1.2``.

        Raises:
            PortError: The port has no such name, or is taken.
        """
        parse_port(port)
        with self._lock:
            if port in self._models:
                raise PortError(f"port {port} is taken; use another one")
            self._models[port] = model
        model.on_change(self._wake)

    def disconnect(self, port: str) -> UsbModel:
        """Takes the cable out of a port; returns the model, which may go to another one.

        Raises:
            PortError: Nothing is in it.
        """
        with self._lock:
            if port not in self._models:
                raise PortError(f"nothing is in port {port[:40]!r}")
            model = self._models.pop(port)
            self._tried.pop(port, None)
            device = self._devices.pop(port, None)
        if device is not None:
            device.remove()
        model.bus_reset()
        self._wake()
        return model

    def devices(self) -> tuple[BusDevice, ...]:
        """Returns what is on the bus now, by port; what is new is enumerated."""
        with self._lock:
            ports = sorted(self._models, key=parse_port)
            found = [self._look(port, self._models[port]) for port in ports]
            return tuple(device for device in found if device is not None)

    @property
    def changes(self) -> int:
        """Counts what happens; for :meth:`wait`."""
        with self._change:
            return self._changes

    def deadline(self, timeout_ms: int) -> float | None:
        """Returns when a timeout ends; libusb waits for ever when it is 0."""
        return self._clock.monotonic() + timeout_ms / 1000 if timeout_ms else None

    def wait(self, seen: int, deadline_s: float | None) -> bool:
        """Waits until something happened since ``changes`` was ``seen``; False at the deadline."""
        with self._change:
            left_s = None if deadline_s is None else deadline_s - self._clock.monotonic()
            return self._change.wait_for(
                lambda: self._changes != seen, None if left_s is None else max(left_s, 0.0)
            )

    def _wake(self) -> None:
        with self._change:
            self._changes += 1
            self._change.notify_all()

    def _look(self, port: str, model: UsbModel) -> BusDevice | None:
        device = self._devices.get(port)
        if device is not None and device.present:
            return device
        self._devices.pop(port, None)
        if not model.attached or self._tried.get(port) == model.enumerations:
            return None
        self._tried[port] = model.enumerations
        return self._enumerate(port, model)

    def _enumerate(self, port: str, model: UsbModel) -> BusDevice | None:
        try:
            device = BusDevice(model, port, self._address(parse_port(port)[0]))
            device.configure(CONFIGURATION)
        except (DescribedError, Stall, Nak) as error:
            logger.warning("port %s: unable to enumerate USB device: %r", port, error)
            return None
        if self._kernel_drivers:
            device.bind()
        self._devices[port] = device
        return device

    def _address(self, bus: int) -> int:
        address = self._next_address.get(bus, FIRST_ADDRESS)
        taken = {device.address for device in self._devices.values() if device.bus == bus}
        while address in taken:
            address = _after(address)
        self._next_address[bus] = _after(address)
        return address


def parse_port(port: str) -> tuple[int, tuple[int, ...]]:
    """Returns bus number and port numbers.

    >>> parse_port("1-1.2")
    (1, (1, 2))

    Raises:
        PortError: Not a port as sysfs writes it.
    """
    match = _PORT.fullmatch(port)
    if match is None:
        raise PortError(f"{port[:40]!r} is no port; write bus and port path as in 1-1.2")
    return int(match[1]), tuple(map(int, match[2].split(".")))


def _after(address: int) -> int:
    return FIRST_ADDRESS if address == LAST_ADDRESS else address + 1


def _device_descriptor(model: UsbModel) -> bytes:
    octets = _asked(model, DescriptorType.DEVICE, _DEVICE_OCTETS)
    if len(octets) < _DEVICE_OCTETS or octets[1] != DescriptorType.DEVICE:
        raise DescribedError(f"{octets.hex()} is no device descriptor")
    return octets


def _configuration_octets(model: UsbModel) -> bytes:
    head = _asked(model, DescriptorType.CONFIGURATION, _HEAD_OCTETS)
    if len(head) < _HEAD_OCTETS or head[1] != DescriptorType.CONFIGURATION:
        raise DescribedError(f"{head.hex()} is no configuration descriptor")
    total = int.from_bytes(head[2:4], "little")
    return _asked(model, DescriptorType.CONFIGURATION, max(total, _HEAD_OCTETS))


def _asked(model: UsbModel, kind: DescriptorType, length: int) -> bytes:
    for _ in range(ENUMERATION_TRIES):
        with contextlib.suppress(Stall):
            return model.control(Setup(0x80, 6, kind << 8, 0, length), b"")
    raise DescribedError(f"the device refuses to say descriptor type {kind:d}")


def _read(octets: bytes) -> Configuration | None:
    try:
        return read_configuration(octets)
    except DescribedError as error:
        logger.warning("libusb cannot read this configuration: %s", error)
        return None
