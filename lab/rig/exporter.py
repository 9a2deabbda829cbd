"""``turret rig export``: labgrid's exporter, which also knows our resources.

A USB handset or sound card is watched through udev, so that a place shows what is plugged in.
An emulated board is plugged in when its place is acquired and unplugged when it is released:
whoever acquires it finds every handset on its cradle.
"""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

import attr

from ...drivers.emulated.sockets import hand_socket
from ..tools import tool
from ._labgrid import ResourceExport, exporter
from .errors import RigError
from .resources import EmulatedBoard, USBAudio, USBHandset

_SHIPPED_SOCKETS = "/run/openturret/hardware"
_READY_S = 10.0
_POLL_S = 0.02
_GRACE_S = 5.0
R = TypeVar("R")


def _local(resource: Callable[..., R], parameters: Mapping[str, object]) -> R:
    """The resource of this machine behind an exported one; it belongs to no target."""
    return resource(target=None, name=None, **parameters)


@attr.s(eq=False)
class USBHandsetExport(ResourceExport):
    """Exports a handset as ``NetworkUSBHandset``."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.data["cls"] = "NetworkUSBHandset"
        self.local = _local(USBHandset, self.local_params)

    def _get_params(self) -> dict[str, object]:
        names = ("vid", "pid", "port", "serial", "position")
        return {"host": self.host, **{name: getattr(self.local, name) for name in names}}


@attr.s(eq=False)
class USBAudioExport(ResourceExport):
    """Exports the sound card of a USB device as ``AlsaAudio``."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.data["cls"] = "AlsaAudio"
        self.card = self.local = _local(USBAudio, self.local_params)

    def _get_params(self) -> dict[str, object]:
        return {"host": self.host, "alsa_name": self.card.alsa_name}


@attr.s(eq=False)
class EmulatedBoardExport(ResourceExport):
    """Exports emulated hardware, which runs while it is acquired."""

    def __attrs_post_init__(self) -> None:
        super().__attrs_post_init__()
        self.described = self.local = _local(
            EmulatedBoard, {"host": self.host, **self.local_params}
        )
        self.hardware: subprocess.Popen[bytes] | None = None

    @property
    def _board(self) -> Path:
        return Path(self.described.sockets) / "board.yaml"

    def _get_params(self) -> dict[str, object]:
        sockets = self.described.sockets
        return {"host": self.described.host, "board": str(self._board), "sockets": sockets}

    def _start(self, start_params: dict[str, object]) -> None:
        sockets = self._board.parent
        sockets.mkdir(parents=True, exist_ok=True)
        shipped = Path(self.described.board).read_text()
        self._board.write_text(shipped.replace(_SHIPPED_SOCKETS, str(sockets)))
        dies_with_us = [str(tool("setpriv").path), "--pdeathsig", "TERM"]
        argv = [*dies_with_us, sys.executable, "-m", "openturret.drivers.emulated"]
        argv += ["--board", str(self._board), "--sockets", str(sockets)]
        hand_socket(sockets).unlink(missing_ok=True)
        self.hardware = subprocess.Popen(argv)
        _wait_for(self.hardware, hand_socket(sockets))

    def _stop(self, start_params: dict[str, object]) -> None:
        if self.hardware is None:
            return
        self.hardware.terminate()
        try:
            self.hardware.wait(_GRACE_S)
        except subprocess.TimeoutExpired:
            self.hardware.kill()
            self.hardware.wait()
        self.hardware = None


def _wait_for(hardware: subprocess.Popen[bytes], socket: Path) -> None:
    """The hardware makes the hand's socket last, when all else is there."""
    deadline = time.monotonic() + _READY_S
    while not socket.exists():
        if hardware.poll() is not None:
            raise RigError(f"the emulated hardware ended with status {hardware.returncode}")
        if time.monotonic() > deadline:
            raise RigError(f"the emulated hardware did not make {socket} within {_READY_S:g} s")
        time.sleep(_POLL_S)


def main(argv: Sequence[str] | None = None) -> int:
    """Export; arguments are labgrid-exporter's own.

    Returns:
        0 after a stop; labgrid exits with 100 when it lost the coordinator.
    """
    exporter.exports["USBHandset"] = USBHandsetExport
    exporter.exports["USBAudio"] = USBAudioExport
    exporter.exports["EmulatedBoard"] = EmulatedBoardExport
    if argv is not None:
        sys.argv = ["turret rig export", *argv]
    exporter.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
