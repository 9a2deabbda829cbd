"""A device that is flashed over USB by DFU 1.1: there, away, back as its loader, and home again.

::

    firmware ─DETACH─▶ (reset) ─▶ loader: dfuIDLE ─DNLOAD…─▶ manifest ─UPLOAD─▶ (reset) ─▶ firmware

DFU has no resumption: an interrupted download begins again at block 0 of the spare slot.  A device
is known by its port throughout, because product, release and address change on the way.
"""

import logging
from collections.abc import Callable, Iterable
from typing import Final, TypeAlias

from usb.backend import IBackend

from ...hal.errors import DeviceGoneError, HalError
from ...hal.hardware import UsbDevice
from ..errors import (
    AccessDeniedError,
    FlashError,
    FlashRefusedError,
    FlashTimeoutError,
    ReadBackError,
    WrongFirmwareError,
)
from .dfu_port import DfuPort
from .dfu_protocol import DfuStatus, State, dfu_interface, in_dfu_mode, running_pid
from .firmware import Firmware
from .flashing import Count, Running
from .pace import Pace
from .version import Version

logger = logging.getLogger(__name__)

LOADER_WAIT_S: Final = 15.0
"""How long a device may take to come back as its loader."""

FIRMWARE_WAIT_S: Final = 60.0
"""How long it may take to check, swap and start new firmware."""

OPEN_WAIT_S: Final = 5.0
"""How long libusb and udev may take to know a device that the kernel has."""

LOOK_S: Final = 0.1
SETTLE_S: Final = 120.0
"""How long a device may be busy with one block, or with taking the image over."""

LEAST_POLL_MS: Final = 1

Present: TypeAlias = Callable[[], Iterable[UsbDevice]]
"""Tells what is plugged in now; ``drivers.usb.present.present`` is one."""


class DfuDevice:
    """A device on a USB port, whatever runs on it.

    Args:
        device: As it is now.
        present: Tells what is plugged in.
        pace: For everything that takes time.
        backend: A pyusb backend in place of libusb.
        name: How people call it; its port by default.
    """

    def __init__(
        self,
        device: UsbDevice,
        present: Present,
        pace: Pace,
        *,
        backend: IBackend | None = None,
        name: str = "",
    ) -> None:
        self._name = name or device.port
        self._device = device
        self._present = present
        self._pace = pace
        self._backend = backend
        self._port: DfuPort | None = None

    @property
    def name(self) -> str:
        """Its port, or what it was called."""
        return self._name

    def inspect(self, firmware: Firmware) -> Running:
        """As :meth:`Flashable.inspect`; descriptors only, nothing is opened."""
        device = self._device
        if dfu_interface(device) is None:
            raise FlashError(f"{device} has no DFU interface", "it cannot be flashed over USB")
        if firmware.suffix is None:
            raise FlashError(
                "the file does not say for which device it is",
                f"dfu-suffix --vid {device.vid:04x} --pid {running_pid(device):04x} --add FILE",
            )
        if not firmware.suffix.fits(device.vid, device.pid, device.bcd_device):
            firmware.suffix.must_fit(device.vid, running_pid(device), device.bcd_device)
        firmware.version.bcd()
        return _running(device)

    def detach(self) -> None:
        """Brings the device into DFU mode and its loader to ``dfuIDLE``."""
        if not in_dfu_mode(self._device):
            self._leave_firmware()
        self._become_idle()

    def erase(self) -> None:
        """Nothing to do: a loader erases as the blocks come, and says so by ``bwPollTimeout``."""

    def write(self, data: bytes, count: Count) -> None:
        """Sends all blocks and lets the loader check and request them."""
        port = self._loader()
        size = port.abilities.block_bytes
        for block, start in enumerate(range(0, len(data), size)):
            self._pace.wait(0)
            self._send(block, data[start : start + size], State.DFU_DNLOAD_IDLE)
            count(min(start + size, len(data)))
        self._manifest(-(-len(data) // size))

    def verify(self, data: bytes, count: Count) -> None:
        """Reads the image back where the device allows it; otherwise its own check stands."""
        port = self._loader()
        if not (port.abilities.can_upload and port.abilities.manifestation_tolerant):
            logger.info("%s gives nothing back; its loader has checked the image", self._name)
            return
        size, done, block = port.abilities.block_bytes, 0, 0
        while done < len(data):
            self._pace.wait(0)
            part = port.upload(block, size)
            if part != data[done : done + size][: len(part)] or not part:
                raise ReadBackError(
                    f"byte {done} and following are not what was written", "flash it again"
                )
            done, block = done + len(part), block + 1
            count(min(done, len(data)))

    def reboot(self) -> None:
        """Resets the bus and waits for the firmware."""
        port = self._loader()
        self._port = None
        port.reset()
        port.close()
        self._wait_for(FIRMWARE_WAIT_S, loader=False)

    def confirm(self) -> Running:
        """Returns what ``bcdDevice`` says; a firmware that came up has confirmed itself."""
        return _running(self._device)

    def release(self) -> None:
        """Sends a device that is still in its loader back to the firmware it had."""
        port, self._port = self._port, None
        if port is None:
            return
        try:
            if in_dfu_mode(self._device):
                port.reset()
        except HalError as error:
            logger.info("%s: left as it is: %s", self._name, error)
        finally:
            port.close()

    def _leave_firmware(self) -> None:
        port = self._opened()
        try:
            port.detach()
            if not port.abilities.will_detach:
                port.reset()
        finally:
            port.close()
        self._wait_for(LOADER_WAIT_S, loader=True)

    def _wait_for(self, bound_s: float, *, loader: bool) -> None:
        """Waits until the port has a device in the mode that is wanted."""
        until = self._pace.monotonic() + bound_s
        while True:
            here = [each for each in self._present() if each.port == self._device.port]
            if here and here[0].interfaces and in_dfu_mode(here[0]) == loader:
                self._device = self._same(here[0])
                return
            if self._pace.monotonic() >= until:
                raise self._missed(here, bound_s)
            self._pace.wait(LOOK_S)

    def _same(self, device: UsbDevice) -> UsbDevice:
        """Refuses what was put into the port in place of the device."""
        before = self._device
        if (device.vid, device.serial) != (before.vid, before.serial or device.serial):
            raise WrongFirmwareError(
                f"port {before.port} had {before} and has {device} now",
                "leave the cables alone while devices are flashed",
            )
        return device

    def _missed(self, here: list[UsbDevice], bound_s: float) -> FlashTimeoutError:
        found = f"there is {here[0]}" if here else "nothing is there"
        return FlashTimeoutError(
            f"it did not come back on port {self._device.port} within {bound_s:.0f} s: {found}",
            "unplug it, plug it in again and flash it again",
        )

    def _loader(self) -> DfuPort:
        if self._port is None:
            self._port = self._opened()
        return self._port

    def _opened(self) -> DfuPort:
        """Opens the device; one that has just come may not be known to libusb and udev yet."""
        until = self._pace.monotonic() + OPEN_WAIT_S
        while True:
            try:
                return DfuPort(self._device, self._backend)
            except (AccessDeniedError, DeviceGoneError):
                if self._pace.monotonic() >= until:
                    raise
            self._pace.wait(LOOK_S)

    def _become_idle(self) -> None:
        """Leads the loader out of whatever an interrupted flashing left (figure A.1)."""
        port = self._loader()
        status = self._settled(port.status())
        if status.state is not State.DFU_IDLE:
            logger.info("%s is in %s, %s", self._name, status.state.name, status.code.name)
            port.make_idle(status.state)
            status = port.status()
        if status.state is not State.DFU_IDLE or not port.abilities.can_download:
            raise FlashRefusedError(f"the loader takes no firmware: it is in {status.state.name}")

    def _send(self, block: int, data: bytes, then: State) -> None:
        port = self._loader()
        try:
            port.download(block, data)
        except FlashRefusedError:
            port.status().must_be_ok(f"sending block {block}")
            raise
        status = self._settled(port.status())
        status.must_be_ok(f"writing block {block}")
        if status.state is not then:
            raise FlashRefusedError(f"after block {block} it is in {status.state.name}")

    def _settled(self, status: DfuStatus) -> DfuStatus:
        """Waits as long as the device asks, and asks again, until it is busy no more."""
        until = self._pace.monotonic() + SETTLE_S
        while status.state in _UNSETTLED:
            if self._pace.monotonic() >= until:
                raise FlashTimeoutError(
                    f"it stays in {status.state.name} for {SETTLE_S:.0f} s", "plug it in again"
                )
            self._pace.wait(max(status.poll_ms, LEAST_POLL_MS) / 1000)
            status = self._loader().status()
        return status

    def _manifest(self, block: int) -> None:
        """Ends the download; a device that is not tolerant is not spoken to afterwards."""
        port = self._loader()
        if port.abilities.manifestation_tolerant:
            self._send(block, b"", State.DFU_IDLE)
            return
        port.download(block, b"")
        status = port.status()
        status.must_be_ok("checking the image")
        if status.state is State.DFU_MANIFEST:
            self._pace.wait(status.poll_ms / 1000)


_UNSETTLED: Final = frozenset(
    {State.DFU_DNLOAD_SYNC, State.DFU_DNBUSY, State.DFU_MANIFEST_SYNC, State.DFU_MANIFEST}
)


def _running(device: UsbDevice) -> Running:
    version = Version.from_bcd(device.bcd_device) if device.bcd_device else None
    return Running(version, is_firmware=not in_dfu_mode(device))
