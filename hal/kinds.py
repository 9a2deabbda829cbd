"""Kinds of value that the keys of a board hold: each reads a node and describes itself.

One definition gives both the parser and the JSON Schema, so the two cannot part.
"""

import enum
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Generic, Protocol, TypeAlias, TypeVar

import yaml

from .nodes import refusal, scalar, shown, tag

Schema: TypeAlias = dict[str, object]
T_co = TypeVar("T_co", covariant=True)
E = TypeVar("E", bound=enum.StrEnum)

_TRUE: Final = frozenset({"true", "yes", "on"})


class Kind(Protocol[T_co]):
    """What a value may be."""

    def read(self, node: yaml.Node, name: str) -> T_co:
        """Returns the value; ``name`` is the key's, for messages.

        Raises:
            BoardError: It is of another kind.
        """
        ...

    def schema(self) -> Schema:
        """Returns the JSON Schema (draft 2020-12) of such a value."""
        ...


@dataclass(frozen=True, slots=True)
class Text:
    """Text of one line.

    Attributes:
        pattern: What all of it must look like, in the words that Python and ECMA 262 share.
        example: One that is right, for messages.
        longest: In characters.
    """

    pattern: str
    example: str
    longest: int = 64

    def read(self, node: yaml.Node, name: str) -> str:
        """Returns the text."""
        value = scalar(node, "str")
        if value is None and scalar(node, "int") is None:
            raise refusal(node, f"a {tag(node)} stands where {name} belongs", "quote text")
        if not value:
            raise refusal(node, f"{name} is not text", "put it in quotes")
        if len(value) > self.longest or not re.fullmatch(self.pattern, value):
            remedy = f"write it like {self.example}, at most {self.longest} characters"
            raise refusal(node, f"{name} {shown(node)} is not possible", remedy)
        return value

    def schema(self) -> Schema:
        """Returns its JSON Schema."""
        return {
            "type": "string",
            "pattern": f"^(?:{self.pattern})$",
            "maxLength": self.longest,
            "examples": [self.example],
        }


@dataclass(frozen=True, slots=True)
class Hexadecimal:
    """A 16-bit number as ``lsusb`` shows it, with 0x before it: 1209 without would be another."""

    def read(self, node: yaml.Node, name: str) -> int:
        """Returns the number."""
        value = scalar(node, "int", "str") or ""
        if not re.fullmatch("0x[0-9A-Fa-f]{1,4}", value) or tag(node) != "int":
            remedy = "write it as lsusb shows it, with 0x before it and without quotes: 0x1209"
            raise refusal(node, f"{name} {shown(node)} is not a number like 0x1209", remedy)
        return int(value, 16)

    def schema(self) -> Schema:
        """Returns its JSON Schema; how the number was written is not for it to see."""
        return {"type": "integer", "minimum": 0, "maximum": 0xFFFF}


@dataclass(frozen=True, slots=True)
class Number:
    """A whole number: one of a few, or within bounds."""

    choices: Sequence[int]

    def read(self, node: yaml.Node, name: str) -> int:
        """Returns the number."""
        value = scalar(node, "int") or ""
        if not re.fullmatch("0|[1-9][0-9]{0,17}", value) or int(value) not in self.choices:
            raise refusal(node, f"{name} {shown(node)} is not possible", f"use {self._said()}")
        return int(value)

    def schema(self) -> Schema:
        """Returns its JSON Schema."""
        if isinstance(self.choices, range):
            return {"type": "integer", "minimum": self.choices[0], "maximum": self.choices[-1]}
        return {"enum": list(self.choices)}

    def _said(self) -> str:
        if isinstance(self.choices, range):
            return f"{self.choices[0]} to {self.choices[-1]}"
        return ", ".join(map(str, self.choices[:-1])) + f" or {self.choices[-1]}"


@dataclass(frozen=True, slots=True)
class Truth:
    """True or false."""

    def read(self, node: yaml.Node, name: str) -> bool:
        """Returns it."""
        value = scalar(node, "bool")
        if value is None:
            raise refusal(node, f"{name} is neither true nor false", "write true or false")
        return value.lower() in _TRUE

    def schema(self) -> Schema:
        """Returns its JSON Schema."""
        return {"type": "boolean"}


@dataclass(frozen=True, slots=True)
class Choice(Generic[E]):
    """One word of an enumeration."""

    words: type[E]

    def read(self, node: yaml.Node, name: str) -> E:
        """Returns the member."""
        value = scalar(node, "str", "int")
        if value is None:
            raise refusal(node, f"a {tag(node)} stands where {name} belongs", "quote text")
        try:
            return self.words(value)
        except ValueError as error:
            known = ", ".join(sorted(self.words))
            message = f"{name} {shown(node)} is not known"
            raise refusal(node, message, f"use one of {known}") from error

    def schema(self) -> Schema:
        """Returns its JSON Schema."""
        return {"enum": sorted(self.words)}


@dataclass(frozen=True, slots=True)
class Choices(Generic[E]):
    """Several words of an enumeration, in a list."""

    words: type[E]

    def read(self, node: yaml.Node, name: str) -> frozenset[E]:
        """Returns the members."""
        if not isinstance(node, yaml.SequenceNode):
            example = ", ".join(sorted(self.words)[:2])
            raise refusal(node, f"{name} is not a list", f"write [{example}]")
        return frozenset(Choice(self.words).read(item, name) for item in node.value)

    def schema(self) -> Schema:
        """Returns its JSON Schema."""
        return {"type": "array", "items": Choice(self.words).schema()}
