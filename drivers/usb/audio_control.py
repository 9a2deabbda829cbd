"""Which gains a USB audio device has, from its AudioControl descriptors (UAC 1.0 section 4.3.2).

Units and terminals form a graph.  A feature unit between the host's stream and an output is the
earpiece or loudspeaker, one between a microphone and the host's stream the microphone, one on
the way from a microphone to an output that the host never hears is the side-tone.
"""

import enum
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final

from ...hal.gain import Gain
from ..errors import DescriptorError

MAX_OCTETS: Final = 4096
USB_STREAMING: Final = 0x0101
_CS_INTERFACE: Final = 0x24
_VOLUME: Final = 0x02


class Subtype(enum.IntEnum):
    """``bDescriptorSubtype`` of an AudioControl descriptor (UAC 1.0 table A-5)."""

    INPUT_TERMINAL = 0x02
    OUTPUT_TERMINAL = 0x03
    MIXER = 0x04
    SELECTOR = 0x05
    FEATURE = 0x06
    PROCESSING = 0x07
    EXTENSION = 0x08


@dataclass(frozen=True, slots=True)
class Unit:
    """A terminal or unit of the graph.

    Attributes:
        number: Its id.
        sources: Ids that feed it; empty for an input.
        terminal: ``wTerminalType``, 0 for a unit.
        output: Whether it is an output terminal.
        channels: Channels whose volume a feature unit sets; 0 is the master.
    """

    number: int
    sources: tuple[int, ...] = ()
    terminal: int = 0
    output: bool = False
    channels: tuple[int, ...] = ()


def gain_units(extra: bytes, listening: Gain) -> Mapping[Gain, Unit]:
    """Returns the feature unit of each gain.

    Args:
        extra: The class-specific descriptors of the AudioControl interface.
        listening: What the device's output is: ``EARPIECE`` or ``LOUDSPEAKER``.

    Raises:
        DescriptorError: They are cut off, or do not say what they must.
    """
    graph = {unit.number: unit for unit in units(extra)}
    found: dict[Gain, Unit] = {}
    for unit in graph.values():
        gain = _gain(graph, unit, listening) if unit.channels else None
        if gain is not None:
            found.setdefault(gain, unit)
    return found


def units(extra: bytes) -> Iterator[Unit]:
    """Yields terminals and units in their order; kinds that UAC 1.0 does not know are passed over.

    Raises:
        DescriptorError: A descriptor is cut off.
    """
    if len(extra) > MAX_OCTETS:
        raise DescriptorError(f"AudioControl descriptors of {len(extra)} octets; at most 4096")
    for octets in split(extra):
        if octets[1] == _CS_INTERFACE and len(octets) > 2:
            unit = _unit(octets)
            if unit is not None:
                yield unit


def split(extra: bytes) -> Iterator[bytes]:
    """Yields descriptors one by one.

    Raises:
        DescriptorError: A length does not fit.
    """
    offset = 0
    while offset < len(extra):
        length = extra[offset]
        if not 2 <= length <= len(extra) - offset:
            raise DescriptorError(
                f"descriptor at octet {offset} says it has {length} octets; "
                f"there are {len(extra) - offset}"
            )
        yield extra[offset : offset + length]
        offset += length


def _unit(octets: bytes) -> Unit | None:
    match octets[2]:
        case Subtype.INPUT_TERMINAL:
            return Unit(_octet(octets, 3), terminal=_word(octets, 4))
        case Subtype.OUTPUT_TERMINAL:
            return Unit(_octet(octets, 3), (_octet(octets, 7),), _word(octets, 4), output=True)
        case Subtype.MIXER | Subtype.SELECTOR:
            return Unit(_octet(octets, 3), _pins(octets, 4))
        case Subtype.FEATURE:
            return Unit(_octet(octets, 3), (_octet(octets, 4),), channels=_channels(octets))
        case Subtype.PROCESSING | Subtype.EXTENSION:
            return Unit(_octet(octets, 3), _pins(octets, 6))
    return None


def _pins(octets: bytes, offset: int) -> tuple[int, ...]:
    return tuple(_octet(octets, offset + 1 + pin) for pin in range(_octet(octets, offset)))


def _channels(octets: bytes) -> tuple[int, ...]:
    """The channels whose volume can be set: the master if it can, otherwise each of them."""
    size = _octet(octets, 5)
    if not size:
        raise DescriptorError("a feature unit says that its controls take no octets")
    controls = range(6, len(octets) - 1 - (size - 1), size)
    found = tuple(n for n, offset in enumerate(controls) if octets[offset] & _VOLUME)
    return (0,) if 0 in found else found


def _octet(octets: bytes, offset: int) -> int:
    if offset >= len(octets):
        raise DescriptorError(f"unit descriptor {octets.hex()} is too short")
    return octets[offset]


def _word(octets: bytes, offset: int) -> int:
    return _octet(octets, offset) | _octet(octets, offset + 1) << 8


def _gain(graph: Mapping[int, Unit], unit: Unit, listening: Gain) -> Gain | None:
    sources = {graph[n].terminal == USB_STREAMING for n in _upstream(graph, unit)}
    sinks = {graph[n].terminal == USB_STREAMING for n in _downstream(graph, unit)}
    if True in sources and False in sinks:
        return listening
    if False in sources and True in sinks:
        return Gain.MICROPHONE
    if sources == {False} and sinks == {False}:
        return Gain.SIDETONE
    return None


def _upstream(graph: Mapping[int, Unit], unit: Unit) -> Iterator[int]:
    """The input terminals that are heard behind a unit."""
    seen: set[int] = set()
    waiting = [unit.number]
    while waiting:
        number = waiting.pop()
        if number in seen or number not in graph:
            continue
        seen.add(number)
        waiting += graph[number].sources
        if graph[number].terminal and not graph[number].output:
            yield number


def _downstream(graph: Mapping[int, Unit], unit: Unit) -> Iterator[int]:
    """The output terminals that hear a unit."""
    for number, other in graph.items():
        if other.output and _feeds(graph, unit.number, other):
            yield number


def _feeds(graph: Mapping[int, Unit], wanted: int, sink: Unit) -> bool:
    seen: set[int] = set()
    waiting = [sink.number]
    while waiting:
        number = waiting.pop()
        if number == wanted:
            return True
        if number not in seen and number in graph:
            seen.add(number)
            waiting += graph[number].sources
    return False
