"""What boot leaves in the state folder for the runtime: where we are, how it went, who works here.

Boot replaces each file whole, so a new inode or time of change says that there is news.
"""

from __future__ import annotations

import ipaddress
import json
import logging
from pathlib import Path
from typing import Final, TypeAlias

from ...hal.wire.json_lines import JsonObject, JsonValue

logger = logging.getLogger(__name__)

LOOPBACK: Final = "127.0.0.1"
_SIZE_MAX: Final = 262_144
_UNIT_FACTS: Final = ("model", "serial", "firmware_version", "config_version")

Mark: TypeAlias = tuple[int, int, int] | None
"""What tells one version of a file from the next: inode, time of change, size."""


class BootFiles:
    """The files below the state folder.

    Args:
        state: The unit's state folder.
    """

    def __init__(self, state: Path) -> None:
        self._state = state
        self._status_mark: Mark = None
        self._status: JsonObject = {}

    @property
    def configuration(self) -> Path:
        """The unit's verified configuration."""
        return self._state / "config" / "unit.yaml"

    @property
    def profile(self) -> Path:
        """The profile of who is logged in; absent while nobody is."""
        return self._state / "profile" / "current.yaml"

    def profile_mark(self) -> Mark:
        """What changes with every new profile."""
        return mark(self.profile)

    def marks(self) -> tuple[Mark, ...]:
        """What changes with every new status, address or profile."""
        names = ("status.json", "network.json")
        return (*(mark(self._state / name) for name in names), self.profile_mark())

    def address(self) -> str:
        """The unit's address, loopback while boot has none."""
        found = read_json(self._state / "network.json").get("address")
        try:
            return str(ipaddress.IPv4Address(str(found)))
        except ValueError:
            return LOOPBACK

    def status(self) -> JsonObject:
        """What boot says of itself; read again only when it has changed."""
        path = self._state / "status.json"
        now = mark(path)
        if now != self._status_mark:
            self._status_mark, self._status = now, read_json(path)
        return self._status

    def unit(self) -> JsonObject:
        """Model, serial number, versions and address, as far as known."""
        status = self.status()
        return {**{name: status.get(name) for name in _UNIT_FACTS}, "address": self.address()}

    def boot(self) -> JsonObject:
        """The stage that boot is in, and every stage with its duration."""
        status = self.status()
        return {"stage": status.get("stage"), "stages": status.get("stages") or []}

    def alarms(self) -> list[JsonValue]:
        """What boot warns of."""
        alarms = self.status().get("alarms")
        return alarms if isinstance(alarms, list) else []


def mark(path: Path) -> Mark:
    """The mark of a file, None while it is not there."""
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_mtime_ns, found.st_size


def read_json(path: Path) -> JsonObject:
    """The object in a file; empty when there is none that can be read."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_SIZE_MAX))
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, RecursionError) as error:
        logger.warning("%s cannot be read: %s", path, error)
        return {}
    return found if isinstance(found, dict) else {}
