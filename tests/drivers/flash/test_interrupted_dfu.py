"""Cable and power fail at every block and every write: a whole image runs, and flashing goes on."""

import re
from collections.abc import Callable

import pytest

from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.flashing import Orders, Outcome, Phase, Progress, Result, flash

from .conftest import BLOCK_BYTES, NEW, OLD, DfuRig

IMAGE_BYTES = 366
"""Of the image that the fixture ``new`` signs."""

BLOCKS = range(-(-IMAGE_BYTES // BLOCK_BYTES) + 1)
PHASES = (Phase.WRITE, Phase.VERIFY)


def flashed(rig: DfuRig, firmware: Firmware, tell: Callable[[Progress], None]) -> Outcome:
    return flash(rig.unit, firmware, rig.pace, tell, Orders())


def silent(_progress: Progress) -> None:
    """Tells nobody."""


def when(phase: Phase, block: int, act: Callable[[], None]) -> Callable[[Progress], None]:
    def tell(progress: Progress) -> None:
        if progress.phase is phase and progress.done_bytes == min(
            block * BLOCK_BYTES, progress.total_bytes
        ):
            act()

    return tell


def test_the_image_has_as_many_blocks_as_are_tried(new: Firmware) -> None:
    assert len(new.data) == IMAGE_BYTES


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("phase", PHASES)
def test_the_cable_may_be_pulled_at_every_block(
    rig: DfuRig, new: Firmware, phase: Phase, block: int
) -> None:
    outcome = flashed(rig, new, when(phase, block, rig.twin.device.unplug))
    assert outcome.result is Result.FAILED
    assert re.search("gone|left the bus|did not come back", outcome.error)
    rig.twin.device.plug()
    assert rig.seen.bcd_device in (OLD.bcd(), NEW.bcd())
    assert flashed(rig, new, silent).result in (Result.FLASHED, Result.CURRENT)
    assert rig.running == NEW


@pytest.mark.parametrize("block", BLOCKS)
@pytest.mark.parametrize("phase", PHASES)
def test_power_may_be_cut_at_every_block(
    rig: DfuRig, new: Firmware, phase: Phase, block: int
) -> None:
    outcome = flashed(rig, new, when(phase, block, rig.twin.device.cut_power))
    assert outcome.result is Result.FAILED
    requested = rig.memory.requested
    assert rig.running == (NEW if requested else OLD)
    assert flashed(rig, new, silent).result in (Result.FLASHED, Result.CURRENT)
    assert rig.running == NEW


def operations_of_a_flashing(rig: DfuRig, new: Firmware) -> int:
    before = rig.flash.operations
    assert flashed(rig, new, silent).result is Result.FLASHED
    return rig.flash.operations - before


def test_power_may_be_cut_in_every_write_and_erasure(
    make_rig: Callable[..., DfuRig], new: Firmware
) -> None:
    whole = operations_of_a_flashing(make_rig(), new)
    assert whole > 50
    for operation in range(whole):
        rig = make_rig()
        rig.flash.cut_after(operation)
        outcome = flashed(rig, new, silent)
        assert outcome.result is Result.FAILED, operation
        assert not rig.twin.device.attached
        assert rig.running in (OLD, NEW), operation
        assert rig.twin.running is not None
        assert rig.twin.running.data in (new.data, rig.first), operation
        assert flashed(rig, new, silent).result in (Result.FLASHED, Result.CURRENT), operation
        assert rig.running == NEW


@pytest.mark.parametrize("block", BLOCKS)
def test_a_stall_at_every_block_is_no_end(rig: DfuRig, new: Firmware, block: int) -> None:
    def stall() -> None:
        rig.twin.device.misbehaviour.stalls = 1

    outcome = flashed(rig, new, when(Phase.WRITE, block, stall))
    assert outcome.result in (Result.FAILED, Result.FLASHED)
    assert rig.running in (OLD, NEW)
    assert flashed(rig, new, silent).result in (Result.FLASHED, Result.CURRENT)
    assert rig.running == NEW
