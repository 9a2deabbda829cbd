"""Certificates: an authority for one bench, its servers', and wrong ones for tests.

What a bench makes does not outlive it; a site keeps its authority's key. The private keys
are written with mode 0600 next to the certificates, in one PEM file per server (key first),
as pyftpdlib and HAProxy want it.
"""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

_VALID = timedelta(days=30)
_SKEW = timedelta(hours=1)


@dataclass(frozen=True, slots=True)
class ServerCertificate:
    """The files of one server.

    Attributes:
        certificate: the certificate alone, PEM.
        key: the private key alone, PEM, mode 0600.
        both: key and certificate in one file, mode 0600.
    """

    certificate: Path
    key: Path
    both: Path


class Authority:
    """A certificate authority that lives as long as its folder.

    Args:
        folder: where the files go; made when missing.
        now: the time of issue (UTC, aware).
        name: its common name.
        key: its private key; a new one by default.
        valid: how long its servers' certificates are good; its own is for twice as long.
    """

    def __init__(
        self,
        folder: Path,
        *,
        now: datetime,
        name: str = "OpenTurret bench CA",
        key: ec.EllipticCurvePrivateKey | None = None,
        valid: timedelta = _VALID,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        self._now = now
        self._valid = valid
        self._key = key or ec.generate_private_key(ec.SECP256R1())
        self._name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
        self._certificate = self._self_signed()
        self.path = folder / "ca.pem"
        self.path.write_bytes(_pem(self._certificate))

    def issue(
        self, file_name: str, names: Sequence[str], *, addresses: Sequence[str] = ()
    ) -> ServerCertificate:
        """A good certificate for a server.

        Args:
            file_name: what its files are called.
            names: its DNS names; the first is its common name.
            addresses: its IP addresses, for peers that connect by address.
        """
        return self._issue(file_name, names, addresses, self._now - _SKEW, self._now + self._valid)

    def issue_expired(self, file_name: str, names: Sequence[str]) -> ServerCertificate:
        """A certificate that ran out yesterday."""
        yesterday = self._now - timedelta(days=1)
        return self._issue(file_name, names, (), yesterday - _VALID, yesterday)

    def _issue(
        self,
        file_name: str,
        names: Sequence[str],
        addresses: Sequence[str],
        start: datetime,
        end: datetime,
    ) -> ServerCertificate:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, names[0])])
        builder = (
            self._builder(subject, key.public_key(), start, end)
            .add_extension(_alternative_names(names, addresses), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        )
        return self._write(file_name, builder.sign(self._key, hashes.SHA256()), key)

    def _self_signed(self) -> x509.Certificate:
        builder = (
            self._builder(
                self._name, self._key.public_key(), self._now - _SKEW, self._now + 2 * self._valid
            )
            .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
            .add_extension(_SIGNS_CERTIFICATES, critical=True)
            .add_extension(
                x509.SubjectKeyIdentifier.from_public_key(self._key.public_key()), critical=False
            )
        )
        return builder.sign(self._key, hashes.SHA256())

    def _builder(
        self,
        subject: x509.Name,
        key: ec.EllipticCurvePublicKey,
        start: datetime,
        end: datetime,
    ) -> x509.CertificateBuilder:
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(self._name)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(end)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()),
                critical=False,
            )
        )

    def _write(
        self, file_name: str, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
    ) -> ServerCertificate:
        secret = key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        files = ServerCertificate(
            certificate=self._folder / f"{file_name}.crt",
            key=self._folder / f"{file_name}.key",
            both=self._folder / f"{file_name}.pem",
        )
        files.certificate.write_bytes(_pem(certificate))
        _write_secret(files.key, secret)
        _write_secret(files.both, secret + _pem(certificate))
        return files


_SIGNS_CERTIFICATES = x509.KeyUsage(
    digital_signature=False,
    content_commitment=False,
    key_encipherment=False,
    data_encipherment=False,
    key_agreement=False,
    key_cert_sign=True,
    crl_sign=True,
    encipher_only=False,
    decipher_only=False,
)


def _alternative_names(
    names: Sequence[str], addresses: Sequence[str]
) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName(
        [
            *(x509.DNSName(name) for name in names),
            *(x509.IPAddress(ipaddress.ip_address(address)) for address in addresses),
        ]
    )


def _pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)


def _write_secret(path: Path, content: bytes) -> None:
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(content)
