"""Writes HAProxy's configuration: LDAPS is passed through, both directories are watched.

TLS ends at slapd, so a unit verifies the directory itself. A TLS handshake is the health
check: it also finds a slapd that is frozen, whose port still accepts. A connection that
finds a dead server is sent to the other one.
"""

from __future__ import annotations

import asyncio
import csv
import os
from collections.abc import Sequence
from pathlib import Path

from ..plan import Host
from ..processes import Service, accepts
from ..tools import tool

_CHECK_MS = 300


def service(
    name: str, host: Host, folder: Path, *, servers: Sequence[Host], port: int = 636
) -> Service:
    """The HAProxy in front of the directories.

    Args:
        name: what the bench calls it.
        host: where it runs.
        folder: its configuration.
        servers: the directories behind it.
        port: the port of all of them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "haproxy.cfg"
    path.write_text(_configuration(host, servers, port, _control(folder)))
    program = tool("haproxy")
    return Service(
        name,
        host.name,
        [str(program.path), "-f", str(path), "-db"],
        ready=accepts(host.address, port),
        env=program.env,
    )


async def server_states(folder: Path) -> dict[str, str]:
    """What the balancer of a folder thinks of each directory: ``UP``, ``DOWN``, ….

    Raises:
        OSError: the balancer does not run.
    """
    reader, writer = await asyncio.open_unix_connection(os.fspath(_control(folder)))
    writer.write(b"show stat -1 4 -1\n")
    rows = csv.DictReader((await reader.read()).decode().lstrip("# ").splitlines())
    writer.close()
    await writer.wait_closed()
    return {row["svname"]: row["status"].split()[0] for row in rows}


def _control(folder: Path) -> Path:
    return folder / "haproxy.sock"


def _configuration(host: Host, servers: Sequence[Host], port: int, control: Path) -> str:
    return "\n".join(
        [
            "global",
            "  maxconn 200",
            "  nbthread 1",
            f"  stats socket {control} mode 600 level operator",
            "  log stdout format raw daemon",
            "defaults",
            "  mode tcp",
            "  log global",
            "  timeout connect 500ms",
            "  timeout client 60s",
            "  timeout server 60s",
            "  timeout check 700ms",
            "  option redispatch 1",
            "  option tcplog",
            "  retries 3",
            f"  default-server check check-ssl verify none inter {_CHECK_MS}ms fall 1 rise 1"
            " on-marked-down shutdown-sessions",
            "listen ldaps",
            f"  bind {host.address}:{port}",
            "  balance roundrobin",
            *(f"  server {server.name} {server.address}:{port}" for server in servers),
            "",
        ]
    )
