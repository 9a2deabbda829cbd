"""What a board description says, once it is read: kinds of device, what they can do, their places.

:mod:`.board` reads it from YAML; :mod:`.board_keys` says what each key may hold.
"""

import enum
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Final


class DeviceType(enum.StrEnum):
    """The kinds of device that a board may carry."""

    HANDSET = "handset"
    SPEAKERPHONE = "speakerphone"
    GOOSENECK = "gooseneck"
    SPEAKER = "speaker"
    PANEL = "panel"
    XMA2 = "xma2"


class Capability(enum.StrEnum):
    """What a device can do; tests and the firmware select by it."""

    HOOK = "hook"
    PTT = "ptt"
    MUTE = "mute"
    LATCH = "latch"
    KEYS = "keys"
    VOLUME = "volume"
    LAMP = "lamp"
    RING = "ring"
    GAIN = "gain"
    SIDETONE = "sidetone"
    CAPTURE = "capture"
    PLAYBACK = "playback"


def _all(text: str) -> frozenset[Capability]:
    return frozenset(Capability(word) for word in text.split())


DEFAULTS: Final[Mapping[DeviceType, frozenset[Capability]]] = MappingProxyType(
    {
        DeviceType.HANDSET: _all("hook ptt mute lamp capture playback"),
        DeviceType.SPEAKERPHONE: _all("hook mute lamp capture playback"),
        DeviceType.GOOSENECK: _all("ptt mute lamp capture"),
        DeviceType.SPEAKER: _all("lamp playback"),
        DeviceType.PANEL: _all("keys lamp"),
        DeviceType.XMA2: _all("keys volume lamp"),
    }
)
"""What a device of a type can do when its description does not say."""

CAPABILITIES: Final[Mapping[DeviceType, frozenset[Capability]]] = MappingProxyType(
    {
        DeviceType.HANDSET: DEFAULTS[DeviceType.HANDSET] | _all("latch gain sidetone volume"),
        DeviceType.SPEAKERPHONE: DEFAULTS[DeviceType.SPEAKERPHONE] | _all("gain volume keys"),
        DeviceType.GOOSENECK: DEFAULTS[DeviceType.GOOSENECK] | _all("latch gain ring"),
        DeviceType.SPEAKER: DEFAULTS[DeviceType.SPEAKER] | _all("keys volume gain"),
        DeviceType.PANEL: DEFAULTS[DeviceType.PANEL],
        DeviceType.XMA2: DEFAULTS[DeviceType.XMA2],
    }
)
"""What a device of a type may be described to do."""

USB_KEYS: Final = ("vid", "pid", "serial", "port")
"""Keys of a match that say something about a USB device; each is a field of ``UsbDevice``."""

PLACES: Final = ("url", "socket")
"""Keys of a match that are a place by themselves: such a device is not looked for on USB."""

XMA2_KEYS: Final = ("matrix", "secret")
"""Keys of a match that only an XMA2 has."""


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One device of the board.

    Attributes:
        position: Its place on the board.
        type: What it is.
        driver: Name of its driver in the registry.
        match: How its driver finds it among its like: ``vid``, ``pid``, ``serial`` and ``port``
            on USB, ``url`` on a serial line, ``socket`` for emulated hardware, ``name`` of a
            JACK client, ``matrix`` of an XMA2.
        capabilities: What it can do.
        frame_ms: Length of an audio frame: 10 or 20.
        rate_hz: Rate of its audio; None takes the best that device and engine share.
        channels: Loudspeaker channels, of a speaker or an XMA2.
        fallback: Position whose audio takes over while this device is away; "" is none.
        optional: A unit is whole without it.
    """

    position: str
    type: DeviceType
    driver: str
    match: Mapping[str, str | int]
    capabilities: frozenset[Capability]
    frame_ms: int = 20
    rate_hz: int | None = None
    channels: int = 1
    fallback: str = ""
    optional: bool = False

    @property
    def has_audio(self) -> bool:
        """Whether the device has a microphone, a loudspeaker or both."""
        return bool(self.capabilities & {Capability.CAPTURE, Capability.PLAYBACK})

    @property
    def usb(self) -> Mapping[str, str | int]:
        """What the match says about a USB device; empty when it is looked for elsewhere."""
        if any(place in self.match for place in PLACES):
            return {}
        return {key: self.match[key] for key in USB_KEYS if key in self.match}


@dataclass(frozen=True, slots=True)
class Board:
    """A unit's hardware, by position."""

    name: str
    devices: Mapping[str, DeviceSpec]

    @property
    def mixer(self) -> DeviceSpec | None:
        """The XMA2 that mixes in place of the matrix of the unit; None without one."""
        return next((spec for spec in self.devices.values() if "matrix" in spec.match), None)

    def audio_devices(self) -> tuple[DeviceSpec, ...]:
        """Returns the devices that have audio, in the order of the file."""
        return tuple(spec for spec in self.devices.values() if spec.has_audio)
