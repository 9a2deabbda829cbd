"""What the audio devices are set to, kept while they are closed and applied whenever they open.

Settings name ports, and ports come and go while settings stay.  The engine knows ports by
numbers that it uses again, so after every change of what is there each open device is given the
numbers of those ports that are there now.
"""

import logging
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass, replace
from typing import TypeVar

from ...c_ext import Cleaning as EngineCleaning
from ...c_ext import Device as EngineDevice
from ...c_ext import Port
from ...hal.matrix import Cleaning, DeviceSettings, Ducking, device_port
from .devices import AudioDevices

logger = logging.getLogger(__name__)

Found = Callable[[str], Port | None]
T = TypeVar("T")


@dataclass(slots=True)
class Tuned:
    """The settings of a device, and what of them the engine was told."""

    settings: DeviceSettings
    applied_to: EngineDevice | None = None
    precedence: tuple[Port, ...] = ()
    heard_back: tuple[EngineDevice, ...] = ()


class Tuning:
    """The settings of every device that has been set to something.

    Args:
        devices: Of the board.
        find: Returns the port of a name where it is open now; opens nothing.
    """

    def __init__(self, devices: AudioDevices, find: Found) -> None:
        self._devices = devices
        self._find = find
        self._tuned: dict[str, Tuned] = {}

    def describe(self, position: str) -> dict[str, object]:
        """Returns the settings as OLDCB lists them."""
        tuned = self._tuned.get(position)
        return asdict(tuned.settings if tuned is not None else DeviceSettings())

    def muted(self, position: str) -> tuple[bool, bool]:
        """Returns whether the microphone, and whether the earpiece, is muted."""
        tuned = self._tuned.get(position)
        settings = tuned.settings if tuned is not None else DeviceSettings()
        return settings.mute_capture, settings.mute_playback

    def mute(self, position: str, *, capture: bool, playback: bool) -> None:
        """Closes or opens microphone and earpiece."""
        self._change(position, _apply_mute, mute_capture=capture, mute_playback=playback)

    def sidetone(self, position: str, gain_db: float | None) -> None:
        """Lets the speaker hear himself, or not."""
        self._change(position, _apply_sidetone, sidetone_db=gain_db)

    def duck(self, position: str, ducking: Ducking | None) -> None:
        """Lowers what a device plays while others speak."""
        self._change(position, self._apply_ducking, ducking=ducking)

    def clean(self, position: str, cleaning: Cleaning | None) -> None:
        """Cleans what a microphone hears."""
        for other in () if cleaning is None else cleaning.echo_of:
            self._devices.check(other)
        self._change(position, self._apply_cleaning, cleaning=cleaning)

    def refresh(self) -> None:
        """Tells the engine what has changed: devices that opened, ports that came or went."""
        for position, tuned in self._tuned.items():
            device = self._devices.opened().get(position)
            if device is None:
                tuned.applied_to = None
                continue
            try:
                self._refresh(tuned, device.engine)
            except OSError as error:  # the other devices must still be told
                logger.warning("%s cannot be set: %s", position, error)

    def _change(
        self, position: str, apply: Callable[[Tuned, EngineDevice], None], **changes: object
    ) -> None:
        self._devices.check(position)
        before = self._tuned.get(position) or Tuned(DeviceSettings())
        settings = replace(before.settings, **changes)  # type: ignore[arg-type]
        tuned = replace(before, settings=settings)
        device = self._devices.opened().get(position)
        if device is not None and tuned.applied_to is device.engine:
            apply(tuned, device.engine)
        self._tuned[position] = tuned

    def _refresh(self, tuned: Tuned, device: EngineDevice) -> None:
        if tuned.applied_to is not device:
            tuned.applied_to, tuned.precedence, tuned.heard_back = device, (), ()
            _apply_mute(tuned, device)
            _apply_sidetone(tuned, device)
            self._apply_ducking(tuned, device)
            self._apply_cleaning(tuned, device)
            return
        if self._precedence(tuned) != tuned.precedence:
            self._apply_ducking(tuned, device)
        if self._heard_back(tuned) != tuned.heard_back:
            self._apply_cleaning(tuned, device)

    def _precedence(self, tuned: Tuned) -> tuple[Port, ...]:
        ducking = tuned.settings.ducking
        return () if ducking is None else _there(self._find(port) for port in ducking.ports)

    def _heard_back(self, tuned: Tuned) -> tuple[EngineDevice, ...]:
        cleaning = tuned.settings.cleaning
        names = () if cleaning is None or not cleaning.echo else cleaning.echo_of
        found = (self._find(device_port(position)) for position in names)
        return tuple(port for port in found if isinstance(port, EngineDevice))

    def _apply_ducking(self, tuned: Tuned, device: EngineDevice) -> None:
        tuned.precedence = self._precedence(tuned)
        ducking = tuned.settings.ducking or Ducking(())
        device.duck(
            tuned.precedence,
            depth_db=ducking.depth_db,
            hold_ms=ducking.hold_ms,
            release_ms=ducking.release_ms,
        )

    def _apply_cleaning(self, tuned: Tuned, device: EngineDevice) -> None:
        tuned.heard_back = self._heard_back(tuned)
        device.clean(_effective(tuned), tuned.heard_back)


def _there(found: Iterable[T | None]) -> tuple[T, ...]:
    return tuple(each for each in found if each is not None)


def _apply_mute(tuned: Tuned, device: EngineDevice) -> None:
    device.mute(capture=tuned.settings.mute_capture, playback=tuned.settings.mute_playback)


def _apply_sidetone(tuned: Tuned, device: EngineDevice) -> None:
    device.sidetone(tuned.settings.sidetone_db)


def _effective(tuned: Tuned) -> EngineCleaning | None:
    """Returns what the engine is to do: no echo is looked for while nothing can be heard back."""
    wanted = tuned.settings.cleaning
    echo = bool(tuned.heard_back)
    if wanted is None or not (echo or wanted.gain_control or wanted.noise_db):
        return None
    return EngineCleaning(echo, wanted.gain_control, wanted.noise_db, wanted.tail_ms)
