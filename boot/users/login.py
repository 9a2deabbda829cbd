"""Who works at this unit: logs a person in, keeps the profile, logs the person out."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Protocol

from ...hal.clock import Clock
from ..document import Document
from ..errors import (
    BadCredentialsError,
    BootError,
    DirectoryError,
    DirectoryUnreachableError,
    DnsError,
    VaultError,
)
from ..fetch.dns import Resolver
from ..folder import StateFolder
from ..identity import Identity
from ..memory import memory_folder
from ..provision import trusting
from ..status import StatusBoard
from ..trusted.floor import ClockFloor
from .directory import (
    Admission,
    Directory,
    DirectoryServer,
    Person,
    check_credentials,
    host_and_port,
)
from .lockout import Lockout, LockoutPolicy
from .offline import Secret, Verifiers
from .profiles import Profiles
from .vault import Vault

logger = logging.getLogger(__name__)

SERVERS_KEY: Final = "application.directory.servers"
DN_KEY: Final = "application.directory.user.dn"
DEFAULT_DN: Final = "uid={user},ou=people,dc=turret,dc=example"
ATTEMPTS_KEY: Final = "application.login.lockout.attempts"
DURATION_KEY: Final = "application.login.lockout.duration"
OFFLINE_KEY: Final = "application.login.offline"
DAYS_KEY: Final = "application.login.offline.days"
KEEP_KEY: Final = "application.login.keep"

CACHED_ALARM: Final = "profile.cached"
DAMAGED_ALARM: Final = "profile.damaged"
OFFLINE_ALARM: Final = "login.offline"

_DAMAGE_REMEDY = "log in again while a TSS can be reached"
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")


@dataclass(frozen=True, slots=True)
class LoginPolicy:
    """What the configuration says about logins.

    Attributes:
        lockout: When a wrong password makes somebody wait.
        offline: Who was here lately gets in while no directory can be reached.
        offline_days: What lately means, 1 to 90.
        keep: The last user stays logged in over a power cut.
    """

    lockout: LockoutPolicy = field(default_factory=LockoutPolicy)
    offline: bool = False
    offline_days: int = 7
    keep: bool = True

    @classmethod
    def of(cls, configuration: Document) -> "LoginPolicy":
        """Reads the policy; what is not acceptable is as if it were not there."""
        normal = cls()
        attempts = _number(configuration, ATTEMPTS_KEY, normal.lockout.attempts, 100)
        duration_s = _number(configuration, DURATION_KEY, normal.lockout.duration_s, 86_400)
        return cls(
            LockoutPolicy(attempts, duration_s),
            offline=configuration.values.get(OFFLINE_KEY) == "cached",
            offline_days=_number(configuration, DAYS_KEY, normal.offline_days, 90),
            keep=configuration.values.get(KEEP_KEY) is not False,
        )


class ProfileSource(Protocol):
    """Fetches verified profiles."""

    async def profile(self, user: str, resolver: Resolver, kept: bytes | None) -> bytes:
        """Returns the profile of a user; ``kept`` when it is that still.

        Raises:
            BootError: No TSS gave one that is acceptable.
        """


class Logins:
    """Logs in at the directory first, always; the profile comes only after that.

    Args:
        identity: The unit, for its CA and its serial number.
        folder: Where everything of a person is kept, sealed.
        source: Fetches profiles.
        status: Shown the stages login and profile.
        clock: How long locks hold; how old an offline login may be.
    """

    def __init__(
        self,
        identity: Identity,
        folder: StateFolder,
        source: ProfileSource,
        status: StatusBoard,
        clock: Clock,
    ) -> None:
        self._identity = identity
        self._source = source
        self._status = status
        vault = Vault(folder.key, identity.serial)
        self._profiles = Profiles(
            folder.profiles, folder.logins, lambda: memory_folder(folder.root), vault
        )
        self._verifiers = Verifiers(folder.logins, vault, ClockFloor(folder.trust / "clock", clock))
        self._lockout = Lockout(folder.logins / "lockout.json", clock)
        self._lock = asyncio.Lock()

    async def login(
        self, user: str, password: str, configuration: Document, resolver: Resolver
    ) -> tuple[Person, Path]:
        """Returns the person and the profile that is now in force.

        Args:
            user: As typed.
            password: As typed.
            configuration: The one in force.
            resolver: Finds directory and TSS.

        Raises:
            LockedOutError: Too many wrong passwords came before.
            BadCredentialsError: The directory refused.
            DirectoryError: No directory could be asked: nobody is logged in.
            BootError: There is no verified profile, new or kept.
        """
        if not _USER.fullmatch(user):
            raise BadCredentialsError("user or password is wrong", "type them again")
        check_credentials(user, password)
        policy = LoginPolicy.of(configuration)
        attempt = _Attempt(user, password, configuration, resolver, policy)
        async with self._lock:
            self._lockout.check(user)
            try:
                person, profile = await self._let_in(attempt)
            except BadCredentialsError:
                self._lockout.failed(user, policy.lockout)
                raise
            self._profiles.begin(profile)
            with _medium("who is logged in"):
                self._profiles.note_last(user if policy.keep else None)
        logger.info("%s is logged in", user)
        return person, self._profiles.current

    def logout(self) -> None:
        """Takes the profile in force away."""
        self._profiles.end()
        for alarm in (CACHED_ALARM, OFFLINE_ALARM):
            self._status.clear_alarm(alarm)
        logger.info("nobody is logged in")

    def resume(self, configuration: Document) -> None:
        """Logs in again who was logged in before a power cut, where policy says so."""
        try:
            user = self._profiles.resume(keep=LoginPolicy.of(configuration).keep)
        except (BootError, OSError) as error:
            self._status.raise_alarm(DAMAGED_ALARM, f"nobody is logged in: {error}", _DAMAGE_REMEDY)
            return
        if user is not None:
            logger.info("%s is logged in again", user)

    def close(self) -> None:
        """Leaves no profile plain, at a clean stop."""
        try:
            self._profiles.clear_memory()
        except BootError as error:
            logger.warning("%s", error)

    async def _let_in(self, attempt: "_Attempt") -> tuple[Person, bytes]:
        """Returns a person and the profile, by what the directory says or once said.

        Raises:
            BadCredentialsError: The password is wrong.
            BootError: Nobody can say so, or there is no profile.
        """
        try:
            return await self._let_in_by_directory(attempt)
        except DirectoryUnreachableError as error:
            if not attempt.policy.offline:
                raise
            return await self._let_in_offline(attempt, error)

    async def _let_in_by_directory(self, attempt: "_Attempt") -> tuple[Person, bytes]:
        """Asks the directory; while the profile comes, the rest is done beside it."""
        user = attempt.user
        try:
            async with self._admit(attempt) as admission:
                self._lockout.passed(user)
                self._status.clear_alarm(OFFLINE_ALARM)
                profile, name, secret = await asyncio.gather(
                    self._profile(attempt), admission.name(), _secret(attempt)
                )
        except BadCredentialsError:
            with _medium(f"that {user} was refused"):
                self._verifiers.forget(user)
            raise
        with _medium("what an offline login needs"):
            if secret is not None:
                self._verifiers.learn(user, name, secret)
            else:
                self._verifiers.forget_all()
        return Person(user, name or user), profile

    async def _let_in_offline(
        self, attempt: "_Attempt", unreachable: DirectoryUnreachableError
    ) -> tuple[Person, bytes]:
        """Asks what the directory left here when it last said yes."""
        user, days = attempt.user, attempt.policy.offline_days
        try:
            name = await asyncio.to_thread(self._verifiers.check, user, attempt.password, days=days)
        except VaultError as damage:
            logger.warning("the verifier of %s: %s", user, damage)
            self._verifiers.forget(user)
            raise unreachable from damage
        self._lockout.passed(user)
        profile = await self._profile(attempt)
        self._status.raise_alarm(
            OFFLINE_ALARM, f"{user} was let in without a directory: {unreachable}",
            unreachable.remedy,
        )  # fmt: skip
        return Person(user, name or user), profile

    @contextlib.asynccontextmanager
    async def _admit(self, attempt: "_Attempt") -> AsyncIterator[Admission]:
        """Binds at the directory and keeps the connection while the block runs."""
        configuration = attempt.configuration
        self._status.reset(["login"])
        async with contextlib.AsyncExitStack() as stack:
            with self._status.step("login") as step:
                directory = Directory(
                    trusting(self._identity),
                    dn_template=configuration.text(DN_KEY, DEFAULT_DN),
                    count=step.count,
                )
                servers = await _locate(configuration.texts(SERVERS_KEY), attempt.resolver)
                admission = await stack.enter_async_context(
                    directory.login(servers, attempt.user, attempt.password)
                )
                step.detail = attempt.user
            yield admission

    async def _profile(self, attempt: "_Attempt") -> bytes:
        """Returns the profile from the TSS, or the kept one when no TSS gives a better."""
        user = attempt.user
        kept = self._kept(user)
        self._status.reset(["profile"])
        try:
            profile = await self._source.profile(user, attempt.resolver, kept)
        except BootError as error:
            if kept is None:
                raise
            self._status.raise_alarm(CACHED_ALARM, f"kept profile used: {error}", error.remedy)
            return kept
        if profile != kept:
            with _medium(f"the profile of {user}"):
                self._profiles.keep(user, profile)
        for alarm in (CACHED_ALARM, DAMAGED_ALARM):
            self._status.clear_alarm(alarm)
        return profile

    def _kept(self, user: str) -> bytes | None:
        """Returns the kept profile; a damaged one becomes an alarm and goes."""
        try:
            return self._profiles.kept(user)
        except VaultError as error:
            self._status.raise_alarm(DAMAGED_ALARM, str(error), _DAMAGE_REMEDY)
            self._profiles.drop(user)
            return None


@dataclass(frozen=True, slots=True)
class _Attempt:
    """One try of one person."""

    user: str
    password: str = field(repr=False)
    configuration: Document
    resolver: Resolver
    policy: LoginPolicy


async def _secret(attempt: _Attempt) -> Secret | None:
    """Derives what an offline login will be checked against, where policy allows one."""
    if not attempt.policy.offline:
        return None
    return await asyncio.to_thread(Secret.of, attempt.password)


@contextlib.contextmanager
def _medium(what: str) -> Iterator[None]:
    """Lets a login go on that only the medium cannot remember."""
    try:
        yield
    except OSError:
        logger.exception("%s is not kept", what)


async def _locate(urls: tuple[str, ...], resolver: Resolver) -> list[DirectoryServer]:
    """Returns the directory servers that can be found; the others are logged.

    Raises:
        DirectoryError: None is configured, or a URL is not acceptable.
        DirectoryUnreachableError: None can be found.
    """
    if not urls:
        raise DirectoryError("no directory is configured", f"set {SERVERS_KEY}")
    servers: list[DirectoryServer] = []
    for url in urls:
        name, port = host_and_port(url)
        try:
            addresses = await resolver.resolve(name)
        except DnsError as error:
            logger.warning("directory %s: %s", name, error)
            continue
        servers += [DirectoryServer(name, address, port) for address in addresses]
    if not servers:
        raise DirectoryUnreachableError(
            "no directory server can be found", f"check {SERVERS_KEY} and the DNS zone"
        )
    return servers


def _number(configuration: Document, key: str, default: int, maximum: int) -> int:
    """Returns a number from 1 to ``maximum``; the default, said in the log, for anything else."""
    value = configuration.values.get(key, default)
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= maximum:
        return value
    logger.error("%s: %r is not between 1 and %d; %d is used", key, value, maximum, default)
    return default
