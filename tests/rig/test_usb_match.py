from __future__ import annotations

import dataclasses

import pytest

from openturret.lab.rig.errors import UnclearMatchError
from openturret.lab.rig.usb_match import UsbMatch


@dataclasses.dataclass(frozen=True, slots=True)
class Device:
    """A USB device as sysfs shows it."""

    sys_name: str
    attributes: dict[str, bytes]

    def find_parent(self, subsystem: str, device_type: str) -> None:
        """It hangs on no other USB device."""


LEFT = Device("1-1", {"idVendor": b"1209\n", "idProduct": b"7701\n", "serial": b"TP-0001\n"})
RIGHT = Device("1-2", {"idVendor": b"1209\n", "idProduct": b"7701\n", "serial": b"TP-0002\n"})
OTHER = Device("1-1", {"idVendor": b"1209\n", "idProduct": b"7702\n", "serial": b"TP-0001\n"})
NAMELESS = Device("1-1", {"idVendor": b"1209\n", "idProduct": b"7701\n"})


@pytest.mark.parametrize(
    ("match", "device", "fits"),
    [
        (UsbMatch(0x1209, 0x7701, port="1-1"), LEFT, True),
        (UsbMatch(0x1209, 0x7701, port="1-1"), RIGHT, False),
        (UsbMatch(0x1209, 0x7701, port="1-1"), OTHER, False),
        (UsbMatch(0x1209, 0x7701, serial="TP-0002"), RIGHT, True),
        (UsbMatch(0x1209, 0x7701, serial="TP-0002"), LEFT, False),
        (UsbMatch(0x1209, 0x7701, port="1-1", serial="TP-0002"), LEFT, False),
        (UsbMatch(0x1209, 0x7701, serial="TP-0001"), NAMELESS, False),
        (UsbMatch(0x0009, 0x7701, port="1-1"), LEFT, False),
    ],
)
def test_identical_handsets_are_told_apart_by_port_and_serial(
    match: UsbMatch, device: Device, fits: bool
) -> None:
    assert match.fits(device) is fits


def test_a_match_that_fits_every_handset_of_its_kind_is_refused() -> None:
    with pytest.raises(UnclearMatchError, match=r"1209:7701 fits every device.*add port"):
        UsbMatch(0x1209, 0x7701)
