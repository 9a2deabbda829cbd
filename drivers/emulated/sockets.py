"""Where the sockets of emulated hardware are."""

from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ...hal.board import DeviceSpec
from ...hal.errors import BoardError

MAX_PATH: Final = 107


@dataclass(frozen=True, slots=True)
class DeviceSockets:
    """The two sockets of one device."""

    control: Path
    audio: Path

    @classmethod
    def at(cls, base: Path) -> "DeviceSockets":
        """Returns the sockets beside ``base``, for example ``D/handset-left``.

        Raises:
            BoardError: The path is longer than a Unix socket's address may be.
        """
        found = cls(Path(f"{base}.control"), Path(f"{base}.audio"))
        check_length(found.control)
        return found


def check_length(path: Path) -> None:
    """Refuses a path that the kernel would not bind.

    Raises:
        BoardError: The path is longer than a Unix socket's address may be.
    """
    if len(str(path).encode()) > MAX_PATH:
        raise BoardError(f"socket path {path} is too long", remedy="use a shorter folder")


def sockets_of(spec: DeviceSpec) -> DeviceSockets:
    """Returns the sockets that a board description names.

    Raises:
        BoardError: The device's match has no socket.
    """
    base = spec.match.get("socket")
    if not isinstance(base, str):
        remedy = f"add 'match: {{socket: /run/openturret/hardware/{spec.position}}}'"
        raise BoardError(f"device {spec.position} names no socket", remedy=remedy)
    return DeviceSockets.at(Path(base))


def hand_socket(folder: Path) -> Path:
    """Returns where the hardware listens to the hand."""
    return folder / "hand.sock"
