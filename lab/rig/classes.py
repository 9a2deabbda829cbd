"""Everything of ours that an environment's ``imports`` must make known to labgrid."""

from .board_drivers import EmulatedBoardDriver, HandsetDriver, RigBoardDriver, Xma2Driver
from .hand_drivers import EmulatedHandDriver, OperatorHandDriver
from .resources import (
    AlsaAudio,
    EmulatedBoard,
    EmulatedHand,
    NetworkUSBHandset,
    RigBoard,
    TurretPanel,
    TurretPower,
    USBAudio,
    USBHandset,
)
from .sound_driver import AlsaAudioDriver
from .strategy import TurretStrategy
from .unit_drivers import UnitPanelDriver, UnitPowerDriver

__all__ = [
    "AlsaAudio",
    "AlsaAudioDriver",
    "EmulatedBoard",
    "EmulatedBoardDriver",
    "EmulatedHand",
    "EmulatedHandDriver",
    "HandsetDriver",
    "NetworkUSBHandset",
    "OperatorHandDriver",
    "RigBoard",
    "RigBoardDriver",
    "TurretPanel",
    "TurretPower",
    "TurretStrategy",
    "USBAudio",
    "USBHandset",
    "UnitPanelDriver",
    "UnitPowerDriver",
    "Xma2Driver",
]
