import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.drivers.errors import FlashRefusedError
from openturret.drivers.flash.dfu_protocol import (
    MAX_POLL_MS,
    MEANINGS,
    Code,
    DfuDescriptor,
    DfuStatus,
    State,
    dfu_interface,
    in_dfu_mode,
    loader_pid,
    running_pid,
)
from openturret.hal.hardware import UsbDevice, UsbInterface

statuses = st.builds(
    DfuStatus, st.sampled_from(Code), st.integers(0, MAX_POLL_MS), st.sampled_from(State)
)
descriptors = st.builds(
    DfuDescriptor,
    can_download=st.booleans(),
    can_upload=st.booleans(),
    manifestation_tolerant=st.booleans(),
    will_detach=st.booleans(),
    detach_ms=st.integers(0, 0xFFFF),
    transfer_bytes=st.integers(1, 0xFFFF),
)


@given(statuses)
def test_a_status_survives(status: DfuStatus) -> None:
    assert DfuStatus.parse(bytes(status)) == status


@given(st.binary(max_size=10))
def test_any_bytes_are_a_status_or_refused(data: bytes) -> None:
    try:
        status = DfuStatus.parse(data)
    except FlashRefusedError:
        return
    assert len(data) == 6
    assert status.poll_ms <= MAX_POLL_MS


@pytest.mark.parametrize("length", [0, 1, 5, 7])
def test_a_status_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(FlashRefusedError, match=f"of {length} bytes, not 6"):
        DfuStatus.parse(bytes(length))


def test_a_device_may_not_ask_for_endless_patience() -> None:
    with pytest.raises(FlashRefusedError, match="16777215 ms; 60000 ms is the bound"):
        DfuStatus.parse(b"\x00\xff\xff\xff\x04\x00")


def test_a_captured_status_is_read() -> None:
    assert DfuStatus.parse(bytes.fromhex("000500000400")) == DfuStatus(Code.OK, 5, State.DFU_DNBUSY)


def test_every_code_has_a_meaning() -> None:
    assert set(MEANINGS) == set(Code)


@given(descriptors, st.lists(st.binary(min_size=1, max_size=8)))
def test_a_descriptor_is_found_behind_others(wanted: DfuDescriptor, bodies: list[bytes]) -> None:
    before = b"".join(bytes([len(body) + 2, 0x24]) + body for body in bodies)
    assert DfuDescriptor.parse(before + bytes(wanted)) == wanted


@given(st.binary(max_size=40))
def test_any_bytes_hold_a_descriptor_or_are_refused(data: bytes) -> None:
    try:
        assert DfuDescriptor.parse(data).transfer_bytes > 0
    except FlashRefusedError:
        return


def test_a_descriptor_cut_anywhere_is_refused() -> None:
    for length in range(len(bytes(DfuDescriptor()))):
        with pytest.raises(FlashRefusedError):
            DfuDescriptor.parse(bytes(DfuDescriptor())[:length])


@pytest.mark.parametrize(
    "data",
    [
        b"\x00\x21",
        b"\x02\x21",
        b"\x06\x21\x0f\x00\x04\x00",
        b"\x09\x21\x0f\xff\x00\x00\x00\x10\x01",
    ],
)
def test_a_senseless_descriptor_is_refused(data: bytes) -> None:
    with pytest.raises(FlashRefusedError):
        DfuDescriptor.parse(data)


def test_a_descriptor_of_dfu_1_0_is_read() -> None:
    found = DfuDescriptor.parse(b"\x07\x21\x03\xfa\x00\x00\x08")
    assert (found.can_upload, found.will_detach, found.transfer_bytes) == (True, False, 2048)


def test_a_block_is_no_larger_than_linux_carries() -> None:
    assert DfuDescriptor(transfer_bytes=0xFFFF).block_bytes == 4096


def device(pid: int, protocol: int, vid: int = 0x1209) -> UsbDevice:
    interfaces = (UsbInterface(0, 0x03), UsbInterface(1, 0xFE, 0x01, protocol))
    return UsbDevice(vid, pid, "1-1", interfaces=interfaces)


def test_the_loader_of_a_device_is_another_product_and_the_same_device() -> None:
    assert loader_pid(0x1209, 0x7701) == 0x7781
    assert running_pid(device(0x7781, 2)) == 0x7701
    assert running_pid(device(0x7781, 1)) == 0x7781, "it runs firmware of that number"


@pytest.mark.parametrize(("vid", "pid"), [(0x1234, 0x7781), (0x1209, 0x7801), (0x1209, 0x7701)])
def test_other_loaders_stand_for_themselves(vid: int, pid: int) -> None:
    assert running_pid(device(pid, 2, vid)) == pid


def test_a_device_without_dfu_has_no_dfu_interface() -> None:
    plain = UsbDevice(1, 2, "1-1", interfaces=(UsbInterface(0, 0x03), UsbInterface(1, 0xFE, 2, 2)))
    assert dfu_interface(plain) is None
    assert not in_dfu_mode(plain)
    assert dfu_interface(device(1, 2)) == UsbInterface(1, 0xFE, 0x01, 2)
