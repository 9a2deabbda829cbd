"""The JSON Schema of a board description, for editors and for those who generate boards.

    python -m openturret.hal.board_schema            writes hal/boards/board.schema.json
    python -m openturret.hal.board_schema --check    says whether it is current

It is made of the same kinds that the parser reads with.  What lies between devices (positions that
would take the same device, fallbacks that go round, speaker channels together) and how a number is
written (0x1209, not 4617) is the parser's to refuse.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from .board_keys import BOARD_KEYS, DEVICE_KEYS, MATCH_KEYS, MAX_DEVICES, POSITION, Key
from .description import CAPABILITIES, PLACES, USB_KEYS, XMA2_KEYS, Capability, DeviceType
from .kinds import Kind, Schema

PATH: Final = Path(__file__).parent / "boards" / "board.schema.json"
_DRAFT: Final = "https://json-schema.org/draft/2020-12/schema"
_AUDIO: Final = sorted({Capability.CAPTURE, Capability.PLAYBACK})
_CHANNELLED: Final = (DeviceType.SPEAKER, DeviceType.XMA2)


def schema() -> Schema:
    """Returns the schema of a board."""
    device = {"$ref": "#/$defs/device"}
    devices = {
        "type": "object",
        "propertyNames": {"pattern": f"^(?:{POSITION})$"},
        "additionalProperties": device,
        "maxProperties": MAX_DEVICES,
    }
    return {
        "$schema": _DRAFT,
        "title": "A board of OpenTurret: which devices a unit has, where, and which driver answers",
        **_object(BOARD_KEYS, {"devices": devices}),
        "$defs": {"device": _device(), "match": _match()},
    }


def text() -> str:
    """Returns the schema as it is published."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def _object(keys: Mapping[str, Key[Kind[object] | None]], nested: Mapping[str, Schema]) -> Schema:
    return {
        "type": "object",
        "properties": {
            name: {**(key.kind.schema() if key.kind else nested[name]), "description": key.meaning}
            for name, key in keys.items()
        },
        "required": [name for name, key in keys.items() if not key.default],
        "additionalProperties": False,
    }


def _device() -> Schema:
    conditions = [_of_type(kind) for kind in DeviceType]
    return {**_object(DEVICE_KEYS, {"match": {"$ref": "#/$defs/match"}}), "allOf": conditions}


def _of_type(kind: DeviceType) -> Schema:
    """What a device of a type may be described to do and to have."""
    allowed: Schema = {"capabilities": {"items": {"enum": sorted(CAPABILITIES[kind])}}}
    if kind not in _CHANNELLED:
        allowed["channels"] = False
    if kind is not DeviceType.XMA2:
        allowed["match"] = {"properties": dict.fromkeys(XMA2_KEYS, False)}
    then: Schema = {"properties": allowed}
    if not CAPABILITIES[kind] & set(_AUDIO):
        then["not"] = _ANY_AUDIO_KEY
    return {"if": {"properties": {"type": {"const": kind}}}, "then": then}


_ANY_AUDIO_KEY: Final = {"anyOf": [{"required": ["rate_hz"]}, {"required": ["fallback"]}]}


def _match() -> Schema:
    clashes: list[Schema] = [{"required": list(PLACES)}]
    clashes += [
        {"required": [place, key]}
        for place in PLACES
        for key in USB_KEYS
        if (place, key) != ("url", "serial")
    ]
    return {
        **_object(MATCH_KEYS, {}),
        "dependentRequired": {"vid": ["pid"], "pid": ["vid"]},
        "not": {"anyOf": clashes},
    }


def main(arguments: Sequence[str] | None = None, path: Path = PATH) -> int:
    """Writes or checks the published schema; returns 1 when ``--check`` finds it out of date."""
    check = "--check" in (sys.argv[1:] if arguments is None else arguments)
    if path.exists() and path.read_text(encoding="utf-8") == text():
        return 0
    sys.stdout.write(f"{path}: {'out of date' if check else 'written'}\n")
    if not check:
        path.write_text(text(), encoding="utf-8")
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
