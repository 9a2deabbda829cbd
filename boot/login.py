"""Who works at this unit: logs a person in, keeps the profile, logs the person out."""

import asyncio
import contextlib
import logging
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

from .cache import read_bounded, remove, write_atomically
from .directory import Admission, Directory, DirectoryServer, Person, host_and_port
from .dns import Resolver
from .document import MAX_BYTES, Document
from .errors import (
    BadCredentialsError,
    BootError,
    DirectoryUnreachableError,
    DnsError,
)
from .identity import Identity
from .provision import Provisioner, trusting
from .status import StatusBoard

logger = logging.getLogger(__name__)

SERVERS_KEY: Final = "application.directory.servers"
DN_KEY: Final = "application.directory.user.dn"
DEFAULT_DN: Final = "uid={user},ou=people,dc=turret,dc=example"

_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")
_PROFILE_ALARM = "profile.cached"


class Logins:
    """Logs in at the directory first, always; the profile comes only after that."""

    def __init__(
        self, identity: Identity, profiles: Path, provisioner: Provisioner, status: StatusBoard
    ) -> None:
        self._identity = identity
        self._profiles = profiles
        self._provisioner = provisioner
        self._status = status
        self._lock = asyncio.Lock()

    @property
    def current(self) -> Path:
        """The profile of who is logged in; absent when nobody is."""
        return self._profiles / "current.yaml"

    async def login(
        self, user: str, password: str, configuration: Document, resolver: Resolver
    ) -> tuple[Person, Path]:
        """Returns the person and the profile that is now in force.

        Raises:
            BadCredentialsError: The directory refused.
            DirectoryError: No directory could be asked: nobody is logged in.
            BootError: There is no verified profile, new or kept.
        """
        if not _USER.fullmatch(user):
            raise BadCredentialsError("user or password is wrong", "type them again")
        async with self._lock:
            async with self._admit(user, password, configuration, resolver) as admission:
                name, profile = await asyncio.gather(
                    admission.name(), self._profile(user, resolver)
                )
            write_atomically(self.current, profile)
        logger.info("%s is logged in", user)
        return Person(user, name or user), self.current

    def logout(self) -> None:
        """Takes the profile in force away."""
        remove(self.current)
        self._status.clear_alarm(_PROFILE_ALARM)
        logger.info("nobody is logged in")

    @contextlib.asynccontextmanager
    async def _admit(
        self, user: str, password: str, configuration: Document, resolver: Resolver
    ) -> AsyncIterator[Admission]:
        self._status.reset(["login"])
        async with contextlib.AsyncExitStack() as stack:
            with self._status.step("login") as step:
                directory = Directory(
                    trusting(self._identity),
                    dn_template=configuration.text(DN_KEY, DEFAULT_DN),
                    count=step.count,
                )
                servers = await _locate(configuration.texts(SERVERS_KEY), resolver)
                admission = await stack.enter_async_context(
                    directory.login(servers, user, password)
                )
                step.detail = user
            yield admission

    async def _profile(self, user: str, resolver: Resolver) -> bytes:
        """Returns the profile from the TSS, or the kept one when no TSS gives a better."""
        kept = self._profiles / f"{user}.yaml"
        self._status.reset(["profile"])
        try:
            profile = await self._provisioner.profile(user, resolver)
        except BootError as error:
            data = read_bounded(kept, MAX_BYTES)
            if data is None:
                raise
            self._status.raise_alarm(_PROFILE_ALARM, f"kept profile used: {error}", error.remedy)
            return data
        write_atomically(kept, profile)
        self._status.clear_alarm(_PROFILE_ALARM)
        return profile


async def _locate(urls: tuple[str, ...], resolver: Resolver) -> list[DirectoryServer]:
    """Returns the directory servers that can be found; the others are logged.

    Raises:
        DirectoryError: A URL is not acceptable.
        DirectoryUnreachableError: None can be found.
    """
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
