"""The board description: which devices a unit has, where, and which driver answers.

::

    board: touchpro
    devices:
      handset-left:
        type: handset
        driver: usb
        match: {vid: 0x1209, pid: 0x7701, port: "1-1"}
        capabilities: [hook, ptt, mute, lamp, capture, playback]   # optional; its type's own
        fallback: speakerphone                                     # optional; none

What is not understood is refused with its line and what to do about it; a board that
is half understood would put a call on the wrong handset.  docs/devices.md lists the keys.
"""

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import yaml

from . import board_keys as keys
from .board_rules import Entry, check_board, check_device
from .description import CAPABILITIES, DEFAULTS, Board, Capability, DeviceSpec, DeviceType
from .errors import BoardError
from .kinds import Kind
from .nodes import Fields, compose, entries, fields, line_of, needed, require

__all__ = [
    "CAPABILITIES",
    "DEFAULTS",
    "MAX_BOARD_BYTES",
    "Board",
    "Capability",
    "DeviceSpec",
    "DeviceType",
    "load_board",
    "parse_board",
]

MAX_BOARD_BYTES: Final = 65_536
T = TypeVar("T")


def load_board(path: Path) -> Board:
    """Returns the board that a file describes.

    Raises:
        BoardError: The file cannot be read, is too large, or says something that is
            not understood.
    """
    try:
        with path.open("rb") as file:
            return parse_board(file.read(MAX_BOARD_BYTES + 1))
    except OSError as error:
        raise BoardError(f"cannot read {path}: {error.strerror}") from error


def parse_board(data: bytes) -> Board:
    """Returns the board that YAML text describes.

    Raises:
        BoardError: The text is too large or says something that is not understood.
    """
    small = len(data) <= MAX_BOARD_BYTES
    require(small, None, f"larger than {MAX_BOARD_BYTES} bytes", "describe one unit in a file")
    root = compose(data)
    require(root is not None, None, "the file is empty", "start with 'board: touchpro'")
    top = fields(root, "the file", keys.BOARD_KEYS)
    found = tuple(_entry(key, node) for key, node in _devices(top, root))
    name = keys.NAME.read(needed(top, "board", root), "board")
    check_board(name, found, _optional(top, "speaker_channels_limit", keys.CHANNELS_LIMIT, None))
    return Board(name, MappingProxyType({each.spec.position: each.spec for each in found}))


def _devices(top: Fields, root: yaml.Node | None) -> tuple[tuple[yaml.ScalarNode, yaml.Node], ...]:
    found = entries(needed(top, "devices", root), "devices")
    remedy = "describe a second unit in a file of its own"
    require(len(found) <= keys.MAX_DEVICES, root, f"more than {keys.MAX_DEVICES} devices", remedy)
    return found


def _entry(key: yaml.ScalarNode, node: yaml.Node) -> Entry:
    remedy = "use small letters, digits and dashes, as in handset-left"
    named = re.fullmatch(keys.POSITION, key.value) is not None
    require(named, key, f"position {key.value[:40]!r} is not a name", remedy)
    found = fields(node, f"device {key.value}", keys.DEVICE_KEYS)
    entry = Entry(
        _spec(key.value, node, found),
        {name: line_of(value) for name, value in found.items()},
    )
    check_device(entry)
    return entry


def _spec(position: str, node: yaml.Node, found: Fields) -> DeviceSpec:
    kind = keys.TYPE.read(needed(found, "type", node), "type")
    return DeviceSpec(
        position=position,
        type=kind,
        driver=keys.DRIVER.read(needed(found, "driver", node), "driver"),
        match=_match(found.get("match")),
        capabilities=_optional(found, "capabilities", keys.CAPABILITIES, DEFAULTS[kind]),
        frame_ms=_optional(found, "frame_ms", keys.FRAME_MS, 20),
        rate_hz=_optional(found, "rate_hz", keys.RATE_HZ, None),
        channels=_optional(found, "channels", keys.CHANNELS, 1),
        fallback=_optional(found, "fallback", keys.FALLBACK, ""),
        optional=_optional(found, "optional", keys.OPTIONAL, False),
    )


def _match(node: yaml.Node | None) -> Mapping[str, str | int]:
    found = {} if node is None else fields(node, "match", keys.MATCH_KEYS)
    return MappingProxyType(
        {name: keys.MATCH_KEYS[name].kind.read(value, name) for name, value in found.items()}
    )


def _optional(found: Fields, name: str, kind: Kind[T], otherwise: T) -> T:
    return kind.read(found[name], name) if name in found else otherwise
