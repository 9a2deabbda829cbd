"""A dealer's shift, from login to logout: profile, registrations, desk and recordings.

The profile on disk says who is logged in.  It may change without this process: boot writes it
at every login, whoever asked for that, and it is still there after a restart of the runtime.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

from ..hal.clock import Clock
from ..hal.errors import HalError, MatrixError
from .alarms import AlarmBoard
from .calls.desk import Desk
from .calls.errors import CallsError, LineError
from .calls.journal import Entry
from .calls.line import Line
from .calls.profile import Profile, profile_of
from .calls.registration import Registration
from .config.errors import ConfigError
from .config.store import Configuration, load
from .recording.cti import RecordedCall, User
from .recording.recordings import Recordings
from .services.boot_control import BootControl
from .services.boot_files import BootFiles, Mark
from .services.errors import LoginRefusedError, ServiceError

logger = logging.getLogger(__name__)

REFUSED: Final = "profile.refused"
UNRECORDED: Final = "recording.off"
RETRY_S: Final = 1.0


class Shift:
    """Who is logged in, and what comes and goes with it.

    Args:
        desk: The calls.
        recordings: The recordings.
        boot: Logs users in at the directory.
        files: Where the profile lies.
        alarms: Is told of a profile that cannot be used.
        clock: The time.
        learn: Told every configuration that is read, for its secrets.
        ended: Called when somebody else, or nobody, is logged in.
    """

    def __init__(
        self,
        desk: Desk,
        recordings: Recordings,
        boot: BootControl,
        files: BootFiles,
        *,
        alarms: AlarmBoard,
        clock: Clock,
        learn: Callable[[Configuration], None],
        ended: Callable[[], None],
    ) -> None:
        self._desk = desk
        self._recordings = recordings
        self._boot = boot
        self._files = files
        self._alarms = alarms
        self._clock = clock
        self._learn = learn
        self._ended = ended
        self._mark: Mark = None
        self._lock = asyncio.Lock()
        self._left_over: tuple[Entry, ...] = ()
        self._recorded: set[str] = set()
        self._recording: asyncio.Task[None] | None = None
        self._reported = ("", "")
        desk.follow_calls(self._call_started, self._call_ended)

    # ------------------------------------------------------------ login and logout

    async def login(self, user: str, password: str) -> str:
        """Logs a user in at the directory and takes the profile over; returns the name.

        Raises:
            LoginRefusedError: Wrong password, no directory, no usable profile.
            BootGoneError: Boot does not answer.
        """
        login = await self._boot.login(user, password)
        try:
            await self._take_profile()
        except (ConfigError, CallsError, HalError) as error:
            await self._boot.logout()
            raise LoginRefusedError(
                f"the profile of {user} cannot be used: {error}",
                code="bad_profile",
                remedy="correct the profile at the TSS",
            ) from error
        profile = self._desk.profile
        return (profile.name if profile else "") or login.name

    async def logout(self) -> None:
        """Logs the user out: ends the calls, unregisters, forgets the profile.

        Raises:
            BootGoneError: Boot does not answer.
        """
        await self._boot.logout()
        await self._take_profile()

    async def resume(self, left_over: Iterable[Entry]) -> None:
        """Goes on with the shift that a former process was killed in, if there is one.

        Args:
            left_over: What the journal held when this process started.
        """
        self._left_over = tuple(left_over)
        if self._files.profile.exists():
            await self.follow()
        else:
            self._ended()

    async def follow(self) -> None:
        """Makes the profile on disk the one in force; one that is refused becomes an alarm."""
        try:
            await self._take_profile()
        except (ConfigError, CallsError, HalError) as error:
            remedy = "correct the profile at the TSS, then log in again"
            self._alarms.raise_(REFUSED, "", str(error), remedy)
        else:
            self._alarms.clear(REFUSED)

    async def end(self) -> None:
        """Ends every call, the recordings and the registrations; the profile stays."""
        for line in self._desk.lines():
            with suppress(LineError):
                await self._desk.hang_up_call(line.line_id)
        self.note_calls()
        await self._stop_recordings()
        await self._desk.close_profile()

    async def _take_profile(self) -> None:
        async with self._lock:
            now = self._files.profile_mark()
            before, self._mark = self._mark, now
            if now == before:
                return
            if now is None:
                await self._leave()
            else:
                await self._begin(is_resumed=before is None)

    async def _begin(self, *, is_resumed: bool) -> None:
        profile = await self._read_profile()
        if profile == self._desk.profile:
            return
        if self._desk.profile is not None:
            await self._leave()
        elif not is_resumed:
            self._ended()
        await self._desk.open_profile(profile)
        self._recording = asyncio.create_task(self._record(profile), name="recordings")
        logger.info("%s is logged in", profile.identity.username)

    async def _leave(self) -> None:
        self._ended()
        if self._desk.profile is not None:
            await self.end()
            logger.info("nobody is logged in")

    async def _read_profile(self) -> Profile:
        """The profile on disk; when it cannot be used, whoever was there before has left, too."""
        unit = self._files.configuration
        try:
            configuration = load(unit if unit.exists() else None, self._files.profile)
        except ConfigError:
            await self._leave()
            raise
        self._learn(configuration)
        return profile_of(configuration)

    # ------------------------------------------------------------ recordings

    async def _record(self, profile: Profile) -> None:
        """Starts the recordings as soon as the matrix lets them."""
        channels = max((channel.number for channel in profile.channels), default=0)
        identity = profile.identity
        user = User(identity.username, identity.address_of_record, profile.name)
        while True:
            try:
                await self._recordings.start(user, channels=channels, left_over=self._left_over)
            except MatrixError as error:
                remedy = "look at state/log/matrix.log"
                self._alarms.raise_(UNRECORDED, "", f"nothing is recorded: {error}", remedy)
                await asyncio.sleep(RETRY_S)
            else:
                self._alarms.clear(UNRECORDED)
                self._left_over = ()
                self.note_calls()
                return

    async def _stop_recordings(self) -> None:
        starting, self._recording = self._recording, None
        if starting is None:
            return
        starting.cancel()
        await asyncio.gather(starting, return_exceptions=True)
        await self._recordings.stop()
        self._recorded.clear()

    def note_calls(self) -> None:
        """Tells the recordings which calls are up now, and which are over."""
        up = {line.line_id: line for line in self._desk.lines() if _is_up(line)}
        for line in up.values():
            self._call_started(line)
        for gone in self._recorded - set(up):
            self._recordings.call_ended(gone)
        self._recorded = set(up)

    def _call_started(self, line: Line) -> None:
        self._recordings.call_started(RecordedCall.of(line, self._clock))
        self._recorded.add(line.line_id)

    def _call_ended(self, line: Line) -> None:
        self._recordings.call_ended(line.line_id)
        self._recorded.discard(line.line_id)

    # ------------------------------------------------------------ what boot is told

    async def report_again(self) -> None:
        """Tells a boot agent that was not there before."""
        self._reported = ("", "")
        await self.report()

    async def report(self) -> None:
        """Tells boot how registration goes, whenever that has changed."""
        report = registered(self._desk.registrations) if self._desk.profile else ("", "")
        if report == self._reported:
            return
        self._reported = report
        if not report[0]:
            return
        try:
            await self._boot.report("register", *report)
        except ServiceError as error:
            logger.debug("boot was not told of %s: %s", report, error)


def _is_up(line: Line) -> bool:
    return line.connected_unix_s is not None


def registered(registrations: tuple[Registration, ...]) -> tuple[str, str]:
    """State and detail of the boot stage ``register``.

    >>> registered((Registration("pbx-1", "10.11.0.20:5060", registered=True, status=200),))
    ('done', '1 of 1 PBXs')
    """
    good = sum(item.registered for item in registrations)
    detail = f"{good} of {len(registrations)} PBXs"
    if good == len(registrations):
        return "done", detail
    if any(item.status == 0 for item in registrations):
        return "running", detail
    return ("done" if good else "failed"), detail
