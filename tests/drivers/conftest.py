"""A unit's /sys and /dev, built in a folder as the kernel builds them: links, hubs, interfaces."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.usb import sysfs
from openturret.hal import UsbDevice

AUDIO: Final = (0x01, 0x01, 0x00)
HID: Final = (0x03, 0x00, 0x00)
DFU: Final = (0xFE, 0x01, 0x01)
SERIAL: Final = (0x02, 0x02, 0x01)


def write(folder: Path, **attributes: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in attributes.items():
        (folder / name).write_text(text + "\n")


class Tree:
    """A unit's /sys and /dev."""

    def __init__(self, folder: Path) -> None:
        self.root, self.dev = folder / "sys", folder / "dev"
        self.listed = self.root / "bus/usb/devices"
        self.listed.mkdir(parents=True)
        self.dev.mkdir()

    def plug(self, port: str, **attributes: str) -> Path:
        real = self.root / "devices/pci0000:00/usb1" / port
        usual = {"idVendor": "1209", "idProduct": "7701", "bcdDevice": "0102", "busnum": "1",
                 "devnum": "4", "bDeviceClass": "00"}  # fmt: skip
        write(real, **usual | attributes)
        (self.listed / port).symlink_to(real)
        return real

    def interface(self, device: Path, number: int, kind: tuple[int, int, int]) -> Path:
        folder = device / f"{device.name}:1.{number}"
        names = ("bInterfaceClass", "bInterfaceSubClass", "bInterfaceProtocol")
        codes = {name: f"{code:02x}" for name, code in zip(names, kind, strict=True)}
        write(folder, bInterfaceNumber=f"{number:02x}", **codes)
        (self.listed / folder.name).symlink_to(folder)
        return folder

    def node(self, name: str) -> None:
        path = self.dev / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()

    def handset(self, port: str = "1-1", serial: str = "TP-0001", *, card: int = 1) -> Path:
        """A handset with a sound card, telephony and firmware update."""
        device = self.plug(port, serial=serial, product="Handset")
        write(self.interface(device, 0, AUDIO) / f"sound/card{card}", id="Handset")
        hidraw = f"hidraw{card + 4}"
        write(self.interface(device, 3, HID) / f"0003:1209:7701.0002/hidraw/{hidraw}", dev="1:1")
        self.interface(device, 10, DFU)
        self.node(f"snd/controlC{card}")
        self.node(hidraw)
        return device

    def unplug(self, port: str) -> None:
        """Takes the device and its interfaces from the list of those that are there."""
        for link in self.listed.glob(f"{port}*"):
            if link.name.partition(":")[0] == port:
                link.unlink()

    def devices(self, *, closed: str = "") -> tuple[UsbDevice, ...]:
        """What the driver makes of it, with nodes that may not be opened."""

        def may_open(node: Path) -> bool:
            return node.exists() and (not closed or closed not in str(node))

        return sysfs.devices(self.root, self.dev, may_open)


@pytest.fixture
def tree(tmp_path: Path) -> Tree:
    return Tree(tmp_path)


@pytest.fixture(scope="session")
def trees(tmp_path_factory: pytest.TempPathFactory) -> Callable[[], Tree]:
    """Makes a tree of its own at each call."""
    return lambda: Tree(tmp_path_factory.mktemp("tree"))
