"""YAML as nodes that know their line, so that what is refused can be pointed at.

Anchors, aliases and doubled keys are refused: a file that is small stays small, and says a thing
once.
"""

from collections.abc import Mapping
from typing import Final, TypeAlias

import yaml

from .errors import BoardError

Fields: TypeAlias = Mapping[str, yaml.Node]
Entries: TypeAlias = tuple[tuple[yaml.ScalarNode, yaml.Node], ...]

SHOWN: Final = 40
"""Characters of a strange value that a message repeats."""

_YAML: Final = "look at indents, colons and quotes there"


class _Loader(yaml.SafeLoader):
    """A safe loader that refuses anchors, so that aliases cannot multiply."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        event = self.peek_event()  # type: ignore[no-untyped-call]
        if getattr(event, "anchor", None) is not None:
            line = event.start_mark.line + 1
            raise BoardError("anchors and aliases are refused", line=line, remedy="write it out")
        return super().compose_node(parent, index)


def compose(data: bytes) -> yaml.Node | None:
    """Returns the root of the only document in the text, None when it is empty.

    Raises:
        BoardError: The text is not YAML, or has anchors.
    """
    try:
        return yaml.compose(data, _Loader)
    except yaml.MarkedYAMLError as error:
        line = None if error.problem_mark is None else error.problem_mark.line + 1
        raise BoardError(f"not YAML: {error.problem}", line=line, remedy=_YAML) from error
    except BoardError:
        raise
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise BoardError(f"not YAML: {str(error).splitlines()[0]}", remedy=_YAML) from error


def entries(node: yaml.Node | None, name: str) -> Entries:
    """Returns the pairs of a mapping.

    Raises:
        BoardError: It is no mapping, or a key stands twice or is no plain word.
    """
    if not isinstance(node, yaml.MappingNode):
        raise refusal(node, f"{name} is not a mapping", "write 'key: value' lines")
    seen: set[str] = set()
    for key, _ in node.value:
        if not isinstance(key, yaml.ScalarNode):
            raise refusal(key, f"a key of {name} is not a plain word", "write it without brackets")
        require(
            key.value not in seen, key, f"{key.value[:SHOWN]!r} stands twice", "keep one of them"
        )
        seen.add(key.value)
    return tuple(node.value)


def fields(node: yaml.Node | None, name: str, known: Mapping[str, object]) -> Fields:
    """Returns the values of a mapping by key.

    Raises:
        BoardError: It is no mapping, or has a key that is not known.
    """
    found = entries(node, name)
    remedy = f"known keys are {', '.join(sorted(known))}"
    for key, _ in found:
        require(key.value in known, key, f"unknown key {key.value[:SHOWN]!r} in {name}", remedy)
    return {key.value: value for key, value in found}


def needed(found: Fields, name: str, node: yaml.Node | None) -> yaml.Node:
    """Returns the value of a key that must be there.

    Raises:
        BoardError: It is not.
    """
    if name not in found:
        raise refusal(node, f"key {name!r} is missing", "add it")
    return found[name]


def scalar(node: yaml.Node, *tags: str) -> str | None:
    """Returns the text of a plain value that YAML takes for one of the tags, otherwise None."""
    return str(node.value) if isinstance(node, yaml.ScalarNode) and tag(node) in tags else None


def tag(node: yaml.Node) -> str:
    """Returns what YAML takes a value for: ``str``, ``int``, ``bool``, ``seq``, ``map``."""
    return node.tag.removeprefix("tag:yaml.org,2002:")[:SHOWN]


def shown(node: yaml.Node) -> str:
    """Returns how a message repeats a value: as it was written, and never at length."""
    if not isinstance(node, yaml.ScalarNode):
        return f"a {tag(node)}"
    text = str(node.value)[:SHOWN]
    return repr(text) if tag(node) == "str" else text


def line_of(node: yaml.Node) -> int:
    """Returns the line that a node starts in, from 1."""
    return node.start_mark.line + 1


def refusal(node: yaml.Node | None, message: str, remedy: str) -> BoardError:
    """Returns the error that points at a node; None is the whole file."""
    return BoardError(message, line=None if node is None else line_of(node), remedy=remedy)


def require(condition: bool, node: yaml.Node | None, message: str, remedy: str) -> None:
    """Refuses a node unless the condition holds.

    Raises:
        BoardError: It does not.
    """
    if not condition:
        raise refusal(node, message, remedy)
