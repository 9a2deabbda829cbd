"""Reads a flat YAML file of keys: text in, numbered lines out, nothing built from tags."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import yaml

from .errors import BadFileError
from .key import Raw

SIZE_MAX = 256 * 1024
"""Largest file that is read, in bytes."""

DEPTH_MAX = 4
"""Deepest nesting that the reader follows before it refuses."""


@dataclass(frozen=True, slots=True)
class Line:
    """One key as a file gives it; `number` counts from 1."""

    name: str
    raw: Raw
    number: int


class _FlatLoader(yaml.SafeLoader):
    """Composes nodes only, with neither aliases nor deep nesting."""

    depth = 0

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            raise _refusal(self.peek_event(), "aliases are not used here: write the value out")  # type: ignore[no-untyped-call]
        if self.depth >= DEPTH_MAX:
            raise _refusal(self.peek_event(), "values are nested too deeply")  # type: ignore[no-untyped-call]
        self.depth += 1
        node: yaml.Node | None = super().compose_node(parent, index)
        self.depth -= 1
        return node


def _refusal(event: yaml.Event, reason: str) -> yaml.MarkedYAMLError:
    mark = event.start_mark
    return yaml.MarkedYAMLError(
        problem=reason, problem_mark=mark if isinstance(mark, yaml.Mark) else None
    )


def read(path: Path) -> str:
    """The text of a file.

    Raises:
        BadFileError: The file cannot be read, is larger than `SIZE_MAX` or is not UTF-8.
    """
    try:
        with path.open("rb") as file:
            data = file.read(SIZE_MAX + 1)
        if len(data) > SIZE_MAX:
            raise BadFileError(f"{path}: larger than {SIZE_MAX} bytes; a configuration never is")
        return data.decode()
    except (OSError, UnicodeDecodeError) as error:
        raise BadFileError(f"{path}: cannot be read as text: {error}") from error


def lines(text: str, place: str) -> list[Line]:
    """The keys of a document, in its order.

    Args:
        text: The document.
        place: Its name in messages.

    Raises:
        BadFileError: It is not flat YAML, or a key stands in it twice.
    """
    try:
        node = _FlatLoader(text).get_single_node()
    except yaml.YAMLError as error:
        raise BadFileError(f"{place}{_reason(error)}") from error
    if node is None:
        return []
    if not isinstance(node, yaml.MappingNode):
        raise BadFileError(f"{place} line 1: the file must be a list of `key: value` lines")
    return _refuse_twice(_lines(node, place), place)


def _reason(error: yaml.YAMLError) -> str:
    mark = getattr(error, "problem_mark", None)
    problem = getattr(error, "problem", None) or getattr(error, "reason", None) or "not YAML"
    return f" line {mark.line + 1}: {problem}" if mark else f": {problem}"


def _lines(mapping: yaml.MappingNode, place: str) -> Iterator[Line]:
    for key, value in mapping.value:
        number = key.start_mark.line + 1
        if not isinstance(key, yaml.ScalarNode):
            raise BadFileError(f"{place} line {number}: a key must be a name")
        yield Line(key.value, _raw(value, f"{place} line {number}: {key.value}"), number)


def _raw(node: yaml.Node, place: str) -> Raw:
    if isinstance(node, yaml.ScalarNode):
        return _scalar(node)
    if isinstance(node, yaml.SequenceNode) and all(
        isinstance(entry, yaml.ScalarNode) for entry in node.value
    ):
        return tuple(_scalar(entry) for entry in node.value)
    raise BadFileError(f"{place}: a value is one text or number, or a list of them")


def _scalar(node: yaml.ScalarNode) -> str:
    return "" if node.tag == "tag:yaml.org,2002:null" else str(node.value)


def _refuse_twice(found: Iterator[Line], place: str) -> list[Line]:
    seen: dict[str, Line] = {}
    for line in found:
        first = seen.setdefault(line.name, line)
        if first is not line:
            raise BadFileError(
                f"{place} line {line.number}: {line.name} was set on line {first.number} already: "
                "keep one of them"
            )
    return list(seen.values())
