"""The models as pyusb sees them: what works, and how exactly what does not work fails."""

import errno
import threading
from collections.abc import Callable, Iterator

import pytest
import usb.backend.libusb1 as libusb
import usb.core
import usb.util

from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.usb.descriptors import DescriptorType, Identity
from openturret.drivers.emulated.usb.gooseneck import GooseneckModel
from openturret.drivers.emulated.usb.handset import HandsetModel
from openturret.drivers.emulated.usb.misbehaviour import Distortion, cut_after, overwritten
from openturret.drivers.emulated.usb.panel import PanelModel
from openturret.drivers.emulated.usb.peripheral import Peripheral
from openturret.drivers.emulated.usb.speaker import SpeakerModel
from openturret.drivers.emulated.usb.speakerphone import SpeakerphoneModel
from openturret.drivers.emulated.usb.voices import Tone, from_pcm

HID, NOWHERE = 3, 9
REPORTS_IN, REPORTS_OUT, EAR, MICROPHONE = 0x83, 0x03, 0x01, 0x82
SOON_MS = 10
"""A timeout that a test waits for; nothing is asserted about how long it took."""


@pytest.fixture
def handset() -> HandsetModel:
    return HandsetModel("HS-0042")


@pytest.fixture
def backend(handset: HandsetModel) -> EmulatedBackend:
    return backend_with(handset)


@pytest.fixture
def device(backend: EmulatedBackend) -> Iterator[usb.core.Device]:
    found = usb.core.find(backend=backend)
    yield found
    usb.util.dispose_resources(found)


@pytest.fixture
def free(handset: HandsetModel) -> Iterator[usb.core.Device]:
    """The same device on a host without kernel drivers."""
    found = usb.core.find(backend=backend_with(handset, kernel_drivers=False))
    yield found
    usb.util.dispose_resources(found)


def backend_with(model: Peripheral, *, kernel_drivers: bool = True) -> EmulatedBackend:
    bus = EmulatedBus(kernel_drivers=kernel_drivers)
    bus.connect(model, "1-4")
    return EmulatedBackend(bus)


def fails(code: int, number: int, action: Callable[[], object]) -> None:
    with pytest.raises(usb.core.USBError) as caught:
        action()
    assert (caught.value.backend_error_code, caught.value.errno) == (code, number)


def not_found(action: Callable[[], object]) -> None:
    fails(libusb.LIBUSB_ERROR_NOT_FOUND, errno.ENOENT, action)


def pipe_error(action: Callable[[], object]) -> None:
    fails(libusb.LIBUSB_ERROR_PIPE, errno.EPIPE, action)


def io_error(action: Callable[[], object]) -> None:
    fails(libusb.LIBUSB_ERROR_IO, errno.EIO, action)


def busy(action: Callable[[], object]) -> None:
    fails(libusb.LIBUSB_ERROR_BUSY, errno.EBUSY, action)


def gone(action: Callable[[], object]) -> None:
    fails(libusb.LIBUSB_ERROR_NO_DEVICE, errno.ENODEV, action)


def invalid(action: Callable[[], object]) -> None:
    fails(libusb.LIBUSB_ERROR_INVALID_PARAM, errno.EINVAL, action)


def timed_out(action: Callable[[], object]) -> None:
    with pytest.raises(usb.core.USBTimeoutError) as caught:
        action()
    assert caught.value.errno == errno.ETIMEDOUT
    assert caught.value.backend_error_code == libusb.LIBUSB_ERROR_TIMEOUT


# ------------------------------------------------------------ descriptors


@pytest.mark.parametrize(
    ("model", "pid", "classes"),
    [
        (HandsetModel(), 0x7701, [1, 1, 1, 3]),
        (SpeakerphoneModel(), 0x7702, [1, 1, 1, 3]),
        (GooseneckModel(), 0x7703, [1, 1, 3]),
        (SpeakerModel(), 0x7704, [1, 1, 3]),
        (PanelModel(), 0x7705, [3]),
    ],
)
def test_pyusb_reads_every_model(model: Peripheral, pid: int, classes: list[int]) -> None:
    found = usb.core.find(idVendor=0x1209, idProduct=pid, backend=backend_with(model))
    settings = list(found.get_active_configuration())
    whole = b"".join(_octets(each) for each in settings)
    assert model.configuration_descriptor()[9:] == whole
    assert [each.bInterfaceClass for each in settings if not each.bAlternateSetting] == classes
    assert (found.bus, found.port_number, found.port_numbers) == (1, 4, (4,))
    assert found.speed == usb.util.SPEED_FULL
    assert found.parent is None


def _octets(setting: usb.core.Interface) -> bytes:
    head = bytes(
        (
            setting.bLength,
            setting.bDescriptorType,
            setting.bInterfaceNumber,
            setting.bAlternateSetting,
            setting.bNumEndpoints,
            setting.bInterfaceClass,
            setting.bInterfaceSubClass,
            setting.bInterfaceProtocol,
            setting.iInterface,
        )
    )
    ends = b"".join(_endpoint_octets(each) for each in setting)
    return head + bytes(setting.extra_descriptors) + ends


def _endpoint_octets(end: usb.core.Endpoint) -> bytes:
    packet = int(end.wMaxPacketSize).to_bytes(2, "little")
    head = bytes((end.bLength, end.bDescriptorType, end.bEndpointAddress, end.bmAttributes))
    refresh = bytes((end.bRefresh, end.bSynchAddress)) if end.bLength == 9 else b""
    return head + packet + bytes((end.bInterval,)) + refresh + bytes(end.extra_descriptors)


def test_strings_say_which_unit_it_is(device: usb.core.Device) -> None:
    strings = (device.manufacturer, device.product, device.serial_number)
    assert strings == ("OpenTurret", "Turret Handset", "HS-0042")


@pytest.mark.parametrize(
    "distortion",
    [overwritten(4, b"\xff"), overwritten(9, b"\x00"), overwritten(18, b"\x01")],
    ids=["255 interfaces", "an interface of length 0", "an audio header of length 1"],
)
def test_a_configuration_that_libusb_cannot_read_is_an_io_error(
    handset: HandsetModel, distortion: Distortion
) -> None:
    handset.misbehaviour.wrong[DescriptorType.CONFIGURATION] = distortion
    found = usb.core.find(backend=backend_with(handset))
    io_error(lambda: found[0])
    not_found(lambda: found.backend.get_configuration_descriptor(found._ctx.dev, 1))


def test_a_configuration_that_is_cut_has_the_interfaces_before_the_cut(
    handset: HandsetModel,
) -> None:
    handset.misbehaviour.wrong[DescriptorType.CONFIGURATION] = cut_after(130)
    found = usb.core.find(backend=backend_with(handset))
    assert {each.bInterfaceNumber for each in found[0]} == {0, 1}


# ------------------------------------------------------------ control transfers


def test_nothing_reaches_an_interface_that_is_not_there(free: usb.core.Device) -> None:
    not_found(lambda: free.ctrl_transfer(0xA1, 1, 0x0101, NOWHERE, 8))
    not_found(lambda: free.ctrl_transfer(0x81, 0, 0, NOWHERE, 2))
    not_found(lambda: free.ctrl_transfer(0x21, 9, 0x0202, NOWHERE, b"\x02\x01"))
    invalid(lambda: free.ctrl_transfer(0x81, 0, 0, 32, 2))


def test_below_pyusb_it_is_the_error_that_libusb_makes_of_the_kernels(
    free: usb.core.Device,
) -> None:
    free.get_active_configuration()
    handle, backend = free._ctx.handle, free.backend
    buffer = usb.util.create_buffer(2)
    io_error(lambda: backend.ctrl_transfer(handle, 0x81, 0, 0, NOWHERE, buffer, 100))
    io_error(lambda: backend.ctrl_transfer(handle, 0x82, 0, 0, 0x85, buffer, 100))


def test_what_the_device_refuses_is_a_pipe_error(free: usb.core.Device) -> None:
    pipe_error(lambda: free.ctrl_transfer(0xA1, 1, 0x0109, HID, 8))
    pipe_error(lambda: free.ctrl_transfer(0x80, 6, 0x0600, 0, 10))
    pipe_error(lambda: free.ctrl_transfer(0xC1, 1, 0, NOWHERE, 8))


def test_an_interface_of_the_kernel_is_busy(device: usb.core.Device) -> None:
    busy(lambda: device.ctrl_transfer(0xA1, 1, 0x0101, HID, 8))
    busy(lambda: usb.util.claim_interface(device, HID))
    device.detach_kernel_driver(HID)
    assert bytes(device.ctrl_transfer(0xA1, 1, 0x0101, HID, 8)) == b"\x01\x00"


def test_an_endpoint_of_a_setting_that_is_not_chosen_can_be_asked(free: usb.core.Device) -> None:
    assert bytes(free.ctrl_transfer(0xA2, 0x81, 0x0100, MICROPHONE, 3)) == b"\x80\xbb\x00"
    assert bytes(free.ctrl_transfer(0x82, 0, 0, 0, 2)) == b"\x00\x00"


def test_a_control_transfer_longer_than_libusb_allows(free: usb.core.Device) -> None:
    invalid(lambda: free.ctrl_transfer(0x80, 6, 0x0100, 0, 4097))


def test_a_device_that_hangs_times_out(free: usb.core.Device, handset: HandsetModel) -> None:
    free.get_active_configuration()
    handset.misbehaviour.hung = True
    timed_out(lambda: free.ctrl_transfer(0x80, 0, 0, 0, 2, SOON_MS))
    timed_out(lambda: free.write(REPORTS_OUT, b"\x02\x01", SOON_MS))
    timed_out(lambda: free.read(REPORTS_IN, 64, SOON_MS))


# ------------------------------------------------------------ reports


def test_a_report_is_read_and_a_lamp_is_lit(free: usb.core.Device, handset: HandsetModel) -> None:
    handset.lift()
    assert bytes(free.read(REPORTS_IN, 64)) == b"\x01\x01"
    assert free.write(REPORTS_OUT, b"\x02\x01") == 2
    assert handset.lamps == {"off_hook"}


def test_a_reader_waits_for_the_hand(free: usb.core.Device, handset: HandsetModel) -> None:
    found: list[bytes] = []
    reader = threading.Thread(target=lambda: found.append(bytes(free.read(REPORTS_IN, 64, 0))))
    reader.start()
    handset.press("ptt")
    reader.join()
    assert found == [b"\x01\x04"]


@pytest.mark.parametrize(
    ("happens", "number"),
    [(HandsetModel.unplug, errno.ENODEV), (lambda model: model.halt(REPORTS_IN), errno.EPIPE)],
    ids=["the cable is pulled", "the endpoint is halted"],
)
def test_a_reader_that_waits_hears_what_happens(
    free: usb.core.Device,
    handset: HandsetModel,
    happens: Callable[[HandsetModel], None],
    number: int,
) -> None:
    caught: list[int | None] = []

    def read() -> None:
        try:
            free.read(REPORTS_IN, 64, 0)
        except usb.core.USBError as error:
            caught.append(error.errno)

    reader = threading.Thread(target=read)
    reader.start()
    happens(handset)
    reader.join()
    assert caught == [number]


def test_no_report_in_time_is_a_timeout(free: usb.core.Device) -> None:
    timed_out(lambda: free.read(REPORTS_IN, 64, SOON_MS))


def test_a_report_longer_than_the_buffer_overflows(
    free: usb.core.Device, handset: HandsetModel
) -> None:
    handset.lift()
    fails(
        libusb.LIBUSB_ERROR_OVERFLOW,
        errno.EOVERFLOW,
        lambda: free.read(REPORTS_IN, usb.util.create_buffer(1)),
    )


def test_a_halt_is_a_pipe_error_until_it_is_cleared(
    free: usb.core.Device, handset: HandsetModel
) -> None:
    handset.lift()
    handset.halt(REPORTS_IN)
    pipe_error(lambda: free.read(REPORTS_IN, 64))
    free.clear_halt(REPORTS_IN)
    assert bytes(free.read(REPORTS_IN, 64)) == b"\x01\x01"
    not_found(lambda: free.clear_halt(0x85))


def test_the_kernel_reads_an_interrupt_endpoint_as_bulk(
    free: usb.core.Device, handset: HandsetModel
) -> None:
    handset.lift()
    free.get_active_configuration()
    buffer = usb.util.create_buffer(64)
    handle, backend = free._ctx.handle, free.backend
    assert backend.bulk_read(handle, REPORTS_IN, HID, buffer, 100) == 2
    io_error(lambda: backend.bulk_read(handle, 0x85, HID, buffer, 100))


# ------------------------------------------------------------ interfaces and drivers


def test_the_kernels_driver_is_detached_and_attached(device: usb.core.Device) -> None:
    assert device.is_kernel_driver_active(HID)
    device.detach_kernel_driver(HID)
    assert not device.is_kernel_driver_active(HID)
    not_found(lambda: device.detach_kernel_driver(HID))
    usb.util.claim_interface(device, HID)
    busy(lambda: device.attach_kernel_driver(HID))
    usb.util.release_interface(device, HID)
    device.attach_kernel_driver(HID)
    busy(lambda: device.attach_kernel_driver(HID))
    assert device.is_kernel_driver_active(HID)


def test_drivers_of_an_interface_that_is_not_there(device: usb.core.Device) -> None:
    assert not device.is_kernel_driver_active(NOWHERE)
    invalid(lambda: device.detach_kernel_driver(NOWHERE))
    invalid(lambda: device.attach_kernel_driver(NOWHERE))
    invalid(lambda: device.is_kernel_driver_active(32))
    not_found(lambda: usb.util.claim_interface(device, NOWHERE))


def test_no_driver_takes_an_interface_of_its_own_class(handset: HandsetModel) -> None:
    offset = handset.configuration_descriptor().index(bytes.fromhex("09 04 03 00 02 03")) + 5
    vendor = overwritten(offset, b"\xff")
    handset.misbehaviour.wrong[DescriptorType.CONFIGURATION] = vendor
    found = usb.core.find(backend=backend_with(handset))
    assert not found.is_kernel_driver_active(HID)
    not_found(lambda: found.attach_kernel_driver(HID))
    usb.util.claim_interface(found, HID)
    usb.util.dispose_resources(found)


def test_two_programs_do_not_share_an_interface(handset: HandsetModel) -> None:
    backend = backend_with(handset, kernel_drivers=False)
    first, second = (usb.core.find(backend=backend) for _ in range(2))
    usb.util.claim_interface(first, HID)
    busy(lambda: usb.util.claim_interface(second, HID))
    busy(lambda: second.read(REPORTS_IN, 64, SOON_MS))
    usb.util.dispose_resources(first)
    usb.util.claim_interface(second, HID)
    usb.util.dispose_resources(second)


def test_what_was_not_claimed_is_not_released(free: usb.core.Device) -> None:
    free.get_active_configuration()
    handle = free._ctx.handle
    not_found(lambda: free.backend.release_interface(handle, HID))
    not_found(lambda: free.backend.set_interface_altsetting(handle, 1, 1))


def test_nobody_chooses_a_configuration_while_the_kernel_has_interfaces(
    device: usb.core.Device,
) -> None:
    busy(device.set_configuration)


def test_nobody_chooses_a_configuration_while_interfaces_are_claimed(
    free: usb.core.Device,
) -> None:
    free.set_configuration()
    assert free.get_active_configuration().bConfigurationValue == 1
    usb.util.claim_interface(free, HID)
    busy(free.set_configuration)
    usb.util.release_interface(free, HID)
    free.set_configuration(0)
    not_found(lambda: usb.util.claim_interface(free, HID))
    not_found(lambda: free.clear_halt(REPORTS_IN))
    with pytest.raises(usb.core.USBError, match="Configuration not set"):
        usb.core.find(backend=free.backend).get_active_configuration()


def test_an_alternate_setting_is_chosen_and_left_with_the_interface(
    free: usb.core.Device, handset: HandsetModel
) -> None:
    free.set_interface_altsetting(2, 1)
    handset.speak(Tone(440, -6))
    samples = from_pcm(bytes(free.read(MICROPHONE, 960)))
    assert len(samples) == 480
    assert max(samples) > 16000
    usb.util.release_interface(free, 2)
    assert handset.isochronous_in(MICROPHONE) == b""
    usb.util.claim_interface(free, 2)
    not_found(lambda: free.backend.set_interface_altsetting(free._ctx.handle, 2, 2))


def test_a_program_that_ends_leaves_every_interface_in_setting_0(
    free: usb.core.Device, handset: HandsetModel
) -> None:
    free.set_interface_altsetting(2, 1)
    free.backend.close_device(free._ctx.handle)
    assert handset.isochronous_in(MICROPHONE) == b""


def test_short_packets_stand_where_their_frames_begin(
    free: usb.core.Device, handset: HandsetModel
) -> None:
    free.set_interface_altsetting(2, 1)
    free.ctrl_transfer(0x22, 0x01, 0x0100, MICROPHONE, (8000).to_bytes(3, "little"))
    handset.speak(Tone(440, -6))
    buffer = usb.util.create_buffer(192)
    assert free.read(MICROPHONE, usb.util.create_buffer(97)) == 17
    handset.speak(Tone(440, -6))
    assert free.read(MICROPHONE, buffer) == 32
    said = Tone(440, -6)
    for frame in range(2):
        packet = buffer[96 * frame : 96 * frame + 96].tobytes()
        assert from_pcm(packet) == said.samples(frame, 8000) + [0] * 40


def test_sound_is_written(free: usb.core.Device, handset: HandsetModel) -> None:
    free.set_interface_altsetting(1, 1)
    handset.listen()
    assert free.write(EAR, bytes(range(200))) == 200
    assert handset.stop_listening().pcm == bytes(range(200))


def test_a_stream_that_is_not_open_is_an_io_error(free: usb.core.Device) -> None:
    free.get_active_configuration()
    handle = free._ctx.handle
    buffer = usb.util.create_buffer(96)
    io_error(lambda: free.backend.iso_read(handle, MICROPHONE, 2, buffer, 100))
    io_error(lambda: free.backend.iso_write(handle, 0x07, 2, buffer, 100))


# ------------------------------------------------------------ coming and going


def test_everything_fails_at_a_device_that_is_gone(
    device: usb.core.Device, handset: HandsetModel
) -> None:
    device.detach_kernel_driver(HID)
    usb.util.claim_interface(device, HID)
    handset.cut_power()
    gone(lambda: device.read(REPORTS_IN, 64, SOON_MS))
    gone(lambda: device.write(REPORTS_OUT, b"\x02\x01", SOON_MS))
    gone(lambda: device.ctrl_transfer(0x80, 0, 0, 0, 2))
    gone(lambda: usb.util.claim_interface(device, 0))
    gone(lambda: device.clear_halt(REPORTS_IN))
    gone(lambda: device.detach_kernel_driver(0))
    gone(lambda: device.attach_kernel_driver(0))
    gone(lambda: device.is_kernel_driver_active(0))
    gone(lambda: device.backend.get_configuration(device._ctx.handle))
    gone(device.set_configuration)
    gone(lambda: device.backend.reset_device(device._ctx.handle))
    gone(lambda: device.clear_halt(MICROPHONE))
    buffer = usb.util.create_buffer(2)
    gone(lambda: device.backend.ctrl_transfer(device._ctx.handle, 0x81, 0, 0, 0, buffer, 100))
    gone(lambda: usb.util.release_interface(device, HID))
    usb.util.dispose_resources(device)
    gone(lambda: device.ctrl_transfer(0x80, 0, 0, 0, 2))


def test_a_device_that_came_back_is_found_again_and_the_old_one_is_not(
    device: usb.core.Device, handset: HandsetModel
) -> None:
    handset.unplug()
    assert usb.core.find(backend=device.backend) is None
    handset.plug()
    gone(lambda: device.ctrl_transfer(0x80, 0, 0, 0, 2))
    again = usb.core.find(backend=device.backend)
    assert again.address != device.address
    assert again.serial_number == "HS-0042"
    usb.util.dispose_resources(again)


def test_a_reset_leaves_the_device_as_it_was_set_up(
    free: usb.core.Device, handset: HandsetModel
) -> None:
    free.set_interface_altsetting(2, 1)
    free.write(REPORTS_OUT, b"\x02\x01")
    free.backend.reset_device(free._ctx.handle)
    assert not handset.lamps
    assert len(handset.isochronous_in(MICROPHONE)) == 96
    handset.lift()
    assert bytes(free.read(REPORTS_IN, 64)) == b"\x01\x01"


class DetachingHandset(HandsetModel):
    """Becomes another device when its host resets it, as DFU 1.1 section 5.1 asks."""

    detaching = False

    def bus_reset(self) -> None:
        super().bus_reset()
        if self.detaching:
            self.detaching = False
            self.become(Identity(0x1209, 0x7781, "Firmware update", "HS-0042"), [])


def test_a_device_that_becomes_another_one_at_reset_is_not_found() -> None:
    model = DetachingHandset("HS-0042")
    found = usb.core.find(backend=backend_with(model))
    model.detaching = True
    not_found(found.reset)
    assert usb.core.find(backend=found.backend).idProduct == 0x7781
