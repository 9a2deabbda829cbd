"""Reports through a hidraw node.

A socket that keeps messages apart behaves towards ``read``, ``write`` and ``poll`` as a node
does; the requests of ``ioctl`` are shown on real nodes by ``make kernel-test``.
"""

import os
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from openturret.drivers.errors import AccessDeniedError, DeviceBusyError
from openturret.drivers.usb.hidraw import DESCRIPTOR, DESCRIPTOR_SIZE, HidrawTransport, request
from openturret.drivers.usb.report_descriptor import ReportKind
from openturret.hal.errors import DeviceError, DeviceGoneError

FORBIDDEN = "/proc/sys/kernel/ostype"
"""Nobody may write to it, not even root."""


@pytest.fixture
def node(tmp_path: Path) -> Path:
    path = tmp_path / "hidraw0"
    os.mkfifo(path)
    return path


@pytest.fixture
def transport(node: Path) -> Iterator[HidrawTransport]:
    found = HidrawTransport(str(node))
    yield found
    found.close()


@pytest.fixture
def device(transport: HidrawTransport) -> Iterator[socket.socket]:
    """The device's end; the transport's file becomes the other one."""
    ours, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    theirs.setblocking(False)
    os.dup2(theirs.fileno(), transport.fileno)
    theirs.close()
    with ours:
        yield ours


def test_the_numbers_of_the_requests_are_the_kernels() -> None:
    # linux/hidraw.h, as a C compiler on x86 computes them.
    assert DESCRIPTOR_SIZE == 0x80044801
    assert DESCRIPTOR == 0x90044802
    assert request(3, 0x06, 2) == 0xC0024806
    assert request(3, 0x07, 64) == 0xC0404807


def test_reports_are_read_one_by_one(transport: HidrawTransport, device: socket.socket) -> None:
    device.send(b"\x01\x05")
    device.send(b"\x01\x04")
    assert transport.read(8, 5) == b"\x01\x05"
    assert transport.read(8, 5) == b"\x01\x04"


def test_nothing_in_time_is_none(transport: HidrawTransport, device: socket.socket) -> None:
    assert transport.read(8, 0) is None


def test_a_node_that_ended_is_a_device_that_is_gone(
    transport: HidrawTransport, device: socket.socket
) -> None:
    device.close()
    with pytest.raises(DeviceGoneError, match="hidraw0"):
        transport.read(8, 5)


def test_a_report_without_an_id_goes_out_behind_a_zero(
    transport: HidrawTransport, device: socket.socket
) -> None:
    transport.write(ReportKind.OUTPUT, 0, b"\x01")
    transport.write(ReportKind.OUTPUT, 2, b"\x02\x01")
    assert [device.recv(8), device.recv(8)] == [b"\x00\x01", b"\x02\x01"]


def test_what_is_no_hidraw_node_answers_no_request(transport: HidrawTransport) -> None:
    with pytest.raises(DeviceError, match="hidraw0"):
        transport.report_descriptor()
    with pytest.raises(DeviceError, match="hidraw0"):
        transport.fetch(ReportKind.INPUT, 1, 2)
    with pytest.raises(DeviceError, match="hidraw0"):
        transport.write(ReportKind.FEATURE, 3, b"\x03\x01")


def test_one_node_has_one_driver(node: Path, transport: HidrawTransport) -> None:
    with pytest.raises(DeviceBusyError, match="hidraw0 is held by another program"):
        HidrawTransport(str(node))


def test_a_closed_node_is_free_again(node: Path) -> None:
    HidrawTransport(str(node)).close()
    HidrawTransport(str(node)).close()


def test_a_node_that_may_not_be_opened_names_the_rule() -> None:
    with pytest.raises(AccessDeniedError, match=r"copy 60-openturret\.rules .*/etc/udev/rules\.d"):
        HidrawTransport(FORBIDDEN)


def test_a_node_that_is_not_there_is_a_device_that_is_gone(tmp_path: Path) -> None:
    with pytest.raises(DeviceGoneError, match="No such file"):
        HidrawTransport(str(tmp_path / "hidraw9"))
