"""Both servers of a TSS node, asked by the standard library's clients."""

from __future__ import annotations

import ftplib
import io
import socket
import ssl
import sys
import urllib.error
import urllib.request
from base64 import b64encode
from datetime import UTC, datetime
from pathlib import Path

import pytest

from openturret.lab import plan
from openturret.lab.bench import Bench
from openturret.lab.certificates import Authority, ServerCertificate
from openturret.lab.processes import Service, ServiceProcess, accepts

pytestmark = pytest.mark.bench

UNIT = plan.unit(1)
CONFIG = f"targets/units/{UNIT.folder}/config.yaml"


class Ftpes(ftplib.FTP_TLS):
    """Verifies a name while it connects to an address, and reuses the TLS session."""

    def __init__(self, bench: Bench, *, name: str = "tss1.turret.example") -> None:
        super().__init__(context=ssl.create_default_context(cafile=bench.authority.path))
        self.name = name

    def open(self, address: str, *, port: int = 21) -> Ftpes:
        self.connect(address, port, timeout=5)
        self.host = self.name
        return self

    def ntransfercmd(
        self, cmd: str, rest: int | str | None = None
    ) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if isinstance(self.sock, ssl.SSLSocket) and self._prot_p:  # type: ignore[attr-defined]
            session = self.sock.session
            return self.context.wrap_socket(
                connection, server_hostname=self.host, session=session
            ), size
        return connection, size

    def fetch(self, path: str) -> bytes:
        content = io.BytesIO()
        self.retrbinary(f"RETR {path}", content.write)
        return content.getvalue()


def logged_in(bench: Bench, host: plan.Host, password: str = UNIT.ftpes_password) -> Ftpes:
    client = Ftpes(bench, name=host.domain_names[0]).open(host.address)
    client.login(UNIT.ftpes_username, password)
    client.prot_p()
    return client


@pytest.mark.parametrize("node", [0, 1])
def test_both_nodes_hand_out_the_same_tree(bench: Bench, node: int) -> None:
    with logged_in(bench, plan.TSS[node]) as client:
        assert client.fetch(CONFIG) == (bench.tss.tree.folder / CONFIG).read_bytes()
        assert client.fetch("metadata/timestamp.json")


def test_a_wrong_password_is_refused(bench: Bench) -> None:
    with pytest.raises(ftplib.error_perm, match=r"^530"):
        logged_in(bench, plan.TSS[0], password="wrong")


def test_nothing_is_said_in_clear(bench: Bench) -> None:
    client = ftplib.FTP(timeout=5)
    client.connect(plan.TSS[0].address, 21)
    with pytest.raises(ftplib.error_perm, match=r"^550"):
        client.login(UNIT.ftpes_username, UNIT.ftpes_password)
    client.close()


def test_data_without_tls_is_refused(bench: Bench) -> None:
    client = Ftpes(bench).open(plan.TSS[0].address)
    client.login(UNIT.ftpes_username, UNIT.ftpes_password)
    with pytest.raises(ftplib.error_perm, match=r"^5[25]"):
        client.retrbinary("RETR metadata/timestamp.json", lambda _data: None)
    client.close()


def test_another_units_folder_is_not_there(bench: Bench) -> None:
    with logged_in(bench, plan.TSS[0]) as client:
        with pytest.raises(ftplib.error_perm, match=r"^550"):
            client.fetch("targets/units/02-54-50-00-00-99/config.yaml")
        with pytest.raises(ftplib.error_perm, match=r"^550"):
            client.fetch("../tss.db")


def test_nobody_may_write(bench: Bench) -> None:
    with (
        logged_in(bench, plan.TSS[0]) as client,
        pytest.raises(ftplib.error_perm, match=r"^550"),
    ):
        client.storbinary("STOR metadata/timestamp.json", io.BytesIO(b"forged"))


def test_a_client_that_expects_another_name_hangs_up(bench: Bench) -> None:
    client = Ftpes(bench, name="tss2.turret.example").open(plan.TSS[0].address)
    with pytest.raises(ssl.SSLCertVerificationError, match="match"):
        client.auth()
    client.close()


def https(
    bench: Bench, path: str, *, password: str = UNIT.ftpes_password, host: plan.Host = plan.TSS[0]
) -> bytes:
    context = ssl.create_default_context(cafile=bench.authority.path)
    context.check_hostname = False  # urllib knows no way to connect to an address by a name
    token = b64encode(f"{UNIT.folder}:{password}".encode()).decode()
    request = urllib.request.Request(
        f"https://{host.address}/{path}", headers={"Authorization": f"Basic {token}"}
    )
    with urllib.request.urlopen(request, timeout=5, context=context) as response:
        content: bytes = response.read()
        return content


@pytest.mark.parametrize("node", [0, 1])
def test_https_hands_out_the_same_tree(bench: Bench, node: int) -> None:
    host = plan.TSS[node]
    assert https(bench, CONFIG, host=host) == (bench.tss.tree.folder / CONFIG).read_bytes()


@pytest.mark.parametrize(
    ("path", "password", "status"),
    [
        (CONFIG, "wrong", 401),
        ("targets/units/02-54-50-00-00-99/config.yaml", UNIT.ftpes_password, 404),
        ("targets/..%2f..%2ftss.db", UNIT.ftpes_password, 404),
        ("metadata/no-such.json", UNIT.ftpes_password, 404),
    ],
)
def test_https_refuses(bench: Bench, path: str, password: str, status: int) -> None:
    with pytest.raises(urllib.error.HTTPError) as refused:
        https(bench, path, password=password)
    assert refused.value.code == status
    refused.value.close()


async def other_node(bench: Bench, name: str, certificate: ServerCertificate) -> ServiceProcess:
    """A node with a certificate of our choice, on ports of its own."""
    argv = [sys.executable, "-m", "openturret.lab.tss", "--address", plan.TSS[0].address]
    argv += ["--directory", str(bench.tss.folder), "--certificate", str(certificate.both)]
    argv += ["--ftpes-port", "2121", "--https-port", "8443"]
    ready = accepts(plan.TSS[0].address, 2121, 8443)
    return await bench.processes.start(Service(name, plan.TSS[0].name, argv, ready=ready))


@pytest.mark.parametrize("wrong", ["expired", "foreign", "name"])
async def test_a_wrong_certificate_is_noticed(bench: Bench, tmp_path: Path, wrong: str) -> None:
    foreign = Authority(tmp_path / "foreign", now=datetime.now(UTC))
    names = ["tss1.turret.example"]
    certificate = {
        "expired": lambda: bench.authority.issue_expired("expired", names),
        "foreign": lambda: foreign.issue("foreign", names),
        "name": lambda: bench.authority.issue("wrong-name", ["elsewhere.turret.example"]),
    }[wrong]()
    node = await other_node(bench, f"tss-{wrong}", certificate)
    try:
        client = Ftpes(bench).open(plan.TSS[0].address, port=2121)
        with pytest.raises(ssl.SSLCertVerificationError):
            client.auth()
        client.close()
    finally:
        await node.stop()
