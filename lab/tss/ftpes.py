"""The FTPES side of a TSS node: pyftpdlib, TLS demanded on control and data, read only.

RFC 4217 with ``AUTH TLS`` on port 21 and ``PROT P``; TLS 1.2 at least. A unit that shows a
certificate of its own needs no password: ``USER`` is answered by 232 (RFC 4217 section 4).
"""

from __future__ import annotations

from pathlib import Path

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

_READ_ONLY = "elr"


def serve(
    *, address: str, port: int, tree: Path, certificate: Path, database: Engine, units: Path
) -> FTPServer:
    """An FTPES server that listens; call its ``serve_forever`` in a thread.

    Args:
        address: where it listens.
        port: where it listens, 21 in the field.
        tree: the folder that it serves.
        certificate: key and certificate, PEM.
        database: knows the units, their passwords and certificates.
        units: the certificate of the authority that enrols units, PEM.

    Raises:
        OSError: the address or the certificate cannot be used.
    """

    class Handler(_UnitHandler):
        """One control connection to this tree."""

        authorizer = _UnitAuthorizer(database, tree)
        units_database = database
        abstracted_fs = _UnitFilesystem
        tls_control_required = True
        tls_data_required = True
        ssl_context = _context(certificate, units)
        banner = "TSS"
        auth_failed_timeout = 1

    return FTPServer((address, port), Handler, ioloop=IOLoop())


class _UnitHandler(TLS_FTPHandler):  # type: ignore[misc]
    """A control connection on which a unit's certificate is as good as its password."""

    units_database: Engine

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
