"""The machine that the guest runs on: QEMU, what it emulates, and what it may use."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from ..errors import GuestError
from ..tools import Tool, guest_folder, tool

MEMORY_MB = 1536
PROCESSORS = 1
ROOT_PORTS = 2
"""Of each UHCI controller, whose full speed is that of every device here.

Not OHCI: when its list of control transfers becomes empty, QEMU stops every endpoint there is and
forgets reports that the guest has not read yet.  Not xHCI: it lets a stream that starts again
after an overrun wait for a number of a frame that may be two seconds away.
"""

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
        for bus in range(1, _bus(max(self.usb, default=0)) + 1):
            yield "-device"
            yield f"piix3-usb-uhci,id=usb{bus}"
        for port, path in self.usb.items():
            yield "-chardev"
            yield f"socket,id=socket{port},path={path}"
            yield "-device"
            yield f"usb-redir,chardev=socket{port},bus=usb{_bus(port)}.0,port={_root_port(port)}"

    def _channels(self) -> Iterator[str]:
        yield "-device"
        yield "virtio-serial-pci"
        for number, name in enumerate(CHANNELS, 1):
            yield "-chardev"
            yield f"socket,id={name},path={self.channels[name]}"
            yield "-device"
            yield f"virtserialport,chardev={name},nr={number},name={PREFIX}{name}"


def sysfs_name(port: int) -> str:
    """What the guest's sysfs calls what is plugged into a port, counted from 1.

    >>> [sysfs_name(port) for port in (1, 2, 3, 6)]
    ['1-1', '1-2', '2-1', '3-2']
    """
    return f"{_bus(port)}-{_root_port(port)}"


def _bus(port: int) -> int:
    return -(-port // ROOT_PORTS)


def _root_port(port: int) -> int:
    return (port - 1) % ROOT_PORTS + 1


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
