"""What a rig exports, and what a place holds of it once it is acquired.

========================  ==================================================================
``TurretPower``           the power switch of an emulated unit on a floor
``TurretPanel``           the panel of a unit, emulated or real
``EmulatedHand``          the hand at the emulated hardware of a unit on a floor
``EmulatedBoard``         emulated hardware without a unit, plugged in while it is acquired
``RigBoard``              real hardware, described by a board file
``USBHandset``            a handset by VID:PID and port or serial; ``NetworkUSBHandset`` at a client
``USBAudio``              the sound card of a USB device, likewise; ``AlsaAudio`` at a client
``AlsaAudio``             any sound card by its ALSA name, such as the line input of the rig
========================  ==================================================================

The console of an XMA2 is a serial line, for which labgrid has resources of its own.
"""

from __future__ import annotations

import attr

from ._labgrid import NetworkResource, USBResource, target_factory
from .usb_match import UdevDevice, UsbMatch

_TEXT = attr.validators.instance_of(str)
_PORT = attr.validators.and_(attr.validators.instance_of(int), attr.validators.in_(range(1, 65536)))
_USB_ID = attr.validators.and_(
    attr.validators.instance_of(int), attr.validators.in_(range(0x10000))
)


@target_factory.reg_resource
@attr.s(eq=False)
class TurretPower(NetworkResource):
    """The power switch of an emulated unit, served by ``turret rig up``."""

    port: int = attr.ib(validator=_PORT)
    unit: str = attr.ib(validator=_TEXT)


@target_factory.reg_resource
@attr.s(eq=False)
class TurretPanel(NetworkResource):
    """The panel of a unit (HTTP)."""

    port: int = attr.ib(default=80, validator=_PORT)


@target_factory.reg_resource
@attr.s(eq=False)
class EmulatedHand(NetworkResource):
    """The hand at a unit's emulated hardware, served by ``turret rig up``."""

    port: int = attr.ib(validator=_PORT)


@target_factory.reg_resource
@attr.s(eq=False)
class RigBoard(NetworkResource):
    """Real hardware on the exporter's machine.

    Attributes:
        board: path of its description there.
    """

    board: str = attr.ib(validator=_TEXT)


@target_factory.reg_resource
@attr.s(eq=False)
class EmulatedBoard(NetworkResource):
    """Emulated hardware on the exporter's machine, plugged in from acquire to release.

    Attributes:
        board: path of its description there.
        sockets: folder of its sockets there.
    """

    board: str = attr.ib(validator=_TEXT)
    sockets: str = attr.ib(validator=_TEXT)


@target_factory.reg_resource
@attr.s(eq=False)
class AlsaAudio(NetworkResource):
    """A sound card of the exporter's machine by its ALSA name, such as ``plughw:2,0``."""

    alsa_name: str | None = attr.ib(validator=attr.validators.optional(_TEXT))


@attr.s(eq=False)
class _UsbDevice(USBResource):
    """A device by VID:PID and by its port, its serial or both, as a board describes it."""

    vid: int = attr.ib(kw_only=True, validator=_USB_ID)
    pid: int = attr.ib(kw_only=True, validator=_USB_ID)
    port: str = attr.ib(default="", kw_only=True, validator=_TEXT)
    serial: str = attr.ib(default="", kw_only=True, validator=_TEXT)

    def __attrs_post_init__(self) -> None:
        self._wanted = UsbMatch(self.vid, self.pid, self.port, self.serial)
        super().__attrs_post_init__()


@target_factory.reg_resource
@attr.s(eq=False)
class USBHandset(_UsbDevice):
    """A USB handset that is plugged into this machine.

    Attributes:
        position: its place on the board.
    """

    position: str = attr.ib(default="handset-left", kw_only=True, validator=_TEXT)

    def filter_match(self, device: UdevDevice) -> bool:
        """Whether a device that udev knows is this one."""
        return self._wanted.fits(device)


@target_factory.reg_resource
@attr.s(eq=False)
class NetworkUSBHandset(NetworkResource):
    """A USB handset on the exporter's machine."""

    vid: int = attr.ib(validator=_USB_ID)
    pid: int = attr.ib(validator=_USB_ID)
    port: str = attr.ib(validator=_TEXT)
    serial: str = attr.ib(validator=_TEXT)
    position: str = attr.ib(validator=_TEXT)


@target_factory.reg_resource
@attr.s(eq=False)
class USBAudio(_UsbDevice):
    """The sound card of a USB device, found by the device and never by its own number."""

    def __attrs_post_init__(self) -> None:
        self.match["SUBSYSTEM"] = "sound"
        super().__attrs_post_init__()

    def filter_match(self, device: UdevDevice) -> bool:
        """Whether a sound device that udev knows is the card of this one."""
        parent = device.find_parent("usb", "usb_device")
        is_card = device.sys_name.startswith("card")
        return is_card and parent is not None and self._wanted.fits(parent)

    @property
    def alsa_name(self) -> str | None:
        """The ALSA name of its card; changes at each plug-in, None while it is unplugged."""
        device = self.device
        return None if device is None else f"plughw:{device.sys_name.removeprefix('card')},0"
