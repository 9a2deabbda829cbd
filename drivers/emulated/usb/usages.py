"""Numbers of the HID Usage Tables that the devices of a turret use.

Push-to-talk and latch have no usage of their own: *ours* are Line and Alternate Function of the
telephony page.  The call lock is *ours* on a vendor page.
"""

from enum import IntEnum
from typing import Final


class Page(IntEnum):
    """Usage pages (HUT section 3)."""

    LED = 0x08
    BUTTON = 0x09
    ORDINAL = 0x0A
    TELEPHONY = 0x0B
    CONSUMER = 0x0C
    VENDOR = 0xFF00


class Telephony(IntEnum):
    """Telephony Device Page (HUT section 14)."""

    PHONE = 0x01
    HANDSET = 0x04
    HEADSET = 0x05
    PROGRAMMABLE_BUTTON = 0x07
    HOOK_SWITCH = 0x20
    ALTERNATE_FUNCTION = 0x29
    LINE = 0x2A
    SPEAKER_PHONE = 0x2B
    PHONE_MUTE = 0x2F


class Led(IntEnum):
    """LED Page (HUT section 11)."""

    MUTE = 0x09
    OFF_HOOK = 0x17
    RING = 0x18
    SPEAKER = 0x1E
    HOLD = 0x20
    MICROPHONE = 0x21
    MULTI_MODE_INDICATOR = 0x3C
    INDICATOR_ON = 0x3D
    INDICATOR_FLASH = 0x3E
    INDICATOR_COLOUR = 0x47
    INDICATOR_RED = 0x48
    INDICATOR_GREEN = 0x49
    INDICATOR_AMBER = 0x4A
    GENERIC_INDICATOR = 0x4B


class Consumer(IntEnum):
    """Consumer Page (HUT section 15)."""

    CONSUMER_CONTROL = 0x01
    VOLUME_INCREMENT = 0xE9
    VOLUME_DECREMENT = 0xEA


CALL_LOCK: Final = 0x01
"""On :attr:`Page.VENDOR`."""
