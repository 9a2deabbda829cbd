"""Puts functions together: numbers interfaces, keeps strings, knows whose endpoint is whose."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

from . import descriptors
from .descriptors import DescriptorType, Identity
from .model import Function


@dataclass(frozen=True, slots=True)
class Assembly:
    """A composite device as far as its descriptors go.

    Attributes:
        device: Its device descriptor.
        configuration: Its only configuration, with all that follows it.
        strings: String descriptors by index; 0 lists the languages.
        interfaces: Function of each interface.
        settings: Alternate settings of each interface.
        endpoints: Interface of each endpoint of any setting.
        functions: All of them, in their order.
    """

    device: bytes
    configuration: bytes
    strings: tuple[bytes, ...]
    interfaces: Mapping[int, Function]
    settings: Mapping[int, frozenset[int]]
    endpoints: Mapping[int, int]
    functions: tuple[Function, ...]


class _Strings:
    """String descriptors, each text once."""

    def __init__(self) -> None:
        self._texts: list[str] = []

    def keep(self, text: str) -> int:
        if not text:
            return 0
        if text not in self._texts:
            self._texts.append(text)
        return self._texts.index(text) + 1

    def descriptors(self) -> tuple[bytes, ...]:
        return (descriptors.languages(), *map(descriptors.string, self._texts))


def assemble(identity: Identity, functions: Sequence[Function]) -> Assembly:
    """Returns the device that those functions make."""
    strings = _Strings()
    names = [strings.keep(text) for text in _texts(identity)]
    bodies, interfaces = _numbered(functions, strings)
    body = b"".join(bodies)
    settings, endpoints = _outline(body)
    return Assembly(
        device=descriptors.device(identity, *names),
        configuration=descriptors.configuration(len(interfaces), body),
        strings=strings.descriptors(),
        interfaces=MappingProxyType(interfaces),
        settings=MappingProxyType({n: frozenset(found) for n, found in settings.items()}),
        endpoints=MappingProxyType(endpoints),
        functions=tuple(functions),
    )


def _texts(identity: Identity) -> tuple[str, str, str]:
    return identity.manufacturer, identity.product, identity.serial


def _numbered(
    functions: Sequence[Function], strings: _Strings
) -> tuple[list[bytes], dict[int, Function]]:
    bodies: list[bytes] = []
    interfaces: dict[int, Function] = {}
    for function in functions:
        first = len(interfaces)
        bodies.append(function.descriptors(first, strings.keep))
        interfaces |= dict.fromkeys(range(first, first + function.interfaces), function)
    return bodies, interfaces


def _outline(body: bytes) -> tuple[dict[int, set[int]], dict[int, int]]:
    settings: dict[int, set[int]] = {}
    endpoints: dict[int, int] = {}
    number = 0
    for descriptor in descriptors.split(body):
        if descriptor[1] == DescriptorType.INTERFACE:
            number = descriptor[2]
            settings.setdefault(number, set()).add(descriptor[3])
        elif descriptor[1] == DescriptorType.ENDPOINT:
            endpoints[descriptor[2]] = number
    return settings, endpoints
