"""Boxes are flashed over a serial line by SMP: half a pseudo-terminal is theirs."""

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from openturret.drivers.emulated.bootloader import Bootloader, memory_for
from openturret.drivers.emulated.flash_memory import FlashMemory
from openturret.drivers.emulated.smp_box import SmpBox
from openturret.drivers.emulated.smp_frames import FrameReader, SmpMessage, lines
from openturret.drivers.errors import FlashTimeoutError
from openturret.drivers.flash.dfu_file import DfuSuffix
from openturret.drivers.flash.firmware import Firmware
from openturret.drivers.flash.flashing import Orders, Outcome, Phase, Progress, Result, flash
from openturret.drivers.flash.image import SignedImage
from openturret.drivers.flash.pace import SystemPace
from openturret.drivers.flash.smp import Patience, SmpDevice
from openturret.drivers.flash.version import Version
from openturret.hal.hardware import UsbDevice

from .conftest import NEW, OLD, KeyPair, Sign, SimulatedPace

pytestmark = pytest.mark.slow

Tell = Callable[[Progress], None]
BUFFER_BYTES = 112


class HastyPace(SystemPace):
    """Looks again soon, and gives up as soon as it looks for a line that is gone."""

    def __init__(self, lost: threading.Event) -> None:
        super().__init__()
        self._lost = lost

    def wait(self, seconds: float) -> None:
        super().wait(seconds / 20)
        if seconds and self._lost.is_set():
            raise FlashTimeoutError("the line is gone")


class BoxRig:
    """A box on a line, and the memory in it."""

    def __init__(
        self, link: Path, image: bytes, pair: KeyPair, starts: Callable[[SignedImage], bool]
    ) -> None:
        self.link = link
        self.flash: FlashMemory = memory_for(8, 128)
        self.memory = Bootloader(self.flash, [pair.trusted])
        self.memory.program(image)
        self.box = SmpBox(link, self.memory, buffer_bytes=BUFFER_BYTES, starts=starts)
        self.pace = HastyPace(self.box.lost)

    @property
    def running(self) -> Version | None:
        """What a person finds who switches the box off and on."""
        self.box.restore_power()
        image = self.box.running
        return None if image is None else image.version

    def flashed(
        self,
        firmware: Firmware,
        tell: Tell = lambda _: None,
        patience: Patience = Patience(),  # noqa: B008 - frozen
    ) -> Outcome:
        unit = SmpDevice(str(self.link), self.pace, patience=patience)
        return flash(unit, firmware, self.pace, tell, Orders())


@pytest.fixture
def make_box(tmp_path: Path, old: bytes, pair: KeyPair) -> Iterator[Callable[..., BoxRig]]:
    made: list[BoxRig] = []

    def make(starts: Callable[[SignedImage], bool] = lambda _image: True) -> BoxRig:
        made.append(BoxRig(tmp_path / f"box-{len(made)}", old, pair, starts))
        return made[-1]

    yield make
    for rig in made:
        rig.box.cut_power()


@pytest.fixture
def box(make_box: Callable[..., BoxRig]) -> BoxRig:
    return make_box()


def test_a_box_is_flashed_confirmed_and_read_back(box: BoxRig, new: Firmware) -> None:
    outcome = box.flashed(new)
    assert (outcome.result, outcome.before, outcome.running) == (Result.FLASHED, OLD, NEW)
    assert box.memory.confirmed
    assert box.running == NEW


def test_phases_come_in_order_and_bytes_only_grow(box: BoxRig, new: Firmware) -> None:
    told: list[Progress] = []
    box.flashed(new, told.append)
    assert list(dict.fromkeys(each.phase for each in told)) == list(Phase)
    counted = [each.done_bytes for each in told if each.phase is Phase.WRITE]
    assert counted == sorted(set(counted))
    assert len(counted) > 4
    assert counted[-1] == len(new.data)


def test_a_box_that_runs_it_already_is_not_touched(box: BoxRig, new: Firmware) -> None:
    box.flashed(new)
    operations = box.flash.operations
    assert box.flashed(new).result is Result.CURRENT
    assert box.flash.operations == operations


def test_the_build_counts_because_the_hash_does(box: BoxRig, new: Firmware, sign: Sign) -> None:
    box.flashed(new)
    rebuilt = replace(new, image=SignedImage.parse(sign(b"rebuilt", "1.1.0+1")))
    outcome = box.flashed(rebuilt)
    assert (outcome.result, outcome.running) == (Result.FLASHED, Version(1, 1, 0, 1))


def test_firmware_that_does_not_start_is_a_loud_rollback(
    make_box: Callable[..., BoxRig], new: Firmware
) -> None:
    box = make_box(starts=lambda image: image.version != NEW)
    outcome = box.flashed(new)
    assert outcome.result is Result.ROLLED_BACK
    assert "ROLLED BACK: it was given 1.1.0 and runs 1.0.0 again" in outcome.error
    assert box.running == OLD


def test_a_box_with_another_key_starts_the_old_firmware(
    box: BoxRig, new: Firmware, sign: Sign, stranger: KeyPair
) -> None:
    image = SignedImage.parse(sign(b"firmware", "1.2.0", key=stranger))
    assert box.flashed(replace(new, image=image)).result is Result.ROLLED_BACK
    assert box.running == OLD


def test_another_image_that_waits_is_not_overwritten(
    box: BoxRig, new: Firmware, sign: Sign
) -> None:
    box.memory.erase_spare()
    box.memory.write_spare(0, sign(b"firmware", "1.0.5"))
    box.memory.request()
    outcome = box.flashed(new)
    assert outcome.result is Result.FAILED
    assert "another firmware, 1.0.5.0, waits to be started; switch the device off" in outcome.error


def test_a_dry_run_and_a_downgrade_touch_nothing(box: BoxRig, new: Firmware, sign: Sign) -> None:
    operations = box.flash.operations
    unit = SmpDevice(str(box.link), box.pace)
    outcome = flash(unit, new, box.pace, lambda _: None, Orders(dry_run=True))
    assert outcome.result is Result.POSSIBLE
    older = replace(new, image=SignedImage.parse(sign(b"firmware", "0.9.0")))
    assert "the file holds 0.9.0, the device runs 1.0.0" in box.flashed(older).error
    assert box.flash.operations == operations


def test_firmware_for_another_device_is_refused_where_the_device_is_known(
    box: BoxRig, new: Firmware
) -> None:
    unit = SmpDevice(str(box.link), box.pace, device=UsbDevice(0x1209, 0x7705, "1-3"))
    firmware = replace(new, suffix=DfuSuffix(0x1209, 0x7701))
    outcome = flash(unit, firmware, box.pace, lambda _: None, Orders())
    assert "for 1209:7701:any, the device is 1209:7705:0000" in outcome.error


def test_a_line_that_is_not_there_is_named(tmp_path: Path, new: Firmware) -> None:
    pace = SystemPace()
    unit = SmpDevice(str(tmp_path / "missing"), pace)
    outcome = flash(unit, new, pace, lambda _: None, Orders())
    assert outcome.result is Result.FAILED
    assert str(tmp_path / "missing") in outcome.error


def test_a_box_that_does_not_answer_is_given_up(box: BoxRig, new: Firmware) -> None:
    box.box.silent = True
    outcome = box.flashed(new, patience=Patience(answer_s=0.05))
    assert outcome.result is Result.FAILED
    assert "no answer" in outcome.error


def test_a_box_that_never_comes_back_is_given_up_within_its_bound(
    tmp_path: Path, box: BoxRig, new: Firmware, pace: SimulatedPace
) -> None:
    def fall_silent(progress: Progress) -> None:
        if progress.phase is Phase.CONFIRM or progress.phase is Phase.REBOOT:
            box.box.distort = lambda line: b"" if box.memory.requested else line

    unit = SmpDevice(str(box.link), pace, patience=Patience(answer_s=0.05, back_s=3.0))
    outcome = flash(unit, new, pace, fall_silent, Orders())
    assert outcome.result is Result.FAILED
    assert "no answer" in outcome.error


@pytest.mark.parametrize(
    "distort",
    [
        lambda line: line[:-3] + b"\n",
        lambda line: b"\x06\x09AAAA\n",
        lambda line: b"\x06\x09!!!!\n",
        lambda line: b"\x04\x14" + line[2:],
        lambda line: line[:2] + b"AAMAAAA=\n",
        lambda line: b"\xff" * 300 + b"\n",
    ],
)
def test_nonsense_on_the_line_is_refused(
    box: BoxRig, new: Firmware, distort: Callable[[bytes], bytes]
) -> None:
    box.box.distort = distort
    outcome = box.flashed(new, patience=Patience(answer_s=0.1))
    assert outcome.result is Result.FAILED
    assert str(box.link) in outcome.error
    box.box.distort = bytes
    assert box.flashed(new).result is Result.FLASHED


def upload_answers(body: dict[str, object]) -> Callable[[bytes], bytes]:
    """Puts a body into every answer to an upload."""

    def distort(line: bytes) -> bytes:
        frame = FrameReader().feed(line)
        if frame is None:
            return line
        message = SmpMessage.parse(frame)
        if (message.group, message.command) != (1, 1):
            return line
        return b"".join(lines(bytes(replace(message, body=body))))

    return distort


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ({"off": 0}, "asks for byte 0 after 0 of 366"),
        ({"off": 40}, "asks for byte 40 after 40 of 366"),
        ({"off": 367}, "asks for byte 367"),
        ({"off": 2**63}, "asks for byte"),
        ({"off": -1}, "asks for byte -1"),
        ({"off": "all"}, "nonsense"),
        ({"off": 366, "match": False}, "refused: Upload failed, server reported mismatched SHA256"),
        ({}, "refused: No offset received"),
        ({"rc": 6}, "refused: No offset received"),
        ({"err": {"group": 1, "rc": 30}}, "refused: <IMG_MGMT_ERR.INVALID_IMAGE_TOO_LARGE: 30>"),
    ],
)
def test_an_upload_that_does_not_move_is_given_up(
    box: BoxRig, new: Firmware, body: dict[str, object], words: str
) -> None:
    box.box.distort = upload_answers(body)
    outcome = box.flashed(new)
    assert outcome.result is Result.FAILED
    assert words in outcome.error
    assert box.running == OLD


def test_an_upload_goes_on_where_the_cable_was_pulled(box: BoxRig, new: Firmware) -> None:
    def pull(progress: Progress) -> None:
        if progress.phase is Phase.WRITE and progress.done_bytes > 100:
            box.box.unplug()

    assert box.flashed(new, pull).result is Result.FAILED
    box.box.plug()
    told: list[Progress] = []
    assert box.flashed(new, told.append).result is Result.FLASHED
    counted = [each.done_bytes for each in told if each.phase is Phase.WRITE]
    assert counted[1] > 100, "the first answer names the offset"


def test_half_an_upload_of_another_image_is_dropped(box: BoxRig, new: Firmware, sign: Sign) -> None:
    other = replace(new, image=SignedImage.parse(sign(bytes(400), "1.3.0")))

    def pull(progress: Progress) -> None:
        if progress.phase is Phase.WRITE and progress.done_bytes > 100:
            box.box.unplug()

    box.flashed(other, pull)
    box.box.plug()
    assert box.flashed(new).result is Result.FLASHED
    assert box.running == NEW


def operations_of_a_flashing(box: BoxRig, new: Firmware) -> int:
    before = box.flash.operations
    assert box.flashed(new).result is Result.FLASHED
    return box.flash.operations - before


def test_power_may_be_cut_in_every_write_and_erasure(
    make_box: Callable[..., BoxRig], new: Firmware, old: bytes
) -> None:
    whole = operations_of_a_flashing(make_box(), new)
    assert whole > 50
    for operation in range(whole):
        box = make_box()
        box.flash.cut_after(operation)
        assert box.flashed(new).result is Result.FAILED, operation
        assert box.box.lost.wait(10)
        box.box.restore_power()
        assert box.box.running is not None
        assert box.box.running.data in (old, new.data), operation
        assert box.flashed(new).result in (Result.FLASHED, Result.CURRENT), operation
        box.memory.confirm()
        assert box.running == NEW, operation
        box.box.cut_power()


@pytest.mark.parametrize("block", range(6))
@pytest.mark.parametrize("phase", list(Phase))
def test_the_cable_may_be_pulled_at_every_block_of_every_phase(
    box: BoxRig, new: Firmware, phase: Phase, block: int
) -> None:
    told: list[int] = []

    def pull(progress: Progress) -> None:
        if progress.phase is phase:
            told.append(progress.done_bytes)
            if len(told) == block + 1:
                box.box.unplug()

    outcome = box.flashed(new, pull)
    assert outcome.result in (Result.FAILED, Result.FLASHED)
    box.box.plug()
    assert box.box.running is not None
    assert box.box.running.version in (OLD, NEW)
    assert box.flashed(new).result in (Result.FLASHED, Result.CURRENT)
    box.memory.confirm()
    assert box.running == NEW
