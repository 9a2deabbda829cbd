"""FTPES against the servers of others: vsftpd, proftpd and pyftpdlib, each as strict as it can be.

vsftpd demands that data connections resume the session of the control connection, and so does
proftpd unless told otherwise.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import AccountRefusedError, NoSuchFileError
from openturret.boot.fetch.ftpes import FtpesSession
from openturret.boot.fetch.tls import client_context
from openturret.boot.fetch.transport import Account, Server, Terms
from openturret.hal.clock import SystemClock
from openturret.lab.certificates import Authority, ServerCertificate
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import Tool, tool

pytestmark = pytest.mark.slow

HOST, NAME = "127.0.0.1", "tss1.turret.example"
PASSWORD = "a long secret"
PASSWORD_HASH = (
    "$6$openturret$17MXFyV8blY4HyyGWUhKx5RcSlICp2t52AcZRBBNrkGCWSXeYut9P97VqnKtPYhid5v/"
    "sZnLUh3umte3qFXE9."
)
SMALL = bytes(range(250)) * 4
MEDIUM = random.Random(1).randbytes(65_536)
LARGE = random.Random(2).randbytes(16 * 1024 * 1024)

VSFTPD = """\
listen=YES
listen_address={host}
listen_port={port}
anonymous_enable=YES
local_enable=NO
anon_root={tree}
anon_world_readable_only=NO
run_as_launching_user=YES
nopriv_user=root
ftp_username=root
secure_chroot_dir={folder}/empty
seccomp_sandbox=NO
background=NO
ssl_enable=YES
allow_anon_ssl=YES
force_anon_logins_ssl=YES
force_anon_data_ssl=YES
require_ssl_reuse=YES
strict_ssl_read_eof=YES
strict_ssl_write_shutdown=YES
ssl_ciphers=HIGH
rsa_cert_file={certificate}
rsa_private_key_file={certificate}
vsftpd_log_file={folder}/vsftpd.log
"""

PROFTPD = """\
ModulePath {modules}
LoadModule mod_tls.c
ServerType standalone
DefaultAddress {host}
Port {port}
UseIPv6 off
User root
Group root
RootLogin on
AuthOrder mod_auth_file.c
AuthUserFile {folder}/passwd
RequireValidShell off
DefaultRoot {tree}
PidFile {folder}/proftpd.pid
ScoreboardFile {folder}/scoreboard
DelayEngine off
WtmpLog off
UseReverseDNS off
SystemLog {folder}/proftpd.log
TransferLog NONE
TLSEngine on
TLSLog {folder}/tls.log
TLSProtocol TLSv1.2 TLSv1.3
TLSRequired on
TLSECCertificateFile {certificate}
TLSECCertificateKeyFile {certificate}
{more}
"""


@dataclass(frozen=True)
class Running:
    """A server that runs."""

    port: int
    account: Account
    authority: Authority
    version: ssl.TLSVersion

    def open(self, count: Callable[[int], None], password: str = PASSWORD) -> FtpesSession:
        context = client_context(self.authority.path)
        context.maximum_version = self.version
        return FtpesSession.open(
            Server(NAME, IPv4Address(HOST), self.port),
            Account(self.account.username, password),
            Terms(context, SystemClock()),
            count=count,
            foreseen=("metadata/2.root.json",),
        )


class Trips:
    total = 0

    def __call__(self, number: int) -> None:
        self.total += number

    def since_last(self) -> int:
        total, self.total = self.total, 0
        return total


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("ca"), now=datetime.now(UTC))


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tree")
    (folder / "metadata").mkdir()
    (folder / "metadata" / "timestamp.json").write_bytes(SMALL)
    (folder / "medium").write_bytes(MEDIUM)
    (folder / "large").write_bytes(LARGE)
    return folder


def needed(name: str) -> Tool:
    try:
        return tool(name)
    except ToolMissingError as error:
        pytest.skip(str(error))


def free_port() -> int:
    with socket.create_server((HOST, 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


@contextlib.contextmanager
def running(command: list[str], program: Tool, port: int) -> Iterator[None]:
    """A daemon, from the moment on at which its port accepts."""
    with subprocess.Popen([str(program.path), *command], env=program.environment()) as process:
        try:
            while not accepts(port):
                assert process.poll() is None, f"{program.path.name} ended"
                time.sleep(0.01)
            yield
        finally:
            process.terminate()


def accepts(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex((HOST, port)) == 0


Certificate = ServerCertificate
Start = Callable[[Path, Path, Certificate], contextlib.AbstractContextManager[tuple[int, str]]]


@contextlib.contextmanager
def vsftpd(folder: Path, tree: Path, certificate: Certificate) -> Iterator[tuple[int, str]]:
    program, port = needed("vsftpd"), free_port()
    (folder / "empty").mkdir()
    configuration = folder / "vsftpd.conf"
    configuration.write_text(
        VSFTPD.format(host=HOST, port=port, tree=tree, folder=folder, certificate=certificate.both)
    )
    with running([str(configuration)], program, port):
        yield port, "anonymous"


def proftpd(more: str = "") -> Start:
    @contextlib.contextmanager
    def start(folder: Path, tree: Path, certificate: Certificate) -> Iterator[tuple[int, str]]:
        program, port = needed("proftpd"), free_port()
        users = folder / "passwd"
        users.touch(0o600)
        users.write_text(f"unit:{PASSWORD_HASH}:{os.geteuid()}:{os.getegid()}::{tree}:/bin/sh\n")
        configuration = folder / "proftpd.conf"
        configuration.write_text(
            PROFTPD.format(
                host=HOST,
                port=port,
                tree=tree,
                folder=folder,
                certificate=certificate.both,
                modules=program.find("usr/lib/proftpd"),
                more=more,
            )
        )
        with running(["--nodaemon", "--config", str(configuration)], program, port):
            yield port, "unit"

    return start


SERVER = """
import sys
from OpenSSL import SSL
from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer
port, tree, certificate, password = sys.argv[1:]
authorizer = DummyAuthorizer()
authorizer.add_user("unit", password, tree)
handler = type("Handler", (TLS_FTPHandler,), {
    "authorizer": authorizer, "certfile": certificate,
    "tls_control_required": True, "tls_data_required": True})
FTPServer(("127.0.0.1", int(port)), handler).serve_forever()
"""


@contextlib.contextmanager
def pyftpdlib(folder: Path, tree: Path, certificate: Certificate) -> Iterator[tuple[int, str]]:
    del folder
    port, python = free_port(), Tool(Path(sys.executable))
    command = ["-W", "ignore", "-c", SERVER, str(port), str(tree), str(certificate.both), PASSWORD]
    with running(command, python, port):
        yield port, "unit"


SERVERS: dict[str, Start] = {
    "vsftpd": vsftpd,
    "proftpd": proftpd(),
    "proftpd-without-reuse": proftpd("TLSOptions NoSessionReuseRequired"),
    "pyftpdlib": pyftpdlib,
}
VERSIONS = {"tls1.2": ssl.TLSVersion.TLSv1_2, "tls1.3": ssl.TLSVersion.TLSv1_3}


@pytest.fixture(scope="module", params=SERVERS)
def started(
    request: pytest.FixtureRequest,
    authority: Authority,
    tree: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[tuple[int, str]]:
    certificate = authority.issue("tss1", [NAME])
    with SERVERS[request.param](tmp_path_factory.mktemp("server"), tree, certificate) as where:
        yield where


@pytest.fixture(params=VERSIONS)
def server(
    request: pytest.FixtureRequest, started: tuple[int, str], authority: Authority
) -> Running:
    port, user = started
    return Running(port, Account(user, PASSWORD), authority, VERSIONS[request.param])


def test_files_of_all_sizes_whole_and_from_the_middle(server: Running) -> None:
    with server.open(lambda _: None) as session:
        assert b"".join(session.fetch("metadata/timestamp.json")) == SMALL
        assert b"".join(session.fetch("medium")) == MEDIUM
        assert b"".join(session.fetch("large")) == LARGE
        assert b"".join(session.fetch("large", offset=9_000_001)) == LARGE[9_000_001:]
        assert b"".join(session.fetch("medium", offset=65_535)) == MEDIUM[-1:]
        assert b"".join(session.fetch("medium", offset=65_536)) == b""


def test_many_files_on_one_session(server: Running) -> None:
    with server.open(lambda _: None) as session:
        for _ in range(40):
            assert b"".join(session.fetch("metadata/timestamp.json")) == SMALL


def test_every_server_accepts_the_shared_flights(server: Running) -> None:
    trips = Trips()
    older = server.version == ssl.TLSVersion.TLSv1_2
    with server.open(trips) as session:
        assert trips.since_last() == 5 + older, "TCP, greeting, AUTH, TLS, USER to EPSV"
        with pytest.raises(NoSuchFileError):
            list(session.fetch("metadata/2.root.json"))
        assert trips.since_last() == 0, "SIZE said so in the flight of the login"
        list(session.fetch("metadata/timestamp.json"))
        assert trips.since_last() == 3, "TCP beside RETR, TLS, first byte"
        list(session.fetch("medium"))
        assert trips.since_last() == 4, "and EPSV"


def test_a_missing_file_is_final_and_the_session_goes_on(server: Running) -> None:
    with server.open(lambda _: None) as session:
        for _ in range(3):
            with pytest.raises(NoSuchFileError, match="550"):
                list(session.fetch("no/such/file"))
            assert b"".join(session.fetch("medium")) == MEDIUM


def test_a_stranger_is_refused(server: Running) -> None:
    stranger = Running(server.port, Account("nobody", ""), server.authority, server.version)
    with pytest.raises(AccountRefusedError, match="530") as caught:
        stranger.open(lambda _: None, "canary-secret")
    assert "enrol" in caught.value.remedy
    assert "canary-secret" not in str(caught.value)
