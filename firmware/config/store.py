"""Reads configuration files and answers for every key: default, then unit, then profile."""

from __future__ import annotations

import enum
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from . import checks, document
from .errors import BadFileError, BadValueError, ConfigError, ConflictError, UnknownKeyError
from .key import Key, Raw, Value
from .keys import KEYS, canonical, find, suggestion


class Origin(enum.Enum):
    """Where a value comes from; a later one wins."""

    DEFAULT = "default"
    UNIT = "unit"
    PROFILE = "profile"


@dataclass(frozen=True, slots=True)
class Setting:
    """A value that a layer gives to a key.

    Attributes:
        value: The typed value.
        origin: The layer.
        place: File and line, or "" for a default.
    """

    value: Value
    origin: Origin
    place: str = ""


@dataclass(frozen=True, slots=True)
class Explanation:
    """Why a key has its value.

    Attributes:
        name: The key's name as asked for, aliases resolved.
        key: Its entry in the registry.
        settings: Every layer that speaks about it, the one that wins last.
    """

    name: str
    key: Key
    settings: tuple[Setting, ...]

    @property
    def winner(self) -> Setting:
        """The setting that counts."""
        return self.settings[-1]


@dataclass(frozen=True, slots=True)
class Layer:
    """What one file says.

    Attributes:
        origin: Which layer it is.
        settings: Typed values of the known keys, by canonical name.
        unknown: Keys that the registry does not hold, as written.
        warnings: One sentence per unknown key.
    """

    origin: Origin
    settings: Mapping[str, Setting]
    unknown: Mapping[str, Raw]
    warnings: tuple[str, ...]


class Configuration(Mapping[str, Value]):
    """The value of every key, from all layers together.

    ``config["key"]`` answers for every key of the registry, set or not; iteration gives the
    keys without index, and of the indexed ones those that are set.
    """

    def __init__(self, *layers: Layer) -> None:
        self._layers = layers
        self._values = {key.name: key.default for key in KEYS if key.indices is None}
        for layer in layers:
            self._values.update({name: item.value for name, item in layer.settings.items()})

    def __getitem__(self, name: str) -> Value:
        if name in self._values:
            return self._values[name]
        known = canonical(name)
        key = find(known)
        return self._values.get(known, key.default if key else "")

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and find(name) is not None

    @property
    def warnings(self) -> tuple[str, ...]:
        """What a person should look at, though the configuration can be used."""
        return tuple(warning for layer in self._layers for warning in layer.warnings)

    @property
    def unknown(self) -> dict[str, Raw]:
        """Keys that no registry entry knows, kept as they were written."""
        return {name: raw for layer in self._layers for name, raw in layer.unknown.items()}

    def flag(self, name: str) -> bool:
        """A true-or-false key.

        Raises:
            UnknownKeyError: No such key.
            TypeError: The key is of another type: a mistake in the caller.
        """
        value = self[name]
        if not isinstance(value, bool):
            raise TypeError(f"{name} is not true or false")
        return value

    def integer(self, name: str) -> int:
        """A whole-number key; raises as `flag` does."""
        value = self[name]
        if isinstance(value, bool) or not isinstance(value, int):
            raise TypeError(f"{name} is not a whole number")
        return value

    def text(self, name: str) -> str:
        """A text or choice key; raises as `flag` does."""
        value = self[name]
        if not isinstance(value, str):
            raise TypeError(f"{name} is not a text")
        return value

    def texts(self, name: str) -> tuple[str, ...]:
        """A list key; raises as `flag` does."""
        value = self[name]
        if not isinstance(value, tuple):
            raise TypeError(f"{name} is not a list")
        return value

    def indexed(self, name: str) -> dict[int, Value]:
        """The values that are set for a key with ``<n>`` in its name, by index, in order.

        >>> Configuration().indexed("profile.speaker.<n>.uri")
        {}
        """
        pattern = re.compile(re.escape(name).replace("<n>", "([0-9]+)"))
        found = ((pattern.fullmatch(known), value) for known, value in self._values.items())
        return dict(sorted((int(match[1]), value) for match, value in found if match))

    def explain(self, name: str) -> Explanation:
        """Which layers speak about a key, and which one counts.

        Raises:
            UnknownKeyError: No such key.
        """
        known = canonical(name)
        key = find(known)
        if key is None:
            raise UnknownKeyError(f"there is no key {name!r}")
        given = (layer.settings[known] for layer in self._layers if known in layer.settings)
        return Explanation(known, key, (Setting(key.default, Origin.DEFAULT), *given))

    def restart_needed(self, new: Configuration) -> tuple[str, ...]:
        """The keys that differ in `new` and take effect only after a restart."""
        differing = {name for name in {*self, *new} if self[name] != new[name]}
        return tuple(sorted(name for name in differing if _needs_restart(name)))


def _needs_restart(name: str) -> bool:
    key = find(name)
    return key is not None and key.needs_restart


def load(unit: Path | None = None, profile: Path | None = None) -> Configuration:
    """The configuration of a unit, and of its user when a profile is given.

    Args:
        unit: The unit's verified configuration.
        profile: The profile of who is logged in; it may set ``profile.`` keys only.

    Raises:
        ConfigError: A file is unreadable or says what is not allowed; the message has one line
            for each problem, with file, line number, key, value and remedy.
    """
    layers = []
    if unit is not None:
        layers.append(read_layer(unit, Origin.UNIT))
    if profile is not None:
        layers.append(read_layer(profile, Origin.PROFILE))
    return combine(*layers)


def combine(*layers: Layer) -> Configuration:
    """The configuration that layers make together, lowest first.

    Raises:
        ConflictError: The values contradict each other.
    """
    configuration = Configuration(*layers)
    problems = list(checks.conflicts(configuration))
    if problems:
        raise ConflictError("\n".join(problems))
    return configuration


def read_layer(path: Path, origin: Origin) -> Layer:
    """One file as a layer; raises as `load` does."""
    return parse_layer(document.read(path), origin, str(path))


def parse_layer(text: str, origin: Origin, place: str) -> Layer:
    """One document as a layer; `place` is its name in messages.  Raises as `load` does."""
    reader = _Reader(origin, place)
    for line in document.lines(text, place):
        reader.take(line)
    return reader.layer()


class _Reader:
    """Sorts the lines of a document into settings, unknown keys and problems."""

    def __init__(self, origin: Origin, place: str) -> None:
        self._origin = origin
        self._place = place
        self._settings: dict[str, Setting] = {}
        self._unknown: dict[str, Raw] = {}
        self._warnings: list[str] = []
        self._problems: list[str] = []

    def take(self, line: document.Line) -> None:
        place = f"{self._place} line {line.number}"
        key = find(line.name)
        if key is None:
            self._keep_unknown(line, place)
        elif self._origin is Origin.PROFILE and not key.name.startswith("profile."):
            self._problems.append(
                f"{place}: {line.name}: a profile may set keys of the user only; "
                "move it to the unit's configuration"
            )
        else:
            self._set(key, line, place)

    def _keep_unknown(self, line: document.Line, place: str) -> None:
        self._unknown[line.name] = line.raw
        self._warnings.append(f"{place}: unknown key {line.name!r} is kept{suggestion(line.name)}")

    def _set(self, key: Key, line: document.Line, place: str) -> None:
        name = canonical(line.name)
        if name in self._settings:
            self._problems.append(
                f"{place}: {line.name} means the same as {name}, which is set already: "
                "keep one of them"
            )
            return
        try:
            self._settings[name] = Setting(key.parse(line.raw), self._origin, place)
        except BadValueError as error:
            remedy = f"correct it, or remove the line for the default {key.show(key.default)}"
            self._problems.append(f"{place}: {line.name}: {error}; {remedy}")

    def layer(self) -> Layer:
        if self._problems:
            raise BadValueError("\n".join(self._problems))
        return Layer(self._origin, self._settings, self._unknown, tuple(self._warnings))


__all__ = [
    "BadFileError",
    "ConfigError",
    "Configuration",
    "Explanation",
    "Layer",
    "Origin",
    "Setting",
    "combine",
    "load",
    "parse_layer",
    "read_layer",
]
