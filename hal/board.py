"""The board description: which devices a unit has, where, and which driver answers.

::

    board: touchpro
    devices:
      handset-left:
        type: handset
        driver: emulated
        match: {socket: /run/openturret/hardware/handset-left}
        capabilities: [hook, ptt, mute, lamp]     # optional; the type's own by default
        frame_ms: 20                              # optional; 10 or 20

What is not understood is refused with its line and what to do about it; a board that
is half understood would put a call on the wrong handset.
"""

import enum
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Final, TypeVar

import yaml

from .errors import BoardError

MAX_BOARD_BYTES: Final = 65_536
MAX_DEVICES: Final = 64
E = TypeVar("E", bound=enum.StrEnum)
_POSITION: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
_TOP_KEYS: Final = frozenset({"board", "devices"})
_DEVICE_KEYS: Final = frozenset({"type", "driver", "match", "capabilities", "frame_ms"})


class DeviceType(enum.StrEnum):
    """The kinds of device that a board may carry."""

    HANDSET = "handset"
    SPEAKERPHONE = "speakerphone"
    GOOSENECK = "gooseneck"
    SPEAKER = "speaker"
    PANEL = "panel"


class Capability(enum.StrEnum):
    """What a device can do; tests and the firmware select by it."""

    HOOK = "hook"
    PTT = "ptt"
    MUTE = "mute"
    KEYS = "keys"
    LAMP = "lamp"
    CAPTURE = "capture"
    PLAYBACK = "playback"


CAPABILITIES: Final[Mapping[DeviceType, frozenset[Capability]]] = MappingProxyType(
    {
        DeviceType.HANDSET: frozenset(Capability) - {Capability.KEYS},
        DeviceType.SPEAKERPHONE: frozenset(Capability) - {Capability.PTT, Capability.KEYS},
        DeviceType.GOOSENECK: frozenset(
            {Capability.PTT, Capability.MUTE, Capability.LAMP, Capability.CAPTURE}
        ),
        DeviceType.SPEAKER: frozenset({Capability.LAMP, Capability.PLAYBACK}),
        DeviceType.PANEL: frozenset({Capability.KEYS, Capability.LAMP}),
    }
)


@dataclass(frozen=True, slots=True)
class DeviceSpec:
    """One device of the board; ``match`` is how its driver finds it among its like."""

    position: str
    type: DeviceType
    driver: str
    match: Mapping[str, str | int]
    capabilities: frozenset[Capability]
    frame_ms: int = 20

    @property
    def has_audio(self) -> bool:
        """Whether the device has a microphone, a loudspeaker or both."""
        return bool(self.capabilities & {Capability.CAPTURE, Capability.PLAYBACK})


@dataclass(frozen=True, slots=True)
class Board:
    """A unit's hardware, by position."""

    name: str
    devices: Mapping[str, DeviceSpec]

    def audio_devices(self) -> tuple[DeviceSpec, ...]:
        """Returns the devices that have audio, in the order of the file."""
        return tuple(spec for spec in self.devices.values() if spec.has_audio)


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
    root = _compose(data)
    _require(root is not None, None, "the file is empty", "start with 'board: touchpro'")
    top = _mapping(root, "the file", _TOP_KEYS)
    devices = _entries(_needed(top, "devices", root), "devices")
    _require(len(devices) <= MAX_DEVICES, root, f"more than {MAX_DEVICES} devices", "")
    specs = {key.value: _device(key, value) for key, value in devices}
    return Board(_text(_needed(top, "board", root), "board"), MappingProxyType(specs))


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses anchors, so that aliases cannot multiply."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            line = event.start_mark.line + 1
            raise BoardError("anchors and aliases are refused", line=line, remedy="write it out")
        return super().compose_node(parent, index)


def _compose(data: bytes) -> yaml.Node | None:
    _require(len(data) <= MAX_BOARD_BYTES, None, f"larger than {MAX_BOARD_BYTES} bytes", "")
    try:
        return yaml.compose(data, _Loader)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise BoardError(f"not YAML: {error.problem}", line=line) from error
    except BoardError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BoardError(f"not YAML: {str(error).splitlines()[0]}") from error


def _device(key: yaml.ScalarNode, node: yaml.Node) -> DeviceSpec:
    _require(
        _POSITION.fullmatch(key.value) is not None,
        key,
        f"position {key.value[:40]!r} is not a name",
        "use small letters, digits and dashes, as in handset-left",
    )
    fields = _mapping(node, f"device {key.value}", _DEVICE_KEYS)
    kind = _choice(_needed(fields, "type", node), "type", DeviceType)
    return DeviceSpec(
        position=key.value,
        type=kind,
        driver=_text(_needed(fields, "driver", node), "driver"),
        match=_match(fields.get("match")),
        capabilities=_capabilities(fields.get("capabilities"), kind),
        frame_ms=_frame_ms(fields.get("frame_ms")),
    )


def _match(node: yaml.Node | None) -> Mapping[str, str | int]:
    entries = () if node is None else _entries(node, "match")
    return MappingProxyType({key.value: _text_or_number(value) for key, value in entries})


def _capabilities(node: yaml.Node | None, kind: DeviceType) -> frozenset[Capability]:
    if node is None:
        return CAPABILITIES[kind]
    if not isinstance(node, yaml.SequenceNode):
        raise _refusal(node, "capabilities is not a list", "write [hook, ptt]")
    chosen = frozenset(_choice(item, "capability", Capability) for item in node.value)
    strange = ", ".join(sorted(chosen - CAPABILITIES[kind]))
    _require(not strange, node, f"a {kind} has no {strange}", "remove it or correct the type")
    return chosen


def _frame_ms(node: yaml.Node | None) -> int:
    value = 20 if node is None else _text_or_number(node)
    if value not in (10, 20) or not isinstance(value, int):
        raise _refusal(node, f"frame_ms {value} is not possible", "use 10 or 20")
    return value


def _mapping(node: yaml.Node | None, name: str, known: frozenset[str]) -> dict[str, yaml.Node]:
    entries = _entries(node, name)
    for key, _ in entries:
        remedy = f"known keys are {', '.join(sorted(known))}"
        _require(key.value in known, key, f"unknown key {key.value[:40]!r} in {name}", remedy)
    return {key.value: value for key, value in entries}


def _entries(node: yaml.Node | None, name: str) -> tuple[tuple[yaml.ScalarNode, yaml.Node], ...]:
    if not isinstance(node, yaml.MappingNode):
        raise _refusal(node, f"{name} is not a mapping", "write 'key: value' lines")
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise _refusal(key, f"a key of {name} is not a plain word", "")
        _require(key.value not in seen, key, f"{key.value[:40]!r} stands twice", "keep one of them")
        seen.add(key.value)
    return tuple(node.value)


def _needed(fields: Mapping[str, yaml.Node], name: str, node: yaml.Node | None) -> yaml.Node:
    if name not in fields:
        raise _refusal(node, f"key {name!r} is missing", "add it")
    return fields[name]


def _text(node: yaml.Node, name: str) -> str:
    value = _text_or_number(node)
    if not isinstance(value, str) or not value:
        raise _refusal(node, f"{name} is not text", "put it in quotes")
    return value


def _text_or_number(node: yaml.Node) -> str | int:
    tag = node.tag.removeprefix("tag:yaml.org,2002:")
    if not isinstance(node, yaml.ScalarNode) or tag not in ("str", "int"):
        raise _refusal(node, f"a {tag} stands where text or a number belongs", "quote text")
    try:
        return node.value if tag == "str" else int(node.value.replace("_", ""), 0)
    except ValueError as error:
        raise _refusal(node, f"{node.value[:40]!r} is not a number", "quote text") from error


def _choice(node: yaml.Node, name: str, choices: type[E]) -> E:
    value = _text_or_number(node)
    try:
        return choices(str(value))
    except ValueError as error:
        known = ", ".join(sorted(choices))
        raise _refusal(node, f"{name} {value!r} is not known", f"use one of {known}") from error


def _refusal(node: yaml.Node | None, message: str, remedy: str) -> BoardError:
    line = None if node is None else node.start_mark.line + 1
    return BoardError(message, line=line, remedy=remedy)


def _require(condition: bool, node: yaml.Node | None, message: str, remedy: str) -> None:
    if not condition:
        raise _refusal(node, message, remedy)
