from __future__ import annotations

import ssl
from datetime import UTC, datetime
from pathlib import Path

import pytest

from openturret.boot.fetch.tls import client_context, refuses_certificate
from openturret.lab.certificates import Authority

NAME = "tss1.turret.example"


def shake_hands(client: ssl.SSLContext, server: ssl.SSLContext) -> None:
    """Both sides of TLS, without a network between them."""
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    ours = client.wrap_bio(to_client, to_server, server_hostname=NAME)
    theirs = server.wrap_bio(to_server, to_client, server_side=True)
    for side in (ours, theirs, ours, theirs):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
        except ssl.SSLError:
            if side is ours:
                raise
    ours.read(1)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
@pytest.mark.parametrize("shown", ["nothing", "a stranger's", "an expired one"])
def test_a_refused_certificate_is_told_from_other_failures(
    authority: Authority, tmp_path: Path, version: ssl.TLSVersion, shown: str
) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(authority.issue("tls", [NAME]).both)
    server.load_verify_locations(authority.path)
    server.verify_mode = ssl.CERT_REQUIRED
    client = client_context(authority.path)
    client.minimum_version = client.maximum_version = version
    stranger = Authority(tmp_path / "stranger", now=datetime.now(UTC))
    if shown == "a stranger's":
        client.load_cert_chain(stranger.issue("unit", [NAME]).both)
    elif shown == "an expired one":
        client.load_cert_chain(authority.issue_expired("unit", [NAME]).both)
    with pytest.raises(ssl.SSLError) as caught:
        shake_hands(client, server)
    told = version is ssl.TLSVersion.TLSv1_3 or shown != "nothing"
    assert refuses_certificate(caught.value) is told, "TLS 1.2 has no word for a missing one"


def test_a_server_that_is_not_the_one_refuses_nobody(authority: Authority, tmp_path: Path) -> None:
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    stranger = Authority(tmp_path / "stranger", now=datetime.now(UTC))
    server.load_cert_chain(stranger.issue("tls", [NAME]).both)
    with pytest.raises(ssl.SSLCertVerificationError) as caught:
        shake_hands(client_context(authority.path), server)
    assert not refuses_certificate(caught.value)
