"""The unit as its panel sees it: one state of everything, and what may be asked."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import asdict, dataclass
from typing import cast

from ..hal.clock import Clock
from ..hal.matrix import MixingMatrix
from ..hal.wire.json_lines import JsonObject, JsonValue
from .alarms import AlarmBoard
from .calls.desk import Desk
from .recording.recordings import Recordings
from .services.boot_files import BootFiles
from .services.changes import Changes
from .services.live import LiveFeed
from .shift import Shift


@dataclass(frozen=True, slots=True)
class UnitParts:
    """What the panel shows, by where it comes from.

    Attributes:
        files: What boot says.
        desk: The calls.
        shift: Who is logged in.
        recordings: The recordings.
        matrix: The legs.
        live: Levels and alarms.
        alarms: What is wrong.
        changes: Rings when the panel should look.
        clock: The time.
    """

    files: BootFiles
    desk: Desk
    shift: Shift
    recordings: Recordings
    matrix: MixingMatrix
    live: LiveFeed
    alarms: AlarmBoard
    changes: Changes
    clock: Clock


class Unit:
    """Answers the web server.

    Args:
        parts: Where everything comes from.
    """

    def __init__(self, parts: UnitParts) -> None:
        self._parts = parts

    @property
    def desk(self) -> Desk | None:
        """The desk, while somebody is logged in."""
        return self._parts.desk if self._parts.desk.profile is not None else None

    def allows_calls(self) -> bool:
        """Whether new calls may be made, for a policy may forbid them unrecorded."""
        return self._parts.recordings.allows_calls()

    async def login(self, user: str, password: str) -> str:
        """Logs a user in; returns the name to show.

        Raises:
            LoginRefusedError: Wrong password, no directory, no usable profile.
            BootGoneError: Boot does not answer.
        """
        return await self._parts.shift.login(user, password)

    async def logout(self) -> None:
        """Logs the user out.

        Raises:
            BootGoneError: Boot does not answer.
        """
        await self._parts.shift.logout()

    def public_state(self) -> JsonObject:
        """What everybody may see: unit, boot and alarms."""
        return {
            "time": self._parts.clock.unix(),
            "unit": self._parts.files.unit(),
            "boot": self._parts.files.boot(),
            "alarms": self._alarms(),
        }

    def state(self) -> JsonObject:
        """Everything that the panel shows."""
        return {
            **self.public_state(),
            **self._parts.desk.snapshot(),
            "user": self._user(),
            "recording": self._parts.recordings.snapshot(),
        }

    async def legs(self) -> list[JsonValue]:
        """Every RTP leg of the matrix, with its counters.

        Raises:
            MatrixError: The matrix does not answer.
        """
        return [cast(JsonObject, asdict(leg)) for leg in await self._parts.matrix.leg_list()]

    def changes(self) -> AsyncGenerator[None, None]:
        """Wakes whenever the state may have changed."""
        return self._parts.changes.rings()

    def live(self) -> AsyncGenerator[JsonObject, None]:
        """Levels and alarms as they happen."""
        return self._parts.live.messages()

    def _user(self) -> JsonObject | None:
        profile = self._parts.desk.profile
        if profile is None:
            return None
        return {"id": profile.identity.username, "name": profile.name}

    def _alarms(self) -> list[JsonValue]:
        ours = (alarm.as_json() for alarm in self._parts.alarms.active)
        return [*self._parts.files.alarms(), *ours]
