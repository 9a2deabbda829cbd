"""What the controls of a device mean, by usage, and what its keys and lamps are called."""

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final

from ...hal.device import Lamp
from ...hal.ring import Colour
from . import usages
from .reports import Address, Control, ordinal_of
from .telephony import Part, Role, style_of

MAX_KEYS: Final = 256

ROLES: Final[Mapping[int, Role]] = MappingProxyType(
    {
        usages.HOOK_SWITCH: Role.HOOK,
        usages.PHONE_MUTE: Role.MUTE,
        usages.PUSH_TO_TALK: Role.PTT,
        usages.LATCH: Role.LATCH,
        usages.VOLUME: Role.KNOB,
        usages.VOLUME_UP: Role.LOUDER,
        usages.VOLUME_DOWN: Role.QUIETER,
    }
)

LAMPS: Final[Mapping[int, Lamp]] = MappingProxyType(
    {
        usages.LED_OFF_HOOK: Lamp.OFF_HOOK,
        usages.LED_MUTE: Lamp.MUTE,
        usages.LED_RING: Lamp.RING,
        usages.LED_HOLD: Lamp.HOLD,
        usages.LED_SPEAKER: Lamp.SPEAKER,
        usages.LED_MICROPHONE: Lamp.TALK,
    }
)

COLOURS: Final[Mapping[Colour, int]] = MappingProxyType(
    {
        Colour.RED: usages.LED_RED,
        Colour.GREEN: usages.LED_GREEN,
        Colour.AMBER: usages.LED_AMBER,
    }
)

RING: Final = frozenset({*COLOURS.values(), usages.LED_ON, usages.LED_FLASH})
_BUTTONS: Final = frozenset(usages.usage(usages.BUTTON_PAGE, n) for n in range(1, MAX_KEYS + 1))

INPUTS: Final = frozenset({*ROLES, *usages.TELEPHONY_KEYS}) | _BUTTONS
"""Usages that a driver looks for in input reports."""

OUTPUTS: Final = frozenset({*LAMPS, usages.LED_GENERIC}) | RING
"""Usages that a driver looks for in output reports."""


@dataclass(frozen=True, slots=True)
class Vocabulary:
    """How the numbered keys and lamps of a device are called.

    Attributes:
        numbered: Name of Button n and of the n-th generic indicator, as in ``channel-{}``.
    """

    numbered: str

    def parts(self, controls: Mapping[Address, Control]) -> Mapping[Address, Part]:
        """Returns what each control of the input reports is for."""
        several = Counter(address.usage for address in controls)
        return {
            address: self._part(address, control, several[address.usage] > 1)
            for address, control in controls.items()
        }

    def lamps(self, controls: Mapping[Address, Control]) -> Mapping[str, Address]:
        """Returns where each lamp is in the output reports."""
        found: dict[str, Address] = {}
        for address in controls:
            if address.usage == usages.LED_GENERIC:
                found[self.numbered.format(address.number)] = address
            elif address.usage in LAMPS:
                found.setdefault(LAMPS[address.usage], address)
        return found

    def _part(self, address: Address, control: Control, several: bool) -> Part:
        field = control.field
        role = ROLES.get(address.usage, Role.KEY)
        if role is Role.KEY:
            return Part(role, key=self._key(address.usage))
        channel = ordinal_of(field) or (address.number if several else 0)
        return Part(role, style_of(field), channel=channel, relative=field.relative)

    def _key(self, usage: int) -> str:
        if usage in usages.TELEPHONY_KEYS:
            return usages.TELEPHONY_KEYS[usage]
        return self.numbered.format(usages.number_of(usage))
