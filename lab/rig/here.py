"""Whether a device hangs on this machine, and what to say when it does not."""

from __future__ import annotations

import ipaddress
import socket

from .errors import ElsewhereError


def is_here(host: str) -> bool:
    """Whether a host, as an exporter publishes it, is this machine."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host in {"localhost", socket.gethostname(), socket.getfqdn()}


def require_here(host: str, what: str) -> None:
    """Refuse what hangs on another machine.

    Raises:
        ElsewhereError: it does.
    """
    if not is_here(host):
        raise ElsewhereError(f"{what} is at {host}, whose kernel drives it; run pytest there")
