"""Which USB device an exporter means, in the words of a board description."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from .errors import UnclearMatchError


class _Attributes(Protocol):
    def get(self, name: str) -> bytes | None: ...


class UdevDevice(Protocol):
    """What we ask of a device of pyudev."""

    @property
    def sys_name(self) -> str:
        """Its name in sysfs; of a USB device the bus and port path, ``1-1.2``."""
        ...

    @property
    def attributes(self) -> _Attributes:
        """Its files in sysfs."""
        ...

    def find_parent(self, subsystem: str, device_type: str) -> UdevDevice | None:
        """The nearest ancestor of a kind."""
        ...


@dataclass(frozen=True, slots=True)
class UsbMatch:
    """A device by VID:PID and by its port, its serial or both.

    Attributes:
        vid: ``idVendor``.
        pid: ``idProduct``.
        port: bus and port path, the place; "" is any.
        serial: ``iSerialNumber``, the unit; "" is any.

    Raises:
        UnclearMatchError: neither port nor serial is given.
    """

    vid: int
    pid: int
    port: str = ""
    serial: str = ""

    def __post_init__(self) -> None:
        if not (self.port or self.serial):
            raise UnclearMatchError(
                f"{self.vid:04x}:{self.pid:04x} fits every device of its kind; add port "
                "(the place, as `turret devices` prints it) or serial (the unit)"
            )

    def fits(self, device: UdevDevice) -> bool:
        """Whether a USB device, as sysfs shows it, is the one."""
        wanted = {"idVendor": f"{self.vid:04x}", "idProduct": f"{self.pid:04x}"}
        if self.serial:
            wanted["serial"] = self.serial
        in_place = not self.port or device.sys_name == self.port
        return in_place and all(_file(device, name) == value for name, value in wanted.items())


def _file(device: UdevDevice, name: str) -> str:
    return (device.attributes.get(name) or b"").decode(errors="replace").strip()
