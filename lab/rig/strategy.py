"""Takes a unit from one state to another: off → booted → registered → in-call, and back.

Each step is done as a dealer does it, and proven by what the panel shows before the next one.
"""

from __future__ import annotations

import enum
from collections.abc import Callable
from typing import ClassVar

import attr

from ...hal.errors import HalError
from ..errors import LabError
from ._labgrid import PowerProtocol, Strategy, StrategyError, step, target_factory
from .protocols import HandProtocol, UnitProtocol


class Status(enum.StrEnum):
    """Where a unit stands: unknown, or a rung of a ladder."""

    UNKNOWN = "unknown"
    OFF = "off"
    BOOTED = "booted"
    REGISTERED = "registered"
    IN_CALL = "in-call"


_LADDER = (Status.OFF, Status.BOOTED, Status.REGISTERED, Status.IN_CALL)


@target_factory.reg_driver
@attr.s(eq=False)
class TurretStrategy(Strategy):
    """Takes a unit to where a test wants it.

    Attributes:
        number: whom it calls.
        side: the handset that it calls with, ``left`` or ``right``.
        status: where the unit stands.
    """

    bindings: ClassVar = {"power": PowerProtocol, "unit": UnitProtocol, "hand": HandProtocol}
    power: PowerProtocol
    unit: UnitProtocol
    hand: HandProtocol
    number: str = attr.ib(validator=attr.validators.instance_of(str))
    side: str = attr.ib(default="left", validator=attr.validators.in_(("left", "right")))
    status: Status = attr.ib(default=Status.UNKNOWN, init=False)

    @step(args=["status"])
    def transition(self, status: str) -> None:
        """Go to a state, rung by rung; from ``unknown`` by way of ``off``.

        Raises:
            StrategyError: there is no such state, or a step failed; it says which one, why,
                and what the panel shows. The state is then ``unknown``.
        """
        wanted = _parse(status)
        for driver in (self.power, self.unit, self.hand):
            self.target.activate(driver)
        if self.status is Status.UNKNOWN:
            self._go(Status.OFF, "switching it off", self.power.off)
        while self.status is not wanted:
            self._step_towards(wanted)

    @step(args=["status"])
    def force(self, status: str) -> None:
        """Say where the unit stands, when somebody else brought it there.

        Raises:
            StrategyError: there is no such state.
        """
        self.status = _parse(status)

    def _step_towards(self, wanted: Status) -> None:
        here = _LADDER.index(self.status)
        if here < _LADDER.index(wanted):
            self._climb(_LADDER[here + 1])
        else:
            self._descend(_LADDER[here - 1])

    def _climb(self, rung: Status) -> None:
        match rung:
            case Status.BOOTED:
                self._go(rung, "booting", self._boot)
            case Status.REGISTERED:
                self._go(rung, "logging in and registering", self.unit.log_in)
            case _:
                self._go(rung, f"calling {self.number}", self._call)

    def _descend(self, rung: Status) -> None:
        match rung:
            case Status.REGISTERED:
                self._go(rung, "hanging up", self._hang_up)
            case Status.BOOTED:
                self._go(rung, "logging out", self.unit.log_out)
            case _:
                self._go(rung, "switching it off", self.power.off)

    def _boot(self) -> None:
        self.power.on()
        self.unit.wait_until_up()

    def _call(self) -> None:
        self.hand.lift(f"handset-{self.side}")
        self.unit.dial(self.side, self.number)

    def _hang_up(self) -> None:
        self.hand.cradle(f"handset-{self.side}")
        self.unit.wait_until_free(self.side)

    def _go(self, rung: Status, doing: str, work: Callable[[], None]) -> None:
        before, self.status = self.status, Status.UNKNOWN
        try:
            work()
        except (LabError, HalError, OSError) as error:
            name = self.target.name
            raise StrategyError(
                f"{name}: {before} → {rung} failed at {doing}: {error}; {self.unit.situation()}"
            ) from error
        self.status = rung


def _parse(status: str) -> Status:
    if status not in _LADDER:
        raise StrategyError(f"there is no state {status!r}; there are {', '.join(_LADDER)}")
    return Status(status)
