"""The TSS's certificate authority for units: it gives a unit a certificate of its own.

What it has issued is in the database, so a certificate counts only while its unit does.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from sqlalchemy import Engine
from sqlalchemy.orm import Session

from ..errors import PublishError
from .database import CertificateRow, UnitRow
from .keys import write_secret

LIFETIME: Final = timedelta(days=90)
_AUTHORITY_LIFETIME = timedelta(days=3650)
_SKEW = timedelta(hours=1)
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "TSS enrolment CA")])


class RefusedRequestError(PublishError):
    """A certificate request that must not be signed."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class Files:
    """Where the authority's certificate and private key are."""

    certificate: Path
    key: Path

    @classmethod
    def below(cls, folder: Path) -> Files:
        """Those of the administration of a folder."""
        return cls(folder / "enrolment" / "ca.pem", folder / "enrolment" / "ca.key")


def make_authority(files: Files, now: datetime) -> None:
    """Make the authority, unless it is there."""
    if files.certificate.exists():
        return
    files.key.unlink(missing_ok=True)
    files.key.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    key = ec.generate_private_key(ec.SECP256R1())
    secret = key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    write_secret(files.key, secret)
    certificate = _self_signed(key, now)
    files.certificate.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))


class EnrolmentAuthority:
    """Issues certificates to units of a database.

    Args:
        files: of the authority.
        database: knows the units, and learns what was issued.
        lifetime: of a certificate.
        clock: the time of issue.

    Raises:
        PublishError: the files are not there, or are no authority.
    """

    def __init__(
        self,
        files: Files,
        database: Engine,
        *,
        lifetime: timedelta = LIFETIME,
        clock: Callable[[], datetime] = _now,
    ) -> None:
        self._key, self.certificate = _load(files)
        self._database = database
        self._lifetime = lifetime
        self._clock = clock

    def issue(self, mac: str, request: bytes) -> x509.Certificate:
        """A certificate for what a unit asks for (PKCS#10, DER).

        Raises:
            RefusedRequestError: the request is none, is not signed by its key, asks for
                another name, or its key is not on P-256.
        """
        csr = _checked(request)
        with Session(self._database) as session, session.begin():
            unit = session.get(UnitRow, mac)
            if unit is None or csr.subject != unit_name(mac, unit.serial):
                raise RefusedRequestError(
                    f"{csr.subject.rfc4514_string()} is not the name of unit {mac}"
                )
            certificate = self._sign(csr)
            session.add(
                CertificateRow(
                    serial=f"{certificate.serial_number:X}",
                    mac=mac,
                    expires=certificate.not_valid_after_utc.timestamp(),
                )
            )
        return certificate

    def _sign(self, csr: x509.CertificateSigningRequest) -> x509.Certificate:
        now, issuer = self._clock(), self.certificate.public_key()
        if not isinstance(issuer, ec.EllipticCurvePublicKey):
            raise PublishError("the enrolment authority's key is not on an elliptic curve")
        return (
            x509.CertificateBuilder()
            .subject_name(csr.subject)
            .issuer_name(self.certificate.subject)
            .public_key(csr.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(now + self._lifetime)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH]), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer), critical=False
            )
            .sign(self._key, hashes.SHA256())
        )


def unit_name(mac: str, serial: str) -> x509.Name:
    """The name in a unit's certificate: its MAC with dashes, and its serial number."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, mac.replace(":", "-")),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, serial),
        ]
    )


def _checked(request: bytes) -> x509.CertificateSigningRequest:
    try:
        csr = x509.load_der_x509_csr(request)
        key = csr.public_key()
        signed = csr.is_signature_valid
    except (ValueError, InvalidSignature, TypeError) as error:
        raise RefusedRequestError(f"not a certificate request in DER: {error}") from error
    if not signed:
        raise RefusedRequestError("the request is not signed by the key in it")
    if not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise RefusedRequestError("the key is not on the curve P-256")
    return csr


def _load(files: Files) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        key = serialization.load_pem_private_key(files.key.read_bytes(), None)
        certificate = x509.load_pem_x509_certificate(files.certificate.read_bytes())
    except (OSError, ValueError) as error:
        raise PublishError(f"{files.certificate.parent} is no authority: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise PublishError(f"{files.key} is not a key on an elliptic curve")
    return key, certificate


def _self_signed(key: ec.EllipticCurvePrivateKey, now: datetime) -> x509.Certificate:
    usage = dict.fromkeys(
        ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
         "key_agreement", "encipher_only", "decipher_only"),
        False,
    )  # fmt: skip
    return (
        x509.CertificateBuilder()
        .subject_name(_NAME)
        .issuer_name(_NAME)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + _AUTHORITY_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(x509.KeyUsage(key_cert_sign=True, crl_sign=True, **usage), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
