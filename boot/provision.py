"""From a lease to a verified configuration and firmware: dns, tftp, tss, trust, slot."""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, TypeVar

from ..hal.clock import Clock
from .cache import read_bounded, write_atomically
from .document import MAX_BYTES, Document, parse_document
from .errors import (
    AccountRefusedError,
    BootError,
    DnsError,
    DocumentError,
    FirmwareRefusedError,
    IdentityError,
    SlotError,
    TransportError,
    TrustError,
    UntrustedServerError,
)
from .fetch.dns import Resolver, ServiceResolver
from .fetch.preferences import Preferences
from .fetch.sources import Sources
from .fetch.tls import client_context
from .fetch.transport import Account, Files, Server, Terms
from .fetch.visit import Visit
from .folder import StateFolder
from .identity import Identity
from .lan.lease import Lease
from .slots.manager import Manifest, Slot, SlotManager
from .status import Stage, StatusBoard
from .trusted.enrol import Enrolment
from .trusted.kept import SITE_CONFIGURATION, KeptContent, digest
from .trusted.trust import TrustStore, VerifiedTree

logger = logging.getLogger(__name__)
T = TypeVar("T")

VERSION_KEY: Final = "application.config.version"
MAX_IMAGE_BYTES: Final = 134_217_728
REFUSED_ALARM: Final = "trust.refused"
KEPT_ALARM: Final = "kept.refused"
FIRMWARE_ALARM: Final = "firmware.refused"
_HUNG_UP = "the server hangs up on the unit's certificate"
STAGES: Final = ("dns", "tftp", "tss", "trust", "slot")


@dataclass(frozen=True, slots=True)
class Provision:
    """Everything that a unit needs to run."""

    configuration: Document
    slot: Slot

    @property
    def version(self) -> int:
        """The version of the configuration."""
        return self.configuration.number(VERSION_KEY)


class Provisioner:
    """Fetches, verifies and keeps configuration and firmware."""

    def __init__(
        self,
        identity: Identity,
        folder: StateFolder,
        slots: SlotManager,
        status: StatusBoard,
        clock: Clock,
    ) -> None:
        self._identity = identity
        self._folder = folder
        self._slots = slots
        self._status = status
        self._clock = clock
        self._sources = Sources(identity, folder, status, clock)
        self._trust = TrustStore(folder.trust, identity.root, clock)
        self._kept = KeptContent.of(identity, folder, clock)
        self.enrolment = Enrolment(identity, folder.certificate, clock, self._trust.floor)
        self._lock = asyncio.Lock()

    async def kept(self) -> Provision | None:
        """Returns what was good last time; None when this unit has nothing that is still signed."""
        data = read_bounded(self._folder.configuration, MAX_BYTES)
        slot = await self._slots.newest()
        if data is None or slot is None:
            return None
        try:
            self._kept.check_configuration(data)
            if slot.sha256 in await self._slots.images():
                self._kept.check_firmware(slot.sha256)
            return Provision(parse_document(data), slot)
        except (DocumentError, TrustError) as error:
            self._status.raise_alarm(
                KEPT_ALARM, f"what was kept is not used: {error}", error.remedy
            )
            return None

    async def provision(self, lease: Lease, resolver: ServiceResolver) -> Provision:
        """Asks the network for everything and keeps it.

        Raises:
            BootError: A stage failed; what was kept before is untouched.
        """
        self._status.reset(STAGES)
        self._status.clear_alarm(REFUSED_ALARM)
        try:
            async with self._lock:
                candidates = self._sources.candidates(lease, resolver)
                server, provision = await self._first_good(candidates, self._provision)
                self._sources.good(server, lease)
                self._status.clear_alarm(KEPT_ALARM)
        except OSError as error:
            raise BootError(f"the state folder: {error}", "free or replace the medium") from error
        return provision

    def servers(self, resolver: Resolver) -> AsyncIterator[Server]:
        """Yields the TSS servers that are known, those that were found last first."""
        return self._sources.recent(resolver)

    async def profile(self, user: str, resolver: Resolver, kept: bytes | None) -> bytes:
        """Returns the verified profile of a user; none of it stays on the medium.

        Args:
            user: Whose it is.
            resolver: Finds the TSS.
            kept: What was verified last; it is not fetched again.

        Raises:
            TrustError: It is not signed, or not acceptable.
            BootError: No TSS gave it.
        """
        async with self._lock:
            candidates = self._sources.recent(resolver)
            with self._status.step("profile") as step:
                target = f"profiles/{user}.yaml"
                _, data = await self._first_good(
                    candidates, lambda visit: self._fetch_profile(visit, target, kept, step)
                )
                step.detail = target
                return data

    async def _first_good(
        self, servers: AsyncIterator[Server], take: Callable[[Visit], Awaitable[T]]
    ) -> tuple[Server, T]:
        """Returns what the first server gives that has it, and who that was."""
        failures: list[BootError] = []
        try:
            async for server in servers:
                try:
                    return server, await self._admitted(server, take)
                except BootError as error:
                    self._sources.failed(server)
                    self._tell(server, error)
                    failures.append(error)
        except DnsError as error:
            failures.append(error)
        raise _worst(failures)

    async def _admitted(self, server: Server, take: Callable[[Visit], Awaitable[T]]) -> T:
        """Takes something from one server, once more after a refusal that enrolling may mend."""
        try:
            return await self._take(server, take)
        except AccountRefusedError as refused:
            try:
                await asyncio.to_thread(self.enrolment.answer_refusal, server)
            except BootError as error:
                logger.warning("%s", error)
                raise refused from error
        return await self._take(server, take)

    async def _take(self, server: Server, take: Callable[[Visit], Awaitable[T]]) -> T:
        """Takes something from one server; what one transport brings wrongly another may not."""
        kept = await self.kept()
        preferences = Preferences.of(kept.configuration) if kept else Preferences()
        certified = self.enrolment.is_shown
        terms = Terms(
            self.enrolment.context(), self._clock, bandwidth=preferences.bandwidth(self._clock)
        )
        order = preferences.order
        while True:
            visit = self._visit(server, terms, order)
            try:
                return await take(visit)
            except (TransportError, TrustError) as error:
                order = visit.left
                if not order and certified and visit.hung_up_on:
                    raise AccountRefusedError(_HUNG_UP, server=str(server)) from error
                if not order:
                    raise
                self._tell(server, error)
            finally:
                await asyncio.to_thread(visit.close)

    def _visit(self, server: Server, terms: Terms, order: Sequence[str]) -> Visit:
        return Visit(
            server,
            Account(self._identity.username, self._identity.password),
            terms,
            order=order,
            count=lambda _: None,
            trouble=lambda error: self._tell(server, error),
        )

    def _tell(self, server: Server, error: BootError) -> None:
        """Shows refused content even when the next server has good content."""
        logger.warning("%s: %s", server, error)
        if isinstance(error, (TrustError, UntrustedServerError)):
            self._status.raise_alarm(REFUSED_ALARM, str(error.at(server=server.name)), error.remedy)

    async def _provision(self, visit: Visit) -> Provision:
        """Takes everything from one server."""
        with self._status.step("tss") as step:
            visit.count_for(step.count)
            foreseen, cold = self._trust.foreseen(), await self.kept() is None
            await asyncio.to_thread(visit.open, foreseen, prepare=cold)
            step.detail = f"{visit.way} {visit.server}"
        with self._status.step("trust") as step:
            visit.count_for(step.count)
            tree, data = await asyncio.to_thread(self._verify, visit)
            configuration = self._accept(data)
            step.detail = f"configuration {configuration.number(VERSION_KEY)}"
        with self._status.step("slot") as step:
            visit.count_for(step.count)
            slot = await self._install(tree)
            step.detail = slot.version
        write_atomically(self._folder.configuration, data)
        self._kept.keep_only({digest(data), *await self._slots.images()})
        return Provision(configuration, slot)

    def _verify(self, files: Files) -> tuple[VerifiedTree, bytes]:
        """Returns the verified tree and, from it, the unit's configuration or the site's."""
        tree = self._trust.refresh(files)
        target = f"units/{self._identity.folder}/config.yaml"
        path = tree.fetch(target, max_bytes=MAX_BYTES)
        if path is None:
            target = SITE_CONFIGURATION
            path = tree.must_fetch(target, max_bytes=MAX_BYTES)
        data = path.read_bytes()
        self._kept.vouch(tree, target, digest(data))
        return tree, data

    def _accept(self, data: bytes) -> Document:
        """Returns a configuration that is well-formed and not older than the kept one.

        Raises:
            TrustError: It is older.
            DocumentError: It is no flat YAML.
        """
        configuration = parse_document(data)
        version, kept = configuration.number(VERSION_KEY), self._kept_version()
        if version < kept:
            raise TrustError(
                f"configuration {version} is older than the last accepted {kept}",
                f"publish it with {VERSION_KEY} above {kept}",
            )
        return configuration

    def _kept_version(self) -> int:
        """The version of the kept configuration; 0 for one that nobody has signed."""
        data = read_bounded(self._folder.configuration, MAX_BYTES)
        if data is None:
            return 0
        try:
            self._kept.check_configuration(data)
            return parse_document(data).number(VERSION_KEY)
        except (DocumentError, TrustError):
            return 0

    async def _install(self, tree: VerifiedTree) -> Slot:
        """Returns the slot that the next start chooses, filled as the manifest says.

        Raises:
            SlotError: The image cannot be installed, or there is no firmware at all.
        """
        folder = f"firmware/{self._identity.firmware}"
        path = await asyncio.to_thread(
            tree.must_fetch, f"{folder}/manifest.yaml", max_bytes=MAX_BYTES
        )
        try:
            await self._fill_slot(tree, folder, Manifest.parse(path.read_bytes()))
            self._status.clear_alarm(FIRMWARE_ALARM)
        except FirmwareRefusedError as error:
            self._status.raise_alarm(FIRMWARE_ALARM, str(error), error.remedy)
        slot = await self._slots.newest()
        if slot is None:
            raise SlotError("there is no firmware that may run", "publish a newer firmware")
        return slot

    async def _fill_slot(self, tree: VerifiedTree, folder: str, manifest: Manifest) -> None:
        target = f"{folder}/{manifest.file}"
        self._kept.vouch(tree, target, manifest.sha256)
        if not await self._slots.wants(manifest):
            return
        image = await asyncio.to_thread(tree.must_fetch, target, max_bytes=MAX_IMAGE_BYTES)
        try:
            await self._slots.install(image, manifest)
        finally:
            image.unlink(missing_ok=True)

    async def _fetch_profile(
        self, visit: Visit, target: str, kept: bytes | None, step: Stage
    ) -> bytes:
        visit.count_for(step.count)
        await asyncio.to_thread(visit.open, self._trust.foreseen(), prepare=False)
        tree = await asyncio.to_thread(self._trust.refresh, visit)
        data = await asyncio.to_thread(tree.read, target, max_bytes=MAX_BYTES, kept=kept)
        parse_document(data)
        return data


def trusting(identity: Identity) -> ssl.SSLContext:
    """Returns a TLS context that trusts the unit's factory CA.

    Raises:
        IdentityError: The CA file holds no certificate.
    """
    try:
        return client_context(identity.ca)
    except OSError as error:
        raise IdentityError(f"ca.pem: {error}", "write the factory folder again") from error


def _worst(failures: Sequence[BootError]) -> BootError:
    """Returns the failure to show: refused content says more than a silent server."""
    for failure in failures:
        if isinstance(failure, TrustError):
            return failure
    return failures[0] if failures else TransportError("no TSS is known")
