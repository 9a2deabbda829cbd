"""Web sessions and the wait after wrong passwords.

Only hashes of tokens are kept, in a file that survives a restart of the runtime, so that a
panel stays logged in through it.
"""

from __future__ import annotations

import hashlib
import json
import logging
import os
import secrets
from collections import OrderedDict
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from ...hal.clock import Clock

logger = logging.getLogger(__name__)

SESSIONS_MAX: Final = 64
ADDRESSES_MAX: Final = 4096
_FILE_BYTES_MAX: Final = 65_536


@dataclass(frozen=True, slots=True)
class Session:
    """A session: who, and until when in Unix seconds."""

    user: str
    expires: float


class Sessions:
    """The web sessions of a unit.

    Args:
        path: File that they survive a restart in.
        clock: Tells when one has expired.
        duration_s: How long one lives.
    """

    def __init__(self, path: Path, clock: Clock, duration_s: float) -> None:
        self._path = path
        self._clock = clock
        self._duration_s = duration_s
        self._sessions = _read(path)

    def create(self, user: str) -> str:
        """Starts a session; returns its token, which is kept nowhere else."""
        token = secrets.token_urlsafe(32)
        self._drop_expired()
        while len(self._sessions) >= SESSIONS_MAX:
            del self._sessions[next(iter(self._sessions))]
        self._sessions[_digest(token)] = Session(user, self._clock.unix() + self._duration_s)
        self._save()
        return token

    def user(self, token: str) -> str | None:
        """Who the token belongs to; None when it is unknown or has expired."""
        session = self._sessions.get(_digest(token))
        return session.user if session and session.expires > self._clock.unix() else None

    def end(self, token: str) -> None:
        """Ends one session."""
        if self._sessions.pop(_digest(token), None):
            self._save()

    def end_all(self) -> None:
        """Ends every session, as a logout from the unit does."""
        self._sessions.clear()
        self._save()

    def _drop_expired(self) -> None:
        now = self._clock.unix()
        self._sessions = {key: item for key, item in self._sessions.items() if item.expires > now}

    def _save(self) -> None:
        self._path.parent.mkdir(parents=True, exist_ok=True)
        text = json.dumps({key: asdict(item) for key, item in self._sessions.items()})
        temporary = self._path.with_suffix(".new")
        temporary.unlink(missing_ok=True)
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW
        with open(os.open(temporary, flags, 0o600), "w", encoding="utf-8") as file:  # noqa: PTH123
            file.write(text)
        temporary.replace(self._path)


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode(errors="surrogatepass")).hexdigest()


def _read(path: Path) -> dict[str, Session]:
    """The sessions of a file; a missing or damaged one only costs a new login."""
    try:
        with path.open("rb") as file:
            found = json.loads(file.read(_FILE_BYTES_MAX))
        return {
            str(key): Session(str(item["user"]), float(item["expires"]))
            for key, item in found.items()
        }
    except FileNotFoundError:
        return {}
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        logger.warning("%s is not readable, users log in anew: %s", path, error)
        return {}


@dataclass(slots=True)
class _Failures:
    count: int = 0
    until: float = 0.0


class Lockout:
    """Makes an address wait after too many wrong passwords in a row.

    Args:
        attempts: Wrong passwords that are allowed.
        duration_s: How long the wait is.
        clock: Its monotonic time counts.
    """

    def __init__(self, attempts: int, duration_s: float, clock: Clock) -> None:
        self._attempts = attempts
        self._duration_s = duration_s
        self._clock = clock
        self._failures: OrderedDict[str, _Failures] = OrderedDict()

    def wait_s(self, address: str) -> float:
        """Seconds that the address still has to wait, 0 when it may try."""
        known = self._failures.get(address)
        return max(0.0, known.until - self._clock.monotonic()) if known else 0.0

    def failed(self, address: str) -> None:
        """Counts a wrong password; the last one allowed starts the wait."""
        failures = self._failures.setdefault(address, _Failures())
        self._failures.move_to_end(address)
        failures.count += 1
        if failures.count >= self._attempts:
            failures.until = self._clock.monotonic() + self._duration_s
            failures.count = 0
            logger.warning("too many wrong passwords from %s, it waits", address)
        while len(self._failures) > ADDRESSES_MAX:
            self._failures.popitem(last=False)

    def succeeded(self, address: str) -> None:
        """Forgets what the address did wrong."""
        self._failures.pop(address, None)
