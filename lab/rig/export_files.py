"""The files of an emulated rig: what its exporters export, and environments for its tests."""

from __future__ import annotations

import socket
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path

import yaml

from .floor import FloorSockets

FLOOR_FILE = "floor.yaml"
HANDS_FILE = "hands.yaml"
ENVIRONMENTS = ("emulated.yaml", "board.yaml")

Group = Mapping[str, Mapping[str, object]]


def write_exports(folder: Path, units: Sequence[str], sockets: FloorSockets) -> tuple[Path, Path]:
    """Write ``floor.yaml`` (power and panels) and ``hands.yaml`` (hands, and a board to test).

    They are two, because two exporters read them: a rig's units and its hardware seldom hang
    on one machine.

    Args:
        folder: where to; its path should be short, because sockets of the board stand in it.
        units: the units by name, in the order of their sockets.
        sockets: where the floor listens.
    """
    folder = folder.resolve()
    floor = {
        unit: {"power": _power(unit, sockets.power), "panel": _service("TurretPanel", panel)}
        for unit, panel in zip(units, sockets.panels, strict=True)
    }
    hands: dict[str, Group] = {
        unit: {"hand": _service("EmulatedHand", hand)}
        for unit, hand in zip(units, sockets.hands, strict=True)
    }
    hands["board-1"] = {"board": _board(folder)}
    return _write(folder / FLOOR_FILE, floor), _write(folder / HANDS_FILE, hands)


def write_environments(folder: Path) -> None:
    """Write the environments that are shipped for an emulated rig into a folder."""
    shipped = resources.files(__package__).joinpath("environments")
    for name in ENVIRONMENTS:
        (folder / name).write_text(shipped.joinpath(name).read_text())


def _power(unit: str, listening: socket.socket) -> dict[str, object]:
    return {**_service("TurretPower", listening), "unit": unit}


def _service(cls: str, listening: socket.socket) -> dict[str, object]:
    host, port = listening.getsockname()[:2]
    return {"cls": cls, "host": host, "port": port}


def _board(folder: Path) -> dict[str, object]:
    shipped = resources.files("openturret.hal").joinpath("boards", "emulated.yaml")
    return {"cls": "EmulatedBoard", "board": str(shipped), "sockets": str(folder / "board-1")}


def _write(path: Path, groups: Mapping[str, Group]) -> Path:
    path.write_text(yaml.safe_dump(dict(groups), sort_keys=False))
    return path
