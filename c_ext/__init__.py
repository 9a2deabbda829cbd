"""The media engine: RTP, jitter buffers, mixing and recording forks on one C thread."""

from .engine import (
    Bus,
    Codec,
    Device,
    DeviceStats,
    Engine,
    ForkStats,
    Leg,
    LegStats,
    Port,
    Recording,
    TickStats,
)
from .errors import (
    AddressInUseError,
    CapacityError,
    ClosedError,
    EngineError,
    EngineStalledError,
    EngineStateError,
    SettingError,
)

__all__ = [
    "AddressInUseError",
    "Bus",
    "CapacityError",
    "ClosedError",
    "Codec",
    "Device",
    "DeviceStats",
    "Engine",
    "EngineError",
    "EngineStalledError",
    "EngineStateError",
    "ForkStats",
    "Leg",
    "LegStats",
    "Port",
    "Recording",
    "SettingError",
    "TickStats",
]
