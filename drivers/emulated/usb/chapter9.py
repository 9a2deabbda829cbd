"""Standard requests, as chapter 9 of USB 2.0 numbers them, and the state that they set.

Whatever a device of this kind answers with STALL on the wire (section 9.2.7) stalls here: another
direction, an interface or endpoint that is not there, one that is asked for before the device is
configured, remote wake-up, test modes.
"""

from collections.abc import Callable
from typing import Final

from .assembly import Assembly
from .descriptors import DescriptorType
from .misbehaviour import Misbehaviour
from .model import Function, Setup, Stall

CONFIGURATION: Final = 1
"""``bConfigurationValue`` of the only configuration."""

_ENDPOINT_HALT: Final = 0
_SELF_POWERED: Final = b"\x01\x00"


class StandardRequests:
    """What a host has set up on a device, and the answers to its standard requests.

    Args:
        assembly: The device's descriptors and functions.
        misbehaviour: Distorts descriptors.
    """

    def __init__(self, assembly: Assembly, misbehaviour: Misbehaviour) -> None:
        self._assembly = assembly
        self._misbehaviour = misbehaviour
        self._configuration = 0
        self._settings: dict[int, int] = {}
        self._halted: set[int] = set()
        self._answers: dict[tuple[int, int], Callable[[Setup], bytes]] = {
            (0x80, 0): self._device_status,
            (0x81, 0): self._interface_status,
            (0x82, 0): self._endpoint_status,
            (0x02, 1): self._clear_halt,
            (0x02, 3): self._set_halt,
            (0x00, 5): self._set_address,
            (0x80, 6): self._descriptor,
            (0x81, 6): self._class_descriptor,
            (0x80, 8): self._get_configuration,
            (0x00, 9): self._set_configuration,
            (0x81, 10): self._get_interface,
            (0x01, 11): self._set_interface,
        }

    @property
    def configured(self) -> bool:
        """Whether the host has chosen the configuration."""
        return self._configuration == CONFIGURATION

    def reset(self) -> None:
        """Forgets what the host had set up; the functions are told by whoever resets."""
        self._configuration = 0
        self._settings.clear()
        self._halted.clear()

    def halt(self, endpoint: int) -> None:
        """Lets an endpoint stall until the host clears its halt."""
        self._halted.add(endpoint)

    def answer(self, setup: Setup) -> bytes:
        """Answers a standard request.

        Raises:
            Stall: The device does not do that.
        """
        answer = self._answers.get((setup.request_type, setup.request))
        if answer is None:
            raise Stall
        return answer(setup)

    def function_of(self, interface: int) -> Function:
        """Returns the function behind an interface.

        Raises:
            Stall: The device is not configured or has no such interface.
        """
        if not self.configured or interface not in self._assembly.interfaces:
            raise Stall
        return self._assembly.interfaces[interface]

    def function_at(self, endpoint: int) -> Function:
        """Returns the function behind an endpoint that is not halted.

        Raises:
            Stall: The endpoint is halted or not there.
        """
        if endpoint in self._halted:
            raise Stall
        return self.function_of(self._assembly.endpoints.get(endpoint, -1))

    def _device_status(self, _setup: Setup) -> bytes:
        return _SELF_POWERED

    def _interface_status(self, setup: Setup) -> bytes:
        self.function_of(setup.index)
        return bytes(2)

    def _endpoint_status(self, setup: Setup) -> bytes:
        if setup.index & 0x7F == 0:
            return bytes(2)
        return bytes((self._endpoint(setup) in self._halted, 0))

    def _endpoint(self, setup: Setup) -> int:
        self.function_of(self._assembly.endpoints.get(setup.index, -1))
        return setup.index

    def _set_halt(self, setup: Setup) -> bytes:
        self._halted.add(self._haltable(setup))
        return b""

    def _clear_halt(self, setup: Setup) -> bytes:
        self._halted.discard(self._haltable(setup))
        return b""

    def _haltable(self, setup: Setup) -> int:
        if setup.value != _ENDPOINT_HALT:
            raise Stall
        return self._endpoint(setup)

    def _set_address(self, setup: Setup) -> bytes:
        if setup.value > 127:
            raise Stall
        return b""

    def _descriptor(self, setup: Setup) -> bytes:
        kind, index = setup.value >> 8, setup.value & 0xFF
        octets = self._octets(kind, index)
        return self._misbehaviour.descriptor(kind, octets)

    def _octets(self, kind: int, index: int) -> bytes:
        if kind == DescriptorType.DEVICE and index == 0:
            return self._assembly.device
        if kind == DescriptorType.CONFIGURATION and index == 0:
            return self._assembly.configuration
        if kind == DescriptorType.STRING and index < len(self._assembly.strings):
            return self._assembly.strings[index]
        raise Stall

    def _class_descriptor(self, setup: Setup) -> bytes:
        octets = self.function_of(setup.index).control(setup, b"")
        return self._misbehaviour.descriptor(setup.value >> 8, octets)

    def _get_configuration(self, _setup: Setup) -> bytes:
        return bytes((self._configuration,))

    def _set_configuration(self, setup: Setup) -> bytes:
        if setup.value not in (0, CONFIGURATION):
            raise Stall
        for interface in self._settings:
            self._assembly.interfaces[interface].select(interface, 0)
        self.reset()
        self._configuration = setup.value
        return b""

    def _get_interface(self, setup: Setup) -> bytes:
        self.function_of(setup.index)
        return bytes((self._settings.get(setup.index, 0),))

    def _set_interface(self, setup: Setup) -> bytes:
        function = self.function_of(setup.index)
        if setup.value not in self._assembly.settings[setup.index]:
            raise Stall
        function.select(setup.index, setup.value)
        self._settings[setup.index] = setup.value
        return b""
