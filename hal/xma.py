"""The XMA2, a media adapter that takes the mixing over: its channels, port filter and console.

Its mixing matrix is a :class:`~.matrix.MixingMatrix` like the unit's own, spoken to over a
connection of its own (``match.matrix`` of the board); nothing above the HAL knows the difference.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, Protocol, runtime_checkable

from .device import Device
from .errors import DeviceError
from .speaker import Speaker

PORT_BITS: Final = 0xFFFF


class PortFilterError(DeviceError, ValueError):
    """A port filter that the module would not take; says which rule it breaks.

    Attributes:
        field: Which of the two numbers to change, ``portref`` or ``netmask``.
    """

    def __init__(self, message: str, *, field: str) -> None:
        self.field = field
        super().__init__(message)


@dataclass(frozen=True, slots=True)
class PortFilter:
    """Accepts a datagram when ``destination port & netmask == portref`` (SPEC section 3).

    Attributes:
        portref: First port of the block, an RTP port.
        netmask: Contiguous from the top; what it leaves open is the size of the block.

    Raises:
        PortFilterError: The two do not describe an aligned power-of-two block.
    """

    portref: int
    netmask: int

    def __post_init__(self) -> None:
        _check(self)

    @property
    def rtp_lower_port(self) -> int:
        """First RTP port."""
        return self.portref

    @property
    def rtp_upper_port(self) -> int:
        """Last RTP port, even; its RTCP takes the next odd one."""
        return self.portref | (~self.netmask & PORT_BITS & ~1)

    @property
    def ports(self) -> int:
        """Size of the block."""
        return (~self.netmask & PORT_BITS) + 1

    def accepts(self, port: int) -> bool:
        """Whether a datagram to that port passes."""
        return port & self.netmask == self.portref


def _check(ports: PortFilter) -> None:
    for name, value in (("portref", ports.portref), ("netmask", ports.netmask)):
        if not 0 <= value <= PORT_BITS:
            raise PortFilterError(f"{name} {value:#x} is not a 16-bit number", field=name)
    fault = _fault_of_mask(ports.netmask)
    if fault:
        raise PortFilterError(f"netmask {ports.netmask:#06x} {fault}", field="netmask")
    aligned = ports.portref & ports.netmask
    if ports.portref != aligned:
        raise PortFilterError(
            f"portref {ports.portref:#06x} is not aligned to netmask {ports.netmask:#06x}, "
            f"a block of {ports.ports} ports; use {aligned:#06x}",
            field="portref",
        )


def _fault_of_mask(netmask: int) -> str:
    open_bits = ~netmask & PORT_BITS
    if open_bits & (open_bits + 1):
        return "is not contiguous; use one like 0xF800, ones then zeros"
    if not 1 <= open_bits < PORT_BITS:
        return "leaves no block of ports; use 0xF800"
    return ""


RANGES: Final = (
    PortFilter(0x2800, 0xF800),
    PortFilter(0x2C00, 0xFC00),
    PortFilter(0x4000, 0xF000),
    PortFilter(0x4800, 0xF800),
    PortFilter(0x8000, 0xF000),
    PortFilter(0x8800, 0xF800),
)
"""The documented blocks; the first is the default."""


@dataclass(frozen=True, slots=True)
class XmaChannel:
    """A speaker channel of the module, as its switch administration shows it."""

    channel: int
    enabled: bool
    label: str = ""


@runtime_checkable
class Xma(Speaker, Device, Protocol):
    """The module: a speaker with channels, and what its console administers."""

    async def port_filter(self) -> PortFilter:
        """Reads the filter in force.

        Raises:
            DeviceGoneError: The console does not answer.
        """
        ...

    async def set_port_filter(self, ports: PortFilter) -> None:
        """Sets the filter and reads it back.

        Raises:
            DeviceGoneError: The console does not answer.
            DeviceError: The module kept another filter.
        """
        ...

    async def switch_channels(self) -> tuple[XmaChannel, ...]:
        """Reads the channels of its switch administration."""
        ...

    async def set_channel(self, channel: int, *, enabled: bool, label: str | None = None) -> None:
        """Switches a channel on or off, and names it."""
        ...

    async def counters(self) -> Mapping[str, int]:
        """Reads what the module counted: datagrams accepted, filtered, late, channels talking."""
        ...
