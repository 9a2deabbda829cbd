"""The sound of a USB device: the ALSA card that the kernel made of it, found by its USB parent."""

from collections.abc import Callable, Iterable
from pathlib import Path

from ...hal.board import DeviceSpec
from ...hal.errors import DeviceGoneError
from ...hal.hardware import UsbDevice
from ...hal.matching import find
from ..usb.present import present
from .jack import PORTAUDIO
from .library import ASOUND, card_stamp
from .port import PortAudioPort
from .stream import Api, Target


class UsbPlace:
    """The USB device that a match names; the number of its card is looked up at each opening.

    Args:
        spec: The device on the board.
        devices: Returns what is plugged in now.
        asound: Where the kernel shows its sound cards.
    """

    def __init__(
        self,
        spec: DeviceSpec,
        devices: Callable[[], Iterable[UsbDevice]] = present,
        asound: Path = ASOUND,
    ) -> None:
        self._spec = spec
        self._devices = devices
        self._asound = asound
        self._card: Path | None = None

    def target(self) -> Target:
        """Returns the card of the device that is plugged in.

        Raises:
            MatchError: Not exactly one device answers to the board.
            DeviceGoneError: The kernel made no sound card of it.
        """
        device = find(self._spec, self._devices())
        if device.alsa_card is None:
            raise DeviceGoneError(
                f"{self._spec.position}: {device} has no sound card; modprobe snd-usb-audio"
            )
        self._card = self._asound / f"card{device.alsa_card}"
        name = f"hw:{device.alsa_card}"
        return Target(Api.ALSA, name, card_stamp(name, self._asound))

    def check(self) -> None:
        """Passes while the kernel has the card.

        Raises:
            DeviceGoneError: It has not.
        """
        if self._card is None or not self._card.exists():
            raise DeviceGoneError(f"{self._spec.position}: its sound card is gone")


def usb_audio(spec: DeviceSpec) -> PortAudioPort:
    """Returns the audio of a USB device: the driver ``usb.audio``."""
    return PortAudioPort(spec, UsbPlace(spec), PORTAUDIO)
