"""Writes docs/ports.md and docs/keys.md from the registry.

::

    python -m openturret.firmware.config.docs docs            write them
    python -m openturret.firmware.config.docs docs --check    say whether they are current
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from .key import Key, Source
from .keys import KEYS
from .ports import PORTS, Port

_GENERATED = "<!-- made by: python -m openturret.firmware.config.docs docs -->\n"

_PORTS_INTRO = """# Ports that a unit opens

Every port that a unit may listen on, with the keys that govern it. `turret ports` prints the same
table for a unit's own configuration. Keys whose meaning is this project's own are marked *ours*.

Not everything is built yet: where *served* says no, this release listens to nothing there, whatever
the keys say. A firewall may leave such a port closed.

| proto | port | use | default | served | keys |
|---|---|---|---|---|---|
"""

_PORTS_OUTRO = """
The range of an XMA2 is an aligned block: a datagram passes when `dport & netmask == portref`. The
upper figure is the last even (RTP) port; RTCP takes the next odd one.

| range | portref | netmask |
|---|---|---|
| 10240-12286 (default) | 0x2800 | 0xF800 |
| 11264-12286 | 0x2C00 | 0xFC00 |
| 16384-20478 | 0x4000 | 0xF000 |
| 18432-20478 | 0x4800 | 0xF800 |
| 32768-36862 | 0x8000 | 0xF000 |
| 34816-36862 | 0x8800 | 0xF800 |
"""

_KEYS_INTRO = """# Configuration keys

A configuration is a flat YAML file, `key: value`, one line for each key. A key that no file sets
has its default; the user's profile wins over the unit's configuration. Unknown keys are kept and
warned about, wrong values are refused with the line they stand on. `turret config explain KEY`
says where a value comes from, `turret config validate FILE` checks a file.

Keys marked *documented* are known in the field; the meaning of keys marked *ours* is this
project's own, and no compatibility with a vendor is claimed for them. `<n>` stands for a number.
"""

_KEYS_HEAD = """
## {title}

| key | type and values | default | effect | source | meaning |
|---|---|---|---|---|---|
"""

_CHAPTERS = (
    ("The unit", "application."),
    ("The user", "profile."),
)


def ports_page() -> str:
    """The text of docs/ports.md."""
    rows = "".join(_port_row(port) for port in PORTS)
    notes = "".join(
        f"- {port.protocol.value} {_span(port)}, {port.use}: {port.note}\n"
        for port in PORTS
        if port.note
    )
    return _GENERATED + _PORTS_INTRO + rows + "\n" + notes + _PORTS_OUTRO


def keys_page() -> str:
    """The text of docs/keys.md."""
    chapters = (_chapter(title, prefix) for title, prefix in _CHAPTERS)
    return _GENERATED + _KEYS_INTRO + "".join(chapters)


def pages() -> dict[str, str]:
    """Every generated page, by file name."""
    return {"ports.md": ports_page(), "keys.md": keys_page()}


def _span(port: Port) -> str:
    return str(port.first) if port.first == port.last else f"{port.first}-{port.last}"


def _port_row(port: Port) -> str:
    keys = ", ".join(_port_key(key) for key in KEYS if key.port == port.name)
    served = "yes" if port.served else "no"
    cells = (port.protocol.value, _span(port), port.use, port.default, served, keys)
    return "| " + " | ".join(cells) + " |\n"


def _port_key(key: Key) -> str:
    return f"`{key.name}`" + (" (*ours*)" if key.source is Source.OURS else "")


def _chapter(title: str, prefix: str) -> str:
    rows = (_key_row(key) for key in KEYS if key.name.startswith(prefix))
    return _KEYS_HEAD.format(title=title) + "".join(rows)


def _key_row(key: Key) -> str:
    effect = "restart" if key.needs_restart else "login"
    cells = (f"`{key.name}`", key.allowed, _default(key), effect, key.source.value, _meaning(key))
    return "| " + " | ".join(_escaped(cell) for cell in cells) + " |\n"


def _default(key: Key) -> str:
    return "not set" if key.default in ("", ()) else f"`{key.show(key.default)}`"


def _meaning(key: Key) -> str:
    index = f" n is {key.indices[0]} to {key.indices[-1]}." if key.indices else ""
    return key.description + index + (" Never shown." if key.secret else "")


def _escaped(cell: str) -> str:
    return cell.replace("|", r"\|").replace("<", "&lt;") if "`" not in cell else cell


def main(argv: Sequence[str] | None = None, say: Callable[[str], object] = sys.stdout.write) -> int:
    """Writes or checks the pages; returns 0, or 1 when --check finds one out of date."""
    parser = argparse.ArgumentParser(prog="python -m openturret.firmware.config.docs")
    parser.add_argument("folder", type=Path, nargs="?", default=Path("docs"))
    parser.add_argument("--check", action="store_true", help="write nothing, say what is stale")
    options = parser.parse_args(argv)
    stale = [name for name, text in pages().items() if _differs(options.folder / name, text)]
    for name in stale:
        say(f"{options.folder / name}: {'out of date' if options.check else 'written'}\n")
        if not options.check:
            (options.folder / name).write_text(pages()[name], encoding="utf-8")
    return 1 if stale and options.check else 0


def _differs(path: Path, text: str) -> bool:
    return not path.exists() or path.read_text(encoding="utf-8") != text


if __name__ == "__main__":
    sys.exit(main())
