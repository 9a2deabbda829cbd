"""A small world around the boot agent: a signed tree, a TSS, and namespaces for the rest.

Tests marked ``bench`` need network namespaces, but not the servers of the whole bench and so
not the ``bench`` fixture.  All of them run together in one ``pytest`` inside a fresh namespace,
with all that fixtures can do, and each is reported here under its own name.
"""

import asyncio
import os
import socket
import ssl
import subprocess
import sys
import tempfile
import threading
import warnings
import xml.etree.ElementTree as ElementTree
from base64 import b64encode
from collections.abc import Callable, Coroutine, Iterator
from datetime import UTC, datetime, timedelta
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any

import pytest
from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import (
    Metadata,
    MetaFile,
    Root,
    Snapshot,
    TargetFile,
    Targets,
    Timestamp,
)

from openturret.boot.fetch.transport import Server
from openturret.boot.identity import Identity
from openturret.lab import namespace
from openturret.lab.certificates import Authority
from openturret.lab.errors import NamespaceError, ToolMissingError
from openturret.lab.tss import Administration

with warnings.catch_warnings():
    warnings.simplefilter("ignore", DeprecationWarning)  # asyncore, in Python 3.11
    from pyftpdlib.authorizers import DummyAuthorizer  # type: ignore[import-untyped]
    from pyftpdlib.handlers import TLS_FTPHandler  # type: ignore[import-untyped]
    from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped]
    from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped]

    from openturret.lab.tss import ftpes
    from openturret.lab.tss.node import Node

MAC = "02:54:50:00:00:01"
PASSWORD = "a long secret"
MAC_FOLDER = "02-54-50-00-00-01"
_TIMEOUT_S = 900
HERE = Path(__file__).parent


def pytest_runtest_protocol(item: pytest.Item, nextitem: pytest.Item | None) -> bool | None:
    """Runs a bench test inside a namespace and reports what happened there as its own.

    pytest asks this hook for every test of the session, also for those of other folders.
    """
    if not _runs_inside(item) or namespace.inside():
        return None
    if _RESULTS not in item.session.stash:
        item.session.stash[_RESULTS] = _run_inside(item.session)
    item.ihook.pytest_runtest_logstart(nodeid=item.nodeid, location=item.location)
    report = _report(item, item.session.stash[_RESULTS])
    item.ihook.pytest_runtest_logreport(report=report)
    item.ihook.pytest_runtest_logfinish(nodeid=item.nodeid, location=item.location)
    item.session._setupstate.teardown_exact(nextitem)  # the test before may have left its module
    return True


Results = dict[str, tuple[str, str, float]]
"""Outcome, words and seconds by file and name; under ``""`` what holds for all others."""

_RESULTS = pytest.StashKey[Results]()


def _run_inside(session: pytest.Session) -> Results:
    """Runs the selected bench tests of this folder."""
    chosen = [str(item.path) + "::" + item.nodeid.partition("::")[2]
              for item in session.items if _runs_inside(item)]  # fmt: skip
    try:
        namespace.check()
    except (NamespaceError, ToolMissingError) as error:
        return {"": ("skipped", str(error), 0.0)}
    lifeline, held = os.pipe()
    with tempfile.TemporaryDirectory() as folder:
        xml = Path(folder, "inside.xml")
        command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider",
                   f"--junitxml={xml}", "-o", "junit_family=xunit1", *chosen]  # fmt: skip
        try:
            with namespace.spawn(command, lifeline, stdout=subprocess.PIPE) as process:
                output = process.communicate(timeout=_TIMEOUT_S)[0].decode("utf-8", "replace")
            return _parse(xml) if xml.exists() else {"": ("failed", output, 0.0)}
        finally:
            os.close(held)
            os.close(lifeline)


def _runs_inside(item: pytest.Item) -> bool:
    return item.path.is_relative_to(HERE) and item.get_closest_marker("bench") is not None


def _parse(xml: Path) -> Results:
    results = {}
    for case in ElementTree.parse(xml).iter("testcase"):
        outcome, words = "passed", ""
        for child in case:
            if child.tag in ("failure", "error"):
                outcome, words = "failed", child.text or child.get("message") or ""
            elif child.tag == "skipped":
                outcome, words = "skipped", child.get("message") or ""
        name = f"{Path(case.get('file', '')).name}::{case.get('name')}"
        results[name] = (outcome, words, float(case.get("time", "0")))
    return results


def _report(item: pytest.Item, results: Results) -> pytest.TestReport:
    missing = ("failed", "the test did not run inside the namespace", 0.0)
    found = results.get(f"{item.path.name}::{item.name}")
    outcome, words, seconds = found or results.get("", missing)
    longrepr: object = words or None
    if outcome == "skipped":
        longrepr = (str(item.path), item.location[1] or 0, words)
    return pytest.TestReport(
        nodeid=item.nodeid,
        location=item.location,
        keywords=dict.fromkeys(item.keywords, 1),
        outcome=outcome,  # type: ignore[arg-type]
        longrepr=longrepr,  # type: ignore[arg-type]
        when="call",
        duration=seconds,
    )


class SignedTree:
    """A TUF repository in a folder, signed with keys that live as long as the test."""

    ROLES = ("root", "timestamp", "snapshot", "targets")

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.signers = {role: CryptoSigner.generate_ed25519() for role in self.ROLES}
        self.version = 0
        self.lifetime = timedelta(days=1)
        root = Root(version=1, expires=self._expiry(timedelta(days=365)), consistent_snapshot=True)
        for role, signer in self.signers.items():
            root.add_key(signer.public_key, role)
        self.root = self._sign(root, "root")

    def publish(self, targets: dict[str, bytes]) -> None:
        """Replaces the whole content of the tree, one version higher."""
        self.version += 1
        infos = {name: self._write_target(name, data) for name, data in targets.items()}
        signed = Targets(version=self.version, expires=self._expiry(), targets=infos)
        self._write("targets", f"{self.version}.targets.json", signed)
        snapshot = Snapshot(version=self.version, expires=self._expiry())
        snapshot.meta["targets.json"] = MetaFile(self.version)
        self._write("snapshot", f"{self.version}.snapshot.json", snapshot)
        self.publish_timestamp(self.version)

    def publish_timestamp(self, version: int) -> None:
        timestamp = Timestamp(version=version, expires=self._expiry())
        timestamp.snapshot_meta = MetaFile(self.version)
        self._write("timestamp", "timestamp.json", timestamp)

    def target_file(self, name: str) -> Path:
        """Returns the file that consistent snapshots ask for."""
        folder, _, base = name.rpartition("/")
        matches = sorted((self.folder / "targets" / folder).glob(f"*.{base}"))
        return matches[-1]

    def _write_target(self, name: str, data: bytes) -> TargetFile:
        info = TargetFile.from_data(name, data, ["sha256"])
        folder, _, base = name.rpartition("/")
        path = self.folder / "targets" / folder / f"{info.hashes['sha256']}.{base}"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        return info

    def _write(self, role: str, name: str, signed: Timestamp | Snapshot | Targets) -> None:
        path = self.folder / "metadata" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(self._sign(signed, role))

    def _sign(self, signed: Root | Timestamp | Snapshot | Targets, role: str) -> bytes:
        metadata: Metadata[Any] = Metadata(signed)
        metadata.sign(self.signers[role])
        return metadata.to_bytes()

    def _expiry(self, lifetime: timedelta | None = None) -> datetime:
        moment = datetime.now(UTC) + (self.lifetime if lifetime is None else lifetime)
        return moment.replace(microsecond=0)


class _TreeOverHttps(ThreadingHTTPServer):
    """A folder for one account, with every connection in a thread of its own."""

    def __init__(self, folder: Path, certificate: Path, address: str, port: int) -> None:
        super().__init__((address, port), partial(_TreeHandler, directory=str(folder)))
        self._context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self._context.load_cert_chain(certificate)

    def get_request(self) -> tuple[socket.socket, Any]:
        """Leaves the handshake to the thread."""
        plain, peer = super().get_request()
        return self._context.wrap_socket(
            plain, server_side=True, do_handshake_on_connect=False
        ), peer

    def handle_error(self, _request: object, _peer: object) -> None:
        """A client that goes away is nothing to report."""


class _TreeHandler(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        account = f"{MAC_FOLDER}:{PASSWORD}".encode()
        if self.headers["Authorization"] != f"Basic {b64encode(account).decode()}":
            self.send_error(401)
            return
        super().do_GET()

    def send_error(self, code: int, *_: object) -> None:
        """The standard library's closes the connection; no other server does."""
        self.send_response(code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Says nothing."""


class Tss:
    """A folder over FTPES (pyftpdlib) and HTTPS, in threads; one account."""

    def __init__(
        self,
        folder: Path,
        certificate: Path,
        *,
        address: str = "127.0.0.1",
        port: int = 0,
        https_port: int = 0,
    ) -> None:
        self.https = _TreeOverHttps(folder, certificate, address, https_port)
        self.https_port = self.https.server_port
        self._https_thread = threading.Thread(target=self.https.serve_forever, args=(0.05,))
        self._https_thread.start()
        authorizer = DummyAuthorizer()
        authorizer.add_user(MAC, PASSWORD, str(folder), perm="elr")
        members = {
            "authorizer": authorizer,
            "certfile": str(certificate),
            "tls_control_required": True,
            "tls_data_required": True,
            "auth_failed_timeout": 0,
        }
        self.handler: Any = type("Handler", (TLS_FTPHandler,), members)
        self.server = FTPServer((address, port), self.handler, ioloop=IOLoop())
        self.address, self.port = self.server.socket.getsockname()[:2]
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._serve)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self.close_https()

    def close_https(self) -> None:
        """Leaves FTPES alone."""
        self.https.shutdown()
        self.https.server_close()
        self._https_thread.join()

    def _serve(self) -> None:
        while not self._stop.is_set():
            self.server.serve_forever(timeout=0.05, blocking=False)
        self.server.close_all()


@pytest.fixture
def tree(tmp_path: Path) -> SignedTree:
    return SignedTree(tmp_path / "tss")


@pytest.fixture
def start_tss(tree: SignedTree, authority: Authority) -> Iterator[Callable[..., Tss]]:
    """Starts TSS nodes with any certificate; by default a good one for tss1."""
    good = authority.issue("tss1", ["tss1.turret.example"]).both
    running: list[Tss] = []

    def start(certificate: Path = good, **where: object) -> Tss:
        tree.folder.mkdir(parents=True, exist_ok=True)
        running.append(Tss(tree.folder, certificate, **where))  # type: ignore[arg-type]
        return running[-1]

    yield start
    for tss in running:
        tss.close()


class LabTss:
    """A node of the bench's TSS, in a thread: FTPES, HTTPS and enrolment of one administration."""

    NAME = "tss1.turret.example"

    def __init__(self, folder: Path, certificate: Path) -> None:
        ports = _free_port(), _free_port()
        self.server = Server(self.NAME, IPv4Address("127.0.0.1"), *ports)
        self._node = Node("127.0.0.1", folder, certificate, ports=ports)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._do(self._node.start())

    def close(self) -> None:
        self._do(self._node.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _do(self, work: Coroutine[object, object, None]) -> None:
        asyncio.run_coroutine_threadsafe(work, self._loop).result(30)


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@pytest.fixture
def tss(tmp_path: Path, identity: Identity) -> Administration:
    """An administration that knows the unit, and its site's configuration."""
    made = Administration(tmp_path / "administration")
    made.add_unit(mac=identity.mac, serial=identity.serial, model=identity.model,
                  password=identity.password)  # fmt: skip
    made.set_configuration("default", {"application.config.version": 1})
    made.publish()
    return made


@pytest.fixture
def start_lab_tss(
    tss: Administration, authority: Authority, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[..., LabTss]]:
    """Starts nodes over the administration; by default with a good certificate for tss1."""
    good = authority.issue("lab", [LabTss.NAME]).both
    running: list[LabTss] = []
    monkeypatch.setattr(ftpes._UnitHandler, "auth_failed_timeout", 0)

    def start(certificate: Path = good, folder: Path = tss.folder) -> LabTss:
        running.append(LabTss(folder, certificate))
        return running[-1]

    yield start
    for node in running:
        node.close()


@pytest.fixture(scope="session", autouse=True)
def _loopback() -> None:
    """A fresh namespace has a loopback interface that is down."""
    if namespace.inside():
        subprocess.run(["ip", "link", "set", "lo", "up"], check=True)


@pytest.fixture(scope="session")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), now=datetime.now(UTC))


@pytest.fixture
def identity(tmp_path: Path, authority: Authority, tree: SignedTree) -> Identity:
    board = tmp_path / "board.yaml"
    board.write_text("board: touchpro\n")
    return Identity(
        model="TouchPro",
        serial="OT-0001",
        mac=MAC,
        firmware="touchpro",
        username=MAC,
        password=PASSWORD,
        ca=authority.path,
        root=tree.root,
        board=board,
    )
