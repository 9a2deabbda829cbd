"""A certificate of this unit's own: got with the factory account, kept, shown and renewed.

The factory account proves who a unit is once; from then on a key proves it that has never
left the unit.  Key and certificate are one file, replaced as a whole, with the key encrypted
under the factory password: a copied state folder alone shows nobody as this unit.
"""

import asyncio
import logging
import ssl
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from cryptography.x509 import Certificate

from ...hal.backoff import Waits
from ...hal.clock import Clock
from ..cache import read_bounded, write_atomically
from ..errors import BootError, EnrolmentError, IdentityError, TransportError
from ..fetch.tls import client_context
from ..fetch.transport import Account, Server
from ..identity import Identity
from ..status import StatusBoard
from .certificate import KeyRequest, Validity, check_issued, kept_validity
from .est import EstClient, EstTiming
from .floor import ClockFloor

logger = logging.getLogger(__name__)

ALARM: Final = "enrolment.failed"
MAX_BYTES: Final = 65_536
_LOOK_AGAIN_S = 86_400.0


class Enrolment:
    """The unit's certificate and where it comes from.

    Args:
        identity: Who the unit is.
        path: Where key and certificate are kept.
        clock: Measures a server's patience.
        floor: Tells the time that expiry is measured by.
        timing: How long a server may take.
    """

    def __init__(
        self,
        identity: Identity,
        path: Path,
        clock: Clock,
        floor: ClockFloor,
        timing: EstTiming | None = None,
    ) -> None:
        self._identity = identity
        self._path = path
        self._clock = clock
        self._floor = floor
        self._timing = timing
        self._set_aside = False

    @property
    def is_shown(self) -> bool:
        """Whether a TSS is shown a certificate."""
        return not self._set_aside and self.validity() is not None

    def context(self) -> ssl.SSLContext:
        """Returns a TLS context that verifies a TSS and shows the certificate, if there is one.

        Raises:
            IdentityError: The factory's CA file holds no certificate.
        """
        context = self._plain_context()
        if self.is_shown:
            try:
                context.load_cert_chain(self._path, password=self._identity.password)
            except (OSError, ValueError) as error:
                logger.warning("the unit's certificate is not usable: %s", error)
                return self._plain_context()
        return context

    def validity(self) -> Validity | None:
        """Returns when the kept certificate counts; None when there is none that counts now."""
        pem = read_bounded(self._path, MAX_BYTES)
        validity = kept_validity(pem, self._identity) if pem else None
        return validity if validity and validity.counts_at(self._floor.now()) else None

    def due_s(self) -> float:
        """Returns the seconds until it is time to enrol or to renew; 0 when it is now."""
        validity = self.validity()
        return max(0.0, validity.renewal - self._floor.now()) if validity else 0.0

    def enrol(self, server: Server) -> Validity:
        """Gets a certificate with the factory account and keeps it.

        Raises:
            EnrolmentError: The server issues none, or not what was asked for; what was kept stays.
            UntrustedServerError: It is not a TSS of this factory.
            OSError: The medium refuses it.
        """
        account = Account(self._identity.username, self._identity.password)
        client = self._client(server, self._plain_context())
        return self._obtain(client, lambda request: client.enrol(request, account))

    def renew(self, server: Server) -> Validity:
        """Gets a new certificate with the one that the unit has; a new key goes with it.

        Raises:
            As `enrol`.
        """
        client = self._client(server, self.context())
        return self._obtain(client, client.renew)

    def answer_refusal(self, server: Server) -> None:
        """Gets a new certificate after a TSS has refused what the unit showed.

        Afterwards another attempt makes sense: with the new certificate, or without one.

        Raises:
            EnrolmentError: The unit showed none and got none.
        """
        shown = self.is_shown
        self._set_aside = True
        try:
            self.enrol(server)
        except (EnrolmentError, TransportError) as error:
            if not shown:
                raise
            logger.warning("%s", error)

    def _client(self, server: Server, context: ssl.SSLContext) -> EstClient:
        return EstClient(server, context, self._clock, self._timing)

    def _obtain(self, client: EstClient, ask: Callable[[bytes], Sequence[Certificate]]) -> Validity:
        authorities = client.authorities()
        request = KeyRequest.new(self._identity)
        issued = ask(bytes(request))
        certificate = check_issued(issued, request.csr, authorities, self._floor.now())
        write_atomically(self._path, request.pem(certificate, self._identity.password))
        self._set_aside = False
        return Validity.of(certificate)

    def _plain_context(self) -> ssl.SSLContext:
        try:
            return client_context(self._identity.ca)
        except OSError as error:
            raise IdentityError(f"no CA: {error}", file="ca.pem") from error


class Enroller:
    """Keeps a unit enrolled, beside everything else.

    Args:
        enrolment: What it keeps.
        servers: Finds the TSS servers that are known at the moment.
        status: Shows what fails.
        waits: Between attempts.
    """

    def __init__(
        self,
        enrolment: Enrolment,
        servers: Callable[[], AsyncIterator[Server]],
        status: StatusBoard,
        waits: Waits,
    ) -> None:
        self._enrolment = enrolment
        self._servers = servers
        self._status = status
        self._waits = waits

    async def keep(self) -> None:
        """Enrols at once, renews in time, and never ends."""
        while True:
            left_s = await asyncio.to_thread(self._enrolment.due_s)
            if left_s > 0:
                await asyncio.sleep(min(left_s, _LOOK_AGAIN_S))
            elif not await self.attempt():
                await asyncio.sleep(self._waits.next_s())

    async def attempt(self) -> bool:
        """Enrols or renews at the first server that does it; says whether one did."""
        try:
            validity = await self._at_first_good()
        except (BootError, OSError) as error:
            self._tell(error)
            return False
        until = datetime.fromtimestamp(validity.ends, UTC).isoformat(timespec="seconds")
        self._status.clear_alarm(ALARM)
        self._status.learn(certificate_until=until)
        self._waits.reset()
        return True

    async def _at_first_good(self) -> Validity:
        last: BootError = EnrolmentError("no TSS is known yet", "see the stage tss")
        async for server in self._servers():
            try:
                return await asyncio.to_thread(self._at, server)
            except BootError as error:
                logger.info("%s", error)
                last = error
        raise last

    def _at(self, server: Server) -> Validity:
        """Renews what counts; the account helps where the certificate does not.

        Some servers only hang up on a certificate that they do not know.
        """
        if self._enrolment.validity() is not None:
            try:
                return self._enrolment.renew(server)
            except EnrolmentError as error:
                logger.info("%s", error)
        return self._enrolment.enrol(server)

    def _tell(self, error: BootError | OSError) -> None:
        medium = "free or replace the medium of the state folder"
        remedy = error.remedy if isinstance(error, BootError) else medium
        self._status.raise_alarm(ALARM, str(error), remedy)
