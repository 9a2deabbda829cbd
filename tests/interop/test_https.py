"""HTTPS against the servers of others: nginx and aiohttp."""

from __future__ import annotations

import base64
import contextlib
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import AccountRefusedError, NoSuchFileError
from openturret.boot.fetch.https import HttpsSession
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transport import Account, Server, Terms
from openturret.hal.clock import SystemClock
from openturret.lab.certificates import Authority
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import Tool, tool

pytestmark = pytest.mark.slow

HOST, NAME = "127.0.0.1", "tss1.turret.example"
MAC, PASSWORD = "02:54:50:00:00:01", "a long secret"
CREDENTIALS = base64.b64encode(f"{MAC.replace(':', '-')}:{PASSWORD}".encode()).decode()
SMALL = bytes(range(250)) * 4
LARGE = random.Random(2).randbytes(16 * 1024 * 1024)

NGINX = """\
user root root;
daemon off;
master_process off;
pid {folder}/pid;
error_log {folder}/error.log;
events {{}}
http {{
  access_log off;
  client_body_temp_path {folder};
  proxy_temp_path {folder};
  fastcgi_temp_path {folder};
  uwsgi_temp_path {folder};
  scgi_temp_path {folder};
  keepalive_requests 50;
  server {{
    listen {host}:{port} ssl;
    ssl_certificate {certificate};
    ssl_certificate_key {certificate};
    ssl_protocols TLSv1.2 TLSv1.3;
    root {tree};
    if ($http_authorization != "Basic {credentials}") {{ return 401; }}
  }}
}}
"""

AIOHTTP = """
import ssl, sys
from aiohttp import web
port, tree, certificate, credentials = sys.argv[1:]
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate)
@web.middleware
async def guard(request, handler):
    if request.headers.get("Authorization") != f"Basic {credentials}":
        raise web.HTTPUnauthorized
    return await handler(request)
app = web.Application(middlewares=[guard])
app.router.add_static("/", tree)
web.run_app(app, host="127.0.0.1", port=int(port), ssl_context=context, print=None)
"""


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), now=datetime.now(UTC))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "timestamp.json").write_bytes(SMALL)
    (folder / "large").write_bytes(LARGE)
    return folder


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


@contextlib.contextmanager
def running(command: list[str], program: Tool, port: int) -> Iterator[int]:
    """A daemon, from the moment on at which its port accepts."""
    with subprocess.Popen([str(program.path), *command], env=program.environment()) as process:
        try:
            while not accepts(port):
                assert process.poll() is None, f"{program.path.name} ended"
                time.sleep(0.01)
            yield port
        finally:
            process.terminate()


Start = Callable[[Path, Path, Path, int], contextlib.AbstractContextManager[int]]


def nginx(
    folder: Path, tree: Path, certificate: Path, port: int
) -> contextlib.AbstractContextManager[int]:
    try:
        program = tool("nginx")
    except ToolMissingError as error:
        pytest.skip(str(error))
    configuration = folder / "nginx.conf"
    configuration.write_text(
        NGINX.format(
            folder=folder,
            host=HOST,
            port=port,
            certificate=certificate,
            tree=tree,
            credentials=CREDENTIALS,
        )
    )
    errors = str(folder / "error.log")
    return running(["-p", str(folder), "-c", str(configuration), "-e", errors], program, port)


def aiohttp(
    _folder: Path, tree: Path, certificate: Path, port: int
) -> contextlib.AbstractContextManager[int]:
    command = ["-c", AIOHTTP, str(port), str(tree), str(certificate), CREDENTIALS]
    return running(command, Tool(Path(sys.executable)), port)


@pytest.fixture(scope="module", params=[nginx, aiohttp])
def port(
    request: pytest.FixtureRequest,
    authority: Authority,
    tree: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[int]:
    with socket.create_server((HOST, 0)) as listener:
        free: int = listener.getsockname()[1]
    start: Start = request.param
    certificate = authority.issue("tss1", [NAME]).both
    with start(tmp_path_factory.mktemp("server"), tree, certificate, free) as where:
        yield where


class Trips:
    total = 0

    def __call__(self, number: int) -> None:
        self.total += number


@pytest.fixture(params=[ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
def open_session(
    request: pytest.FixtureRequest, port: int, authority: Authority
) -> Callable[..., HttpsSession]:
    def start(password: str = PASSWORD, trips: Trips | None = None) -> HttpsSession:
        context = client_context(authority.path)
        context.maximum_version = request.param
        return HttpsSession.open(
            Server(NAME, IPv4Address(HOST), https_port=port),
            Account(MAC, password),
            Terms(context, SystemClock()),
            count=trips or Trips(),
            foreseen=("metadata/2.root.json", "metadata/timestamp.json"),
        )

    return start


def test_files_whole_and_from_the_middle(open_session: Callable[..., HttpsSession]) -> None:
    with open_session() as session:
        assert b"".join(session.fetch("metadata/timestamp.json")) == SMALL
        assert b"".join(session.fetch("large")) == LARGE
        assert b"".join(session.fetch("large", offset=9_000_001)) == LARGE[9_000_001:]


def test_many_files_also_when_the_server_has_had_enough_of_a_connection(
    open_session: Callable[..., HttpsSession],
) -> None:
    with open_session() as session:
        for _ in range(120):
            assert b"".join(session.fetch("metadata/timestamp.json")) == SMALL


def test_is_anything_new_takes_three_round_trips(
    open_session: Callable[..., HttpsSession], request: pytest.FixtureRequest
) -> None:
    trips = Trips()
    with open_session(trips=trips) as session:
        with pytest.raises(NoSuchFileError):
            list(session.fetch("metadata/2.root.json"))
        assert b"".join(session.fetch("metadata/timestamp.json")) == SMALL
    older = "1.2" in request.node.name
    assert trips.total == 3 + older, "TCP, TLS, both files"


def test_a_stranger_is_refused(open_session: Callable[..., HttpsSession]) -> None:
    with (
        open_session("canary-secret") as session,
        pytest.raises(AccountRefusedError, match="401") as caught,
    ):
        list(session.fetch("large"))
    assert "canary-secret" not in str(caught.value)
