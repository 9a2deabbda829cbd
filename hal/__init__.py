"""What a unit can do, in the words of the field; knows no driver."""

from .audio import RATE_HZ, SAMPLE_BYTES, AudioPort
from .clock import Clock, SystemClock
from .device import Device, Lamp
from .events import (
    AttachedEvent,
    DetachedEvent,
    DeviceEvent,
    EventHub,
    EventQueue,
    HookEvent,
    HookState,
    KeyEvent,
    LatchEvent,
    MuteEvent,
    Overflow,
    PttEvent,
    VolumeEvent,
)
from .gain import Adjustable, Gain, GainRange
from .gooseneck import Gooseneck
from .handset import Handset
from .hardware import UsbDevice, UsbInterface
from .panel import Panel
from .ring import Colour, LightRing, RingLight
from .speaker import Speaker
from .speakerphone import Speakerphone
from .xma import PortFilter, PortFilterError, Xma, XmaChannel

__all__ = [
    "RATE_HZ",
    "SAMPLE_BYTES",
    "Adjustable",
    "AttachedEvent",
    "AudioPort",
    "Clock",
    "Colour",
    "DetachedEvent",
    "Device",
    "DeviceEvent",
    "EventHub",
    "EventQueue",
    "Gain",
    "GainRange",
    "Gooseneck",
    "Handset",
    "HookEvent",
    "HookState",
    "KeyEvent",
    "Lamp",
    "LatchEvent",
    "LightRing",
    "MuteEvent",
    "Overflow",
    "Panel",
    "PortFilter",
    "PortFilterError",
    "PttEvent",
    "RingLight",
    "Speaker",
    "Speakerphone",
    "SystemClock",
    "UsbDevice",
    "UsbInterface",
    "VolumeEvent",
    "Xma",
    "XmaChannel",
]
