"""Makes guessing passwords slow: every wrong one counts, for its user and for the unit.

After ``attempts`` wrong passwords in a row a user waits ``duration_s``, and twice as long after
each further one.  The unit counts four times as patiently over all users, so that trying one
password on many names is slow, too.  Who gets in takes the own wrong ones back from both.

Counts survive a reboot.  A lock is never longer than it was made, wherever the clock was set to.
"""

import json
import logging
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from ...hal.clock import Clock
from ...hal.wire.json_lines import decode
from ..cache import read_bounded, write_atomically
from ..errors import LockedOutError

logger = logging.getLogger(__name__)

UNIT_SHARE: Final = 4
"""So many times the attempts of one user are the unit's."""

MAX_USERS: Final = 64
LONGEST_LOCK_S: Final = 3_600
FORGET_S: Final = 86_400
"""A count is forgotten so long after its lock, or after its last wrong password."""

_MAX_BYTES = 65_536
_MAX_FAILURES = 1_000_000
_MAX_DOUBLINGS = 16


@dataclass(frozen=True, slots=True)
class LockoutPolicy:
    """When a wrong password makes somebody wait.

    Attributes:
        attempts: Wrong passwords in a row after which a user waits, 1 to 100.
        duration_s: The first wait, 1 to 86,400 s; it doubles up to an hour, or stays if longer.
    """

    attempts: int = 5
    duration_s: int = 60

    def lock_s(self, failures: int, *, share: int = 1) -> int:
        """Returns the wait after so many wrong passwords, in seconds.

        >>> [LockoutPolicy(5, 60).lock_s(failures) for failures in (4, 5, 6, 7, 99)]
        [0, 60, 120, 240, 3600]
        """
        over = failures - self.attempts * share
        if over < 0:
            return 0
        longest = max(self.duration_s, LONGEST_LOCK_S)
        return min(self.duration_s << min(over, _MAX_DOUBLINGS), longest)


@dataclass(frozen=True, slots=True)
class Count:
    """Wrong passwords in a row.

    Attributes:
        lock_s: How long the last lock was made, 0 for none.
        end: When it ends, or when the last wrong password came; seconds of a monotonic clock.
    """

    failures: int = 0
    lock_s: int = 0
    end: float = 0.0

    def wait_s(self, now: float) -> int:
        """Returns how long the lock still holds, in whole seconds, rounded up."""
        return max(math.ceil(self.end - now), 0) if self.lock_s else 0


class Lockout:
    """Counts of one unit, kept in a file; one user of it at a time.

    Args:
        path: Where the counts survive a reboot.
        clock: Locks run by its monotonic time; over a reboot the wall time tells what is left.
    """

    def __init__(self, path: Path, clock: Clock) -> None:
        self._path = path
        self._clock = clock
        self._unit, self._users = self._load()

    def check(self, user: str) -> None:
        """Lets a user go on to the directory.

        Raises:
            LockedOutError: User or unit has to wait; says how long.
        """
        now = self._clock.monotonic()
        own = self._users.get(_key(user), Count())
        whose, count = max(
            ((user, own), ("this unit", self._unit)), key=lambda entry: entry[1].wait_s(now)
        )
        wait_s = count.wait_s(now)
        if not wait_s:
            return
        raise LockedOutError(
            f"{whose} is locked after {count.failures} wrong passwords: try again in {wait_s} s",
            "wait, then check user and password",
        )

    def failed(self, user: str, policy: LockoutPolicy) -> None:
        """Counts a wrong password; it is on the medium before anybody is told."""
        self._forget_old()
        key = _key(user)
        self._users[key] = self._count(self._users.get(key, Count()), policy.lock_s)
        self._unit = self._count(self._unit, lambda n: policy.lock_s(n, share=UNIT_SHARE))
        while len(self._users) > MAX_USERS:
            del self._users[min(self._users, key=lambda name: self._users[name].end)]
        if self._users[key].lock_s:
            logger.warning("%s is locked out for %d s", user, self._users[key].lock_s)
        self._save()

    def passed(self, user: str) -> None:
        """Takes back what a user did wrong before the right password came."""
        count = self._users.pop(_key(user), None)
        if count is None:
            return
        failures = max(self._unit.failures - count.failures, 0)
        self._unit = replace(self._unit, failures=failures)
        self._save()

    def _count(self, before: Count, lock: Callable[[int], int]) -> Count:
        failures = min(before.failures + 1, _MAX_FAILURES)
        lock_s = lock(failures)
        return Count(failures, lock_s, self._clock.monotonic() + lock_s)

    def _forget_old(self) -> None:
        oldest = self._clock.monotonic() - FORGET_S
        self._users = {key: count for key, count in self._users.items() if count.end > oldest}
        if self._unit.end <= oldest:
            self._unit = Count()

    def _save(self) -> None:
        """Writes the counts down; a medium that fails costs their memory over a reboot."""
        ahead_s = self._clock.unix() - self._clock.monotonic()
        users = {key: _as_json(count, ahead_s) for key, count in self._users.items()}
        data = json.dumps({"unit": _as_json(self._unit, ahead_s), "users": users}).encode()
        try:
            write_atomically(self._path, data)
        except OSError:
            logger.exception("the count of wrong passwords is not kept")

    def _load(self) -> tuple[Count, dict[str, Count]]:
        """Returns what an earlier boot counted; nothing when the file is damaged."""
        data = read_bounded(self._path, _MAX_BYTES)
        if data is None:
            return Count(), {}
        ahead_s = self._clock.unix() - self._clock.monotonic()
        try:
            return parse_counts(data, ahead_s, self._clock.monotonic())
        except ValueError as error:
            logger.error("the count of wrong passwords is damaged: %s", error)  # noqa: TRY400
            return Count(), {}


def parse_counts(data: bytes, ahead_s: float, now: float) -> tuple[Count, dict[str, Count]]:
    """Returns the counts of unit and users in a file.

    Args:
        data: The file.
        ahead_s: By how much the wall time is ahead of the monotonic one.
        now: The monotonic time; no lock ends later than its own length from here.

    Raises:
        ValueError: The file is damaged.
    """
    try:
        found: dict[str, Any] = decode(data)
        users = {str(key): _count(entry, ahead_s, now) for key, entry in found["users"].items()}
        unit = _count(found["unit"], ahead_s, now)
    except (KeyError, TypeError, AttributeError, OverflowError) as error:
        raise ValueError(f"not a file of counts: {error!r}") from error
    if len(users) > MAX_USERS:
        raise ValueError(f"{len(users)} users exceed {MAX_USERS}")
    return unit, users


def _count(entry: Mapping[str, float], ahead_s: float, now: float) -> Count:
    failures, lock_s, end = int(entry["failures"]), int(entry["lock_s"]), float(entry["end"])
    if not (0 <= failures <= _MAX_FAILURES and 0 <= lock_s <= FORGET_S and math.isfinite(end)):
        raise ValueError(f"{entry} is no count")
    return Count(failures, lock_s, min(end - ahead_s, now + lock_s))


def _as_json(count: Count, ahead_s: float) -> dict[str, float]:
    return {"failures": count.failures, "lock_s": count.lock_s, "end": count.end + ahead_s}


def _key(user: str) -> str:
    """Directories do not tell upper from lower case in a user's name."""
    return user.casefold()
