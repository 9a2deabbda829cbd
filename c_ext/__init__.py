"""The media engine: RTP, jitter buffers, mixing and recording forks on one C thread."""

from .bus import Bus, Port
from .codec import Codec
from .device import Cleaning, Device, DeviceStats
from .engine import Engine, Event, Happening, TickStats
from .errors import (
    AddressInUseError,
    CapacityError,
    ClosedError,
    EngineError,
    EngineStalledError,
    EngineStateError,
    NotNegotiatedError,
    SettingError,
)
from .leg import Extras, Leg, LegStats, Security
from .recording import ForkStats, Recording
from .source import Source, Tone

__all__ = [
    "AddressInUseError",
    "Bus",
    "CapacityError",
    "Cleaning",
    "ClosedError",
    "Codec",
    "Device",
    "DeviceStats",
    "Engine",
    "EngineError",
    "EngineStalledError",
    "EngineStateError",
    "Event",
    "Extras",
    "ForkStats",
    "Happening",
    "Leg",
    "LegStats",
    "NotNegotiatedError",
    "Port",
    "Recording",
    "Security",
    "SettingError",
    "Source",
    "TickStats",
    "Tone",
]
