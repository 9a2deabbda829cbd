"""Usages that a turret's devices speak of (HID Usage Tables 1.5), page in the upper 16 bits."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Final

TELEPHONY_PAGE: Final = 0x0B
LED_PAGE: Final = 0x08
BUTTON_PAGE: Final = 0x09
ORDINAL_PAGE: Final = 0x0A
CONSUMER_PAGE: Final = 0x0C


def usage(page: int, number: int) -> int:
    """Returns a usage with its page.

    >>> f"{usage(TELEPHONY_PAGE, 0x20):#010x}"
    '0x000b0020'
    """
    return page << 16 | number


def page_of(usage_: int) -> int:
    """Returns the page of a usage."""
    return usage_ >> 16


def number_of(usage_: int) -> int:
    """Returns the number of a usage on its page."""
    return usage_ & 0xFFFF


HOOK_SWITCH: Final = usage(TELEPHONY_PAGE, 0x20)
PHONE_MUTE: Final = usage(TELEPHONY_PAGE, 0x2F)

PUSH_TO_TALK: Final = usage(TELEPHONY_PAGE, 0x2A)
"""*Ours*: there is none in the tables; a turret's devices report it as Line."""

LATCH: Final = usage(TELEPHONY_PAGE, 0x29)
"""*Ours*: reported as Alternate Function."""

CALL_LOCK: Final = usage(0xFF00, 0x01)
"""*Ours*: a feature, the number of the program that has the device, 0 for none."""

VOLUME: Final = usage(CONSUMER_PAGE, 0xE0)
VOLUME_UP: Final = usage(CONSUMER_PAGE, 0xE9)
VOLUME_DOWN: Final = usage(CONSUMER_PAGE, 0xEA)

LED_MUTE: Final = usage(LED_PAGE, 0x09)
LED_OFF_HOOK: Final = usage(LED_PAGE, 0x17)
LED_RING: Final = usage(LED_PAGE, 0x18)
LED_SPEAKER: Final = usage(LED_PAGE, 0x1E)
LED_HOLD: Final = usage(LED_PAGE, 0x20)
LED_MICROPHONE: Final = usage(LED_PAGE, 0x21)
LED_GENERIC: Final = usage(LED_PAGE, 0x4B)
LED_RED: Final = usage(LED_PAGE, 0x48)
LED_GREEN: Final = usage(LED_PAGE, 0x49)
LED_AMBER: Final = usage(LED_PAGE, 0x4A)
LED_ON: Final = usage(LED_PAGE, 0x3D)
LED_FLASH: Final = usage(LED_PAGE, 0x3E)

TELEPHONY_KEYS: Final[Mapping[int, str]] = MappingProxyType(
    {
        usage(TELEPHONY_PAGE, number): name
        for number, name in (
            (0x21, "flash"),
            (0x23, "hold"),
            (0x24, "redial"),
            (0x25, "transfer"),
            (0x26, "drop"),
            (0x2B, "speakerphone"),
            (0x2C, "conference"),
            (0x50, "speed-dial"),
            *((0xB0 + digit, str(digit)) for digit in range(10)),
            (0xBA, "star"),
            (0xBB, "pound"),
        )
    }
)
"""Keys of a telephony device by usage (HID Usage Tables section 14)."""
