"""A dealer at a unit: powers it on, logs in, lifts handsets, touches the panel, and looks.

The demonstration, the fault tests and the benchmarks all act through this.

Example::

    async with Dealer(bench, "touchpro-1") as dealer:
        await dealer.power_on()
        await dealer.log_in()
        await dealer.call("left", "2001")
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self

from ..drivers.emulated.hand import Hand
from . import plan, speech
from .bench import Bench
from .errors import LabError
from .panel_client import PanelClient, PanelError
from .plan import Person
from .unit import Unit
from .waiting import until

BOOT_DEADLINE_S = 60.0
SENTENCES = {"left": "dealer-left", "right": "dealer-right"}
"""What the dealer says into each handset."""


@dataclass(frozen=True, slots=True)
class Call:
    """A call of the unit as its panel shows it."""

    line_id: str
    position: str
    remote: str
    adopted: bool
    state: str

    @classmethod
    def of(cls, shown: dict[str, Any]) -> Call:
        """Read a call of the panel's state."""
        return cls(
            line_id=str(shown["id"]),
            position=str(shown["position"]),
            remote=str(shown["remote"]),
            adopted=bool(shown["adopted"]),
            state=str(shown["state"]),
        )


def position_of(side: str) -> str:
    """The board position of a handset: ``left`` is ``handset-left``."""
    return f"handset-{side}"


class Dealer:
    """A dealer at one unit.

    Args:
        bench: the bench that the unit stands on.
        unit: its name.
        person: who the dealer is.
    """

    def __init__(
        self, bench: Bench, unit: str = "touchpro-1", person: Person = plan.PEOPLE[0]
    ) -> None:
        self.person = person
        self._bench = bench
        self._name = unit
        self._stack = contextlib.AsyncExitStack()
        self._hand: Hand | None = None
        self._panel: PanelClient | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._stack.aclose()

    @property
    def unit(self) -> Unit:
        """The unit."""
        return self._bench.units[self._name]

    @property
    def hand(self) -> Hand:
        """The dealer's hand.

        Raises:
            LabError: the unit was not powered on.
        """
        if self._hand is None:
            raise LabError(f"{self._name} is not powered on")
        return self._hand

    @property
    def panel(self) -> PanelClient:
        """The unit's panel.

        Raises:
            LabError: the unit does not run yet.
        """
        if self._panel is None:
            raise LabError(f"{self._name} does not run yet")
        return self._panel

    # ------------------------------------------------------------ doing

    async def power_on(self) -> None:
        """Power the unit on; it boots by itself."""
        await self._bench.power_on(self._name)
        if self._hand is None:
            self._hand = await Hand.connect(self.unit.sockets)
            self._stack.push_async_callback(self._hand.close)

    async def wait_for_panel(self) -> None:
        """Wait until the unit runs and its panel answers.

        Raises:
            NeverHappenedError: it does not.
        """
        await until(self._runs, f"boot of {self._name}", deadline_s=BOOT_DEADLINE_S)
        if self._panel is None:
            self._panel = PanelClient(str(self.unit.address()))
            await self._stack.enter_async_context(self._panel)
        await until(self.state, f"an answer of the panel of {self._name}")

    async def log_in(self) -> None:
        """Log in at the panel and wait until both PBXs know it.

        Raises:
            PanelError: the directory refused.
            NeverHappenedError: the unit is not registered in time.
        """
        await self.panel.login(self.person.user, self.person.password)
        await until(self.is_registered, "registration at both PBXs")

    async def start_day(self) -> None:
        """Power on, log in, wait for the speaker channels.

        Raises:
            NeverHappenedError: one of it did not happen in time.
        """
        await self.power_on()
        await self.wait_for_panel()
        await self.log_in()
        await until(self.hears_hoots, "opening of the speaker channels")

    async def call(self, side: str, number: str) -> None:
        """Lift a handset, dial, wait for the answer and speak into it.

        Raises:
            PanelError: the panel refused to dial.
            NeverHappenedError: nobody answered.
        """
        await self.lift(side)
        await self.panel.dial(side, number)
        await until(lambda: self.is_connected(position_of(side)), f"call to {number}")
        await self.speak(side)

    async def lift(self, side: str) -> None:
        """Lift a handset and wait until the panel shows it off-hook."""
        await self.hand.lift(position_of(side))
        await until(lambda: self.is_off_hook(side), f"{side} handset off-hook")

    async def speak(self, side: str) -> None:
        """Say the dealer's sentence into a handset, over and over."""
        sentence = speech.make_all()[SENTENCES[side]]
        await self.hand.speak(position_of(side), sentence, loop=True)

    async def cradle(self, side: str) -> None:
        """Stop talking and put a handset back."""
        await self.hand.silence(position_of(side))
        await self.hand.cradle(position_of(side))

    async def hang_up(self, side: str) -> None:
        """Put a handset back and wait until its line is free.

        Raises:
            NeverHappenedError: it stays busy.
        """

        async def free() -> bool:
            return not await self.is_connected(position_of(side))

        await self.cradle(side)
        await until(free, f"a free {side} line")

    # ------------------------------------------------------------ looking

    async def state(self) -> dict[str, Any] | None:
        """What the panel shows; None while it does not answer."""
        try:
            return await self.panel.state()
        except PanelError:
            return None

    async def calls(self) -> list[Call]:
        """Every call that the panel shows."""
        state = await self.state() or {}
        return [Call.of(shown) for shown in state.get("calls", [])]

    async def alarms(self) -> list[dict[str, Any]]:
        """Every alarm that the panel shows."""
        alarms: list[dict[str, Any]] = (await self.state() or {}).get("alarms", [])
        return alarms

    async def sees_alarm(self, code: str, *words: str) -> dict[str, Any] | None:
        """The alarm of a code whose message holds all the words, if the panel shows it."""
        for alarm in await self.alarms():
            if alarm["code"] == code and all(word in alarm["message"] for word in words):
                return alarm
        return None

    async def is_registered(self) -> bool:
        """Whether the unit is registered at every PBX."""
        state = await self.state() or {}
        standing = [bool(item["registered"]) for item in state.get("registrations", [])]
        return len(standing) == len(plan.PBX) and all(standing)

    async def is_off_hook(self, side: str) -> bool:
        """Whether the panel shows a handset off-hook."""
        state = await self.state()
        return bool(state and state["handsets"][side]["off_hook"])

    async def is_connected(self, position: str) -> bool:
        """Whether a call is connected at a position."""
        calls = await self.calls()
        return any(call.position == position and call.state == "connected" for call in calls)

    async def is_free(self, position: str) -> bool:
        """Whether the panel shows no call at a position."""
        state = await self.state()
        shown = [Call.of(call) for call in (state or {}).get("calls", [])]
        return state is not None and all(call.position != position for call in shown)

    async def hears_hoots(self) -> bool:
        """Whether every speaker channel of the profile is open."""
        calls = [call for call in await self.calls() if call.position.startswith("channel-")]
        return sum(call.state == "connected" for call in calls) == len(plan.HOOTS)

    async def _runs(self) -> bool:
        return bool(self.unit.status().get("stage") == "running" and self.unit.address())
