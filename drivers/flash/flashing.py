"""One sequence for every device: detach, erase, write, verify, reboot, confirm.

A device has been flashed when its running version was read back and is the new one, not
before.  What goes wrong on the way is an outcome of that unit alone; the others go on.
"""

import enum
import logging
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Final, Protocol, TypeAlias

from ...hal.clock import Clock
from ...hal.errors import HalError
from ..errors import DowngradeError, FlashStoppedError
from .firmware import Firmware
from .version import Version

logger = logging.getLogger(__name__)

MAX_PARALLEL: Final = 64


class Phase(enum.StrEnum):
    """Where a unit is on its way."""

    DETACH = "detach"
    ERASE = "erase"
    WRITE = "write"
    VERIFY = "verify"
    REBOOT = "reboot"
    CONFIRM = "confirm"


class Result(enum.StrEnum):
    """How it ended."""

    FLASHED = "flashed"
    CURRENT = "current"
    POSSIBLE = "possible"
    FAILED = "failed"
    ROLLED_BACK = "rolled back"
    STOPPED = "stopped"


@dataclass(frozen=True, slots=True)
class Running:
    """What a device runs.

    Attributes:
        version: As it says itself; None when there is no firmware or it does not say.
        is_firmware: False when only its loader runs, after a flashing that did not end.
        digest: Hash of what runs, as the image has it; empty when the device cannot tell.
    """

    version: Version | None
    is_firmware: bool = True
    digest: bytes = b""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a unit is.

    Attributes:
        unit: Its name.
        phase: What it does now.
        done_bytes: Done of this phase.
        total_bytes: Of this phase; 0 where bytes mean nothing.
        left_s: Seconds until the phase ends at the pace so far, None before that can be told.
    """

    unit: str
    phase: Phase
    done_bytes: int = 0
    total_bytes: int = 0
    left_s: float | None = None


@dataclass(frozen=True, slots=True)
class Outcome:
    """How it ended for one unit.

    Attributes:
        unit: Its name.
        result: In a word.
        before: What ran before, None when nobody could tell.
        running: What runs now, read back from the unit; None when that was not possible.
        seconds: How long it took.
        error: What went wrong and what to do; "" when nothing did.
    """

    unit: str
    result: Result
    before: Version | None = None
    running: Version | None = None
    seconds: float = 0.0
    error: str = ""


Tell: TypeAlias = Callable[[Progress], None]
Count: TypeAlias = Callable[[int], None]
"""Takes the number of bytes of a phase that are done."""


class Flashable(Protocol):
    """A device on its way to new firmware; every method raises HalError when it fails."""

    @property
    def name(self) -> str:
        """How people call it: its port or its position."""
        ...

    def inspect(self, firmware: Firmware) -> Running:
        """Returns what runs; nothing on the device is changed.

        Raises:
            WrongFirmwareError: The firmware is for another device.
            HalError: The device does not answer.
        """
        ...

    def detach(self) -> None:
        """Lets the device make ready: its loader runs after this, where one is needed."""
        ...

    def erase(self) -> None:
        """Drops what an earlier flashing left in the spare slot, unless it can be continued."""
        ...

    def write(self, data: bytes, count: Count) -> None:
        """Brings the image into the spare slot; the running firmware stays as it is."""
        ...

    def verify(self, data: bytes, count: Count) -> None:
        """Checks that the device holds what was written.

        Raises:
            ReadBackError: It does not.
        """
        ...

    def reboot(self) -> None:
        """Lets the device start the new firmware and waits until one answers again."""
        ...

    def confirm(self) -> Running:
        """Returns what runs now; the device keeps it if it is what was written."""
        ...

    def release(self) -> None:
        """Lets go of the device; one that is half flashed runs its old firmware again.

        Never raises: it is called after everything else, also after an error.
        """
        ...


@dataclass(frozen=True, slots=True)
class Orders:
    """What may be done.

    Attributes:
        allow_downgrade: Also to firmware that is older than what runs.
        dry_run: Only look and check.
    """

    allow_downgrade: bool = False
    dry_run: bool = False


def flash(unit: Flashable, firmware: Firmware, clock: Clock, tell: Tell, orders: Orders) -> Outcome:
    """Flashes one unit and returns how it ended; raises nothing that a device can cause."""
    began = clock.monotonic()
    outcome = Outcome(unit.name, Result.FAILED)
    try:
        outcome = _inspected(unit, firmware, orders)
        if outcome.result is Result.FAILED:
            _write(unit, firmware, clock, tell)
            outcome = _restarted(unit, firmware, outcome, tell)
    except (HalError, OSError) as error:
        stopped = isinstance(error, FlashStoppedError)
        result = Result.STOPPED if stopped else Result.FAILED
        outcome = replace(outcome, result=result, error=str(error))
    except Exception as error:
        # A fault of ours at one unit is no reason to leave the others without an outcome.
        logger.exception("%s: this should not happen", unit.name)
        outcome = replace(outcome, error=f"{type(error).__name__}: {error}")
    finally:
        unit.release()
    return replace(outcome, seconds=clock.monotonic() - began)


def flash_all(
    units: Sequence[Flashable], firmware: Firmware, clock: Clock, tell: Tell, orders: Orders
) -> list[Future[Outcome]]:
    """Starts to flash all units at once, each in a thread of its own.

    Returns:
        Their outcomes, in the order of the units; none holds an exception of a device.
    """
    pool = ThreadPoolExecutor(max(1, min(MAX_PARALLEL, len(units))), thread_name_prefix="flash")
    futures = [pool.submit(flash, unit, firmware, clock, tell, orders) for unit in units]
    pool.shutdown(wait=False)
    return futures


def _inspected(unit: Flashable, firmware: Firmware, orders: Orders) -> Outcome:
    """An outcome that is FAILED until the unit has been flashed, if it is to be."""
    running = unit.inspect(firmware)
    _refuse_downgrade(running.version, firmware.version, orders)
    outcome = Outcome(unit.name, Result.FAILED, before=running.version)
    if running.is_firmware and _is(running, firmware):
        return replace(outcome, result=Result.CURRENT, running=running.version)
    if orders.dry_run:
        return replace(outcome, result=Result.POSSIBLE, running=running.version)
    return outcome


def _refuse_downgrade(before: Version | None, new: Version, orders: Orders) -> None:
    if before is not None and new < before and not orders.allow_downgrade:
        raise DowngradeError(
            f"the file holds {new}, the device runs {before}",
            "give --allow-downgrade if you mean it",
        )


def _write(unit: Flashable, firmware: Firmware, clock: Clock, tell: Tell) -> None:
    for phase, act in ((Phase.DETACH, unit.detach), (Phase.ERASE, unit.erase)):
        tell(Progress(unit.name, phase))
        act()
    for phase, move in ((Phase.WRITE, unit.write), (Phase.VERIFY, unit.verify)):
        move(firmware.data, _meter(unit.name, phase, len(firmware.data), clock, tell))


def _restarted(unit: Flashable, firmware: Firmware, outcome: Outcome, tell: Tell) -> Outcome:
    tell(Progress(unit.name, Phase.REBOOT))
    unit.reboot()
    tell(Progress(unit.name, Phase.CONFIRM))
    running = unit.confirm()
    outcome = replace(outcome, running=running.version)
    if _is(running, firmware):
        return replace(outcome, result=Result.FLASHED)
    error = (
        f"ROLLED BACK: it was given {firmware.version} and runs {running.version} again; "
        "the new firmware does not start on this device: keep it away from the others"
    )
    return replace(outcome, result=Result.ROLLED_BACK, error=error)


def _is(running: Running, firmware: Firmware) -> bool:
    """Whether this firmware runs: by its hash where the device tells it, else by its version."""
    if running.digest:
        return running.digest == firmware.image.digest
    return running.version == replace(firmware.version, build=0)


def _meter(unit: str, phase: Phase, total: int, clock: Clock, tell: Tell) -> Count:
    """Returns what turns bytes that are done into progress with the time left."""
    first: list[tuple[float, int]] = []

    def count(done: int) -> None:
        now = clock.monotonic()
        first[:] = first or [(now, done)]
        began, from_bytes = first[0]
        moved = done - from_bytes
        left = (now - began) / moved * (total - done) if moved else None
        tell(Progress(unit, phase, done, total, left))

    tell(Progress(unit, phase, 0, total))
    return count
