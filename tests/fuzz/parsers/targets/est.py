"""Certificates that an enrolment brings, and what a unit checks of them; or an EnrolmentError."""

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from openturret.boot.errors import EnrolmentError
from openturret.boot.trusted.certificate import check_issued
from openturret.boot.trusted.est import parse_certificates

from ..data import tolerate

ERRORS = (EnrolmentError,)
_KEY = ec.derive_private_key(7, ec.SECP256R1())
_NAME = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "02-54-50-00-00-01")])
_REQUEST = x509.CertificateSigningRequestBuilder().subject_name(_NAME).sign(_KEY, SHA256())
_BEGIN = datetime(2026, 1, 1, tzinfo=UTC)


def seeds() -> list[bytes]:
    der = serialize_certificates([_CERTIFICATE], Encoding.DER)
    return [der, base64.encodebytes(der), der.replace(b"\x07\x02", b"\x07\x01", 1)]


def run(data: bytes) -> None:
    tolerate(ERRORS, lambda: parse_certificates(data))
    issued = parse_certificates(base64.encodebytes(data))
    check_issued(issued, _REQUEST, [_CERTIFICATE], _BEGIN.timestamp() + 1)


def _certificate() -> x509.Certificate:
    """A unit's certificate that could be its own CA's, so that every check is reached."""
    builder = x509.CertificateBuilder().subject_name(_NAME).issuer_name(_NAME)
    builder = builder.public_key(_KEY.public_key()).serial_number(7)
    builder = builder.not_valid_before(_BEGIN).not_valid_after(_BEGIN + timedelta(days=9))
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    use = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.CLIENT_AUTH])
    return builder.add_extension(use, critical=False).sign(_KEY, SHA256())


_CERTIFICATE = _certificate()
