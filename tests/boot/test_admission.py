"""A unit and the bench's TSS: password, certificate, revocation, rotation; either transport."""

from __future__ import annotations

import shutil
import zipfile
from collections.abc import AsyncIterator, Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from openturret.boot.errors import (
    AccountRefusedError,
    BootError,
    NoSuchFileError,
    SlotError,
    TrustError,
)
from openturret.boot.fetch.ftpes import FtpesSession
from openturret.boot.fetch.https import HttpsSession
from openturret.boot.fetch.transport import Account, Server, Session, Terms
from openturret.boot.fetch.visit import Opener
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.provision import KEPT_ALARM, Provisioner
from openturret.boot.slots.files import FileSlots
from openturret.boot.status import StatusBoard
from openturret.boot.trusted.kept import KeptContent, digest
from openturret.boot.trusted.trust import TrustStore
from openturret.boot.trusted.vouchers import Voucher
from openturret.hal.clock import SystemClock
from openturret.lab.tss import Administration

if TYPE_CHECKING:
    from tests.boot.conftest import LabTss

OPENERS: dict[str, Opener] = {"ftpes": FtpesSession.open, "https": HttpsSession.open}


@dataclass
class Unit:
    """A unit that knows its TSS servers."""

    identity: Identity
    folder: StateFolder
    status: StatusBoard
    provisioner: Provisioner

    async def visit(self, *servers: Server) -> int:
        async def known() -> AsyncIterator[Server]:
            for server in servers:
                yield server

        take = self.provisioner._provision
        return (await self.provisioner._first_good(known(), take))[1].version

    def open(
        self,
        way: str,
        server: Server,
        *,
        password: str = "",
        count: Callable[[int], None] = lambda _: None,
    ) -> Session:
        """Opens one transport with what the unit shows now."""
        account = Account(self.identity.username, password or self.identity.password)
        terms = Terms(self.provisioner.enrolment.context(), SystemClock())
        return OPENERS[way](server, account, terms, count=count)

    def reads(self, way: str, server: Server, path: str = "metadata/timestamp.json") -> bytes:
        with closing(self.open(way, server)) as session:
            return b"".join(session.fetch(path))

    @property
    def enrolled(self) -> bool:
        return self.provisioner.enrolment.validity() is not None

    def alarms(self) -> str:
        return str(self.status.as_json()["alarms"])


@pytest.fixture
def unit(tmp_path: Path, identity: Identity, tss: Administration) -> Unit:
    with zipfile.ZipFile(tmp_path / "image.whl", "w") as wheel:
        wheel.writestr("openturret/firmware/__init__.py", "")
    tss.add_firmware("touchpro", "0.1.0", tmp_path / "image.whl")
    tss.publish()
    object.__setattr__(identity, "root", tss.root)
    folder = StateFolder(tmp_path / "state")
    status = StatusBoard(folder.status, SystemClock(), {})
    slots = FileSlots(folder.slots, lambda _: True, prepare=Path.exists)
    return Unit(identity, folder, status,
                Provisioner(identity, folder, slots, status, SystemClock()))  # fmt: skip


@pytest.fixture
def server(start_lab_tss: Callable[..., LabTss]) -> Server:
    return start_lab_tss().server


async def test_a_password_is_enough_by_default(unit: Unit, server: Server) -> None:
    assert await unit.visit(server) == 1
    assert not unit.enrolled


async def test_where_certificates_are_demanded_a_unit_enrols_at_first_contact(
    unit: Unit, server: Server, tss: Administration
) -> None:
    tss.demand_certificates()
    assert await unit.visit(server) == 1
    assert unit.enrolled


@pytest.mark.parametrize("way", ["ftpes", "https"])
async def test_a_certificate_opens_either_transport_without_the_password(
    unit: Unit, server: Server, tss: Administration, way: str
) -> None:
    unit.provisioner.enrolment.enrol(server)
    tss.demand_certificates()
    with closing(unit.open(way, server, password="not it")) as session:
        assert b"".join(session.fetch("metadata/timestamp.json"))
        assert b"".join(session.fetch("metadata/1.root.json"))


@pytest.mark.parametrize("way", ["ftpes", "https"])
async def test_a_certificate_costs_no_round_trip(unit: Unit, server: Server, way: str) -> None:
    def trips() -> int:
        counted: list[int] = []
        with closing(unit.open(way, server, count=counted.append)) as session:
            assert b"".join(session.fetch("metadata/timestamp.json"))
        return sum(counted)

    with_password = trips()
    unit.provisioner.enrolment.enrol(server)
    assert trips() <= with_password


@pytest.mark.parametrize("way", ["ftpes", "https"])
async def test_a_certificate_reads_nothing_of_another_unit(
    unit: Unit, server: Server, way: str
) -> None:
    unit.provisioner.enrolment.enrol(server)
    with pytest.raises(NoSuchFileError):
        unit.reads(way, server, "targets/units/02-54-50-00-00-99/config.yaml")


@pytest.mark.parametrize("way", ["ftpes", "https"])
async def test_a_revoked_unit_is_refused_by_either_transport(
    unit: Unit, server: Server, tss: Administration, way: str
) -> None:
    unit.provisioner.enrolment.enrol(server)
    tss.revoke_unit(unit.identity.mac)
    with pytest.raises(AccountRefusedError):
        unit.reads(way, server)


async def test_a_revoked_unit_keeps_what_it_has(
    unit: Unit, server: Server, tss: Administration
) -> None:
    await unit.visit(server)
    tss.revoke_unit(unit.identity.mac)
    with pytest.raises(AccountRefusedError) as caught:
        await unit.visit(server)
    assert "enrol" in caught.value.remedy
    assert await unit.provisioner.kept()


async def test_a_certificate_of_a_tss_that_was_made_anew_is_replaced(
    unit: Unit, server: Server, tss: Administration, start_lab_tss: Callable[..., LabTss]
) -> None:
    """The new authority does not know the old one's certificates, and TLS itself refuses them.

    The alert that says so may be lost, because the server closes while the unit still writes.
    """
    unit.provisioner.enrolment.enrol(server)
    shutil.rmtree(tss.folder / "enrolment")
    Administration(tss.folder).demand_certificates()
    anew = start_lab_tss().server
    assert await unit.visit(anew) == 1
    for way in ("ftpes", "https"):
        assert unit.reads(way, anew)


async def test_a_unit_follows_a_root_and_uses_what_it_kept_under_the_old_one(
    unit: Unit, server: Server, tss: Administration
) -> None:
    await unit.visit(server)
    for _ in range(3):
        tss.rotate_root()
    tss.set_configuration("default", {"application.config.version": 2})
    tss.publish()
    assert await unit.visit(server) == 2
    tss.rotate_root("targets")
    with closing(unit.open("https", server)) as session:
        TrustStore(unit.folder.trust, unit.identity.root, SystemClock()).refresh(session)
    assert await unit.provisioner.kept(), "the revoked key has signed it while it was good"


@pytest.mark.parametrize("way", ["ftpes", "https"])
@pytest.mark.parametrize("fault", ["expired", "wrongly signed", "older", "tampered"])
async def test_an_attack_over_a_real_transport_changes_nothing(
    unit: Unit, server: Server, tss: Administration, way: str, fault: str
) -> None:
    first = tss.publish()
    tss.publish()
    await unit.visit(server)
    before = unit.folder.configuration.read_bytes()
    tss.set_configuration("default", {"application.config.version": 2})
    attacks: dict[str, Callable[[], object]] = {
        "expired": tss.publish_expired,
        "wrongly signed": tss.publish_wrongly_signed,
        "older": lambda: tss.publish_older(first),
        "tampered": tss.publish,
    }
    attacks[fault]()
    if fault == "tampered":
        tss.tamper("sites/default/config.yaml")
    store = TrustStore(unit.folder.trust, unit.identity.root, SystemClock())
    with closing(unit.open(way, server)) as session, pytest.raises(TrustError) as caught:
        store.refresh(session).must_fetch("sites/default/config.yaml")
    assert caught.value.remedy
    with pytest.raises(BootError):
        await unit.visit(server)
    assert unit.folder.configuration.read_bytes() == before
    assert await unit.provisioner.kept()
    tss.publish()
    assert await unit.visit(server) == 2


async def test_many_units_cost_a_unit_one_more_small_file(
    unit: Unit, server: Server, tss: Administration
) -> None:
    for number in range(70):
        tss.set_configuration(f"02-54-50-00-01-{number:02x}", {"application.config.version": 1})
    tss.set_configuration(unit.identity.folder, {"application.config.version": 4})
    tss.publish()
    assert await unit.visit(server) == 4
    kept = await unit.provisioner.kept()
    assert kept, "the voucher leads over a bin"
    sizes = [path.stat().st_size for path in (unit.folder.trust / "metadata").glob("*.json")]
    assert max(sizes) < 50_000


# ------------------------------------------------------------ what lies on the medium


async def test_a_kept_configuration_that_was_changed_is_not_used(
    unit: Unit, server: Server
) -> None:
    await unit.visit(server)
    data = unit.folder.configuration.read_bytes()
    unit.folder.configuration.write_bytes(data + b"application.syslog.server: 10.6.6.6:514\n")
    assert await unit.provisioner.kept() is None
    assert KEPT_ALARM in unit.alarms()
    assert "config/unit.yaml" in unit.alarms()
    assert await unit.visit(server) == 1, "the TSS mends it"
    assert KEPT_ALARM not in unit.alarms() or await unit.provisioner.kept()


async def test_a_voucher_for_something_else_vouches_for_nothing(unit: Unit, server: Server) -> None:
    await unit.visit(server)
    good = unit.folder.configuration.read_bytes()
    changed = good + b"application.syslog.server: 10.6.6.6:514\n"
    shutil.copy(unit.folder.vouchers / f"{digest(good)}.json",
                unit.folder.vouchers / f"{digest(changed)}.json")  # fmt: skip
    unit.folder.configuration.write_bytes(changed)
    assert await unit.provisioner.kept() is None
    assert "was signed with another content" in unit.alarms()


async def test_what_was_signed_for_another_unit_is_not_used(
    unit: Unit, server: Server, tss: Administration
) -> None:
    other = "02-54-50-00-00-99"
    tss.set_configuration(other, {"application.config.version": 9})
    tss.publish()
    await unit.visit(server)
    data = (tss.tree.targets / "units" / other / "config.yaml").read_bytes()
    with closing(unit.open("ftpes", server)) as session:
        tree = unit.provisioner._trust.refresh(session)
        unit.provisioner._kept.vouch(tree, f"units/{other}/config.yaml", digest(data))
    unit.folder.configuration.write_bytes(data)
    assert await unit.provisioner.kept() is None
    assert f"signed as units/{other}" in unit.alarms()


@pytest.mark.parametrize("forger", ["a stranger", "a stranger's root"])
async def test_a_forged_voucher_vouches_for_nothing(
    unit: Unit, server: Server, tmp_path: Path, forger: str
) -> None:
    """Somebody signs a configuration for this unit with keys of their own, on its medium."""
    await unit.visit(server)
    theirs = Administration(tmp_path / "theirs")
    theirs.set_configuration(unit.identity.folder, {"application.config.version": 9})
    theirs.publish()
    target = f"units/{unit.identity.folder}/config.yaml"
    data = (theirs.tree.targets / target).read_bytes()
    chain = (theirs.tree.metadata / "1.targets.json").read_bytes()
    voucher = bytes(Voucher(target, (chain,)))
    (unit.folder.vouchers / f"{digest(data)}.json").write_bytes(voucher)
    unit.folder.configuration.write_bytes(data)
    if forger == "a stranger's root":
        theirs.rotate_root("root")
        shutil.copy(theirs.tree.metadata / "2.root.json",
                    unit.folder.trust / "metadata" / "root_history" / "2.root.json")  # fmt: skip
    assert await unit.provisioner.kept() is None
    assert "no accepted root stands behind the voucher" in unit.alarms()


async def test_a_slot_that_nobody_signed_is_not_used(unit: Unit, server: Server) -> None:
    await unit.visit(server)
    record = unit.folder.slots / "record.json"
    kept = await unit.provisioner.kept()
    assert kept
    vouches = KeptContent.of(unit.identity, unit.folder, SystemClock()).vouches_for_firmware
    slots = FileSlots(unit.folder.slots, vouches, prepare=Path.exists)
    assert (await slots.start()).version == "0.1.0"
    record.write_bytes(record.read_bytes().replace(kept.slot.sha256.encode(), b"0" * 64))
    assert await unit.provisioner.kept() is None
    with pytest.raises(SlotError, match="no slot holds whole firmware"):
        await slots.start()


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"\xff", b'{"target": 1, "chain": []}'])
async def test_a_damaged_voucher_vouches_for_nothing(
    unit: Unit, server: Server, damage: bytes
) -> None:
    await unit.visit(server)
    for voucher in unit.folder.vouchers.iterdir():
        voucher.write_bytes(damage)
    assert await unit.provisioner.kept() is None
    assert await unit.visit(server) == 1
    assert await unit.provisioner.kept()


async def test_vouchers_do_not_pile_up(unit: Unit, server: Server, tss: Administration) -> None:
    for version in range(2, 6):
        tss.set_configuration("default", {"application.config.version": version})
        tss.publish()
        await unit.visit(server)
    assert len(list(unit.folder.vouchers.iterdir())) == 2


async def test_a_tampered_number_keeps_no_newer_configuration_away(
    unit: Unit, server: Server
) -> None:
    await unit.visit(server)
    unit.folder.configuration.write_bytes(b"application.config.version: 999999\n")
    assert await unit.visit(server) == 1
