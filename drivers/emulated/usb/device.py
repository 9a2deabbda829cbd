"""A composite USB device: functions behind one cable and one supply.

Emulated: standard requests with a stall wherever a device answers with one, halted endpoints,
bus reset, re-enumeration as another device, a cable that is pulled (what the host had set up is
over, the device keeps its settings) and a supply that is cut (only switches and flash keep what
they were).

Not emulated: suspend and remote wake-up, more than one configuration, other languages than
English, and bulk endpoints; the address is the business of the front.
"""

import threading
from collections.abc import Callable, Sequence

from .assembly import assemble
from .chapter9 import StandardRequests
from .descriptors import DescriptorType, Identity
from .misbehaviour import Misbehaviour
from .model import Function, Nak, Setup, Speed, Stall


class CompositeDevice:
    """A device made of functions; see :class:`.model.UsbModel` for what its fronts call.

    Args:
        identity: What it says it is.
        functions: What it can do, in the order of their interfaces.
        misbehaviour: What it does wrong; nothing by default.

    Attributes:
        lock: Held in every method; a hand holds it while it works the device.
        misbehaviour: As given.
    """

    def __init__(
        self,
        identity: Identity,
        functions: Sequence[Function],
        *,
        misbehaviour: Misbehaviour | None = None,
    ) -> None:
        self.lock = threading.RLock()
        self.misbehaviour = Misbehaviour() if misbehaviour is None else misbehaviour
        self._listeners: list[Callable[[], None]] = []
        self._plugged = self._powered = True
        self._enumerations = 1
        self._assume(identity, functions)

    @property
    def speed(self) -> Speed:
        """Full speed, as every UAC 1.0 device."""
        return Speed.FULL

    @property
    def attached(self) -> bool:
        """Whether the cable is in and power is there."""
        return self._plugged and self._powered

    @property
    def enumerations(self) -> int:
        """How often it has attached."""
        return self._enumerations

    def plug(self) -> None:
        """Puts the cable in."""
        with self.lock:
            self._connect(plugged=True, powered=self._powered)

    def unplug(self) -> None:
        """Pulls the cable; the device itself keeps its power and its settings."""
        with self.lock:
            self._connect(plugged=False, powered=self._powered)

    def cut_power(self) -> None:
        """Cuts the supply, in the middle of whatever it does."""
        with self.lock:
            self._connect(plugged=self._plugged, powered=False)

    def restore_power(self) -> None:
        """Gives power back: the device starts afresh."""
        with self.lock:
            if not self._powered:
                for function in self._assembly.functions:
                    function.power_on()
            self._connect(plugged=self._plugged, powered=True)

    def become(self, identity: Identity, functions: Sequence[Function]) -> None:
        """Leaves the bus and comes back as another device, as at the start of a firmware update."""
        with self.lock:
            plugged = self._plugged
            self._connect(plugged=False, powered=self._powered)
            self._assume(identity, functions)
            self._connect(plugged=plugged, powered=self._powered)

    def bus_reset(self) -> None:
        """The host resets the port: nothing is configured any more."""
        with self.lock:
            self._standard.reset()
            for function in self._assembly.functions:
                function.bus_reset()

    def halt(self, endpoint: int) -> None:
        """Lets an endpoint stall until the host clears its halt (USB 2.0 section 9.4.5)."""
        with self.lock:
            self._standard.halt(endpoint)
            self.changed()

    def on_change(self, changed: Callable[[], None]) -> None:
        """Calls back, from any thread, when a report waits or the cable changed."""
        with self.lock:
            self._listeners.append(changed)

    def changed(self) -> None:
        """Wakes whoever waits for a report or the cable; functions call it too."""
        for listener in tuple(self._listeners):
            listener()

    def device_descriptor(self) -> bytes:
        """18 octets (USB 2.0 section 9.6.1)."""
        return self.misbehaviour.descriptor(DescriptorType.DEVICE, self._assembly.device)

    def configuration_descriptor(self) -> bytes:
        """The configuration with all that follows it (USB 2.0 section 9.6.3)."""
        octets = self._assembly.configuration
        return self.misbehaviour.descriptor(DescriptorType.CONFIGURATION, octets)

    def control(self, setup: Setup, data: bytes) -> bytes:
        """Answers a control transfer.

        Raises:
            Stall: The device does not know or does not allow the request.
            Nak: It hangs.
        """
        with self.lock:
            self.misbehaviour.obstruct()
            if not setup.device_to_host and len(data) != setup.length:
                raise Stall
            answer = self._answer(setup, data)
            return answer[: setup.length] if setup.device_to_host else b""

    def interrupt_in(self, endpoint: int) -> bytes | None:
        """Returns the next report, None while there is none.

        Raises:
            Stall: The endpoint is halted or does not exist.
        """
        with self.lock:
            if self.misbehaviour.hung:
                return None
            return self._standard.function_at(endpoint).interrupt_in(endpoint)

    def interrupt_out(self, endpoint: int, data: bytes) -> None:
        """Takes a report.

        Raises:
            Stall: The endpoint is halted or does not exist.
            Nak: The device hangs.
        """
        with self.lock:
            if self.misbehaviour.hung:
                raise Nak
            self._standard.function_at(endpoint).interrupt_out(endpoint, data)

    def isochronous_in(self, endpoint: int) -> bytes:
        """Returns what the device says in this frame of 1 ms; empty when it streams nothing."""
        with self.lock:
            function = self._streaming(endpoint)
            return b"" if function is None else function.isochronous_in(endpoint)

    def isochronous_out(self, endpoint: int, data: bytes) -> None:
        """Takes what the host says in this frame of 1 ms."""
        with self.lock:
            function = self._streaming(endpoint)
            if function is not None:
                function.isochronous_out(endpoint, data)

    def _assume(self, identity: Identity, functions: Sequence[Function]) -> None:
        self._assembly = assemble(identity, functions)
        self._standard = StandardRequests(self._assembly, self.misbehaviour)

    def _connect(self, *, plugged: bool, powered: bool) -> None:
        before = self.attached
        self._plugged, self._powered = plugged, powered
        if before == self.attached:
            return
        if before:
            self.bus_reset()
        self._enumerations += self.attached
        self.changed()

    def _answer(self, setup: Setup, data: bytes) -> bytes:
        if setup.kind == 0:
            return self._standard.answer(setup)
        number = setup.index & 0xFF
        if setup.recipient == 1:
            return self._standard.function_of(number).control(setup, data)
        if setup.recipient == 2:
            interface = self._assembly.endpoints.get(number, -1)
            return self._standard.function_of(interface).control(setup, data)
        raise Stall

    def _streaming(self, endpoint: int) -> Function | None:
        """An isochronous endpoint has no handshake: it is never heard to refuse."""
        try:
            return None if self.misbehaviour.hung else self._standard.function_at(endpoint)
        except Stall:
            return None
