"""Writes docs/devices.md: devices, capabilities, drivers, and every key of a board.

python -m openturret.drivers.devices_page docs            write it
python -m openturret.drivers.devices_page docs --check    say whether it is current
"""

import importlib
import sys
from collections.abc import Iterable, Mapping, Sequence
from importlib.metadata import EntryPoint
from pathlib import Path
from types import MappingProxyType
from typing import Final

from ..hal.board import CAPABILITIES, DEFAULTS, Capability, DeviceType
from ..hal.board_keys import BOARD_KEYS, DEVICE_KEYS, MATCH_KEYS, Key
from ..hal.kinds import Hexadecimal, Kind
from ..hal.registry import installed_drivers

_NAME: Final = "devices.md"
_PARTS: Final = (*DeviceType, "audio", "matrix")
_HERE: Final = "openturret.drivers"

_INTRO: Final = """<!-- made by: python -m openturret.drivers.devices_page docs -->
# Devices and boards

A board describes a unit's hardware: which devices it has, where, and which driver answers for each.
`turret devices --board board.yaml` says which of them are there, `turret selftest` tries them.
Boards to copy and adapt are in `hal/boards/`: `touchpro.yaml`, `flexpro.yaml`, `rig.yaml` on real
hardware, `emulated.yaml` without any. Editors that speak the YAML language server check a board as
it is written, by the [schema](../hal/boards/board.schema.json) that its first line names.

A driver for hardware that is not here yet: [write-a-driver.md](write-a-driver.md).

## Devices

What a device of each type can do when its description does not say, and what it may be described
to do besides.

| type | can do | may be described to do |
|---|---|---|
"""

_DRIVERS: Final = """
## Drivers

What comes with this distribution. Extras in brackets bring what it imports:
`pip install "openturret[rig]"`.

"""

_MATCH: Final = """How a driver finds its device. Everything that stands here must agree. On USB,
`vid` and `pid` are the kind, `serial` is the unit and `port` is the place: of two devices of one
kind, each needs a port or each a serial, and a board on which two positions could take one device
is refused. `url` and `socket` are places by themselves."""

_MEANINGS: Final[Mapping[Capability, str]] = MappingProxyType(
    {
        Capability.HOOK: "a hook switch: lifted or on its cradle, or switched on and off",
        Capability.PTT: "a push-to-talk bar or key",
        Capability.MUTE: "a mute of its own, which also silences its microphone",
        Capability.LATCH: "a latch switch: the microphone stays open without a hand",
        Capability.KEYS: "keys that report by name: `line-1` on a panel, `channel-1` on a speaker",
        Capability.VOLUME: "a knob or volume keys, for the device or for each channel",
        Capability.LAMP: "lamps: off-hook, ring, mute, hold, talk; of keys and of channels",
        Capability.RING: "a light ring in red, green and amber, steady or blinking",
        Capability.GAIN: "gains of its own: earpiece, microphone, loudspeaker",
        Capability.SIDETONE: "a side-tone of its own",
        Capability.CAPTURE: "a microphone",
        Capability.PLAYBACK: "an earpiece or a loudspeaker",
    }
)


def page(drivers: Iterable[EntryPoint]) -> str:
    """Returns the text of docs/devices.md.

    Args:
        drivers: The registered drivers.
    """
    return "".join(
        (
            _INTRO,
            *map(_type_row, DeviceType),
            "\n## Capabilities\n\n| word | what the device has |\n|---|---|\n",
            *(f"| `{word}` | {_MEANINGS[word]} |\n" for word in Capability),
            *_drivers(drivers),
            *_keys("Board", "The file itself.", BOARD_KEYS),
            *_keys("Device", "Below `devices`, by position: `handset-left`.", DEVICE_KEYS),
            *_keys("Match", _MATCH, MATCH_KEYS),
        )
    )


def _type_row(kind: DeviceType) -> str:
    more = CAPABILITIES[kind] - DEFAULTS[kind]
    return f"| `{kind}` | {_words(DEFAULTS[kind])} | {_words(more)} |\n"


def _words(capabilities: frozenset[Capability]) -> str:
    return ", ".join(word for word in Capability if word in capabilities)


def _drivers(points: Iterable[EntryPoint]) -> Iterable[str]:
    by_driver: dict[str, list[EntryPoint]] = {}
    for point in sorted(points, key=lambda point: point.name):
        by_driver.setdefault(point.name.partition(".")[0], []).append(point)
    yield _DRIVERS
    yield f"| driver | {' | '.join(_PARTS)} | what it reaches |\n|---|{'---|' * len(_PARTS)}---|\n"
    for driver, own in by_driver.items():
        parts = {point.name.partition(".")[2]: point for point in own}
        cells = " | ".join(_cell(parts.get(part)) for part in _PARTS)
        yield f"| `{driver}` | {cells} | {_reach(own)} |\n"


def _cell(point: EntryPoint | None) -> str:
    if point is None:
        return ""
    return f"yes [{', '.join(point.extras)}]" if point.extras else "yes"


def _reach(own: Sequence[EntryPoint]) -> str:
    """The first line of the package that most of the driver is in, or of its only module."""
    modules = [point.module for point in own]
    packages = [module.rpartition(".")[0] for module in modules]
    most = max(packages, key=packages.count)
    said = importlib.import_module(modules[0] if most == _HERE else most).__doc__ or ""
    return said.partition("\n")[0].rstrip(".")


def _keys(title: str, intro: str, keys: Mapping[str, Key[Kind[object] | None]]) -> Iterable[str]:
    yield f"\n## {title}\n\n{intro}\n\n| key | holds | without it | meaning |\n|---|---|---|---|\n"
    for name, key in keys.items():
        cells = (f"`{name}`", _holds(key.kind), key.default or "refused", key.meaning)
        yield f"| {' | '.join(cells)} |\n"


def _holds(kind: Kind[object] | None) -> str:
    """What a value may be, from the schema that it has."""
    if isinstance(kind, Hexadecimal):
        return "number like `0x1209`"
    schema = {"type": "keys"} if kind is None else kind.schema()
    if "enum" in schema:
        return ", ".join(map(str, _listed(schema["enum"])))
    if "minimum" in schema:
        return f"{schema['minimum']} to {schema['maximum']}"
    if "examples" in schema:
        return f"text like `{_listed(schema['examples'])[0]}`"
    return {"boolean": "true or false", "array": "a list"}.get(str(schema["type"]), "keys")


def _listed(values: object) -> list[object]:
    return list(values) if isinstance(values, list) else []


def main(
    arguments: Sequence[str] | None = None,
    drivers: Iterable[EntryPoint] | None = None,
) -> int:
    """Writes or checks the page; returns 1 when ``--check`` finds it out of date."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    check = "--check" in words
    folder = next((word for word in words if not word.startswith("-")), "docs")
    path, text = Path(folder) / _NAME, page(installed_drivers() if drivers is None else drivers)
    if path.exists() and path.read_text(encoding="utf-8") == text:
        return 0
    sys.stdout.write(f"{path}: {'out of date' if check else 'written'}\n")
    if not check:
        path.write_text(text, encoding="utf-8")
    return int(check)


if __name__ == "__main__":
    sys.exit(main())
