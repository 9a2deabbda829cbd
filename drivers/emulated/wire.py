"""What the emulated hardware and its host say to each other on a control socket.

Hardware to host, one JSON object per line; the state comes first on every connection::

    {"state": {"off_hook": false, "ptt": false, "mute": false, "keys": [], "lamps": {}}}
    {"event": "hook", "on": true}
    {"event": "ptt", "on": true}
    {"event": "mute", "on": true}
    {"event": "key", "key": "line-1", "on": true}

Host to hardware: ``{"lamp": "ring", "lit": true}``.
"""

from dataclasses import dataclass, replace
from typing import Final

from ...hal.errors import FieldError
from ...hal.wire.json_lines import JsonObject, field

MAX_NAME: Final = 64


@dataclass(frozen=True, slots=True)
class ControlState:
    """Everything that a device's switches and lamps are doing."""

    off_hook: bool = False
    ptt: bool = False
    mute: bool = False
    keys: frozenset[str] = frozenset()
    lamps: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, message: JsonObject) -> "ControlState":
        """Returns the state that a message carries.

        Raises:
            FieldError: The message is not a state.
        """
        state = field(message, "state", dict)
        return cls(
            off_hook=field(state, "off_hook", bool),
            ptt=field(state, "ptt", bool),
            mute=field(state, "mute", bool),
            keys=frozenset(_name(key) for key in field(state, "keys", list)),
            lamps=frozenset(name for name, lit in field(state, "lamps", dict).items() if lit),
        )

    def message(self) -> dict[str, object]:
        """Returns the message that carries this state."""
        state = {
            "off_hook": self.off_hook,
            "ptt": self.ptt,
            "mute": self.mute,
            "keys": sorted(self.keys),
            "lamps": dict.fromkeys(sorted(self.lamps), True),
        }
        return {"state": state}

    def after(self, change: "Change") -> "ControlState":
        """Returns the state once the change has happened."""
        match change.event:
            case "hook":
                return replace(self, off_hook=change.on)
            case "ptt":
                return replace(self, ptt=change.on)
            case "mute":
                return replace(self, mute=change.on)
        keys = self.keys | {change.key} if change.on else self.keys - {change.key}
        return replace(self, keys=keys)

    def with_lamp(self, lamp: "LampOrder") -> "ControlState":
        """Returns the state once the lamp is as ordered."""
        lamps = self.lamps | {lamp.lamp} if lamp.lit else self.lamps - {lamp.lamp}
        return replace(self, lamps=lamps)


@dataclass(frozen=True, slots=True)
class Change:
    """Something that the hand did: ``hook``, ``ptt``, ``mute`` or a named ``key``."""

    event: str
    on: bool
    key: str = ""

    @classmethod
    def parse(cls, message: JsonObject) -> "Change":
        """Returns the change that a message carries.

        Raises:
            FieldError: The message is not a change.
        """
        event = field(message, "event", str)
        if event not in ("hook", "ptt", "mute", "key"):
            raise FieldError(f"event {event[:40]!r} is not known")
        key = _name(message.get("key")) if event == "key" else ""
        return cls(event, field(message, "on", bool), key)

    def message(self) -> dict[str, object]:
        """Returns the message that carries this change."""
        key = {"key": self.key} if self.event == "key" else {}
        return {"event": self.event, "on": self.on, **key}


@dataclass(frozen=True, slots=True)
class LampOrder:
    """The host wants a lamp lit or dark."""

    lamp: str
    lit: bool

    @classmethod
    def parse(cls, message: JsonObject) -> "LampOrder":
        """Returns the order that a message carries.

        Raises:
            FieldError: The message is not an order for a lamp.
        """
        return cls(_name(message.get("lamp")), field(message, "lit", bool))

    def message(self) -> dict[str, object]:
        """Returns the message that carries this order."""
        return {"lamp": self.lamp, "lit": self.lit}


def _name(value: object) -> str:
    if not isinstance(value, str) or not 0 < len(value) <= MAX_NAME:
        raise FieldError(f"{str(value)[:40]!r} is not a name")
    return value
