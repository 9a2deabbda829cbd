"""YAML from outside, read without trust: flat keys, bounded size, no aliases, no tags.

>>> parse_document(b"tss.servers: [tss1.turret.example]").texts("tss.servers")
('tss1.turret.example',)
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Final, TypeAlias, cast

import yaml

from .errors import DocumentError

MAX_BYTES: Final = 262_144
MAX_DEPTH: Final = 4

_Loader = cast("type[yaml.SafeLoader]", getattr(yaml, "CSafeLoader", yaml.SafeLoader))

Scalar: TypeAlias = str | int | float | bool | None


@dataclass(frozen=True, slots=True)
class Document:
    """A flat mapping of dotted keys."""

    values: Mapping[str, object]

    def text(self, key: str, default: str = "") -> str:
        """Returns a text.

        Raises:
            DocumentError: The key holds something else.
        """
        value = self.values.get(key, default)
        if not isinstance(value, str):
            raise DocumentError(f"{key}: {value!r} is not a text", f"write {key}: 'text'")
        return value

    def number(self, key: str, default: int = 0) -> int:
        """Returns a whole number.

        Raises:
            DocumentError: The key holds something else.
        """
        value = self.values.get(key, default)
        if not isinstance(value, int) or isinstance(value, bool):
            raise DocumentError(f"{key}: {value!r} is not a number", f"write {key}: 1")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        """Returns a list of texts; empty when the key is missing, one when it is a text.

        Raises:
            DocumentError: The key holds something else.
        """
        value = self.values.get(key, [])
        entries = [value] if isinstance(value, str) else value
        if not isinstance(entries, list) or not all(isinstance(entry, str) for entry in entries):
            raise DocumentError(f"{key}: not a list of texts", f"write {key}: [first, second]")
        return tuple(entries)


def parse_document(data: bytes, *, max_bytes: int = MAX_BYTES) -> Document:
    """Returns the flat mapping in a YAML document.

    Raises:
        DocumentError: Too large, nested too deeply, with aliases or tags, not YAML, or
            not a mapping with text keys.
    """
    if len(data) > max_bytes:
        raise DocumentError(f"{len(data)} bytes of YAML exceed {max_bytes}")
    try:
        _check_events(yaml.parse(data, Loader=_Loader))
        value = yaml.load(data, Loader=_Loader)
    except (yaml.YAMLError, ValueError, RecursionError, OverflowError) as error:
        raise DocumentError(f"not acceptable YAML: {error}") from error
    if not isinstance(value, dict) or not all(isinstance(key, str) for key in value):
        raise DocumentError("the YAML is not a mapping of texts to values")
    return Document(value)


def _check_events(events: Iterator[yaml.Event]) -> None:
    """Refuses what could grow or surprise before anything is built from it."""
    depth = 0
    for event in events:
        if isinstance(event, yaml.AliasEvent) or getattr(event, "tag", None):
            raise DocumentError("aliases and tags are not accepted")
        if isinstance(event, yaml.CollectionStartEvent):
            depth += 1
        elif isinstance(event, yaml.CollectionEndEvent):
            depth -= 1
        if depth > MAX_DEPTH:
            raise DocumentError(f"nested deeper than {MAX_DEPTH}")
