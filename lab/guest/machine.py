"""The machine that the guest runs on: QEMU, what it emulates, and what it may use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import GuestError
from ..tools import Tool, guest_folder, tool

MEMORY_MB = 1536
PROCESSORS = 1
USB_PORTS = 15
"""Of the OHCI controller, whose full speed is that of every device here.

QEMU's xHCI would do as well but for sound: it lets a stream that starts again after an overrun
wait for a number of a frame that may be two seconds away.
"""

USB_BUS = 1
"""Its number in the guest's sysfs, where port N is ``1-N``."""

CHANNELS = ("report", "output", "hand")
"""The virtio ports, in the order of their numbers from 1."""

PREFIX = "openturret."
"""In front of a channel's name in the guest: ``/dev/virtio-ports/openturret.hand``."""


@dataclass(frozen=True, slots=True)
class Kernel:
    """A kernel that was unpacked.

    Attributes:
        image: what QEMU loads.
        modules: ``lib/modules``.
        release: what the kernel calls itself.
    """

    image: Path
    modules: Path
    release: str

    @classmethod
    def unpacked(cls) -> Kernel:
        """The kernel that the set-up unpacked.

        Raises:
            GuestError: there is none; says the remedy.
        """
        root = guest_folder() / "kernel"
        for image in sorted((root / "boot").glob("vmlinuz-*")):
            release = image.name.removeprefix("vmlinuz-")
            if (root / "lib" / "modules" / release / "modules.dep").is_file():
                return cls(image, root / "lib" / "modules", release)
        raise GuestError(f"there is no kernel in {root}: run `make kernel-setup`")


@dataclass(frozen=True, slots=True)
class Machine:
    """Everything that QEMU is told.

    Attributes:
        kernel: what boots.
        initramfs: its first file system.
        console: file that its serial console is written to.
        folders: shared folders by their 9p tags.
        usb: sockets of USB devices by the number of their port.
        channels: sockets of the `CHANNELS`, by name.
    """

    kernel: Path
    initramfs: Path
    console: Path
    folders: Mapping[str, Path]
    usb: Mapping[int, Path]
    channels: Mapping[str, Path]

    def argv(self, qemu: Tool) -> list[str]:
        """The command line; a present /dev/kvm may hang where the host is itself a guest."""
        return [
            str(qemu.path), *_firmware(qemu),
            "-no-user-config", "-nodefaults", "-no-reboot", "-display", "none",
            "-machine", "pc,accel=tcg", "-cpu", "max",
            "-smp", str(PROCESSORS), "-m", str(MEMORY_MB),
            "-kernel", str(self.kernel), "-initrd", str(self.initramfs),
            "-append", "console=ttyS0 loglevel=5 panic=-1 random.trust_cpu=on rdinit=/guest/init",
            "-serial", f"file:{self.console}",
            *self._folders(), *self._usb(), *self._channels(),
        ]  # fmt: skip

    def _folders(self) -> Iterator[str]:
        for tag, path in self.folders.items():
            yield "-fsdev"
            yield f"local,id={tag},path={path},security_model=none,readonly=on,multidevs=remap"
            yield "-device"
            yield f"virtio-9p-pci,fsdev={tag},mount_tag={tag}"

    def _usb(self) -> Iterator[str]:
        yield "-device"
        yield f"pci-ohci,id=usb,num-ports={USB_PORTS}"
        for port, path in self.usb.items():
            yield "-chardev"
            yield f"socket,id=usb{port},path={path}"
            yield "-device"
            yield f"usb-redir,chardev=usb{port},bus=usb.0,port={port}"

    def _channels(self) -> Iterator[str]:
        yield "-device"
        yield "virtio-serial-pci"
        for number, name in enumerate(CHANNELS, 1):
            yield "-chardev"
            yield f"socket,id={name},path={self.channels[name]}"
            yield "-device"
            yield f"virtserialport,chardev={name},nr={number},name={PREFIX}{name}"


def _firmware(qemu: Tool) -> Iterator[str]:
    """Where an unpacked QEMU finds the BIOS that an installed one knows of."""
    if qemu.root != Path("/"):
        for name in ("seabios", "qemu"):
            yield "-L"
            yield str(qemu.root / "usr" / "share" / name)


def qemu_environment(qemu: Tool) -> dict[str, str]:
    """What an unpacked QEMU needs in its environment to find its libraries and modules."""
    modules = sorted(qemu.root.glob("usr/lib/*/qemu"))
    if qemu.root == Path("/") or not modules:
        return {}
    return {**qemu.env, "QEMU_MODULE_DIR": str(modules[0])}


def find_qemu() -> Tool:
    """QEMU for amd64.

    Raises:
        ToolMissingError: it is neither unpacked nor installed; says the remedy.
    """
    return tool("qemu-system-x86_64")
