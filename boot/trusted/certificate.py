"""A unit's certificate: what it asks for, and what it checks before it believes one is its own."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import (
    BestAvailableEncryption,
    Encoding,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..errors import EnrolmentError
from ..identity import Identity

RENEW_AFTER: Final = 2 / 3
"""The part of a certificate's life after which it is renewed."""

SKEW_S: Final = 3600.0
"""A certificate may begin this much later than now: clocks differ."""

_REMEDY = "let the TSS issue what the unit asks for: see docs/boot.md, enrolment"
_CLOCK_REMEDY = "check the clocks of unit and TSS"
_MALFORMED = (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType)


@dataclass(frozen=True, slots=True)
class Validity:
    """When a certificate counts, in seconds since 1970."""

    begins: float
    ends: float

    @classmethod
    def of(cls, certificate: x509.Certificate) -> "Validity":
        """Returns that of a certificate.

        Raises:
            ValueError: Its dates are malformed.
        """
        begins, ends = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        return cls(begins.timestamp(), ends.timestamp())

    @property
    def renewal(self) -> float:
        """When it is time to renew it."""
        return self.begins + (self.ends - self.begins) * RENEW_AFTER

    def counts_at(self, now: float) -> bool:
        """Whether the certificate counts at a moment, in seconds since 1970."""
        return self.begins - SKEW_S <= now < self.ends


@dataclass(frozen=True, slots=True)
class KeyRequest:
    """A new key on P-256, and the request for a certificate of it (PKCS#10)."""

    key: ec.EllipticCurvePrivateKey
    csr: x509.CertificateSigningRequest

    @classmethod
    def new(cls, identity: Identity) -> "KeyRequest":
        """Makes a key for a unit."""
        key = ec.generate_private_key(ec.SECP256R1())
        builder = x509.CertificateSigningRequestBuilder().subject_name(unit_name(identity))
        return cls(key, builder.sign(key, hashes.SHA256()))

    def __bytes__(self) -> bytes:
        """The request in DER; the key stays here."""
        return self.csr.public_bytes(Encoding.DER)

    def pem(self, certificate: x509.Certificate, password: str) -> bytes:
        """Returns key and certificate in one file, the key encrypted."""
        encryption = BestAvailableEncryption(password.encode())
        secret = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, encryption)
        return secret + certificate.public_bytes(Encoding.PEM)


def unit_name(identity: Identity) -> x509.Name:
    """Returns the unit's name in certificates: its MAC with dashes, and its serial number."""
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, identity.folder),
            x509.NameAttribute(NameOID.SERIAL_NUMBER, identity.serial),
        ]
    )


def kept_validity(pem: bytes, identity: Identity) -> Validity | None:
    """Returns when a kept certificate counts; None when it is damaged, or another unit's."""
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        return Validity.of(certificate) if certificate.subject == unit_name(identity) else None
    except ValueError:
        return None


def check_issued(
    issued: Sequence[x509.Certificate],
    csr: x509.CertificateSigningRequest,
    authorities: Sequence[x509.Certificate],
    now: float,
) -> x509.Certificate:
    """Returns the certificate that was asked for, after every check.

    Args:
        issued: What the server sent.
        csr: What was asked for.
        authorities: The CAs that may sign it.
        now: Seconds since 1970.

    Raises:
        EnrolmentError: It is for another key or name, of another CA, or not valid now.
    """
    ours = [certificate for certificate in issued if _same_key(certificate, csr)]
    if len(ours) != 1:
        raise EnrolmentError(f"{len(ours)} certificates are for the unit's key", _REMEDY)
    try:
        _check(ours[0], csr, authorities, now)
    except _MALFORMED as error:
        raise EnrolmentError(f"the certificate is malformed: {error}", _REMEDY) from error
    return ours[0]


def _check(
    certificate: x509.Certificate,
    csr: x509.CertificateSigningRequest,
    authorities: Sequence[x509.Certificate],
    now: float,
) -> None:
    if certificate.subject != csr.subject:
        name = certificate.subject.rfc4514_string()[:100]
        raise EnrolmentError(f"the certificate is for {name!r}, not for this unit", _REMEDY)
    if not Validity.of(certificate).counts_at(now):
        raise EnrolmentError("the certificate is not valid now", _CLOCK_REMEDY)
    if not any(_signed_by(certificate, authority, now) for authority in authorities):
        raise EnrolmentError("the certificate is of an unknown CA", _REMEDY)
    if not _is_for_clients(certificate):
        raise EnrolmentError("the certificate is not for a client", _REMEDY)


def _same_key(certificate: x509.Certificate, csr: x509.CertificateSigningRequest) -> bool:
    try:
        return certificate.public_key() == csr.public_key()
    except (ValueError, UnsupportedAlgorithm):
        return False


def _signed_by(certificate: x509.Certificate, authority: x509.Certificate, now: float) -> bool:
    try:
        certificate.verify_directly_issued_by(authority)
        constraints = authority.extensions.get_extension_for_class(x509.BasicConstraints).value
    except (*_MALFORMED, TypeError, InvalidSignature, x509.ExtensionNotFound):
        return False
    return constraints.ca and Validity.of(authority).counts_at(now)


def _is_for_clients(certificate: x509.Certificate) -> bool:
    """RFC 5280 section 4.2.1.12: without the extension it is for everything."""
    try:
        use = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        return True
    return ExtendedKeyUsageOID.CLIENT_AUTH in use
