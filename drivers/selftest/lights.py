"""Every lamp and the light ring: lit, looked at, dark again."""

import asyncio
from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

from ...hal.board import DeviceSpec, DeviceType
from ...hal.device import Lamp
from ...hal.ring import Colour, LightRing, RingLight
from ...hal.speaker import channel_name
from ..errors import UnattendedError
from .subject import Subject
from .verdict import Verdict

SHOWN_S: Final = 0.25
"""How long a lamp is lit that nobody is asked about: long enough to be seen."""

_PHONE: Final = (Lamp.OFF_HOOK, Lamp.RING, Lamp.MUTE, Lamp.HOLD)
_LAMPS: Final[Mapping[DeviceType, tuple[str, ...]]] = MappingProxyType(
    {
        DeviceType.HANDSET: (*_PHONE, Lamp.TALK),
        DeviceType.SPEAKERPHONE: (*_PHONE, Lamp.SPEAKER),
        DeviceType.GOOSENECK: (Lamp.TALK, Lamp.MUTE),
        DeviceType.PANEL: ("line-1",),
    }
)

_COLOURS: Final = (Colour.RED, Colour.GREEN, Colour.AMBER, Colour.OFF)


def lamps_of(spec: DeviceSpec) -> tuple[str, ...]:
    """Returns the lamps that a device of its type has."""
    if spec.type in _LAMPS:
        return _LAMPS[spec.type]
    return tuple(channel_name(number) for number in range(1, spec.channels + 1))


async def check_lamps(subject: Subject) -> Verdict:
    """Lights every lamp, then none."""
    lamps = lamps_of(subject.spec)
    try:
        for lit in (True, False):
            await _light(subject, lamps, lit=lit)
            if not await subject.hands.sees(subject.spec, lamps if lit else ()):
                return _wrong(subject, lit=lit)
    except UnattendedError as error:
        await _one_by_one(subject, lamps)
        return subject.skipped("lamps", f"{len(lamps)} lit one by one; {error}")
    return subject.passed("lamps", f"{', '.join(lamps)} light")


async def check_ring(subject: Subject) -> Verdict:
    """Shows every colour of the light ring, then none."""
    device = subject.device
    if not isinstance(device, LightRing):
        remedy = "take ring out of the capabilities, or use a driver that has one"
        return subject.failed("ring", "its driver has no light ring", remedy)
    try:
        for colour in _COLOURS:
            await device.set_ring(RingLight(colour))
            if not await subject.hands.sees(subject.spec, _ring(colour)):
                return subject.failed("ring", f"it is not {colour}", "look at its firmware")
    except UnattendedError as error:
        await _colour_by_colour(device)
        return subject.skipped("ring", f"{len(_COLOURS) - 1} colours shown; {error}")
    finally:
        await device.set_ring(RingLight())
    return subject.passed("ring", f"{', '.join(_COLOURS[:-1])}, then dark")


def _ring(colour: Colour) -> tuple[str, ...]:
    return () if colour is Colour.OFF else (f"the ring {colour}",)


async def _colour_by_colour(device: LightRing) -> None:
    for colour in _COLOURS:
        await device.set_ring(RingLight(colour))
        await asyncio.sleep(SHOWN_S)


def _wrong(subject: Subject, *, lit: bool) -> Verdict:
    text = "not every lamp is lit" if lit else "not every lamp is dark again"
    return subject.failed("lamps", text, "look at its firmware, or the lamps themselves")


async def _light(subject: Subject, lamps: tuple[str, ...], *, lit: bool) -> None:
    for lamp in lamps:
        await subject.device.set_lamp(lamp, lit=lit)


async def _one_by_one(subject: Subject, lamps: tuple[str, ...]) -> None:
    await _light(subject, lamps, lit=False)
    for lamp in lamps:
        await subject.device.set_lamp(lamp, lit=True)
        await asyncio.sleep(SHOWN_S)
        await subject.device.set_lamp(lamp, lit=False)
