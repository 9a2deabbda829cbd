"""What every keeper of slots does, be it folders or RAUC."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from openturret.boot.errors import FirmwareRefusedError, SlotError
from openturret.boot.slots.manager import MAX_TRIALS, SlotManager
from tests.boot.slots.rigs import FilesRig, RaucRig, Rig, TwinRig, may_mount

pytestmark = pytest.mark.slow

KINDS: dict[str, Callable[[Path], Rig]] = {
    "files": FilesRig,
    "twin": TwinRig,
    **({"rauc": RaucRig} if may_mount() else {}),
}
"""RAUC itself runs where bundles may be mounted: see docs/boot.md."""


@pytest.fixture(params=list(KINDS))
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        rig = KINDS[request.param](Path(folder))
        yield rig
        await rig.close()


async def install(rig: Rig, slots: SlotManager, version: str) -> None:
    image, manifest = rig.image(version)
    assert await slots.wants(manifest)
    await slots.install(image, manifest)


async def unit_with(rig: Rig, version: str) -> SlotManager:
    """A unit that has proved itself with a version."""
    slots = await rig.power_on()
    await install(rig, slots, version)
    slots, slot = await rig.switch(slots)
    assert (slot.version, slot.on_trial) == (version, True)
    await slots.commit()
    return slots


async def started(rig: Rig) -> tuple[SlotManager, str]:
    slots = await rig.power_on()
    return slots, (await slots.start()).version


async def test_what_is_good_is_started_again_and_again(rig: Rig) -> None:
    await unit_with(rig, "1.0")
    for _ in range(3):
        slots = await rig.power_on()
        slot = await slots.start()
        assert (slot.version, slot.on_trial) == ("1.0", False)
        assert rig.words is None


async def test_new_firmware_is_tried_once_and_then_the_old_comes_first(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    await install(rig, slots, "2.0")
    newest = await slots.newest()
    assert newest is not None
    assert newest.version == "2.0"
    assert (await started(rig))[1] == "2.0"
    assert (await started(rig))[1] == "1.0"
    assert rig.words is not None
    assert "without a verdict" in rig.words
    assert (await started(rig))[1] == "2.0", "the power may have failed by chance"


async def test_what_was_committed_stays(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    await install(rig, slots, "2.0")
    slots, _ = await started(rig)
    await slots.commit()
    for _ in range(3):
        assert (await started(rig))[1] == "2.0"


async def test_what_was_rejected_gives_way_and_is_not_wanted_again(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    image, manifest = rig.image("2.0")
    await slots.install(image, manifest)
    slots, _ = await started(rig)
    instead = await slots.reject("no ticks")
    assert instead is not None
    assert instead.version == "1.0"
    slots, slot = await rig.switch(slots)
    assert (slot.version, slot.on_trial) == ("1.0", False)
    with pytest.raises(FirmwareRefusedError, match=r"2\.0 was taken back: no ticks"):
        await slots.wants(manifest)
    assert (await started(rig))[1] == "1.0"
    slots = await rig.power_on()
    await install(rig, slots, "2.1")
    assert (await started(rig))[1] == "2.1"


async def test_after_three_trials_without_a_verdict_it_is_taken_back(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    image, manifest = rig.image("2.0")
    await slots.install(image, manifest)
    seen = [(await started(rig))[1] for _ in range(2 * MAX_TRIALS + 2)]
    assert seen == ["2.0", "1.0"] * MAX_TRIALS + ["1.0", "1.0"]
    with pytest.raises(FirmwareRefusedError, match="3 starts ended without a verdict"):
        await (await rig.power_on()).wants(manifest)


async def test_older_firmware_is_refused_unless_it_is_allowed_by_name(rig: Rig) -> None:
    slots = await unit_with(rig, "2.0")
    image, manifest = rig.image("1.10")
    with pytest.raises(FirmwareRefusedError, match=r"1\.10 is older than 2\.0"):
        await slots.wants(manifest)
    with pytest.raises(FirmwareRefusedError, match="older"):
        await slots.install(image, manifest)
    allowed = dataclasses.replace(manifest, allow_downgrade=True)
    assert await slots.wants(allowed)
    await slots.install(image, allowed)
    slots, version = await started(rig)
    assert version == "1.10"
    await slots.commit()
    assert (await started(rig))[1] == "1.10"


async def test_what_is_there_already_is_not_wanted(rig: Rig) -> None:
    slots = await rig.power_on()
    image, manifest = rig.image("1.0")
    await slots.install(image, manifest)
    assert not await slots.wants(manifest)
    slots, _ = await rig.switch(slots)
    await slots.commit()
    assert not await slots.wants(manifest)


async def test_what_the_other_slot_still_holds_is_tried_without_coming_again(rig: Rig) -> None:
    slots = await rig.power_on()
    image, first = rig.image("1.0")
    await slots.install(image, first)
    slots, _ = await rig.switch(slots)
    await slots.commit()
    await install(rig, slots, "2.0")
    slots, _ = await started(rig)
    await slots.commit()
    assert not await slots.wants(dataclasses.replace(first, allow_downgrade=True))
    slots = await rig.power_on()
    slot = await slots.start()
    assert (slot.version, slot.on_trial) == ("1.0", True)


async def test_a_withdrawn_firmware_that_waits_is_not_tried(rig: Rig) -> None:
    slots = await rig.power_on()
    image, first = rig.image("1.0")
    await slots.install(image, first)
    slots, _ = await rig.switch(slots)
    await slots.commit()
    await install(rig, slots, "2.0")
    assert not await slots.wants(first)
    assert (await started(rig))[1] == "1.0"


async def test_an_image_that_is_not_the_promised_one_changes_nothing(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    image, manifest = rig.image("2.0")
    with pytest.raises(SlotError, match="is not"):
        await slots.install(image, dataclasses.replace(manifest, sha256="0" * 64))
    assert (await started(rig))[1] == "1.0"


async def test_an_image_that_is_not_sound_leaves_the_good_one(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    image, manifest = rig.image("2.0", sound=False)
    with pytest.raises(SlotError, match=r"firmware-2|acceptable"):
        await slots.install(image, manifest)
    assert (await started(rig))[1] == "1.0"
    slots = await rig.power_on()
    await install(rig, slots, "2.1")
    assert (await started(rig))[1] == "2.1"


async def test_while_one_slot_is_good_and_the_other_on_trial_nothing_is_filled(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    await install(rig, slots, "2.0")
    slots, _ = await started(rig)
    image, manifest = rig.image("3.0")
    with pytest.raises(FirmwareRefusedError, match="on trial"):
        await slots.wants(manifest)
    with pytest.raises(FirmwareRefusedError):
        await slots.install(image, manifest)
    await slots.commit()
    assert await slots.wants(manifest)


async def test_an_image_of_the_other_kind_is_refused(rig: Rig) -> None:
    slots = await rig.power_on()
    _, manifest = rig.image("1.0")
    other = "whl" if rig.suffix == "raucb" else "raucb"
    with pytest.raises(SlotError, match=r"RAUC"):
        await slots.wants(dataclasses.replace(manifest, file=f"firmware.{other}"))


async def test_the_slots_are_described(rig: Rig) -> None:
    slots = await unit_with(rig, "1.0")
    await install(rig, slots, "2.0")
    states = {str(slot): slot for slot in (await slots.describe()).values()}
    assert "{'version': '1.0', 'state': 'good'}" in states
    assert "{'version': '2.0', 'state': 'pending'}" in states
