"""RAUC's twin misbehaves: an update fails with words, and the good slot stays."""

from __future__ import annotations

import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import yaml
from dbus_fast import Variant

from openturret.boot.errors import SlotError
from openturret.boot.folder import StateFolder
from openturret.boot.identity import Identity
from openturret.boot.provision import Provisioner
from openturret.boot.slots.rauc import RaucSlots
from openturret.boot.status import StatusBoard
from openturret.hal.clock import SystemClock
from tests.boot.conftest import SignedTree, Tss
from tests.boot.slots.rauc_twin import RaucTwin
from tests.boot.slots.rigs import TwinRig
from tests.boot.test_provision import Unit

pytestmark = pytest.mark.slow


@pytest.fixture
async def rig() -> AsyncIterator[TwinRig]:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        rig = TwinRig(Path(folder))
        yield rig
        await rig.close()


async def proven(rig: TwinRig) -> tuple[RaucSlots, RaucTwin]:
    """A unit that has proved itself with 1.0, and its RAUC."""
    slots = await rig.power_on()
    await slots.install(*rig.image("1.0"))
    slots = await rig.power_on()
    await slots.start()
    await slots.commit()
    assert rig.twin is not None
    return slots, rig.twin


async def still_good(rig: TwinRig) -> None:
    slots = await rig.power_on()
    slot = await slots.start()
    assert (slot.version, slot.on_trial) == ("1.0", False)


async def test_an_installation_that_never_ends_is_given_up(rig: TwinRig) -> None:
    _, twin = await proven(rig)
    twin.hangs = True
    with pytest.raises(SlotError, match="did not finish"):
        await rig.slots(install_s=0.05).install(*rig.image("2.0"))
    await still_good(rig)


async def test_a_service_that_goes_away_is_said_to_be_gone_at_once(rig: TwinRig) -> None:
    slots, twin = await proven(rig)
    twin.leaves = True
    with pytest.raises(SlotError, match="went away"):
        await slots.install(*rig.image("2.0"))
    await still_good(rig)


async def test_a_bundle_of_another_version_than_its_manifest_is_not_started(rig: TwinRig) -> None:
    slots, twin = await proven(rig)
    twin.lies = "9.0"
    with pytest.raises(SlotError, match=r"holds version 9\.0, its manifest says 2\.0"):
        await slots.install(*rig.image("2.0"))
    await still_good(rig)


async def test_why_rauc_refuses_is_passed_on(rig: TwinRig) -> None:
    slots, _ = await proven(rig)
    with pytest.raises(SlotError, match="signature verification failed"):
        await slots.install(*rig.image("2.0", sound=False))
    await still_good(rig)


async def test_one_installation_at_a_time(rig: TwinRig) -> None:
    _, twin = await proven(rig)
    twin.hangs = True
    slots = rig.slots(install_s=0.05)
    with pytest.raises(SlotError, match="did not finish"):
        await slots.install(*rig.image("2.0"))
    twin.hangs = False
    await slots.install(*rig.image("2.1"))


@pytest.mark.parametrize(
    "answer",
    [
        ("s", ["nonsense"]),
        ("", []),
        ("a(sa{sv})", [[]]),
        ("a(sa{sv})", [[["rootfs.0", {"bootname": Variant("s", "A")}]]]),
        ("a(sa{sv})", [[["x", {"bootname": Variant("u", 1), "state": Variant("u", 1)}]] * 3]),
    ],
    ids=["text", "nothing", "no slot", "none booted", "three"],
)
async def test_slots_that_make_no_sense_are_an_error_with_words(
    rig: TwinRig, answer: tuple[str, list[object]]
) -> None:
    slots, twin = await proven(rig)
    twin.answers = answer
    for ask in (slots.newest, slots.start):
        with pytest.raises(SlotError):
            await ask()


async def test_without_a_service_or_a_bus_there_are_words_too(rig: TwinRig, tmp_path: Path) -> None:
    with pytest.raises(SlotError, match="GetSlotStatus"):
        await rig.slots().newest()
    with pytest.raises(SlotError, match="no D-Bus"):
        await RaucSlots(tmp_path, bus=f"unix:path={tmp_path}/none").newest()


async def test_the_bundle_that_a_manifest_names_comes_from_the_tss(
    rig: TwinRig,
    tmp_path: Path,
    identity: Identity,
    tree: SignedTree,
    start_tss: Callable[..., Tss],
) -> None:
    image, manifest = rig.image("1.0")
    facts = {"version": "1.0", "file": image.name, "sha256": manifest.sha256}
    tree.publish(
        {
            "sites/default/config.yaml": b"application.config.version: 1\n",
            "firmware/touchpro/manifest.yaml": yaml.safe_dump(facts).encode(),
            f"firmware/touchpro/{image.name}": image.read_bytes(),
        }
    )
    slots = await rig.power_on()
    folder = StateFolder(tmp_path / "unit")
    status = StatusBoard(folder.status, SystemClock(), {})
    provisioner = Provisioner(identity, folder, slots, status, SystemClock())
    unit = Unit(folder, status, slots, provisioner)
    assert await unit.visit(start_tss()) == 1
    kept = await provisioner.kept()
    assert kept is not None
    assert (kept.slot.name, kept.slot.version) == ("rootfs.1", "1.0")
    slots = await rig.power_on()
    assert (await slots.start()).version == "1.0"


async def test_firmware_that_came_by_hand_is_on_trial_too(rig: TwinRig) -> None:
    slots, _ = await proven(rig)
    await slots.install(*rig.image("2.0"))
    (rig.record).unlink()
    slots = await rig.power_on()
    slot = await slots.start()
    assert (slot.version, slot.on_trial) == ("2.0", True)
    await slots.commit()
    slots = await rig.power_on()
    assert not (await slots.start()).on_trial


async def test_a_bootloader_that_gives_up_before_the_agent_runs_counts_as_a_trial(
    rig: TwinRig,
) -> None:
    slots, _ = await proven(rig)
    await slots.install(*rig.image("2.0"))
    rig.bootloader.start()
    slots = await rig.power_on()
    assert (await slots.start()).version == "1.0"
    assert rig.words == "start 1 of firmware 2.0 ended without a verdict"


async def test_an_agent_that_starts_again_in_the_same_boot_changes_nothing(rig: TwinRig) -> None:
    slots, _ = await proven(rig)
    await slots.install(*rig.image("2.0"))
    again = rig.slots()
    assert await again.settle(rig.packages) is None
    assert (await again.start()).version == "1.0"
    newest = await again.newest()
    assert newest is not None
    assert newest.version == "2.0"


async def test_the_only_bootable_slot_is_not_taken_back(rig: TwinRig) -> None:
    slots, _ = await proven(rig)
    await slots.install(*rig.image("2.0"))
    slots = await rig.power_on()
    await slots.start()
    rig.bootloader.ask("set-state", "B", "bad")
    assert await slots.reject("no ticks") is None
    assert rig.bootloader.ask("get-state", "A") == "good"
