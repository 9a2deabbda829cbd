"""Which firmware runs: started from a slot, judged while it is new, taken back when it fails."""

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from ..cache import read_bounded
from ..document import Document
from ..errors import BootError, HealthError, SlotError
from ..status import StatusBoard
from ..supervision.supervisor import python_path_of
from .health import REPORTS, Abilities, HealthGate, matrix_address
from .manager import Slot, SlotManager
from .probes import matrix_status

logger = logging.getLogger(__name__)

UNCONFIRMED: Final = "firmware.unconfirmed"
TAKEN_BACK: Final = "firmware.refused"
UNHEALTHY: Final = "firmware.unhealthy"
DAMAGED: Final = "firmware.damaged"
IDLE_LOOKS: Final = 10

_MEDIUM_REMEDY: Final = "free or replace the medium of the state folder"
_NEWER_REMEDY: Final = "publish a firmware that is newer than this one"


@dataclass(frozen=True, slots=True)
class Hands:
    """What firmware is started and stopped with.

    Attributes:
        start: Starts the services from a slot.
        stop: Stops them.
        restart_unit: Restarts the whole unit.
        gate: Makes a gate for a configuration; what the good firmware could do is given.
        look_s: Time between two looks whether a call is up, in seconds.
    """

    start: Callable[[Slot], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]
    restart_unit: Callable[[], Awaitable[None]]
    gate: Callable[[Document, Mapping[str, bool]], HealthGate]
    look_s: float


class Firmware:
    """The firmware of a unit.

    Args:
        slots: Where it is kept.
        hands: Start and stop it.
        status: Shown the stage ``health``, alarms and the slots.
        abilities: Keeps what the good firmware could do.
    """

    def __init__(
        self, slots: SlotManager, hands: Hands, status: StatusBoard, abilities: Abilities
    ) -> None:
        self._slots = slots
        self._hands = hands
        self._status = status
        self._abilities = abilities
        self.slot: Slot | None = None

    async def settle(self, running: Path | None) -> None:
        """Takes note of how the last start ended, and says so.

        Args:
            running: The folder that services run from already.
        """
        try:
            words = await self._slots.settle(running)
        except (BootError, OSError) as error:
            self._status.raise_alarm(UNCONFIRMED, f"the slots: {error}", _MEDIUM_REMEDY)
            return
        if words:
            remedy = "restart the unit to try it again; see state/log/boot.log for its last start"
            self._status.raise_alarm(UNCONFIRMED, words, remedy)

    async def run(self) -> None:
        """Starts the services from the slot whose turn it is.

        Raises:
            SlotError: No slot holds whole firmware.
        """
        try:
            expected = await self._slots.newest()
            self.slot = slot = await self._slots.start()
            left = await self._slots.newest()
        except OSError as error:
            raise SlotError(f"the slots: {error}", _MEDIUM_REMEDY) from error
        if expected is not None and not _same(expected, left):
            words = f"slot {expected.name} with firmware {expected.version} is damaged"
            remedy = "restart the unit while a TSS can be reached; if it happens again, replace it"
            self._status.raise_alarm(DAMAGED, f"{words}; {slot.version} is used", remedy)
        await self._show()
        await self._hands.start(slot)

    async def judge(self, configuration: Document) -> None:
        """Commits firmware on trial once it is healthy, or takes it back."""
        while self.slot is not None and self.slot.on_trial:
            gate = self._hands.gate(configuration, self._abilities.known())
            try:
                with self._status.step("health") as step:
                    step.detail = await gate.passed()
            except HealthError as error:
                if not await self._take_back(self.slot, error):
                    return
            else:
                await self._commit(self.slot)
                return

    async def waiting(self) -> Slot | None:
        """Returns the slot that the next start would choose, unless it runs already."""
        newest, running = await self._slots.newest(), self.slot
        return None if _same(newest, running) else newest

    async def until_idle(self, configuration: Document) -> None:
        """Returns when the matrix has had no leg at ten looks in a row.

        An open line is a leg, so a unit that keeps lines open is never idle; a unit whose calls
        the matrix does not carry, because an XMA2 does, neither.
        """
        address, looks = matrix_address(configuration), 0
        while looks < IDLE_LOOKS:
            status = await matrix_status(*address) if address else None
            looks = looks + 1 if status is not None and status.legs == 0 else 0
            await asyncio.sleep(self._hands.look_s)

    async def switch(self) -> bool:
        """Starts from the slot whose turn it is now; whether the services run from it already.

        Raises:
            SlotError: No slot holds whole firmware.
        """
        if self._slots.switch_restarts_unit:
            await self._hands.restart_unit()
            return False
        await self._hands.stop()
        self._status.reset(stage for stage in REPORTS if self._status.said(stage)[0] != "waiting")
        await self.run()
        return True

    def heard(self, stage: str, state: str) -> None:
        """Learns what good firmware can do from what the runtime reports."""
        if stage in REPORTS and state in ("done", "failed") and self.slot and self._is_good():
            self._abilities.learn(stage, able=state == "done")

    def _is_good(self) -> bool:
        return self.slot is not None and not self.slot.on_trial

    async def _commit(self, slot: Slot) -> None:
        try:
            await self._slots.commit()
        except (BootError, OSError) as error:
            self._status.raise_alarm(UNHEALTHY, f"not committed: {error}", _MEDIUM_REMEDY)
            return
        self.slot = Slot(slot.name, slot.path, slot.version, slot.sha256)
        logger.info("firmware %s is good", slot.version)
        for code in (UNCONFIRMED, UNHEALTHY):
            self._status.clear_alarm(code)
        for stage in REPORTS:
            self.heard(stage, self._status.said(stage)[0])
        await self._show()

    async def _take_back(self, slot: Slot, error: HealthError) -> bool:
        """Goes back to the other slot; whether there was one that is running now."""
        try:
            instead = await self._slots.reject(str(error))
        except (BootError, OSError) as failure:
            self._status.raise_alarm(UNHEALTHY, f"{error}; {failure}", error.remedy)
            return False
        if instead is None:
            words = f"firmware {slot.version}: {error}; there is no other to go back to"
            self._status.raise_alarm(UNHEALTHY, words, error.remedy)
            return False
        words = f"firmware {slot.version} is taken back, {instead.version} is used: {error}"
        self._status.raise_alarm(TAKEN_BACK, words, _NEWER_REMEDY)
        return await self.switch()

    async def _show(self) -> None:
        version = self.slot.version if self.slot else None
        self._status.learn(firmware_version=version, slots=await self._slots.describe())


def _same(one: Slot | None, other: Slot | None) -> bool:
    if one is None or other is None:
        return one is other
    return (one.name, one.version, one.sha256) == (other.name, other.version, other.sha256)


def running_from(pid_file: Path) -> Path | None:
    """Returns the folder that a running service has first on its PYTHONPATH.

    Args:
        pid_file: The one that the supervisor left; None when it, or the process, is gone.
    """
    pid = (read_bounded(pid_file, 32) or b"").strip()
    path = python_path_of(int(pid)) if pid.isdigit() else None
    return Path(path.partition(os.pathsep)[0]) if path else None
