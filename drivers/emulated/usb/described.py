"""What libusb makes of a configuration's octets: its reading of descriptors, right and wrong ones.

The rules are those of libusb 1.0 (``parse_configuration`` of its descriptor.c): a length below
the least that a descriptor needs is an error, one that runs over the end ends the reading with
what was understood so far, and what is not known is kept as "extra" of what it follows.
"""

from dataclasses import dataclass
from typing import Final

from ...errors import DescribedError
from .descriptors import DescriptorType

MAX_INTERFACES: Final = 32
MAX_ENDPOINTS: Final = 32
_HEADER: Final = 2
_LEAST: Final = {
    DescriptorType.CONFIGURATION: 9,
    DescriptorType.INTERFACE: 9,
    DescriptorType.ENDPOINT: 7,
}
_PROPER: Final = frozenset({DescriptorType.DEVICE, *_LEAST})


@dataclass(frozen=True, slots=True)
class Described:
    """One descriptor with the unknown ones that follow it.

    Attributes:
        octets: Of the descriptor itself.
        extra: What follows it and is not known.
    """

    octets: bytes
    extra: bytes = b""


@dataclass(frozen=True, slots=True)
class Setting:
    """One alternate setting of an interface."""

    interface: Described
    endpoints: tuple[Described, ...] = ()

    @property
    def number(self) -> int:
        """``bInterfaceNumber``."""
        return self.interface.octets[2]

    @property
    def alternate(self) -> int:
        """``bAlternateSetting``."""
        return self.interface.octets[3]

    @property
    def usb_class(self) -> int:
        """``bInterfaceClass``."""
        return self.interface.octets[5]

    def endpoint(self, address: int) -> Described | None:
        """Returns the endpoint of that address, None if it is not there."""
        return next((end for end in self.endpoints if end.octets[2] == address), None)


@dataclass(frozen=True, slots=True)
class Configuration:
    """A configuration: interfaces by index, each with its settings by index."""

    head: Described
    interfaces: tuple[tuple[Setting, ...], ...] = ()

    @property
    def numbers(self) -> frozenset[int]:
        """``bInterfaceNumber`` of every interface."""
        return frozenset(setting.number for each in self.interfaces for setting in each)

    def setting(self, number: int, alternate: int) -> Setting | None:
        """Returns a setting of an interface, None if it is not there."""
        settings = (setting for each in self.interfaces for setting in each)
        wanted = (number, alternate)
        return next((one for one in settings if (one.number, one.alternate) == wanted), None)

    def interface_of(self, endpoint: int) -> int | None:
        """Returns the interface that has an endpoint in any of its settings."""
        for setting in (setting for each in self.interfaces for setting in each):
            if setting.endpoint(endpoint) is not None:
                return setting.number
        return None


def read_configuration(octets: bytes) -> Configuration:
    """Returns what libusb reads.

    Raises:
        DescribedError: libusb would answer ``LIBUSB_ERROR_IO``.
    """
    reader = _Reader(octets)
    head = reader.take(DescriptorType.CONFIGURATION)
    if head is None:
        raise DescribedError(f"{octets[:9].hex()} is not a configuration descriptor")
    if head[4] > MAX_INTERFACES:
        raise DescribedError(f"{head[4]} interfaces are more than {MAX_INTERFACES}")
    extra, interfaces = b"", []
    for _ in range(head[4]):
        extra += reader.skip_unknown()
        settings = _read_interface(reader)
        if not settings:
            break
        interfaces.append(settings)
    return Configuration(Described(head, extra), tuple(interfaces))


def _read_interface(reader: "_Reader") -> tuple[Setting, ...]:
    settings: list[Setting] = []
    while (head := reader.take(DescriptorType.INTERFACE)) is not None:
        if head[4] > MAX_ENDPOINTS:
            raise DescribedError(f"{head[4]} endpoints are more than {MAX_ENDPOINTS}")
        extra = reader.skip_unknown()
        settings.append(Setting(Described(head, extra), _read_endpoints(reader, head[4])))
        if reader.next_interface != settings[0].number:
            break
    return tuple(settings)


def _read_endpoints(reader: "_Reader", count: int) -> tuple[Described, ...]:
    endpoints: list[Described] = []
    for _ in range(count):
        if reader.exhausted:
            raise DescribedError(f"{count} endpoints are said, {len(endpoints)} are there")
        octets = reader.take(DescriptorType.ENDPOINT)
        if octets is None:
            break
        endpoints.append(Described(octets, reader.skip_unknown()))
    return tuple(endpoints)


class _Reader:
    """Walks octets that may be anything."""

    def __init__(self, octets: bytes) -> None:
        self._octets = octets
        self._ended = False

    @property
    def exhausted(self) -> bool:
        """Whether the octets just stop where a descriptor should be."""
        return len(self._octets) < _HEADER and not self._ended

    @property
    def next_interface(self) -> int | None:
        """Number of the interface descriptor that comes next, None if another one does."""
        if not self._comes(DescriptorType.INTERFACE):
            return None
        return self._octets[2]

    def take(self, kind: DescriptorType) -> bytes | None:
        """Returns the next descriptor if it is of that kind and whole."""
        octets = self._octets
        if not self._comes(kind):
            return None
        length = octets[0]
        if length < _LEAST[kind]:
            raise DescribedError(f"{length} octets are too few for descriptor type {kind:d}")
        if length > len(octets):
            return None
        self._octets = octets[length:]
        return octets[:length]

    def skip_unknown(self) -> bytes:
        """Returns the unknown descriptors that come next; one that runs over ends everything."""
        rest = self._octets
        while len(rest) >= _HEADER and rest[1] not in _PROPER:
            if rest[0] < _HEADER:
                raise DescribedError(f"a descriptor of length {rest[0]}")
            if rest[0] > len(rest):
                self._octets, self._ended = b"", True
                return b""
            rest = rest[rest[0] :]
        skipped = self._octets[: len(self._octets) - len(rest)]
        self._octets = rest
        return skipped

    def _comes(self, kind: DescriptorType) -> bool:
        needed = _HEADER if kind is DescriptorType.ENDPOINT else _LEAST[kind]
        return len(self._octets) >= needed and self._octets[1] == kind
