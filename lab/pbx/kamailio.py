"""Writes Kamailio's configuration and describes its process.

Only modules of Debian's ``kamailio`` package are used, and no database: the users stand in
the configuration as digest hashes (HA1, RFC 2617 section 3.2.2.2), locations in memory.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..plan import Host
from ..processes import Service, accepts
from ..tools import tool

_MODULES = (
    "tm", "sl", "rr", "pv", "maxfwd", "textops", "siputils", "xlog", "sanity", "usrloc",
    "registrar", "auth",
)  # fmt: skip
_TEMPLATE = Path(__file__).with_name("kamailio.cfg")
_MEMORY = ("-m", "24", "-M", "4")
"""Shared and private memory, in megabytes."""


@dataclass(frozen=True, slots=True)
class PbxUser:
    """Who may register and call."""

    number: str
    password: str = field(repr=False)


def service(
    name: str, host: Host, folder: Path, *, domain: str, users: Iterable[PbxUser], port: int = 5060
) -> Service:
    """One Kamailio, UDP and TCP.

    Args:
        name: what the bench calls it.
        host: where it runs.
        folder: its configuration and run-time files.
        domain: the SIP domain, also the digest realm.
        users: who may register and call.
        port: its port, for both transports.

    Raises:
        ToolMissingError: Kamailio or one of its modules is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    program = tool("kamailio")
    path = folder / "kamailio.cfg"
    modules = program.find("usr/lib/*/kamailio/modules")
    path.write_text(configuration(modules, host.address, port=port, domain=domain, users=users))
    path.chmod(0o600)
    argv = [str(program.path), "-f", str(path), "-DD", "-E", "-Y", str(folder), *_MEMORY]
    return Service(name, host.name, argv, ready=accepts(host.address, port), env=program.env)


def configuration(
    modules: Path, address: str, *, port: int, domain: str, users: Iterable[PbxUser]
) -> str:
    """The text of ``kamailio.cfg``."""
    text, known = _TEMPLATE.read_text(), tuple(users)
    values = {
        "LISTEN": f"listen=udp:{address}:{port}\nlisten=tcp:{address}:{port}",
        "DOMAIN": domain,
        "ADDRESS": address,
        "PORT": str(port),
        "MODULES": "\n".join(f'loadmodule "{modules}/{name}.so"' for name in _MODULES),
        "PASSWORDS": "\n".join(_password_case(user, domain) for user in known),
        "KNOWN": "\n".join(_absent_case(user) for user in known),
    }
    for name, value in values.items():
        text = text.replace(f"@{name}@", value)
    return text


def _password_case(user: PbxUser, realm: str) -> str:
    ha1 = hashlib.md5(
        f"{user.number}:{realm}:{user.password}".encode(), usedforsecurity=False
    ).hexdigest()
    return f'    case "{user.number}":\n      $var(ha1) = "{ha1}";\n      break;'


def _absent_case(user: PbxUser) -> str:
    reply = 'sl_send_reply("480", "Temporarily Unavailable");'
    return f'    case "{user.number}":\n      {reply}\n      break;'
