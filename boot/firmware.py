"""Which firmware runs: started from a slot, judged while it is new, taken back when it fails."""

import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from .cache import read_bounded
from .document import Document
from .errors import BootError, HealthError, SlotError
from .health import REPORTS, Abilities, HealthGate, timeout_s
from .slots.manager import Slot, SlotManager
from .status import StatusBoard

logger = logging.getLogger(__name__)

UNCONFIRMED: Final = "firmware.unconfirmed"
TAKEN_BACK: Final = "firmware.rejected"
UNHEALTHY: Final = "firmware.unhealthy"

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
    """

    start: Callable[[Slot], Awaitable[None]]
    stop: Callable[[], Awaitable[None]]
    restart_unit: Callable[[], Awaitable[None]]
    gate: Callable[[Document, Mapping[str, bool]], HealthGate]


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
            self.slot = slot = await self._slots.start()
        except OSError as error:
            raise SlotError(f"the slots: {error}", _MEDIUM_REMEDY) from error
        await self._show()
        await self._hands.start(slot)

    async def judge(self, configuration: Document) -> None:
        """Commits firmware on trial once it is healthy, or takes it back."""
        while self.slot is not None and self.slot.on_trial:
            gate = self._hands.gate(configuration, self._abilities.known())
            try:
                with self._status.step("health") as step:
                    step.detail = await gate.pass_within(timeout_s(configuration))
            except HealthError as error:
                if not await self._take_back(self.slot, error):
                    return
            else:
                await self._commit(self.slot)
                return

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
            self.heard(stage, self._status.state_of(stage))
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
        return await self._go_back()

    async def _go_back(self) -> bool:
        if self._slots.switch_restarts_unit:
            await self._hands.restart_unit()
            return False
        await self._hands.stop()
        self._status.reset(stage for stage in REPORTS if self._status.state_of(stage) != "waiting")
        await self.run()
        return True

    async def _show(self) -> None:
        version = self.slot.version if self.slot else None
        self._status.learn(firmware_version=version, slots=await self._slots.describe())


def running_from(pid_file: Path) -> Path | None:
    """Returns the folder that a running service has first on its PYTHONPATH.

    Args:
        pid_file: The one that the supervisor left; None when it, or the process, is gone.
    """
    pid = (read_bounded(pid_file, 32) or b"").strip()
    if not pid.isdigit():
        return None
    try:
        variables = Path(f"/proc/{pid.decode()}/environ").read_bytes().split(b"\0")
    except OSError:
        return None
    for variable in variables:
        if variable.startswith(b"PYTHONPATH="):
            return Path(variable.partition(b"=")[2].partition(b":")[0].decode())
    return None
