"""Enrolment against the bench's TSS over loopback: EST, then mutual TLS for both transports."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import logging
import random
import socket
import ssl
import threading
import urllib.error
import urllib.request
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, pkcs7
from cryptography.x509.oid import ExtendedKeyUsageOID
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import (
    EnrolmentError,
    EnrolmentRefusedError,
    UntrustedServerError,
)
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transport import Account, Server
from openturret.boot.identity import Identity
from openturret.boot.status import StatusBoard
from openturret.boot.trusted.certificate import KeyRequest, Validity, check_issued, unit_name
from openturret.boot.trusted.enrol import ALARM, Enroller, Enrolment
from openturret.boot.trusted.est import EstTiming, parse_certificates
from openturret.boot.trusted.floor import ClockFloor
from openturret.hal.backoff import Backoff, Waits
from openturret.hal.clock import SystemClock
from openturret.lab.certificates import Authority
from openturret.lab.tss import Administration

if TYPE_CHECKING:
    from tests.boot.conftest import LabTss

NAME = "tss1.turret.example"
HOST = IPv4Address("127.0.0.1")
HASTY = EstTiming(connect_s=2, call_s=2)


@dataclass
class ShiftedClock:
    """The system's clock, with the wall set ahead."""

    ahead_s: float = 0.0

    def monotonic(self) -> float:
        return SystemClock().monotonic()

    def unix(self) -> float:
        return SystemClock().unix() + self.ahead_s


@pytest.fixture
def server(start_lab_tss: Callable[..., LabTss]) -> Server:
    return start_lab_tss().server


@pytest.fixture
def clock() -> ShiftedClock:
    return ShiftedClock()


@pytest.fixture
def enrolment(tmp_path: Path, identity: Identity, clock: ShiftedClock) -> Enrolment:
    floor = ClockFloor(tmp_path / "clock", clock)
    return Enrolment(identity, tmp_path / "enrolment" / "unit.pem", clock, floor, HASTY)


def admit(tss: Administration, identity: Identity) -> None:
    tss.add_unit(mac=identity.mac, serial=identity.serial, model=identity.model,
                 password=identity.password)  # fmt: skip


def read(server: Server, context: ssl.SSLContext, account: Account | None = None) -> int:
    """Returns the status with which the TSS answers a unit that shows this and that."""
    context.check_hostname = False  # urllib knows no way to connect to an address by a name
    request = urllib.request.Request(f"https://{HOST}:{server.https_port}/metadata/timestamp.json")
    if account:
        token = base64.b64encode(
            f"{account.username.replace(':', '-')}:{account.password}".encode()
        ).decode()
        request.add_header("Authorization", f"Basic {token}")
    try:
        with urllib.request.urlopen(request, timeout=5, context=context) as response:
            return int(response.status)
    except urllib.error.HTTPError as error:
        error.close()
        return error.code


# ------------------------------------------------------------ the bench's TSS


def test_a_certificate_replaces_the_password(
    enrolment: Enrolment, server: Server, identity: Identity, authority: Authority
) -> None:
    assert enrolment.validity() is None
    validity = enrolment.enrol(server)
    assert enrolment.validity() == validity
    assert validity.ends - validity.begins == pytest.approx(90 * 86_400 + 3600)
    assert read(server, client_context(authority.path)) == 401
    assert read(server, enrolment.context()) == 200


def test_the_key_is_private_and_encrypted(
    enrolment: Enrolment, server: Server, tmp_path: Path, identity: Identity
) -> None:
    enrolment.enrol(server)
    path = tmp_path / "enrolment" / "unit.pem"
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.read_bytes().startswith(b"-----BEGIN ENCRYPTED PRIVATE KEY-----")
    assert identity.password.encode() not in path.read_bytes()
    certificate = x509.load_pem_x509_certificate(path.read_bytes())
    assert certificate.subject == unit_name(identity)


def test_no_secret_is_ever_logged(
    enrolment: Enrolment, server: Server, identity: Identity, tmp_path: Path,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.DEBUG)
    enrolment.enrol(server)
    enrolment.renew(server)
    (tmp_path / "enrolment" / "unit.pem").write_bytes(b"-----BEGIN CERTIFICATE-----\nAAAA\n")
    enrolment.context()
    assert identity.password not in caplog.text
    assert base64.b64encode(identity.password.encode()).decode() not in caplog.text
    assert "PRIVATE KEY" not in caplog.text


def test_a_renewal_needs_no_password_and_brings_a_new_key(
    enrolment: Enrolment, server: Server, tmp_path: Path, identity: Identity
) -> None:
    enrolment.enrol(server)
    path = tmp_path / "enrolment" / "unit.pem"
    before = path.read_bytes()
    enrolment.renew(server)
    after = path.read_bytes()
    keys = [x509.load_pem_x509_certificate(pem).public_key() for pem in (before, after)]
    assert keys[0] != keys[1]
    assert read(server, enrolment.context()) == 200


def test_a_unit_without_a_certificate_cannot_renew(enrolment: Enrolment, server: Server) -> None:
    with pytest.raises(EnrolmentRefusedError, match="show the certificate"):
        enrolment.renew(server)


def test_a_demanded_certificate_leaves_the_password_for_enrolment(
    enrolment: Enrolment, server: Server, tss: Administration, identity: Identity,
    authority: Authority,
) -> None:  # fmt: skip
    account = Account(identity.username, identity.password)
    assert read(server, client_context(authority.path), account) == 200
    tss.demand_certificates()
    assert read(server, client_context(authority.path), account) == 401
    enrolment.enrol(server)
    assert read(server, enrolment.context()) == 200
    tss.demand_certificates(demanded=False)
    assert read(server, client_context(authority.path), account) == 200


def test_a_revoked_unit_is_shut_out(
    enrolment: Enrolment, server: Server, tss: Administration, identity: Identity
) -> None:
    account = Account(identity.username, identity.password)
    enrolment.enrol(server)
    tss.revoke_unit(identity.mac)
    assert read(server, enrolment.context(), account) == 401
    for call in (enrolment.renew, enrolment.enrol):
        with pytest.raises(EnrolmentRefusedError):
            call(server)
    admit(tss, identity)
    assert read(server, enrolment.context()) == 401, "the old certificate stays revoked"
    enrolment.enrol(server)
    assert read(server, enrolment.context()) == 200


def test_another_units_certificate_reads_nothing_of_ours(
    enrolment: Enrolment, server: Server, tss: Administration, identity: Identity, tmp_path: Path
) -> None:
    other = replace(identity, mac="02:54:50:00:00:09", username="02:54:50:00:00:09", serial="TP9")
    admit(tss, other)
    theirs = Enrolment(other, tmp_path / "other.pem", SystemClock(),
                       ClockFloor(tmp_path / "floor", SystemClock()), HASTY)  # fmt: skip
    theirs.enrol(server)
    context = theirs.context()
    context.check_hostname = False
    url = f"https://{HOST}:{server.https_port}/targets/units/{identity.folder}/config.yaml"
    with pytest.raises(urllib.error.HTTPError, match="404") as caught:
        urllib.request.urlopen(url, timeout=5, context=context)
    caught.value.close()


def test_a_wrong_password_is_told_with_a_remedy(
    server: Server, identity: Identity, tmp_path: Path
) -> None:
    stranger = Enrolment(replace(identity, password="guess"), tmp_path / "x.pem", SystemClock(),
                         ClockFloor(tmp_path / "floor", SystemClock()), HASTY)  # fmt: skip
    with pytest.raises(EnrolmentRefusedError) as caught:
        stranger.enrol(server)
    assert NAME in str(caught.value)
    assert "factory folder" in caught.value.remedy
    assert not (tmp_path / "x.pem").exists()


@pytest.mark.parametrize(
    ("serial", "mac"), [("OTHER", "02:54:50:00:00:01"), ("OT-0001", "02:54:50:00:00:02")]
)
def test_nobody_gets_a_certificate_for_another_name(
    server: Server, identity: Identity, tmp_path: Path, serial: str, mac: str
) -> None:
    liar = Enrolment(replace(identity, serial=serial, mac=mac), tmp_path / "x.pem", SystemClock(),
                     ClockFloor(tmp_path / "floor", SystemClock()), HASTY)  # fmt: skip
    with pytest.raises(EnrolmentError, match="is not the name of unit"):
        liar.enrol(server)


# ------------------------------------------------------------ what is kept


def test_a_certificate_that_has_ended_is_not_shown(
    enrolment: Enrolment, server: Server, clock: ShiftedClock
) -> None:
    enrolment.enrol(server)
    clock.ahead_s = 91 * 86_400
    assert enrolment.validity() is None
    assert read(server, enrolment.context()) == 401


def test_a_certificate_under_another_password_is_not_shown(
    enrolment: Enrolment, server: Server, identity: Identity, tmp_path: Path
) -> None:
    enrolment.enrol(server)
    reissued = Enrolment(replace(identity, password="another"), tmp_path / "enrolment" / "unit.pem",
                         SystemClock(), ClockFloor(tmp_path / "floor", SystemClock()))  # fmt: skip
    assert read(server, reissued.context()) == 401


def test_what_is_cut_is_no_certificate(
    enrolment: Enrolment, server: Server, tmp_path: Path
) -> None:
    enrolment.enrol(server)
    path = tmp_path / "enrolment" / "unit.pem"
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        assert enrolment.validity() is None
    path.write_bytes(whole[: len(whole) // 4] + whole[len(whole) // 3 :])
    assert enrolment.context().verify_mode == ssl.CERT_REQUIRED


def test_after_a_refusal_a_new_certificate_is_got(
    enrolment: Enrolment, server: Server, tss: Administration, identity: Identity
) -> None:
    tss.demand_certificates()
    enrolment.answer_refusal(server)
    first = enrolment.validity()
    tss.revoke_unit(identity.mac)
    admit(tss, identity)
    enrolment.answer_refusal(server)
    assert first
    assert read(server, enrolment.context()) == 200


def test_after_a_refusal_without_enrolment_the_certificate_is_set_aside(
    enrolment: Enrolment, server: Server, tss: Administration, identity: Identity
) -> None:
    enrolment.enrol(server)
    tss.revoke_unit(identity.mac)
    enrolment.answer_refusal(server)
    with pytest.raises(EnrolmentRefusedError):
        enrolment.answer_refusal(server)
    assert read(server, enrolment.context()) == 401


# ------------------------------------------------------------ in time, beside everything else


@pytest.fixture
def status(tmp_path: Path) -> StatusBoard:
    return StatusBoard(tmp_path / "status.json", SystemClock(), {})


def enroller(enrolment: Enrolment, status: StatusBoard, *servers: Server) -> Enroller:
    async def known() -> AsyncIterator[Server]:
        for server in servers:
            yield server

    backoff = Backoff(first_s=0, cap_s=0, jitter=0, rng=random.Random(1))
    return Enroller(enrolment, known, status, Waits(backoff))


async def test_the_next_server_enrols_when_the_first_does_not(
    enrolment: Enrolment, status: StatusBoard, server: Server
) -> None:
    with socket.create_server((str(HOST), 0)) as closed:
        dead = Server(NAME, HOST, https_port=closed.getsockname()[1])
    assert await enroller(enrolment, status, dead, server).attempt()
    assert "certificate_until" in status.as_json()
    assert status.as_json()["alarms"] == []


async def test_a_failure_is_an_alarm_with_a_remedy_until_it_works(
    enrolment: Enrolment, status: StatusBoard, server: Server, tss: Administration,
    identity: Identity,
) -> None:  # fmt: skip
    tss.revoke_unit(identity.mac)
    keeper = enroller(enrolment, status, server)
    assert not await keeper.attempt()
    assert ALARM in str(status.as_json()["alarms"])
    assert "factory folder" in str(status.as_json()["alarms"])
    admit(tss, identity)
    assert await keeper.attempt()
    assert status.as_json()["alarms"] == []


async def test_a_full_medium_is_an_alarm_too(
    status: StatusBoard, server: Server, identity: Identity, tmp_path: Path
) -> None:
    (tmp_path / "file").write_text("in the way")
    nowhere = Enrolment(identity, tmp_path / "file" / "unit.pem", SystemClock(),
                        ClockFloor(tmp_path / "floor", SystemClock()), HASTY)  # fmt: skip
    assert not await enroller(nowhere, status, server).attempt()
    assert "medium" in str(status.as_json()["alarms"])


async def test_the_certificate_is_renewed_after_two_thirds_of_its_life(
    enrolment: Enrolment, status: StatusBoard, server: Server, clock: ShiftedClock, tmp_path: Path
) -> None:
    path = tmp_path / "enrolment" / "unit.pem"
    work = asyncio.create_task(enroller(enrolment, status, server).keep())
    await changed(path, b"")
    first = path.read_bytes()
    work.cancel()
    clock.ahead_s = 60 * 86_400
    work = asyncio.create_task(enroller(enrolment, status, server).keep())
    await changed(path, first)
    work.cancel()


async def changed(path: Path, before: bytes) -> None:
    async with asyncio.timeout(20):
        while (path.read_bytes() if path.exists() else b"") == before:
            await asyncio.sleep(0.02)


# ------------------------------------------------------------ certificates that are not ours


@dataclass
class Issuer:
    """A CA of which everything can be wrong."""

    key: ec.EllipticCurvePrivateKey
    certificate: x509.Certificate

    @classmethod
    def new(cls, *, ca: bool = True, days: int = 1) -> Issuer:
        key = ec.generate_private_key(ec.SECP256R1())
        name = x509.Name.from_rfc4514_string("CN=CA")
        certificate = cls._build(name, name, key.public_key(), days=days).add_extension(
            x509.BasicConstraints(ca=ca, path_length=None), critical=True
        ).sign(key, hashes.SHA256())  # fmt: skip
        return cls(key, certificate)

    def issue(
        self, csr: x509.CertificateSigningRequest, *, name: x509.Name | None = None,
        use: x509.ObjectIdentifier | None = ExtendedKeyUsageOID.CLIENT_AUTH, days: int = 1,
    ) -> x509.Certificate:  # fmt: skip
        builder = self._build(
            name or csr.subject, self.certificate.subject, csr.public_key(), days=days
        )
        if use:
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        return builder.sign(self.key, hashes.SHA256())

    @staticmethod
    def _build(
        subject: x509.Name, issuer: x509.Name, key: object, *, days: int
    ) -> x509.CertificateBuilder:
        now = datetime.now(UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(issuer)
            .public_key(key)  # type: ignore[arg-type]
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - timedelta(days=10))
            .not_valid_after(now + timedelta(days=days))
        )


@pytest.fixture
def request_(identity: Identity) -> KeyRequest:
    return KeyRequest.new(identity)


def test_a_good_certificate_is_found_among_others(request_: KeyRequest, identity: Identity) -> None:
    ca, now = Issuer.new(), SystemClock().unix()
    good, other = ca.issue(request_.csr), ca.issue(KeyRequest.new(identity).csr)
    assert check_issued([ca.certificate, other, good], request_.csr, [ca.certificate], now) == good
    free = ca.issue(request_.csr, use=None)
    assert check_issued([free], request_.csr, [ca.certificate], now) == free


def test_whatever_is_wrong_with_a_certificate_is_refused(
    request_: KeyRequest, identity: Identity
) -> None:
    ca, now, csr = Issuer.new(), SystemClock().unix(), request_.csr
    other = KeyRequest.new(identity).csr
    bad: list[tuple[list[x509.Certificate], x509.Certificate, str]] = [
        ([], ca.certificate, "0 certificates"),
        ([ca.issue(other)], ca.certificate, "0 certificates"),
        ([ca.issue(csr), ca.issue(csr)], ca.certificate, "2 certificates"),
        ([ca.issue(csr, name=ca.certificate.subject)], ca.certificate, "is for 'CN=CA'"),
        ([ca.issue(csr, days=-1)], ca.certificate, "not valid now"),
        ([ca.issue(csr)], Issuer.new().certificate, "unknown CA"),
        ([ca.issue(csr, use=ExtendedKeyUsageOID.SERVER_AUTH)], ca.certificate, "not for a client"),
    ]
    leaf = Issuer.new(ca=False)
    bad.append(([leaf.issue(csr)], leaf.certificate, "unknown CA"))
    old = Issuer.new(days=-1)
    bad.append(([old.issue(csr)], old.certificate, "unknown CA"))
    for issued, authority, words in bad:
        with pytest.raises(EnrolmentError, match=words) as caught:
            check_issued(issued, csr, [authority], now)
        assert caught.value.remedy


def test_two_thirds_of_a_life() -> None:
    assert Validity(1000.0, 4000.0).renewal == 3000.0


# ------------------------------------------------------------ servers that are none


@contextmanager
def hostile(authority: Authority, answer: bytes, *, endless: bool = False) -> Iterator[Server]:
    """Answers every request with the same bytes, over good TLS."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(authority.issue("hostile", [NAME]).both)
    with socket.create_server((str(HOST), 0)) as listener:
        thread = threading.Thread(target=_serve, args=(listener, context, answer, endless))
        thread.start()
        yield Server(NAME, HOST, https_port=listener.getsockname()[1])
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _serve(listener: socket.socket, context: ssl.SSLContext, answer: bytes, endless: bool) -> None:
    while True:
        try:
            plain, _ = listener.accept()
        except OSError:
            return
        try:
            with plain, context.wrap_socket(plain, server_side=True) as client:
                client.recv(65_536)
                client.sendall(answer)
                while endless:
                    client.sendall(answer)
        except OSError:
            continue


def http(status: str, body: bytes = b"") -> bytes:
    return f"HTTP/1.1 {status}\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def pkcs7_of(*certificates: x509.Certificate) -> bytes:
    return base64.encodebytes(pkcs7.serialize_certificates(list(certificates), Encoding.DER))


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (b"", "no enrolment"),
        (b"SSH-2.0-OpenSSH\r\n", "no enrolment"),
        (b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 200 + b"\r\n", "no enrolment"),
        (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n", "no enrolment"),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\nabc", "no enrolment"),
        (http("200 OK", b"not base64!"), "not certificates"),
        (http("200 OK", base64.b64encode(b"no PKCS#7")), "not certificates"),
        (http("202 Accepted"), "waits for a person"),
        (http("404 Not Found"), "offers no enrolment"),
        (http("301 Moved", b"elsewhere"), "answers 301"),
        (http("500 Oh", b"\x1b[2Jboom\n" * 99), "answers 500"),
    ],
)
def test_nonsense_is_refused(
    enrolment: Enrolment, authority: Authority, answer: bytes, words: str
) -> None:
    with (
        hostile(authority, answer) as server,
        pytest.raises(EnrolmentError, match=words) as caught,
    ):
        enrolment.enrol(server)
    assert str(caught.value).isprintable()
    assert len(str(caught.value)) < 500
    assert caught.value.remedy
    assert enrolment.validity() is None


def test_a_certificate_for_somebody_else_changes_nothing(
    enrolment: Enrolment, authority: Authority, server: Server
) -> None:
    kept = enrolment.enrol(server)
    answer = http("200 OK", pkcs7_of(Issuer.new().certificate))
    with hostile(authority, answer) as liar, pytest.raises(EnrolmentError, match="0 certificates"):
        enrolment.enrol(liar)
    assert enrolment.validity() == kept


def test_an_endless_answer_ends_at_a_bound(enrolment: Enrolment, authority: Authority) -> None:
    with (
        hostile(authority, b"HTTP/1.1 200 OK\r\n\r\n" + b"a" * 8192, endless=True) as server,
        pytest.raises(EnrolmentError, match="longer than 65536"),
    ):
        enrolment.enrol(server)


@pytest.mark.parametrize("wrong", ["expired", "foreign", "name"])
def test_a_wrong_certificate_gets_no_password(
    enrolment: Enrolment, authority: Authority, start_lab_tss: Callable[..., LabTss], wrong: str,
    tmp_path: Path,
) -> None:  # fmt: skip
    foreign = Authority(tmp_path / "foreign", now=datetime.now(UTC))
    certificate = {
        "expired": lambda: authority.issue_expired("expired", [NAME]),
        "foreign": lambda: foreign.issue("foreign", [NAME]),
        "name": lambda: authority.issue("wrong", ["elsewhere.turret.example"]),
    }[wrong]()
    with pytest.raises(UntrustedServerError) as caught:
        enrolment.enrol(start_lab_tss(certificate.both).server)
    assert "factory's CA" in caught.value.remedy


def test_a_server_that_drips_runs_out_of_time(
    tmp_path: Path, identity: Identity, authority: Authority
) -> None:
    class Hasty(ShiftedClock):
        """Each look at this clock takes a second."""

        seconds = 0.0

        def monotonic(self) -> float:
            self.seconds += 1.0
            return self.seconds

    impatient = Enrolment(identity, tmp_path / "x.pem", Hasty(),
                          ClockFloor(tmp_path / "f", SystemClock()), EstTiming(2, 20))  # fmt: skip
    with (
        hostile(authority, b"H", endless=True) as server,
        pytest.raises(EnrolmentError, match=r"takes too long|longer than"),
    ):
        impatient.enrol(server)


@given(st.binary(max_size=200))
def test_any_body_is_certificates_or_an_error(body: bytes) -> None:
    with contextlib.suppress(EnrolmentError):
        parse_certificates(body)


def test_a_cut_body_is_an_error() -> None:
    body = pkcs7_of(Issuer.new().certificate)
    assert len(parse_certificates(body)) == 1
    for length in range(len(body.strip()) - 1):
        with pytest.raises(EnrolmentError):
            parse_certificates(body[:length])
