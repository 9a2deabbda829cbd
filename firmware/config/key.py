"""What is to be known about one configuration key, and how its value is read from a file."""

from __future__ import annotations

import enum
import re
from dataclasses import dataclass
from typing import TypeAlias

from .errors import BadValueError
from .forms import Form

Value: TypeAlias = bool | int | str | tuple[str, ...]
"""What a key can hold."""

Raw: TypeAlias = str | tuple[str, ...]
"""What a file gives for a key: the text of a scalar, or of each entry of a list."""


class Kind(enum.Enum):
    """The type of a value."""

    FLAG = "true or false"
    INTEGER = "whole number"
    TEXT = "text"
    CHOICE = "choice"
    LIST = "list of text"


class Source(enum.Enum):
    """Who gave the key its meaning."""

    DOCUMENTED = "documented"
    OURS = "ours"


@dataclass(frozen=True, slots=True)
class Key:
    """One configuration key and everything that is to be known about it.

    Attributes:
        name: Dotted name; ``<n>`` stands for an index (see `indices`).
        kind: Type of the value.
        default: Value when no file sets the key. An empty text or list means "not set".
        description: What the key does, in one or two sentences.
        source: Documented in the field, or defined by this project.
        minimum: Smallest whole number allowed (`zero_is_off` allows 0 beside the bounds).
        maximum: Largest whole number allowed.
        unit: Unit of the value, such as ``s`` or ``port``.
        port: Name of the port in `ports` that the key governs.
        choices: The words that a choice may have.
        form: How a text, or each entry of a list, must look.
        aliases: Other spellings that are accepted.
        indices: The numbers that may stand for ``<n>``.
        needs_restart: Whether a new value waits for the next start of the runtime.
        secret: Whether the value must never be shown.
        zero_is_off: Whether 0 switches the thing off.
    """

    name: str
    kind: Kind
    default: Value
    description: str
    source: Source = Source.OURS
    minimum: int | None = None
    maximum: int | None = None
    unit: str = ""
    port: str = ""
    choices: tuple[str, ...] = ()
    form: Form = Form.FREE
    aliases: tuple[str, ...] = ()
    indices: range | None = None
    needs_restart: bool = True
    secret: bool = False
    zero_is_off: bool = False

    @property
    def allowed(self) -> str:
        """What the key takes, as the end of the sentence "must be ..."."""
        return _allowed(self)

    def parse(self, raw: Raw) -> Value:
        """The typed value of what a file says.

        Raises:
            BadValueError: The key does not take this value; the message says what it takes.
        """
        value = _PARSERS[self.kind](self, raw)
        if value is None:
            raise BadValueError(f"{self.show(raw)} is not allowed: it must be {self.allowed}")
        return value

    def show(self, value: Value) -> str:
        """The value as people may see it: a secret is never shown."""
        if self.secret and value:
            return "(hidden)"
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, tuple):
            return "[" + ", ".join(value) + "]"
        return repr(value) if isinstance(value, str) else str(value)


def _allowed(key: Key) -> str:
    if key.kind is Kind.FLAG:
        return "true or false"
    if key.kind is Kind.CHOICE:
        return " or ".join(key.choices)
    if key.kind is Kind.INTEGER:
        return _allowed_numbers(key)
    return f"a list, each entry {key.form.value}" if key.kind is Kind.LIST else key.form.value


def _allowed_numbers(key: Key) -> str:
    bounds = f"a whole number from {key.minimum} to {key.maximum}"
    return f"{bounds}, or 0 for off" if key.zero_is_off else bounds


_FLAGS = {"true": True, "yes": True, "on": True, "false": False, "no": False, "off": False}
_INTEGER = re.compile(r"-?(?:0|[1-9][0-9]{0,9})|0[xX][0-9A-Fa-f]{1,8}")


def _parse_flag(_: Key, raw: Raw) -> Value | None:
    return _FLAGS.get(raw.lower()) if isinstance(raw, str) else None


def _parse_integer(key: Key, raw: Raw) -> Value | None:
    if isinstance(raw, tuple) or not _INTEGER.fullmatch(raw):
        return None
    number = int(raw, 0)
    if key.zero_is_off and number == 0:
        return number
    too_small = key.minimum is not None and number < key.minimum
    too_large = key.maximum is not None and number > key.maximum
    return None if too_small or too_large else number


def _parse_text(key: Key, raw: Raw) -> Value | None:
    if isinstance(raw, tuple):
        return None
    is_unset = raw == "" and key.default == ""
    return raw if is_unset or key.form.accepts(raw) else None


def _parse_choice(key: Key, raw: Raw) -> Value | None:
    return raw if isinstance(raw, str) and raw in key.choices else None


def _parse_list(key: Key, raw: Raw) -> Value | None:
    entries = (raw,) if isinstance(raw, str) and raw else tuple(raw)
    good = len(entries) <= 16 and all(key.form.accepts(entry) for entry in entries)
    return entries if good else None


_PARSERS = {
    Kind.FLAG: _parse_flag,
    Kind.INTEGER: _parse_integer,
    Kind.TEXT: _parse_text,
    Kind.CHOICE: _parse_choice,
    Kind.LIST: _parse_list,
}
