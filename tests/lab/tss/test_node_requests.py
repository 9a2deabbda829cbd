"""A node tells what units ask, serves many at a time, and frees its ports at its end."""

from __future__ import annotations

import asyncio
import ftplib
import io
import socket
import ssl
from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path

import aiohttp
import pytest

from openturret.lab.certificates import Authority
from openturret.lab.tss import Administration
from openturret.lab.tss.content import Content
from openturret.lab.tss.node import Node
from openturret.lab.tss.request import Request

MAC, PASSWORD = "02:54:50:00:00:01", "amber wharf"
CONFIG = "targets/sites/default/config.yaml"
HOST = "127.0.0.1"


@dataclass
class Running:
    ports: tuple[int, int]
    context: ssl.SSLContext
    node: Node
    requests: list[Request] = field(default_factory=list)


def free_ports() -> tuple[int, int]:
    with socket.create_server((HOST, 0)) as one, socket.create_server((HOST, 0)) as other:
        return one.getsockname()[1], other.getsockname()[1]


@pytest.fixture
async def running(tmp_path: Path) -> AsyncIterator[Running]:
    tss = Administration(tmp_path / "tss")
    tss.add_unit(mac=MAC, serial="TP1", model="TouchPro", password=PASSWORD)
    tss.replace(Content({"default": {"application.unit.model": "TouchPro"}}))
    tss.publish()
    authority = Authority(tmp_path / "ca", now=datetime.now(UTC))
    certificate = authority.issue("tss", ["tss.turret.test"], addresses=[HOST])
    ports, context = free_ports(), ssl.create_default_context(cafile=authority.path)
    requests: list[Request] = []
    node = Node(HOST, tss.folder, certificate.both, ports=ports, tell=requests.append)
    await node.start()
    yield Running(ports, context, node, requests)
    await node.close()


def visit(running: Running, paths: list[str], password: str = PASSWORD) -> list[bytes]:
    """One FTPES session; data connections resume its TLS session."""
    client = _Ftpes(context=running.context, timeout=5)
    with client:
        client.connect(HOST, running.ports[0])
        client.login(MAC, password)
        client.prot_p()
        return [_fetch(client, path) for path in paths]


class _Ftpes(ftplib.FTP_TLS):
    def ntransfercmd(
        self, cmd: str, rest: int | str | None = None
    ) -> tuple[socket.socket, int | None]:
        connection, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        assert isinstance(self.sock, ssl.SSLSocket)
        return self.context.wrap_socket(
            connection, server_hostname=self.host, session=self.sock.session
        ), size


def _fetch(client: ftplib.FTP_TLS, path: str) -> bytes:
    content = io.BytesIO()
    client.retrbinary(f"RETR {path}", content.write)
    return content.getvalue()


async def test_every_login_and_file_is_told_over_ftpes(running: Running) -> None:
    (content,) = await asyncio.to_thread(visit, running, [CONFIG])
    with pytest.raises(ftplib.error_perm):
        await asyncio.to_thread(visit, running, ["metadata/2.root.json"])
    with pytest.raises(ftplib.error_perm):
        await asyncio.to_thread(visit, running, [], "wrong")
    told = [(r.unit, r.what, r.result, r.octets) for r in running.requests]
    assert (MAC, "login", "ok", 0) in told
    assert (MAC, CONFIG, "ok", len(content)) in told
    assert (MAC, "metadata/2.root.json", "missing", 0) in told
    assert told[-1][2].startswith("unknown unit")


async def test_every_file_is_told_over_https(running: Running) -> None:
    token = b64encode(f"{MAC.replace(':', '-')}:{PASSWORD}".encode()).decode()
    account = {"Authorization": f"Basic {token}"}
    url = f"https://{HOST}:{running.ports[1]}"
    async with aiohttp.ClientSession(headers=account) as session:
        async with session.get(f"{url}/{CONFIG}", ssl=running.context) as answer:
            content = await answer.read()
        async with session.get(f"{url}/metadata/none", ssl=running.context) as answer:
            assert answer.status == 404
    for _ in range(100):
        if len(running.requests) == 2:
            break
        await asyncio.sleep(0.01)
    assert [(r.unit, r.what, r.result) for r in running.requests] == [
        (MAC, CONFIG, "ok"), (MAC, "metadata/none", "404 not found"),
    ]  # fmt: skip
    assert running.requests[0].octets == len(content)


async def test_many_units_are_served_at_a_time(running: Running) -> None:
    visits = [asyncio.to_thread(visit, running, [CONFIG] * 3) for _ in range(24)]
    contents = await asyncio.gather(*visits)
    assert {content for each in contents for content in each} == set(contents[0])


async def test_a_half_open_connection_holds_nobody_up(running: Running) -> None:
    silent = [socket.create_connection((HOST, port)) for port in running.ports for _ in range(50)]
    try:
        await asyncio.to_thread(visit, running, [CONFIG])
    finally:
        for connection in silent:
            connection.close()


async def test_beyond_its_bound_a_node_says_so(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(running.node._ftpes._server, "max_cons", 3)  # type: ignore[union-attr]
    held = [socket.create_connection((HOST, running.ports[0])) for _ in range(3)]
    try:
        with pytest.raises(ftplib.error_temp, match="421"):
            await asyncio.to_thread(visit, running, [CONFIG])
    finally:
        for connection in held:
            connection.close()


async def test_its_end_frees_the_ports(running: Running) -> None:
    await running.node.close()
    for port in running.ports:
        socket.create_server((HOST, port)).close()


async def test_a_port_that_is_taken_is_an_error(running: Running, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="in use"):
        await Node(HOST, tmp_path / "tss", tmp_path / "ca/tss.pem", ports=running.ports).start()
