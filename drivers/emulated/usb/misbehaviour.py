"""What a twin does wrong on command, so that drivers can be shown to bear it.

Switches are read at the moment they matter and may be changed while a host is talking to the
device.  A pulled cable and a cut supply are no misbehaviour: see :mod:`.device`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from .model import Nak, Stall

Distortion: TypeAlias = Callable[[bytes], bytes]
"""Makes a wrong descriptor of a right one."""


@dataclass(slots=True)
class Misbehaviour:
    """All of it; a new one is a good device.

    Attributes:
        deaf: Lamp orders are accepted and not obeyed, so no acknowledgement arrives.
        doubled: Every report is sent twice.
        bounces: How often a contact opens and closes again before it rests.
        stalls: How many of the next control transfers stall.
        hung: Answers NAK for ever, control transfers too.
        wrong: Distortion of a descriptor, by its type (:class:`.descriptors.DescriptorType`).
    """

    deaf: bool = False
    doubled: bool = False
    bounces: int = 0
    stalls: int = 0
    hung: bool = False
    wrong: dict[int, Distortion] = field(default_factory=dict)

    def obstruct(self) -> None:
        """Does what it does to a control transfer.

        Raises:
            Stall: One of the announced stalls.
            Nak: The device hangs.
        """
        if self.hung:
            raise Nak
        if self.stalls:
            self.stalls -= 1
            raise Stall

    def descriptor(self, kind: int, octets: bytes) -> bytes:
        """Returns the descriptor as the device says it."""
        distortion = self.wrong.get(kind)
        return octets if distortion is None else distortion(octets)


def cut_after(octets: int) -> Distortion:
    """Ends a descriptor after so many octets."""
    return lambda descriptor: descriptor[:octets]


def overwritten(offset: int, octets: bytes) -> Distortion:
    """Puts other octets at a place: length 0 makes a careless parser loop, 0xFF overrun."""
    return lambda descriptor: (
        descriptor[:offset] + octets + descriptor[offset + len(octets) :]
        if offset + len(octets) <= len(descriptor)
        else descriptor
    )


def replaced(octets: bytes) -> Distortion:
    """Says something else altogether."""
    return lambda _descriptor: octets
