"""Writes slapd's configuration, loads the people into it, and describes its process.

Everything lives in one folder and no privilege is needed. Passwords are stored as salted
hashes; nobody may read them, a bind is the only use of them.
"""

from __future__ import annotations

import base64
import hashlib
import os
import subprocess
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from ..certificates import ServerCertificate
from ..errors import ServiceError
from ..plan import Host
from ..processes import Service, accepts
from ..tools import Tool, tool

SUFFIX = "dc=turret,dc=example"
PEOPLE = f"ou=people,{SUFFIX}"

_SCHEMAS = ("core", "cosine", "inetorgperson")
_MAP_BYTES = 16 * 1024 * 1024


@dataclass(frozen=True, slots=True)
class DirectoryUser:
    """Who may log in at a unit."""

    user: str
    password: str = field(repr=False)
    name: str
    number: str


def load(
    folder: Path,
    *,
    authority: Path,
    certificate: ServerCertificate,
    users: Iterable[DirectoryUser],
) -> None:
    """Write the configuration and load the people; the server must not run.

    Raises:
        ServiceError: slapadd refused the entries.
        ToolMissingError: slapd is not there.
    """
    (folder / "data").mkdir(parents=True, exist_ok=True)
    (folder / "slapd.conf").write_text(
        _configuration(tool("slapd"), folder, authority, certificate)
    )
    ldif = folder / "people.ldif"
    ldif.write_text(_tree(users))
    ldif.chmod(0o600)
    program = tool("slapadd")
    done = subprocess.run(
        [str(program.path), "-q", "-f", str(folder / "slapd.conf"), "-l", str(ldif)],
        env=program.environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise ServiceError(f"slapadd: {done.stderr.strip()}")


def service(name: str, host: Host, folder: Path, *, port: int = 636) -> Service:
    """One slapd that answers LDAPS and nothing else; `load` its folder first."""
    program = tool("slapd")
    url = f"ldaps://{host.address}:{port}"
    return Service(
        name,
        host.name,
        [str(program.path), "-h", url, "-f", str(folder / "slapd.conf"), "-d", "stats"],
        ready=accepts(host.address, port),
        env=program.env,
    )


def _configuration(
    program: Tool, folder: Path, authority: Path, certificate: ServerCertificate
) -> str:
    schemas = program.find("etc/ldap/schema")
    return "\n".join(
        [
            *(f"include {schemas}/{name}.schema" for name in _SCHEMAS),
            f"modulepath {program.find('usr/lib/ldap')}",
            "moduleload back_mdb",
            f"pidfile {folder}/slapd.pid",
            f"argsfile {folder}/slapd.args",
            f"TLSCACertificateFile {authority}",
            f"TLSCertificateFile {certificate.certificate}",
            f"TLSCertificateKeyFile {certificate.key}",
            "TLSProtocolMin 3.3",
            "disallow bind_anon",
            "require bind",
            "threads 4",
            "database mdb",
            f'suffix "{SUFFIX}"',
            f"directory {folder}/data",
            f"maxsize {_MAP_BYTES}",
            "index uid eq",
            "access to attrs=userPassword by anonymous auth by * none",
            "access to * by users read by * none",
            "",
        ]
    )


def _tree(users: Iterable[DirectoryUser]) -> str:
    roots = [
        f"dn: {SUFFIX}\nobjectClass: dcObject\nobjectClass: organization\ndc: turret\no: Turret\n",
        f"dn: {PEOPLE}\nobjectClass: organizationalUnit\nou: people\n",
    ]
    return "\n".join([*roots, *(_entry(user) for user in users)])


def _entry(user: DirectoryUser) -> str:
    return (
        f"dn: uid={user.user},{PEOPLE}\n"
        "objectClass: inetOrgPerson\n"
        f"uid: {user.user}\n"
        f"cn: {user.name}\n"
        f"sn: {user.name.split()[-1]}\n"
        f"telephoneNumber: {user.number}\n"
        f"userPassword: {_salted_hash(user.password)}\n"
    )


def _salted_hash(password: str) -> str:
    """The {SSHA} form that every slapd knows without a module."""
    salt = os.urandom(8)
    digest = hashlib.sha1(password.encode() + salt, usedforsecurity=False).digest()
    return "{SSHA}" + base64.b64encode(digest + salt).decode()
