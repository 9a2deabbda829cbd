"""Ports, enumeration and addresses of an emulated bus."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.emulated.usb.bus import (
    ENUMERATION_TRIES,
    LAST_ADDRESS,
    BusDevice,
    EmulatedBus,
    parse_port,
)
from openturret.drivers.emulated.usb.descriptors import DescriptorType
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.misbehaviour import Distortion, cut_after, overwritten
from openturret.drivers.errors import PortError
from openturret.hal.clock import Clock


@pytest.fixture
def bus() -> EmulatedBus:
    return EmulatedBus()


@pytest.fixture
def handset(bus: EmulatedBus) -> HandsetModel:
    model = HandsetModel()
    bus.connect(model, "1-1")
    return model


def only(bus: EmulatedBus) -> BusDevice:
    (device,) = bus.devices()
    return device


def test_left_and_right_differ_by_port_and_serial_only(bus: EmulatedBus) -> None:
    bus.connect(HandsetModel("HS-0002"), "1-1.2")
    bus.connect(HandsetModel("HS-0001"), "1-1.1")
    left, right = bus.devices()
    assert (left.ports, right.ports) == ((1, 1), (1, 2))
    assert left.address != right.address
    assert left.configuration_octets == right.configuration_octets
    assert left.device_descriptor == right.device_descriptor


def test_devices_come_in_the_order_of_their_ports(bus: EmulatedBus) -> None:
    for port in ("1-10", "1-2", "1-2.1", "2-1"):
        bus.connect(HandsetModel(), port)
    places = [(device.bus, device.ports) for device in bus.devices()]
    assert places == [(1, (2,)), (1, (2, 1)), (1, (10,)), (2, (1,))]


@pytest.mark.parametrize(
    "port", ["", "1", "1-", "0-1", "1-0", "1-1.", "1-1.2.3.4.5.6.7", "1-100", "100-1", "1-1\n", "x"]
)
def test_what_is_no_port_is_refused(bus: EmulatedBus, port: str) -> None:
    with pytest.raises(PortError, match=r"write bus and port path as in 1-1\.2"):
        bus.connect(HandsetModel(), port)


@given(st.integers(1, 99), st.lists(st.integers(1, 99), min_size=1, max_size=6))
def test_a_port_is_read_as_sysfs_writes_it(number: int, ports: list[int]) -> None:
    assert parse_port(f"{number}-{'.'.join(map(str, ports))}") == (number, tuple(ports))


@given(st.text(max_size=20))
def test_any_text_is_a_port_or_refused(text: str) -> None:
    try:
        bus, ports = parse_port(text)
    except PortError:
        return
    assert text == f"{bus}-{'.'.join(map(str, ports))}"


def test_a_port_takes_one_device(bus: EmulatedBus, handset: HandsetModel) -> None:
    with pytest.raises(PortError, match="port 1-1 is taken"):
        bus.connect(HandsetModel(), "1-1")
    assert only(bus).model is handset


def test_a_device_that_comes_back_has_another_address(
    bus: EmulatedBus, handset: HandsetModel
) -> None:
    before = only(bus)
    assert only(bus) is before
    handset.unplug()
    assert bus.devices() == ()
    handset.plug()
    after = only(bus)
    assert not before.present
    assert after.address == before.address + 1
    assert after.ports == before.ports


def test_a_device_that_was_away_unseen_is_another_one(
    bus: EmulatedBus, handset: HandsetModel
) -> None:
    before = only(bus)
    handset.cut_power()
    handset.restore_power()
    assert not before.present
    assert only(bus) is not before


def test_a_cable_may_be_laid_before_the_device_is_plugged_in(bus: EmulatedBus) -> None:
    model = HandsetModel()
    model.unplug()
    bus.connect(model, "1-1")
    assert bus.devices() == ()
    model.plug()
    assert only(bus).present


def test_a_model_moves_to_another_port(bus: EmulatedBus, handset: HandsetModel) -> None:
    before = only(bus)
    assert bus.disconnect("1-1") is handset
    assert not before.present
    assert bus.devices() == ()
    bus.connect(handset, "2-3")
    assert (only(bus).bus, only(bus).ports) == (2, (3,))
    with pytest.raises(PortError, match="nothing is in port '1-1'"):
        bus.disconnect("1-1")


def test_addresses_begin_again_and_leave_out_those_that_are_taken(bus: EmulatedBus) -> None:
    stays, moves = HandsetModel("HS-0001"), HandsetModel("HS-0002")
    bus.connect(stays, "1-1")
    taken = only(bus).address
    bus.connect(moves, "1-2")
    seen = []
    for _ in range(LAST_ADDRESS):
        seen.append(bus.devices()[1].address)
        moves.unplug()
        moves.plug()
    assert taken not in seen
    assert max(seen) == LAST_ADDRESS
    assert seen[LAST_ADDRESS - taken] == taken + 1


def test_a_timeout_of_0_never_ends(clock: Clock) -> None:
    bus = EmulatedBus(clock=clock)
    assert bus.deadline(250) == clock.monotonic() + 0.25
    assert bus.deadline(0) is None


def test_the_kernel_takes_what_is_its(bus: EmulatedBus, handset: HandsetModel) -> None:
    audio = dict.fromkeys((0, 1, 2), "snd-usb-audio")
    assert only(bus).drivers == {**audio, 3: "usbhid"}
    free = EmulatedBus(kernel_drivers=False)
    free.connect(HandsetModel(), "1-1")
    assert only(free).drivers == {}


@pytest.mark.parametrize(
    ("kind", "distortion"),
    [
        (DescriptorType.DEVICE, cut_after(17)),
        (DescriptorType.DEVICE, overwritten(1, b"\x02")),
        (DescriptorType.CONFIGURATION, cut_after(8)),
        (DescriptorType.CONFIGURATION, overwritten(1, b"\x05")),
    ],
)
def test_a_device_that_no_host_understands_is_not_on_the_bus(
    bus: EmulatedBus, handset: HandsetModel, kind: int, distortion: Distortion
) -> None:
    handset.misbehaviour.wrong[kind] = distortion
    assert bus.devices() == ()
    handset.misbehaviour.wrong.clear()
    assert bus.devices() == ()
    handset.unplug()
    handset.plug()
    assert only(bus).present


def test_a_device_that_hangs_is_not_on_the_bus(bus: EmulatedBus, handset: HandsetModel) -> None:
    handset.misbehaviour.hung = True
    assert bus.devices() == ()


def test_a_host_asks_for_a_descriptor_again(bus: EmulatedBus, handset: HandsetModel) -> None:
    handset.misbehaviour.stalls = ENUMERATION_TRIES - 1
    assert only(bus).present
    handset.unplug()
    handset.plug()
    handset.misbehaviour.stalls = ENUMERATION_TRIES
    assert bus.devices() == ()


def test_an_absurd_total_length_gets_what_there_is(bus: EmulatedBus, handset: HandsetModel) -> None:
    whole = handset.configuration_descriptor()
    handset.misbehaviour.wrong[DescriptorType.CONFIGURATION] = overwritten(2, b"\xff\xff")
    device = only(bus)
    assert len(device.configuration_octets) == len(whole)
    assert device.interfaces == {0, 1, 2, 3}
