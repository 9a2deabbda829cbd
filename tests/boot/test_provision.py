"""From hints to a slot over loopback: TFTP, FTPES and trust are real, DHCP and DNS are given."""

from __future__ import annotations

import contextlib
import hashlib
import io
import json
import shutil
import socket
import threading
import zipfile
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Address
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import yaml

from openturret.boot.errors import BootError, DocumentError, TrustError, UnknownNameError
from openturret.boot.fetch.transport import Server
from openturret.boot.fetch.tss import HintStore, parse_hint
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.lan.lease import Lease
from openturret.boot.provision import FIRMWARE_ALARM, REFUSED_ALARM, Provisioner
from openturret.boot.slots.files import FileSlots
from openturret.boot.slots.manager import Manifest, SlotManager
from openturret.boot.status import StatusBoard
from openturret.boot.wire.dns import Service
from openturret.hal.clock import SystemClock

if TYPE_CHECKING:
    from tests.boot.conftest import SignedTree, Tss

CONFIG = "units/02-54-50-00-00-01/config.yaml"
HOST = IPv4Address("127.0.0.1")
LEASE = Lease(HOST, 8, HOST, 0.0, 3600, 1800, 3150, domain="turret.example")


@dataclass
class Names:
    """A resolver that knows some names."""

    known: dict[str, IPv4Address] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)

    async def resolve(self, name: str) -> tuple[IPv4Address, ...]:
        self.asked.append(name)
        if name not in self.known:
            raise UnknownNameError(f"{name} does not exist", "")
        return (self.known[name],)

    async def services(self, name: str) -> tuple[Service, ...]:
        self.asked.append(name)
        raise UnknownNameError(f"{name} does not exist", "")


def content(version: int = 1, firmware: str = "0.1.0") -> dict[str, bytes]:
    image = io.BytesIO()
    with zipfile.ZipFile(image, "w") as wheel:
        wheel.writestr("openturret/firmware/__init__.py", f"# {firmware}")
    manifest = {"version": firmware, "file": "openturret-0.1.0.whl",
                "sha256": hashlib.sha256(image.getvalue()).hexdigest()}  # fmt: skip
    return {
        CONFIG: f"application.config.version: {version}\n".encode(),
        "firmware/touchpro/manifest.yaml": yaml.safe_dump(manifest).encode(),
        "firmware/touchpro/openturret-0.1.0.whl": image.getvalue(),
    }


def served_by(node: Tss) -> Server:
    return Server("tss1.turret.example", HOST, node.port, node.https_port)


@dataclass
class Unit:
    """A provisioner whose TSS nodes are told where they listen."""

    folder: StateFolder
    status: StatusBoard
    slots: SlotManager
    provisioner: Provisioner

    async def visit(self, *nodes: Tss | Server) -> int:
        async def servers() -> AsyncIterator[Server]:
            for node in nodes:
                yield node if isinstance(node, Server) else served_by(node)

        take = self.provisioner._provision
        return (await self.provisioner._first_good(servers(), take))[1].version

    def alarms(self) -> str:
        return str(self.status.as_json()["alarms"])


@pytest.fixture
def unit(tmp_path: Path, identity: Identity) -> Unit:
    folder = StateFolder(tmp_path / "state")
    status = StatusBoard(folder.status, SystemClock(), {})
    slots = FileSlots(folder.slots, lambda _: True, prepare=Path.exists)
    provisioner = Provisioner(identity, folder, slots, status, SystemClock())
    return Unit(folder, status, slots, provisioner)


async def test_configuration_and_firmware_are_kept(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss]
) -> None:
    tree.publish(content())
    assert await unit.provisioner.kept() is None
    assert await unit.visit(start_tss()) == 1
    kept = await unit.provisioner.kept()
    assert kept is not None
    assert (kept.version, kept.slot.version) == (1, "0.1.0")
    assert not list((unit.folder.trust / "targets").glob("*.whl")), "unpacked, so not kept twice"


async def test_firmware_that_is_refused_keeps_no_configuration_away(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss]
) -> None:
    tree.publish(content(firmware="0.2.0"))
    tss = start_tss()
    await unit.visit(tss)
    await unit.slots.start()
    await unit.slots.commit()
    tree.publish(content(version=2, firmware="0.1.0"))
    assert await unit.visit(tss) == 2
    assert "0.1.0 is older than 0.2.0" in unit.alarms()
    assert FIRMWARE_ALARM in unit.alarms()
    tree.publish(content(version=3, firmware="0.3.0"))
    assert await unit.visit(tss) == 3
    assert FIRMWARE_ALARM not in unit.alarms()


async def test_a_unit_without_a_file_of_its_own_gets_the_sites(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss]
) -> None:
    files = content()
    del files[CONFIG]
    files["sites/default/config.yaml"] = b"application.config.version: 5\n"
    tree.publish(files)
    assert await unit.visit(start_tss()) == 5


async def test_an_older_configuration_is_refused_and_the_kept_one_stays(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss]
) -> None:
    tree.publish(content(version=7))
    tss = start_tss()
    await unit.visit(tss)
    tree.publish(content(version=6))
    with pytest.raises(TrustError, match="6 is older than the last accepted 7"):
        await unit.visit(tss)
    assert b"7" in unit.folder.configuration.read_bytes()
    assert REFUSED_ALARM in unit.alarms()


async def test_the_next_server_is_used_when_the_first_has_forged_content(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss], tmp_path: Path
) -> None:
    tree.publish(content())
    good = start_tss()
    forged = tmp_path / "forged"
    shutil.copytree(tree.folder, forged)
    timestamp = forged / "metadata" / "timestamp.json"
    document = json.loads(timestamp.read_text())
    document["signed"]["version"] = 9
    timestamp.write_text(json.dumps(document))
    tree.folder = forged
    bad = start_tss()
    assert await unit.visit(bad, good) == 1
    assert REFUSED_ALARM in unit.alarms()


async def test_the_next_server_is_used_when_the_first_is_dead(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss]
) -> None:
    tree.publish(content())
    dead, good = start_tss(), start_tss()
    dead.close()
    assert await unit.visit(dead, good) == 1


@contextlib.contextmanager
def wicked(answer: bytes) -> Iterator[Server]:
    """A server that says the same to everybody on both ports, and then nothing any more."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port = listener.getsockname()[1]
        thread = threading.Thread(target=_say_to_all, args=(listener, answer))
        thread.start()
        yield Server("tss1.turret.example", HOST, port, port)
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


def _say_to_all(listener: socket.socket, answer: bytes) -> None:
    with contextlib.suppress(OSError):
        while True:
            with listener.accept()[0] as client, contextlib.suppress(OSError):
                client.sendall(answer)


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"nonsense\r\n",
        b"220 hi\r\n234 go on\r\n230 welcome\r\n",
        b"220-" + b"a" * 100_000,
        b"\x16\x03\x01\x00\x02\x02\x28",
        b"HTTP/1.1 200 OK\r\n\r\n",
    ],
    ids=["cut", "nonsense", "injection", "endless", "alert", "plain"],
)
async def test_the_next_server_is_used_when_the_first_is_wicked(
    answer: bytes, unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss]
) -> None:
    tree.publish(content())
    good = start_tss()
    with wicked(answer) as bad:
        assert await unit.visit(bad, good) == 1


ROUND_TRIPS = {
    "both": {"cold": (2, 4, 4), "warm": (2, 1, 0)},
    "https": {"cold": (2, 4, 2), "warm": (2, 1, 0)},
    "ftpes": {"cold": (5, 15, 8), "warm": (5, 3, 0)},
}
"""Of tss, trust and slot, as docs/boot.md has them."""


@pytest.mark.parametrize("transports", ROUND_TRIPS)
async def test_round_trips_by_transport(
    transports: str, unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss]
) -> None:
    tree.publish(content())
    node = start_tss()
    server = served_by(node)
    if transports == "ftpes":
        node.close_https()
    if transports == "https":
        server = replace(server, ftpes_port=1)
    for boot in ("cold", "warm"):
        unit.status.reset(("tss", "trust", "slot"))
        await unit.visit(server)
        counted = tuple(unit.status.stage(name).round_trips for name in ("tss", "trust", "slot"))
        assert counted == ROUND_TRIPS[transports][boot], boot


async def test_a_tree_that_is_refused_over_one_transport_may_be_good_over_the_other(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss], tmp_path: Path
) -> None:
    tree.publish(content())
    good = start_tss()
    tree.folder = tmp_path / "empty"
    empty = start_tss()
    mixed = Server("tss1.turret.example", HOST, good.port, empty.https_port)
    assert await unit.visit(mixed) == 1
    assert REFUSED_ALARM in unit.alarms()


@pytest.mark.parametrize(
    "files",
    [
        {CONFIG: b"- no mapping\n"},
        {CONFIG: b"application.config.version: [1]\n"},
        {"firmware/touchpro/manifest.yaml": b"version: 0.1.0\n"},
        {
            "firmware/touchpro/manifest.yaml": b"{version: a, file: ../x, sha256: "
            + b"0" * 64
            + b"}"
        },
        {"firmware/touchpro/openturret-0.1.0.whl": b"no zip"},
    ],
    ids=["list", "version", "incomplete", "traversal", "image"],
)
async def test_signed_nonsense_changes_nothing(
    unit: Unit, tree: SignedTree, start_tss: Callable[..., Tss], files: dict[str, bytes]
) -> None:
    tss = start_tss()
    tree.publish(content())
    await unit.visit(tss)
    before = unit.folder.configuration.read_bytes(), await unit.provisioner.kept()
    changed = {**content(version=2), **files}
    if "firmware/touchpro/openturret-0.1.0.whl" in files:
        manifest = yaml.safe_load(changed["firmware/touchpro/manifest.yaml"])
        manifest["sha256"] = hashlib.sha256(b"other").hexdigest()
        changed["firmware/touchpro/manifest.yaml"] = yaml.safe_dump(manifest).encode()
    tree.publish(changed)
    with pytest.raises(BootError):
        await unit.visit(tss)
    assert (unit.folder.configuration.read_bytes(), await unit.provisioner.kept()) == before


async def test_without_hints_the_last_good_servers_and_then_dns_are_asked(unit: Unit) -> None:
    names = Names()
    with pytest.raises(UnknownNameError):
        await unit.provisioner.provision(LEASE, names)
    by_dns = ["_turret-tss._tcp.turret.example",
              "tss1.turret.example", "tss2.turret.example", "tss.turret.example"]  # fmt: skip
    assert names.asked == by_dns
    names.asked.clear()
    HintStore(unit.folder.hints).save(["kept.turret.example"])
    with pytest.raises(UnknownNameError):
        await unit.provisioner.provision(LEASE, names)
    assert names.asked == ["kept.turret.example", *by_dns]


def test_a_hint_names_servers() -> None:
    assert parse_hint(b"tss.servers: [tss1.turret.example, tss2.turret.example]\n") == (
        "tss1.turret.example", "tss2.turret.example",
    )  # fmt: skip
    for data in (b"", b"x: 1\n", b"tss.servers: []\n", b"tss.servers: {a: 1}\n", b"x" * 20_000):
        with pytest.raises(DocumentError):
            parse_hint(data)


@pytest.mark.parametrize("damage", [b"", b"{", b"{}", b"7", b'"x"'])
def test_damaged_hints_are_no_hints(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "tss.json").write_bytes(damage)
    assert HintStore(tmp_path / "tss.json").load() == ()


def test_a_manifest_names_a_file_beside_it() -> None:
    sha256 = "0" * 64
    good = f"version: 0.1.0\nfile: a.whl\nsha256: '{sha256}'\n".encode()
    assert Manifest.parse(good) == Manifest("0.1.0", "a.whl", sha256)
    for old, new in ((b"a.whl", b"b/a.whl"), (b"file", b"flie"), (b"'0", b"'")):
        with pytest.raises(DocumentError):
            Manifest.parse(good.replace(old, new))
