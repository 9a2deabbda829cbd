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
    MuteEvent,
    Overflow,
    PttEvent,
)
from .gooseneck import Gooseneck
from .handset import Handset
from .panel import Panel
from .speaker import Speaker
from .speakerphone import Speakerphone

__all__ = [
    "RATE_HZ",
    "SAMPLE_BYTES",
    "AttachedEvent",
    "AudioPort",
    "Clock",
    "DetachedEvent",
    "Device",
    "DeviceEvent",
    "EventHub",
    "EventQueue",
    "Gooseneck",
    "Handset",
    "HookEvent",
    "HookState",
    "KeyEvent",
    "Lamp",
    "MuteEvent",
    "Overflow",
    "Panel",
    "PttEvent",
    "Speaker",
    "Speakerphone",
    "SystemClock",
]
