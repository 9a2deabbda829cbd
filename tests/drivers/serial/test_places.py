import pytest

from openturret.drivers.serial.places import place_of
from openturret.hal import UsbDevice
from openturret.hal.board import DeviceSpec, DeviceType
from openturret.hal.errors import BoardError, MatchError

BOX = UsbDevice(0x1209, 0x7705, "1-2", "GN-0001", tty={2: "/dev/ttyACM1", 0: "/dev/ttyACM0"})
OTHER = UsbDevice(0x1209, 0x7705, "1-3", "GN-0002", tty={0: "/dev/ttyACM2"})


def spec(**match: str | int) -> DeviceSpec:
    return DeviceSpec("gooseneck", DeviceType.GOOSENECK, "serial", match, frozenset())


def test_a_line_by_its_url_is_where_the_url_says() -> None:
    assert place_of(spec(url="rfc2217://rig:4001"), list)() == "rfc2217://rig:4001"


def test_a_line_by_its_usb_device_is_the_first_tty_of_that_device() -> None:
    by_serial = place_of(spec(vid=0x1209, pid=0x7705, serial="GN-0001"), lambda: [OTHER, BOX])
    by_port = place_of(spec(vid=0x1209, pid=0x7705, port="1-3"), lambda: [OTHER, BOX])
    assert (by_serial(), by_port()) == ("/dev/ttyACM0", "/dev/ttyACM2")


def test_a_device_is_looked_for_at_each_attempt() -> None:
    plugged: list[UsbDevice] = []
    place = place_of(spec(serial="GN-0001"), lambda: plugged)
    with pytest.raises(MatchError, match="plug it in"):
        place()
    plugged.append(BOX)
    assert place() == "/dev/ttyACM0"


def test_two_devices_that_answer_are_refused() -> None:
    place = place_of(spec(vid=0x1209, pid=0x7705), lambda: [BOX, OTHER])
    with pytest.raises(MatchError, match='as in port: "1-2", or its serial'):
        place()


def test_a_device_without_a_serial_port_is_named_with_the_remedy() -> None:
    bare = UsbDevice(0x1209, 0x7705, "1-2", "GN-0001")
    with pytest.raises(MatchError, match="1209:7705 GN-0001 on 1-2 has no serial port; load"):
        place_of(spec(serial="GN-0001"), lambda: [bare])()


def test_a_board_that_names_no_line_is_refused_with_a_remedy() -> None:
    with pytest.raises(BoardError, match=r"gooseneck names no serial line; add 'match: \{url"):
        place_of(spec(), list)
