"""Devices are flashed through pyusb by DFU 1.1, and survive whatever happens meanwhile."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from openturret.drivers.emulated.usb.descriptors import Identity
from openturret.drivers.emulated.usb.dfu import DfuRuntime, Durations
from openturret.drivers.flash.dfu import DfuDevice
from openturret.drivers.flash.dfu_file import DfuSuffix
from openturret.drivers.flash.dfu_port import DfuPort
from openturret.drivers.flash.dfu_protocol import Code, DfuDescriptor, in_dfu_mode
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.flashing import Orders, Outcome, Phase, Progress, Result, flash
from openturret.drivers.flash.image import SignedImage

from .conftest import BLOCK_BYTES, BLOCKS_OF_64, NEW, OLD, PID, VID, DfuRig, KeyPair, Sign

Tell = Callable[[Progress], None]


def flashed(rig: DfuRig, firmware: Firmware, tell: Tell = lambda _: None) -> Outcome:
    return flash(rig.unit, firmware, rig.pace, tell, Orders())


def abilities(**changes: bool | int) -> DfuDescriptor:
    return replace(DfuDescriptor(transfer_bytes=BLOCK_BYTES), **changes)  # type: ignore[arg-type]


def at(phase: Phase, done: int, act: Callable[[], None]) -> Tell:
    """Acts when a phase has come so far, once."""
    acted: list[Progress] = []

    def tell(progress: Progress) -> None:
        if not acted and progress.phase is phase and progress.done_bytes >= done:
            acted.append(progress)
            act()

    return tell


def test_a_device_is_flashed_and_its_running_version_read_back(rig: DfuRig, new: Firmware) -> None:
    outcome = flashed(rig, new)
    assert (outcome.result, outcome.before, outcome.running) == (Result.FLASHED, OLD, NEW)
    assert rig.seen.bcd_device == 0x0110
    assert rig.twin.running == new.image
    assert rig.running == NEW


@pytest.mark.parametrize(
    "changes",
    [
        {"will_detach": False},
        {"manifestation_tolerant": False},
        {"will_detach": False, "manifestation_tolerant": False},
        {"can_upload": False},
        {"transfer_bytes": 8},
        {"transfer_bytes": 65535},
    ],
)
def test_devices_of_every_ability_are_flashed(
    make_rig: Callable[..., DfuRig], new: Firmware, changes: dict[str, bool | int]
) -> None:
    rig = make_rig(abilities=abilities(**changes))
    assert flashed(rig, new).result is Result.FLASHED
    assert rig.running == NEW


def test_phases_come_in_order_and_bytes_only_grow(rig: DfuRig, new: Firmware) -> None:
    told: list[Progress] = []
    flashed(rig, new, told.append)
    assert list(dict.fromkeys(each.phase for each in told)) == list(Phase)
    for phase in (Phase.WRITE, Phase.VERIFY):
        counted = [each.done_bytes for each in told if each.phase is phase]
        assert counted == sorted(set(counted))
        assert counted[-1] == len(new.data)


def test_the_time_left_is_told_and_comes_to_nothing(rig: DfuRig, new: Firmware) -> None:
    told: list[Progress] = []
    flashed(rig, new, told.append)
    left = [each.left_s for each in told if each.phase is Phase.WRITE and each.left_s is not None]
    assert left == sorted(left, reverse=True)
    assert left[0] > left[-1] == 0


def test_a_device_is_left_alone_as_long_as_it_asks(
    make_rig: Callable[..., DfuRig], new: Firmware
) -> None:
    slow = Durations(erase_ms=2000, write_ms=300, manifest_ms=5000)
    rig = make_rig(durations=slow)
    blocks = -(-len(new.data) // BLOCK_BYTES)
    assert flashed(rig, new).seconds == pytest.approx(2 + blocks * 0.3 + 5)


def test_a_device_that_runs_it_already_is_not_touched(rig: DfuRig, new: Firmware) -> None:
    flashed(rig, new)
    operations = rig.flash.operations
    assert flashed(rig, new).result is Result.CURRENT
    assert rig.flash.operations == operations


def test_a_dry_run_touches_nothing(rig: DfuRig, new: Firmware) -> None:
    operations = rig.flash.operations
    outcome = flash(rig.unit, new, rig.pace, lambda _: None, Orders(dry_run=True))
    assert (outcome.result, outcome.running) == (Result.POSSIBLE, OLD)
    assert rig.flash.operations == operations
    assert not in_dfu_mode(rig.seen)


def test_older_firmware_needs_an_order(rig: DfuRig, new: Firmware, old: bytes) -> None:
    flashed(rig, new)
    older = Firmware(SignedImage.parse(old), new.suffix)
    refused = flashed(rig, older)
    assert refused.result is Result.FAILED
    assert "the file holds 1.0.0, the device runs 1.1.0" in refused.error
    ordered = flash(rig.unit, older, rig.pace, lambda _: None, Orders(allow_downgrade=True))
    assert ordered.result is Result.FLASHED
    assert rig.running == OLD


@pytest.mark.parametrize(
    ("suffix", "words"),
    [
        (DfuSuffix(0x1234, PID), "for 1234:7701:any, the device is 1209:7701:0100"),
        (DfuSuffix(VID, 0x7702), "for 1209:7702:any"),
        (DfuSuffix(VID, PID, 0x0200), "for 1209:7701:0200"),
        (None, "dfu-suffix --vid 1209 --pid 7701 --add"),
    ],
)
def test_firmware_for_another_device_is_refused_before_anything_is_written(
    rig: DfuRig, new: Firmware, suffix: DfuSuffix | None, words: str
) -> None:
    operations = rig.flash.operations
    outcome = flashed(rig, replace(new, suffix=suffix))
    assert outcome.result is Result.FAILED
    assert words in outcome.error
    assert rig.flash.operations == operations
    assert not in_dfu_mode(rig.seen)


def test_a_version_that_cannot_be_read_back_is_refused(
    rig: DfuRig, new: Firmware, sign: Sign
) -> None:
    image = SignedImage.parse(sign(b"firmware", "1.0.10"))
    outcome = flashed(rig, replace(new, image=image))
    assert "99.9.9" in outcome.error


def test_firmware_that_does_not_start_is_a_loud_rollback(
    make_rig: Callable[..., DfuRig], new: Firmware
) -> None:
    rig = make_rig(starts=lambda image: image.version != NEW)
    outcome = flashed(rig, new)
    assert (outcome.result, outcome.running) == (Result.ROLLED_BACK, OLD)
    assert outcome.error.startswith("ROLLED BACK: it was given 1.1.0 and runs 1.0.0 again")
    assert rig.running == OLD


def test_a_device_with_another_key_refuses_and_says_so(
    rig: DfuRig, sign: Sign, stranger: KeyPair, new: Firmware
) -> None:
    image = SignedImage.parse(sign(b"firmware", "1.2.0", key=stranger))
    outcome = flashed(rig, replace(new, image=image))
    assert outcome.result is Result.FAILED
    assert "ERR_VERIFY" in outcome.error
    assert rig.running == OLD


def test_an_image_larger_than_the_slot_is_refused(rig: DfuRig, sign: Sign, new: Firmware) -> None:
    image = SignedImage.parse(sign(bytes(rig.memory.slot_bytes), "1.2.0"))
    assert "ERR_ADDRESS: the firmware is larger" in flashed(rig, replace(new, image=image)).error
    assert rig.running == OLD


@pytest.mark.parametrize("code", [code for code in Code if code is not Code.OK])
def test_every_status_of_dfu_is_said_in_words(rig: DfuRig, new: Firmware, code: Code) -> None:
    rig.twin.loader.faults[1] = code
    outcome = flashed(rig, new)
    assert f"while writing block 1: {code.name}: " in outcome.error
    rig.twin.loader.faults.clear()
    assert flashed(rig, new).result is Result.FLASHED


def test_what_memory_does_not_keep_is_found_when_it_is_read_back(
    make_rig: Callable[..., DfuRig], new: Firmware
) -> None:
    rig = make_rig()
    rot = at(Phase.VERIFY, BLOCK_BYTES, lambda: rig.memory.write_spare(BLOCK_BYTES + 3, b"\x00"))
    outcome = flashed(rig, new, rot)
    assert outcome.result is Result.FAILED
    assert "not what was written" in outcome.error
    assert rig.running == OLD
    assert flashed(rig, new).result is Result.FLASHED


def left_in_loader(rig: DfuRig, *blocks: bytes) -> None:
    """Does what a program did that died in the middle."""
    port = DfuPort(rig.seen, rig.backend)
    port.detach()
    port.close()
    port = DfuPort(rig.seen, rig.backend)
    for number, block in enumerate(blocks):
        port.download(number, block)
        rig.pace.wait(port.status().poll_ms / 1000)
        port.status()
    port.close()


def test_a_device_left_in_its_loader_is_flashed_from_there(rig: DfuRig, new: Firmware) -> None:
    left_in_loader(rig, new.data[:BLOCK_BYTES], new.data[BLOCK_BYTES : 2 * BLOCK_BYTES])
    assert in_dfu_mode(rig.seen)
    outcome = flashed(rig, new)
    assert (outcome.result, outcome.before) == (Result.FLASHED, OLD)


def test_a_loader_in_error_is_cleared_first(rig: DfuRig, new: Firmware) -> None:
    left_in_loader(rig, b"no image")
    assert flashed(rig, new).result is Result.FLASHED


def test_a_loader_with_the_new_version_in_it_is_no_running_version(
    rig: DfuRig, new: Firmware
) -> None:
    flashed(rig, new)
    left_in_loader(rig)
    outcome = flashed(rig, new)
    assert (outcome.result, outcome.before) == (Result.FLASHED, NEW)
    assert not in_dfu_mode(rig.seen)


@pytest.mark.parametrize("durations", [Durations(), Durations(0, 0, 0)])
def test_a_stop_leaves_the_old_firmware_running(
    make_rig: Callable[..., DfuRig], new: Firmware, durations: Durations
) -> None:
    rig = make_rig(durations=durations)
    pace = rig.pace
    outcome = flashed(
        rig, new, at(Phase.WRITE, BLOCK_BYTES, lambda: setattr(pace, "stopped", True))
    )
    assert outcome.result is Result.STOPPED
    assert not in_dfu_mode(rig.seen)
    assert rig.running == OLD
    rig.pace.stopped = False
    assert flashed(rig, new).result is Result.FLASHED


def test_a_device_that_does_not_come_back_is_named_with_its_bound(
    rig: DfuRig, new: Firmware
) -> None:
    outcome = flashed(rig, new, at(Phase.REBOOT, 0, rig.twin.device.unplug))
    assert outcome.result is Result.FAILED
    assert "1-1" in outcome.error
    rig.twin.device.plug()
    assert flashed(rig, new).result in (Result.FLASHED, Result.CURRENT)


def test_a_device_that_stays_busy_is_given_up(
    make_rig: Callable[..., DfuRig], new: Firmware
) -> None:
    rig = make_rig(durations=Durations(write_ms=60_001))
    assert "left alone for 60021 ms; 60000 ms is the bound" in flashed(rig, new).error


def test_a_device_that_is_busy_for_ever_is_given_up(rig: DfuRig, new: Firmware) -> None:
    rig.twin.loader.stuck = True
    outcome = flashed(rig, new)
    assert "it stays in DFU_DNBUSY for 120 s" in outcome.error
    assert 120 <= outcome.seconds < 121
    rig.twin.loader.stuck = False
    assert flashed(rig, new).result is Result.FLASHED


def test_another_device_in_the_port_is_not_taken_for_the_flashed_one(
    rig: DfuRig, new: Firmware
) -> None:
    stranger = Identity(VID, PID, "Turret Handset", "HS-0009", bcd_device=NEW.bcd())

    def swap() -> None:
        rig.twin.device.become(stranger, (DfuRuntime(BLOCKS_OF_64, rig.pace, rig.twin),))

    outcome = flashed(rig, new, at(Phase.REBOOT, 0, swap))
    assert outcome.result is Result.FAILED
    assert "had 1209:7781 HS-0001 on 1-1 and has 1209:7701 HS-0009 on 1-1 now" in outcome.error


def test_a_device_that_hangs_is_given_up(rig: DfuRig, new: Firmware) -> None:
    def hang() -> None:
        rig.twin.device.misbehaviour.stalls = 2

    outcome = flashed(rig, new, at(Phase.WRITE, BLOCK_BYTES, hang))
    assert outcome.result is Result.FAILED
    assert flashed(rig, new).result is Result.FLASHED


def test_two_devices_of_a_kind_are_told_apart_by_port(
    make_rig: Callable[..., DfuRig], new: Firmware
) -> None:
    left, right = make_rig(), make_rig()
    left.bus.connect(right.twin.device, "1-2")
    unit = DfuDevice(left.present()[1], left.present, left.pace, backend=left.backend)
    assert flash(unit, new, left.pace, lambda _: None, Orders()).result is Result.FLASHED
    assert [each.bcd_device for each in left.present()] == [0x0100, 0x0110]
