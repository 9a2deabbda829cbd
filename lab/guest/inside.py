"""The first process of the guest from the moment that its folders are there.

Brings up what an operating system has (file systems, udev), runs the command of
``/guest/command.json``, says what comes of it on the ports that lead outside, and powers off.
It is started by its path, so it stands on the standard library alone.
"""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

MOUNTS = (
    ("tmpfs", "/run", "mode=755"),
    ("tmpfs", "/dev/shm", "mode=1777"),
    ("devpts", "/dev/pts", "ptmxmode=666"),
)
UHCI_CLASS = "0x0c0300"
"""Of a PCI device that is a UHCI controller; all the rest follows from what is plugged in."""

UDEVD = "/usr/lib/systemd/systemd-udevd"
SETTLE_SECONDS = 60
POLL_SECONDS = 0.05
COMMAND = Path("/guest/command.json")
USB_DEVICES = Path("/sys/bus/usb/devices")
CHANNELS = Path("/sys/class/virtio-ports")


def main() -> None:
    """Run the command and end the guest."""
    with channel("report").open("wb", buffering=0) as report:
        for line in _story():
            report.write(f"{line}\n".encode())
    Path("/proc/sysrq-trigger").write_text("o")
    signal.pause()


def channel(name: str) -> Path:
    """The device of a port that leads outside, which udev has not named yet.

    Raises:
        OSError: there is no such port.
    """
    for port in CHANNELS.iterdir():
        if (port / "name").read_text().strip() == f"openturret.{name}":
            return Path("/dev") / port.name
    raise FileNotFoundError(f"no virtio port {name} in {CHANNELS}")


def _story() -> Iterator[str]:
    try:
        command = json.loads(COMMAND.read_text())
        yield "booted"
        _bring_up()
        _await(command["usb"])
        yield "devices"
        yield f"exit {_run(command)}"
    except (OSError, ValueError, subprocess.SubprocessError) as error:
        yield f"broken {error}"


def _bring_up() -> None:
    for kind, place, options in MOUNTS:
        Path(place).mkdir(parents=True, exist_ok=True)
        _do("/guest/busybox", "mount", "-t", kind, "-o", options, kind, place)
    _do(UDEVD, "--daemon")
    _do("udevadm", "trigger", "--action=add", "--subsystem-match=virtio-ports")
    _do("udevadm", "trigger", "--action=add", f"--attr-match=class={UHCI_CLASS}")


def _await(devices: list[str]) -> None:
    """Wait until some USB devices are there and have their drivers.

    Raises:
        TimeoutError: they did not come.
    """
    deadline = time.monotonic() + SETTLE_SECONDS
    while missing := [name for name in devices if not (USB_DEVICES / name).exists()]:
        if time.monotonic() > deadline:
            raise TimeoutError(f"no USB device on {', '.join(missing)}")
        time.sleep(POLL_SECONDS)
    _do("udevadm", "settle", f"--timeout={SETTLE_SECONDS}")


def _do(*argv: str) -> None:
    subprocess.run(argv, check=True)


def _run(command: dict[str, Any]) -> int:
    with channel("output").open("wb", buffering=0) as output:
        done = subprocess.run(
            command["argv"],
            cwd=command["cwd"],
            env=command["env"],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    return done.returncode


if __name__ == "__main__":
    main()
