"""What only the slots in folders do: see test_contract.py for the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from openturret.boot.errors import SlotError
from openturret.boot.slots.files import FileSlots
from tests.boot.slots.rigs import FilesRig


@pytest.fixture
def rig(tmp_path: Path) -> FilesRig:
    return FilesRig(tmp_path)


async def on_trial(rig: FilesRig) -> FileSlots:
    """A unit with 1.0, which is good, and 2.0, which runs on trial."""
    slots = await rig.power_on()
    await slots.install(*rig.image("1.0"))
    await slots.start()
    await slots.commit()
    await slots.install(*rig.image("2.0"))
    slots = await rig.power_on()
    assert (await slots.start()).version == "2.0"
    return slots


def again(tmp_path: Path, *, vouched: bool = True) -> FileSlots:
    return FileSlots(tmp_path / "slots", lambda _: vouched, prepare=Path.exists)


async def test_an_agent_that_takes_over_goes_on_with_the_trial(
    rig: FilesRig, tmp_path: Path
) -> None:
    await on_trial(rig)
    slots = again(tmp_path)
    assert await slots.settle(tmp_path / "slots" / "b") is None
    slot = await slots.start()
    assert (slot.version, slot.on_trial) == ("2.0", True)
    await slots.commit()
    assert await again(tmp_path).settle() is None
    assert (await again(tmp_path).start()).version == "2.0"


async def test_services_of_the_good_slot_are_not_left_for_what_is_armed(
    rig: FilesRig, tmp_path: Path
) -> None:
    slots = await rig.power_on()
    await slots.install(*rig.image("1.0"))
    await slots.start()
    await slots.commit()
    slots = again(tmp_path)
    await slots.settle(tmp_path / "slots" / "a")
    await slots.install(*rig.image("2.0"))
    assert (await slots.start()).version == "1.0"
    assert (await slots.start()).version == "2.0", "the second start is a new one"


async def test_nothing_is_rejected_when_the_other_slot_is_damaged(
    rig: FilesRig, tmp_path: Path
) -> None:
    slots = await on_trial(rig)
    (tmp_path / "slots" / "a" / "openturret" / "firmware" / "__init__.py").write_text("rot")
    assert await slots.reject("no ticks") is None
    newest = await slots.newest()
    assert newest is not None
    assert newest.version == "2.0"


async def test_what_nobody_signed_is_not_started(rig: FilesRig, tmp_path: Path) -> None:
    await on_trial(rig)
    with pytest.raises(SlotError, match="no slot holds whole firmware"):
        await again(tmp_path, vouched=False).start()


async def test_litter_among_the_slots_is_removed(rig: FilesRig, tmp_path: Path) -> None:
    await on_trial(rig)
    (tmp_path / "slots" / "c").mkdir()
    (tmp_path / "slots" / ".record.json.new").write_bytes(b"half")
    (tmp_path / "slots" / "link").symlink_to("/etc")
    await again(tmp_path).settle()
    left = {entry.name for entry in (tmp_path / "slots").iterdir()}
    assert left == {"a", "b", "record.json"}


async def test_a_slot_of_an_older_kind_is_replaced(rig: FilesRig, tmp_path: Path) -> None:
    (tmp_path / "slots" / "a-0.1.0").mkdir(parents=True)
    (tmp_path / "slots" / "a").symlink_to("a-0.1.0")
    slots = await rig.power_on()
    await slots.install(*rig.image("1.0"))
    assert (await slots.start()).version == "1.0"
    assert not (tmp_path / "slots" / "a").is_symlink()


async def test_a_full_medium_leaves_the_good_slot(
    rig: FilesRig, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    slots = await rig.power_on()
    await slots.install(*rig.image("1.0"))
    await slots.start()
    await slots.commit()

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("openturret.boot.slots.files.unpack", full)
    with pytest.raises(OSError, match="No space"):
        await slots.install(*rig.image("2.0"))
    assert (await again(tmp_path).start()).version == "1.0"
