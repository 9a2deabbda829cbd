from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from openturret.lab.certificates import Authority, ServerCertificate

NAME = "tss1.turret.example"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path / "ca", now=datetime.now(UTC))


def shake_hands(authority: Authority, certificate: ServerCertificate, name: str = NAME) -> None:
    """A TLS handshake in memory, the client believing the authority alone."""
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server_context.load_cert_chain(certificate.both)
    client_context = ssl.create_default_context(cafile=authority.path)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    client = client_context.wrap_bio(to_client, to_server, server_hostname=name)
    done: set[ssl.SSLObject] = set()
    while len(done) < 2:
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue


def test_a_good_certificate_is_believed_under_each_of_its_names(authority: Authority) -> None:
    certificate = authority.issue("good", [NAME, "tss.turret.example"])
    shake_hands(authority, certificate)
    shake_hands(authority, certificate, "tss.turret.example")


def test_an_address_can_be_certified(authority: Authority) -> None:
    certificate = authority.issue("address", [NAME], addresses=["10.11.0.10"])
    shake_hands(authority, certificate, "10.11.0.10")


def test_another_name_is_refused(authority: Authority) -> None:
    certificate = authority.issue("good", ["tss2.turret.example"])
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        shake_hands(authority, certificate)


def test_an_expired_certificate_is_refused(authority: Authority) -> None:
    certificate = authority.issue_expired("expired", [NAME])
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(authority, certificate)


def test_another_authority_is_refused(authority: Authority, tmp_path: Path) -> None:
    other = Authority(tmp_path / "other", now=datetime.now(UTC), name="another")
    with pytest.raises(ssl.SSLCertVerificationError, match="issuer"):
        shake_hands(authority, other.issue("foreign", [NAME]))


def test_another_authority_of_the_same_name_is_refused(
    authority: Authority, tmp_path: Path
) -> None:
    other = Authority(tmp_path / "other", now=datetime.now(UTC))
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(authority, other.issue("foreign", [NAME]))


def test_private_keys_are_for_their_owner_only(authority: Authority) -> None:
    certificate = authority.issue("good", [NAME])
    for path in (certificate.key, certificate.both):
        assert path.stat().st_mode & 0o777 == 0o600
    assert b"PRIVATE" not in certificate.certificate.read_bytes()
