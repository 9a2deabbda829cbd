"""Certificates that an enrolment brings, in PKCS#7 in base64; or an EnrolmentError."""

import base64
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.hazmat.primitives.serialization.pkcs7 import serialize_certificates
from cryptography.x509.oid import NameOID

from openturret.boot.errors import EnrolmentError
from openturret.boot.est import parse_certificates

from ..data import tolerate

ERRORS = (EnrolmentError,)


def seeds() -> list[bytes]:
    der = serialize_certificates([_certificate()], Encoding.DER)
    return [der, base64.encodebytes(der), der.replace(b"\x07\x02", b"\x07\x01", 1)]


def run(data: bytes) -> None:
    encoded = base64.encodebytes(data)
    tolerate(ERRORS, lambda: parse_certificates(encoded), lambda: parse_certificates(data))


def _certificate() -> x509.Certificate:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "unit")])
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    builder = x509.CertificateBuilder().subject_name(name).issuer_name(name)
    builder = builder.public_key(key.public_key()).serial_number(7)
    builder = builder.not_valid_before(begin).not_valid_after(begin + timedelta(days=9))
    return builder.sign(key, SHA256())
