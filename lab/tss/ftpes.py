"""The FTPES side of a TSS node: pyftpdlib, TLS demanded on control and data, read only.

RFC 4217 with ``AUTH TLS`` on port 21 and ``PROT P``; TLS 1.2 at least. A unit that shows a
certificate of its own needs no password: ``USER`` is answered by 232 (RFC 4217 section 4).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Final

from OpenSSL import SSL
from pyftpdlib.authorizers import (  # type: ignore[import-untyped]
    AuthenticationFailed,
    DummyAuthorizer,
)
from pyftpdlib.filesystems import AbstractedFS  # type: ignore[import-untyped]
from pyftpdlib.handlers import TLS_FTPHandler  # type: ignore[import-untyped]
from pyftpdlib.ioloop import IOLoop  # type: ignore[import-untyped]
from pyftpdlib.servers import FTPServer  # type: ignore[import-untyped]
from sqlalchemy import Engine

from .access import may_read
from .database import certificate_holder, unit_may_fetch
from .request import Request, Tell, ignore

_READ_ONLY = "elr"


CONNECTIONS_MAX: Final = 2048
"""Control and data connections together; whoever comes then hears 421 and asks the next TSS."""

_COMMAND_SECONDS = 120
_CONNECT_SECONDS = 10
_STALL_SECONDS = 60
_POLL_SECONDS = 0.2
_BACKLOG = 1024


class FtpesServer:
    """An FTPES server in a thread of its own.

    Args:
        address: where it listens.
        port: where it listens, 21 in the field.
        tree: the folder that it serves.
        certificate: key and certificate, PEM.
        database: knows the units, their passwords and certificates.
        units: the certificate of the authority that enrols units, PEM.
        tell: told every login and every file, from that thread.

    Raises:
        OSError: the address or the certificate cannot be used.
    """

    def __init__(
        self,
        *,
        address: str,
        port: int,
        tree: Path,
        certificate: Path,
        database: Engine,
        units: Path,
        tell: Tell = ignore,
    ) -> None:
        class Handler(_UnitHandler):
            """One control connection to this tree."""

            authorizer = _UnitAuthorizer(database, tree)
            abstracted_fs = _UnitFilesystem
            units_database = database
            ssl_context = _context(certificate, units)
            tell_of = staticmethod(tell)

        self._server = FTPServer((address, port), Handler, backlog=_BACKLOG, ioloop=IOLoop())
        self._server.max_cons = CONNECTIONS_MAX
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._serve, name="ftpes", daemon=True)

    def start(self) -> None:
        """Begin to serve."""
        self._thread.start()

    def close(self) -> None:
        """End every connection, and the thread."""
        self._stopped.set()
        self._thread.join()

    def _serve(self) -> None:
        """Only this thread touches pyftpdlib's loop, so it closes it too."""
        while not self._stopped.is_set():
            self._server.ioloop.loop(_POLL_SECONDS, blocking=False)
        self._server.close_all()


class _Passive(TLS_FTPHandler.passive_dtp):  # type: ignore[misc]
    """A port that waits for a data connection."""

    timeout = _CONNECT_SECONDS


class _Data(TLS_FTPHandler.dtp_handler):  # type: ignore[misc]
    """A data connection; one that stalls is closed."""

    timeout = _STALL_SECONDS


class _UnitHandler(TLS_FTPHandler):  # type: ignore[misc]
    """A control connection on which a unit's certificate is as good as its password."""

    units_database: Engine
    tell_of = staticmethod(ignore)
    passive_dtp = _Passive
    dtp_handler = _Data
    timeout = _COMMAND_SECONDS
    tls_control_required = True
    tls_data_required = True
    banner = "TSS"
    auth_failed_timeout = 1

    def ftp_USER(self, line: str) -> None:  # noqa: N802
        """Logs the holder of a certificate in at once; asks everybody else for a password."""
        if self._certified() != line.replace("-", ":"):
            super().ftp_USER(line)
            return
        self.username = line
        self.authenticated = True
        self.fs = self.abstracted_fs(self.authorizer.get_home_dir(line), self)
        self.respond("232 Logged in by certificate.")
        self.on_login(line)

    def ftp_PASS(self, line: str) -> None:  # noqa: N802
        """Lets those pass who send their password without waiting for what USER answers."""
        if self.authenticated:
            self.respond("202 No password needed.")
        else:
            super().ftp_PASS(line)

    def on_login(self, username: str) -> None:
        """Tells of a unit that is in."""
        self._tell("login", "ok")

    def on_login_failed(self, username: str, _password: str) -> None:
        """Tells of somebody who is not."""
        self.username = username
        self._tell("login", "unknown unit, revoked, or wrong password")

    def log_cmd(self, cmd: str, arg: str, code: int, _reply: str) -> None:
        """Tells of a file that a unit may not have."""
        if cmd == "RETR" and code >= 400:
            self._tell(self._shown(arg), "missing")

    def log_transfer(self, filename: str, completed: bool, bytes: int, **_more: object) -> None:  # noqa: A002
        """Tells of a file that was sent, or that was broken off; the names are pyftpdlib's."""
        self._tell(self._shown(filename), "ok" if completed else "broken off", bytes)

    def _tell(self, what: str, result: str, octets: int = 0) -> None:
        unit = self.username.replace("-", ":")
        self.tell_of(Request("ftpes", self.remote_ip, unit, what, result, octets))

    def _shown(self, path: str) -> str:
        """A path as the unit asked for it."""
        return str(path).removeprefix(self.fs.root).lstrip("/")

    def _certified(self) -> str | None:
        shown = self.socket.get_peer_certificate(as_cryptography=True)
        return (
            certificate_holder(self.units_database, f"{shown.serial_number:X}") if shown else None
        )


class _UnitAuthorizer(DummyAuthorizer):  # type: ignore[misc]
    """Units of the database, all at home in the same tree, none may write."""

    def __init__(self, database: Engine, tree: Path) -> None:
        super().__init__()
        self._database = database
        self._tree = tree

    def validate_authentication(self, username: str, password: str, _handler: object) -> None:
        if not unit_may_fetch(self._database, username, password):
            raise AuthenticationFailed("Unknown unit or wrong password.")

    def has_user(self, _username: str) -> bool:
        return True

    def get_home_dir(self, _username: str) -> str:
        return str(self._tree)

    def has_perm(self, _username: str, perm: str, path: str | None = None) -> bool:
        return perm in _READ_ONLY

    def get_perms(self, _username: str) -> str:
        return _READ_ONLY

    def get_msg_login(self, _username: str) -> str:
        return "Welcome."

    def get_msg_quit(self, _username: str) -> str:
        return "Goodbye."


class _UnitFilesystem(AbstractedFS):  # type: ignore[misc]
    """The tree as one unit sees it."""

    def validpath(self, path: str) -> bool:
        if not super().validpath(path):
            return False
        relative = Path(self.realpath(path)).relative_to(self.realpath(self.root))
        return may_read(self.cmd_channel.username, relative.as_posix())


def _context(certificate: Path, units: Path) -> SSL.Context:
    context = SSL.Context(SSL.TLS_SERVER_METHOD)
    context.set_min_proto_version(SSL.TLS1_2_VERSION)
    context.use_certificate_chain_file(str(certificate))
    context.use_privatekey_file(str(certificate))
    context.set_session_id(b"openturret-tss")
    context.load_verify_locations(str(units))
    context.set_verify(SSL.VERIFY_PEER)
    return context
