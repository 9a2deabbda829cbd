"""What sysfs of a real unit looks like, built in a folder: links, hubs, interfaces, nodes."""

import re
from collections.abc import Callable
from pathlib import Path
from typing import Final, Protocol

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.usb.present import present
from openturret.hal import UsbDevice, UsbInterface

AUDIO: Final = (0x01, 0x01, 0x00)
HID: Final = (0x03, 0x00, 0x00)
DFU: Final = (0xFE, 0x01, 0x01)
SERIAL: Final = (0x02, 0x02, 0x01)


class Tree(Protocol):
    root: Path
    dev: Path
    listed: Path

    def plug(self, port: str, **attributes: str) -> Path: ...
    def interface(self, device: Path, number: int, kind: tuple[int, int, int]) -> Path: ...
    def node(self, name: str) -> None: ...
    def handset(self, port: str = "1-1") -> Path: ...
    def devices(self, *, closed: str = "") -> tuple[UsbDevice, ...]: ...


def test_sound_card_and_hid_node_are_grouped_by_the_device_they_belong_to(tree: Tree) -> None:
    tree.handset()
    (found,) = tree.devices()
    assert found == UsbDevice(
        vid=0x1209, pid=0x7701, port="1-1", serial="TP-0001", bcd_device=0x0102, product="Handset",
        address=(1, 4), alsa_card=1, hidraw={3: str(tree.dev / "hidraw5")},
        interfaces=(UsbInterface(0, *AUDIO), UsbInterface(3, *HID), UsbInterface(10, *DFU)),
    )  # fmt: skip


@pytest.mark.parametrize("below", ["tty/ttyACM0", "ttyUSB0/tty/ttyUSB0"])
def test_a_serial_port_is_found_below_either_kind_of_driver(tree: Tree, below: str) -> None:
    device = tree.plug("1-4.2")
    (tree.interface(device, 0, SERIAL) / below).mkdir(parents=True)
    name = below.rpartition("/")[2]
    tree.node(name)
    (found,) = tree.devices()
    assert found.tty == {0: str(tree.dev / name)}
    assert found.problem == ""


def test_hubs_are_not_devices_and_ports_are_in_the_order_of_people(tree: Tree) -> None:
    tree.plug("usb1", bDeviceClass="09")
    tree.plug("1-1", bDeviceClass="09")
    for port in ("1-10", "1-1.2", "1-2"):
        tree.plug(port)
    assert [each.port for each in tree.devices()] == ["1-1.2", "1-2", "1-10"]


def test_a_device_without_a_serial_has_none(tree: Tree) -> None:
    tree.plug("1-1")
    assert [(each.serial, each.product) for each in tree.devices()] == [("", "")]


@pytest.mark.parametrize(
    ("closed", "says"),
    [
        ("hidraw5", r"hidraw5 may not be opened; copy 60-openturret\.rules to /etc/udev"),
        ("controlC1", "controlC1 may not be opened; .*usermod -aG audio"),
    ],
)
def test_a_node_that_may_not_be_opened_is_a_problem_with_its_remedy(
    tree: Tree, closed: str, says: str
) -> None:
    tree.handset()
    (found,) = tree.devices(closed=closed)
    assert re.search(says, found.problem)


def test_a_node_that_udev_has_not_made_is_a_problem(tree: Tree) -> None:
    tree.handset()
    (tree.dev / "hidraw5").unlink()
    (found,) = tree.devices()
    assert "hidraw5 is missing; run where udev" in found.problem


def test_a_hid_device_that_no_kernel_driver_holds_is_opened_through_the_bus(tree: Tree) -> None:
    device = tree.plug("1-1", devnum="12")
    tree.interface(device, 0, HID)
    (found,) = tree.devices()
    assert f"{tree.dev}/bus/usb/001/012 is missing" in found.problem
    tree.node("bus/usb/001/012")
    assert tree.devices()[0].problem == ""


def test_a_telephony_interface_without_its_node_is_opened_through_the_bus(tree: Tree) -> None:
    handset = tree.handset()
    (handset / "1-1:1.3" / "0003:1209:7701.0002" / "hidraw" / "hidraw5").rename(handset / "gone")
    (found,) = tree.devices()
    assert found.alsa_card == 1
    assert f"{tree.dev}/bus/usb/001/004 is missing" in found.problem


@pytest.mark.parametrize("attribute", ["idVendor", "busnum", "bDeviceClass"])
def test_a_device_that_goes_while_it_is_looked_at_is_left_out(tree: Tree, attribute: str) -> None:
    tree.handset()
    going = tree.plug("1-2")
    (going / attribute).unlink()
    assert [each.port for each in tree.devices()] == ["1-1"]


def test_what_is_gone_behind_its_link_is_left_out(tree: Tree) -> None:
    (tree.listed / "1-7").symlink_to(tree.root / "devices/gone")
    assert tree.devices() == ()


def test_a_product_name_that_is_not_text_is_kept_within_bounds(tree: Tree) -> None:
    device = tree.plug("1-1")
    (device / "product").write_bytes(b"\x1b[2J\n\xff" * 20_000)
    (found,) = tree.devices()
    assert found.product.startswith("\ufffd[2J\ufffd\ufffd\ufffd[2J")
    assert len(found.product) == 126


@given(name=st.sampled_from(["idVendor", "devnum", "bcdDevice", "serial"]), data=st.binary())
def test_no_bytes_in_an_attribute_break_the_list(
    trees: Callable[[], Tree], name: str, data: bytes
) -> None:
    tree = trees()
    tree.handset()
    (tree.plug("1-2") / name).write_bytes(data)
    assert tree.devices()[0].port == "1-1"


def test_present_reads_sysfs_where_there_is_one(tree: Tree) -> None:
    tree.handset()
    assert [each.serial for each in present(tree.root)] == ["TP-0001"]
