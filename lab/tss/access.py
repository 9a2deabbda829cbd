"""Who asks, and what may they read of the published tree: one rule for FTPES and for HTTPS.

A unit proves itself by its certificate, or by the password of its factory account where that
is enough. It reads the whole tree but the folders of other units.
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from pathlib import PurePosixPath

from aiohttp import web
from sqlalchemy import Engine

from .database import certificate_holder

_UNITS = ("targets", "units")
_REALM = {"WWW-Authenticate": 'Basic realm="TSS"'}


def may_read(mac: str, path: str) -> bool:
    """Whether a unit may read a path of the tree.

    Args:
        mac: who asks.
        path: relative to the tree, with forward slashes.

    >>> may_read("02:54:50:00:00:01", "targets/units/02-54-50-00-00-01/config.yaml")
    True
    >>> may_read("02:54:50:00:00:01", "targets/units/02-54-50-00-00-02/config.yaml")
    False
    """
    parts = PurePosixPath(path).parts
    if ".." in parts or parts[:2] != _UNITS or len(parts) < 3:
        return ".." not in parts
    return parts[2] == mac.lower().replace(":", "-")


def by_certificate(request: web.Request, database: Engine) -> str | None:
    """The MAC of the unit whose certificate was shown; None without one that counts."""
    transport = request.transport
    shown = transport.get_extra_info("peercert") if transport is not None else None
    serial = shown.get("serialNumber") if shown else None
    return certificate_holder(database, serial) if serial else None


def by_password(
    request: web.Request, database: Engine, check: Callable[[Engine, str, str], bool]
) -> str:
    """The MAC of the unit that names its account (RFC 7617), with colons.

    Its user name is its MAC with dashes, because a colon ends the user name.

    Raises:
        web.HTTPUnauthorized: there is no such account, or this is not enough.
    """
    try:
        login, password = _credentials(request.headers.get("Authorization", ""))
    except ValueError as error:
        raise web.HTTPUnauthorized(headers=_REALM) from error
    if not check(database, login, password):
        raise web.HTTPUnauthorized(headers=_REALM)
    return login.replace("-", ":")


def _credentials(header: str) -> tuple[str, str]:
    """User name and password (RFC 7617 section 2).

    Raises:
        ValueError: the header is none of basic authentication.
    """
    scheme, _, token = header.partition(" ")
    login, colon, password = base64.b64decode(token, validate=True).decode().partition(":")
    if scheme.lower() != "basic" or not colon:
        raise ValueError("not basic authentication")
    return login, password
