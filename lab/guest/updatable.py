"""Devices with DFU in a guest's USB ports: `python -m openturret.lab.guest.updatable -- COMMAND`.

Every run starts with fresh devices that hold version 1.0.0 of `lab.maker`; what the command in
the guest flashes stays until it ends.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import socket
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ...drivers.emulated.bootloader import Bootloader, memory_for
from ...drivers.emulated.usb.descriptors import Identity
from ...drivers.emulated.usb.dfu import Durations, UpdatableDevice
from ...drivers.emulated.usb.handset import HandsetModel
from ...drivers.emulated.usb.model import UsbModel
from ...drivers.emulated.usb.redirection import UsbPort
from ...drivers.flash.dfu_protocol import OPENTURRET_VID, DfuDescriptor
from ...drivers.flash.image import SignedImage
from ...drivers.flash.version import Version
from ...hal.clock import SystemClock
from ...hal.errors import HalError
from ..errors import LabError
from ..maker import Maker
from ..stopping import stoppable
from .guest import Command, Outside, run

SECTOR_BYTES: Final = 4096
SMALL_SECTORS, LARGE_SECTORS = 16, 288
FIRST: Final = Version(1, 0, 0)
NEVER_STARTS: Final = 9
"""A firmware of this revision does not come up, on any of these devices."""

FLAG: Final = "OPENTURRET_UPDATABLE"
"""Set in the environment of a command that finds these devices around it."""

EXIT_BROKEN, EXIT_INTERRUPTED = 3, 130
DEADLINE_S: Final = 600.0


@dataclass(frozen=True, slots=True)
class Kind:
    """A device that can be flashed.

    Attributes:
        pid: its `idProduct` while its firmware runs.
        abilities: what its DFU can do.
        sectors: of a slot, 4096 bytes each.
        is_handset: whether it has the controls and the audio of a handset beside DFU.
    """

    pid: int
    abilities: DfuDescriptor
    sectors: int = SMALL_SECTORS
    is_handset: bool = False

    def make(self, maker: Maker) -> UsbModel:
        """Returns the device, with the first firmware in it."""
        memory = Bootloader(memory_for(self.sectors, SECTOR_BYTES), [maker.trusted])
        memory.program(maker.sign(b"the first firmware", FIRST))
        identity = Identity(OPENTURRET_VID, self.pid, "Turret Device", f"UP-{self.pid:04x}")
        handset = HandsetModel() if self.is_handset else None
        functions = () if handset is None else (handset.audio, handset.controls.function)
        return UpdatableDevice(
            identity,
            tuple(function for function in functions if function is not None),
            memory,
            SystemClock(),
            abilities=self.abilities,
            durations=Durations(),
            starts=_comes_up,
            device=handset,
        ).device


DEVICES: Final[Mapping[int, Kind]] = MappingProxyType(
    {
        1: Kind(0x7701, DfuDescriptor(transfer_bytes=1024), is_handset=True),
        2: Kind(0x7711, DfuDescriptor(transfer_bytes=256, will_detach=False)),
        3: Kind(0x7712, DfuDescriptor(transfer_bytes=512, manifestation_tolerant=False)),
        4: Kind(0x7713, DfuDescriptor(transfer_bytes=4096), sectors=LARGE_SECTORS),
        5: Kind(0x7714, DfuDescriptor(transfer_bytes=1024)),
    }
)
"""By the number of the port, which the guest's sysfs calls `1-<port>`."""


def main(argv: list[str] | None = None) -> int:
    """Run a command in a guest with these devices.

    Returns:
        The exit status of the command; 2 for wrong usage, 3 when there is no guest or it broke
        off, 130 after Ctrl-C.
    """
    options = _parser().parse_args(argv)
    env = {FLAG: "1"}
    command = Command(tuple(options.command), Path.cwd(), options.deadline, env)
    try:
        status = asyncio.run(stoppable(_run(command)))
    except (LabError, HalError, OSError) as error:
        sys.stderr.write(f"guest: {error}\n")
        return EXIT_BROKEN
    return EXIT_INTERRUPTED if status is None else status


@asynccontextmanager
async def updatable_devices(folder: Path) -> AsyncIterator[Mapping[int, Path]]:
    """Every device on a socket of a folder; yields the sockets by the number of the port."""
    maker = Maker()
    async with contextlib.AsyncExitStack() as stack:
        sockets = {number: folder / f"{number}.usb" for number in DEVICES}
        for number, kind in DEVICES.items():
            port = UsbPort(kind.make(maker), _listener(sockets[number]))
            await port.open()
            stack.push_async_callback(port.close)
        yield sockets


async def _run(command: Command) -> int:
    began = time.monotonic()

    def progress(text: str) -> None:
        sys.stderr.write(f"guest {time.monotonic() - began:5.1f} s: {text}\n")

    with tempfile.TemporaryDirectory(prefix="ot-flash-") as name:
        folder = Path(name)
        async with updatable_devices(folder) as ports, _nobody(folder / "hand") as hand:
            outside = Outside(command.cwd, ports, hand, sys.stdout.buffer, progress)
            return await run(command, outside)


@asynccontextmanager
async def _nobody(path: Path) -> AsyncIterator[Path]:
    """The socket of a hand that does nothing: flashing needs none."""

    async def refuse(_reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.close()

    server = await asyncio.start_unix_server(refuse, str(path))
    try:
        yield path
    finally:
        server.close()


def _comes_up(image: SignedImage) -> bool:
    return image.version.revision != NEVER_STARTS


def _listener(path: Path) -> socket.socket:
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    return listener


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m openturret.lab.guest.updatable",
        description="Runs a command in a QEMU guest with devices that can be flashed on its USB "
        "ports; returns its exit status.",
        epilog="example: python -m openturret.lab.guest.updatable -- pytest tests/guest/flash",
    )
    parser.add_argument(
        "--deadline",
        type=float,
        default=DEADLINE_S,
        metavar="SECONDS",
        help=f"longest time that the command may take (default: {DEADLINE_S:g})",
    )
    parser.add_argument("command", nargs="+", help="what to run, after `--`")
    return parser


if __name__ == "__main__":
    with contextlib.suppress(BrokenPipeError):
        sys.exit(main())
