"""Enrolment over Secure Transport (RFC 7030) as a TSS speaks it to its units.

``/cacerts`` is open to everybody, ``/simpleenroll`` wants the unit's factory account, and
``/simplereenroll`` the certificate that the unit has.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import logging
from typing import Final

from aiohttp import web
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509 import Certificate
from sqlalchemy import Engine

from .access import by_certificate, by_password
from .database import unit_may_enrol
from .enrolment import EnrolmentAuthority, RefusedRequestError

logger = logging.getLogger(__name__)

PREFIX: Final = "/.well-known/est"
MAX_REQUEST_BYTES: Final = 16_384
_CERTIFICATES = {"Content-Type": "application/pkcs7-mime; smime-type=certs-only"}


class EstServer:
    """The three operations that every EST server has to offer (RFC 7030 section 4)."""

    def __init__(self, authority: EnrolmentAuthority, database: Engine) -> None:
        self._authority = authority
        self._database = database

    def add_to(self, app: web.Application) -> None:
        """Serve them below `PREFIX`."""
        app.router.add_get(f"{PREFIX}/cacerts", self._cacerts)
        app.router.add_post(f"{PREFIX}/simpleenroll", self._enrol)
        app.router.add_post(f"{PREFIX}/simplereenroll", self._enrol_again)

    async def _cacerts(self, _request: web.Request) -> web.Response:
        return _certificates(self._authority.certificate)

    async def _enrol(self, request: web.Request) -> web.Response:
        mac = by_password(request, self._database, unit_may_enrol)
        return await self._issue(mac, request)

    async def _enrol_again(self, request: web.Request) -> web.Response:
        mac = by_certificate(request, self._database)
        if mac is None:
            raise web.HTTPUnauthorized(text="show the certificate that you have")
        return await self._issue(mac, request)

    async def _issue(self, mac: str, request: web.Request) -> web.Response:
        body = await request.content.read(MAX_REQUEST_BYTES + 1)
        if len(body) > MAX_REQUEST_BYTES:
            raise web.HTTPRequestEntityTooLarge(MAX_REQUEST_BYTES, len(body))
        try:
            der = base64.b64decode(b"".join(body.split()), validate=True)
            certificate = await asyncio.to_thread(self._authority.issue, mac, der)
        except (binascii.Error, RefusedRequestError) as error:
            raise web.HTTPBadRequest(text=str(error)) from error
        logger.info("unit %s is enrolled until %s", mac, certificate.not_valid_after_utc)
        return _certificates(certificate)


def _certificates(certificate: Certificate) -> web.Response:
    """A certs-only CMC simple PKI response, in base64 (RFC 7030 section 4.2.3, RFC 8951)."""
    der = pkcs7.serialize_certificates([certificate], Encoding.DER)
    return web.Response(body=base64.encodebytes(der), headers=_CERTIFICATES)
