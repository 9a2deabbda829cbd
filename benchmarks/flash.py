"""Time to flash and verify 1 MB over USB DFU: ours beside dfu-util's, on one twin in one run.

    python -m benchmarks.flash            # boots a QEMU guest with Debian's kernel, about 3 minutes
    python -m benchmarks.flash --json

Both write the same twin through the same kernel and libusb, in turns, from the moment that its
loader is there: download, read back, compare, reset.  Ours ends when the new firmware runs and
its version was read back, dfu-util's when it exits; dfu-util compares nothing, so that is done
after it and not counted.  A second pair of figures is the whole command, from a running device:
ours with the start of Python, dfu-util's with the five seconds that it waits for a detach.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from openturret.drivers.flash.dfu import DfuDevice
from openturret.drivers.flash.dfu_file import DfuFile, DfuSuffix
from openturret.drivers.flash.dfu_port import DfuPort
from openturret.drivers.flash.dfu_protocol import OPENTURRET_VID, in_dfu_mode, loader_pid
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.flashing import Orders, Result, flash
from openturret.drivers.flash.pace import SystemPace
from openturret.drivers.flash.version import Version
from openturret.drivers.usb.present import present
from openturret.hal.hardware import UsbDevice
from openturret.lab.guest.machine import sysfs_name
from openturret.lab.guest.updatable import DEVICES, FLAG
from openturret.lab.maker import Maker
from openturret.lab.tools import tool

from .figures import BenchmarkError, Figure, Row, tell

PORT = 4
PAYLOAD_BYTES = 1_000_000
ROUNDS = 3
WAIT_S = 60.0
BENCHMARK = "flash and verify 1 MB"
COMMAND = "the whole command"


class Bench:
    """The twin on its port, and files of ever higher versions for it."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._pace = SystemPace()
        self._payload = os.urandom(PAYLOAD_BYTES)
        self._version = Version(1)
        self._key = Maker().write_key(folder / "maker.pem")

    def ours(self) -> float:
        """Seconds of a flashing from the loader on."""
        self._load()
        firmware = Firmware.read(self._next_file(), [Maker().trusted])
        unit = DfuDevice(self._seen(), present, self._pace)
        outcome = flash(unit, firmware, self._pace, lambda _: None, Orders())
        if outcome.result is not Result.FLASHED:
            raise BenchmarkError(outcome.error)
        return outcome.seconds

    def theirs(self) -> float:
        """Seconds of dfu-util, from the loader on."""
        self._load()
        return self._dfu_util()

    def our_command(self) -> float:
        """Seconds of `turret flash` from a running device on."""
        file = self._next_file()
        command = ("flash", str(file), "--key", str(self._key), "--json")
        return _timed([sys.executable, "-m", "openturret.lab.cli", *command])

    def their_command(self) -> float:
        """Seconds of dfu-util from a running device on."""
        return self._dfu_util()

    def _dfu_util(self) -> float:
        file, read = self._next_file(), self._folder / "read.bin"
        read.unlink(missing_ok=True)
        pid = DEVICES[PORT].pid
        ids = f"{OPENTURRET_VID:04x}:{pid:04x},{OPENTURRET_VID:04x}:{loader_pid(0x1209, pid):04x}"
        program = [str(tool("dfu-util").path), "--device", ids]
        seconds = _timed([*program, "--download", str(file)])
        # After a reset it reports that the device has become another one, as it should.
        seconds += _timed([*program, "--upload", str(read), "--reset"], allowed=(0, 251))
        if read.read_bytes() != DfuFile.parse(file.read_bytes()).payload:
            raise BenchmarkError("dfu-util read back something else")
        self._await(loader=False)
        return seconds

    def _next_file(self) -> Path:
        self._version = replace(self._version, minor=self._version.minor + 1)
        if self._version.minor > 9:
            self._version = Version(self._version.major + 1)
        path = self._folder / "firmware.dfu"
        suffix = DfuSuffix(OPENTURRET_VID, DEVICES[PORT].pid)
        path.write_bytes(Maker().dfu_file(self._payload, self._version, suffix))
        return path

    def _load(self) -> None:
        port = DfuPort(self._seen())
        port.detach()
        port.close()
        self._await(loader=True)

    def _seen(self) -> UsbDevice:
        return next(each for each in present() if each.port == sysfs_name(PORT))

    def _await(self, *, loader: bool) -> None:
        until = self._pace.monotonic() + WAIT_S
        while self._pace.monotonic() < until:
            here = [each for each in present() if each.port == sysfs_name(PORT)]
            if here and in_dfu_mode(here[0]) == loader:
                return
            self._pace.wait(0.05)
        raise BenchmarkError(f"port {PORT}: the device did not come back within {WAIT_S:.0f} s")


def measure(rounds: int) -> list[Row]:
    """Runs ours and theirs in turns; returns seconds and their ratio."""
    rows: list[Row] = []
    with tempfile.TemporaryDirectory() as name:
        bench = Bench(Path(name))
        rows += _compared(BENCHMARK, bench.ours, bench.theirs, rounds)
        rows += _compared(COMMAND, bench.our_command, bench.their_command, rounds)
    return rows


def _compared(
    benchmark: str, ours: Callable[[], float], theirs: Callable[[], float], rounds: int
) -> list[Row]:
    pairs = [(ours(), theirs()) for _ in range(rounds)]
    return [
        Figure.of(benchmark, "turret flash", 1, [pair[0] for pair in pairs], "s"),
        Figure.of(benchmark, "dfu-util", 1, [pair[1] for pair in pairs], "s"),
        Figure.of(benchmark, "ours ÷ theirs", 1, [pair[0] / pair[1] for pair in pairs], ""),
    ]


def _timed(command: list[str], allowed: tuple[int, ...] = (0,)) -> float:
    began = time.monotonic()
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    seconds = time.monotonic() - began
    if done.returncode not in allowed:
        raise BenchmarkError(f"{command[0]} ended with {done.returncode}: {done.stderr[-500:]}")
    return seconds


def main() -> int:
    """Runs the command line."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="one round")
    parser.add_argument("--json", action="store_true", help="print JSON for machines")
    options = parser.parse_args()
    if FLAG not in os.environ:
        words = sys.argv[1:]
        inside = [sys.executable, "-m", "benchmarks.flash", *words]
        guest = [sys.executable, "-m", "openturret.lab.guest.updatable", "--", *inside]
        return subprocess.run(guest, check=False).returncode
    tell(measure(1 if options.quick else ROUNDS), as_json=options.json)
    return 0


if __name__ == "__main__":
    try:
        sys.exit(main())
    except BenchmarkError as error:
        sys.exit(str(error))
