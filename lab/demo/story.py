"""The story: power on, log in, talk on two handsets, listen to three hoots, kill the runtime.

Everything is done as a dealer does it: by lifting handsets and touching the panel. What is
seen goes into `Findings`; nothing is judged here.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from pathlib import Path
from typing import Any

from ...drivers.emulated.hand import Hand
from .. import plan, speech
from ..bench import Bench
from ..panel_client import PanelClient, PanelError
from ..timeline import Timeline
from ..unit import Unit
from .findings import Call, Findings
from .waiting import DemoError, until

BOOT_DEADLINE_S = 40.0
CALL_DEADLINE_S = 15.0
TALK_S = 9.0
AFTER_KILL_S = 6.0
SPEAKER = "speaker-1"
EARS = ("handset-left", "handset-right", SPEAKER)
DEALERS = {"handset-left": "dealer-left", "handset-right": "dealer-right"}


def position_of(side: str) -> str:
    """The board position of a handset."""
    return f"handset-{side}"


class Story:
    """One run of the story on a bench that is up.

    Args:
        bench: the bench.
        timeline: told what happens.
        folder: where recordings of the ears go.
    """

    def __init__(self, bench: Bench, timeline: Timeline, folder: Path) -> None:
        self._bench = bench
        self._timeline = timeline
        self._folder = folder
        self._sentences = speech.make_all()
        self.findings = Findings()

    async def tell(self) -> Findings:
        """Tell it from power-on to the last hang-up.

        Raises:
            LabError: something that must happen did not.
        """
        await self._capture()
        unit = await self._power_on()
        async with self._panel(unit) as panel:
            hand = await Hand.connect(unit.sockets)
            await self._log_in(unit, panel)
            await self._listen(hand)
            await self._call(hand, panel, "left", plan.PARTIES[0].number)
            await self._call(hand, panel, "right", plan.PARTIES[1].number)
            await self._hear_hoots(panel)
            await self._talk(TALK_S)
            await self._kill_runtime(unit, panel)
            await self._talk(AFTER_KILL_S)
            self.findings.legs = await panel.legs()
            await self._hang_up_left(hand, panel)
            await self._be_hung_up_right(hand, panel)
            await self._log_out(hand, panel)
        return self.findings

    # ------------------------------------------------------------ power-on

    async def _capture(self) -> None:
        for host in ("touchpro-1", plan.PARTY.name, plan.TPO.name):
            process = await self._bench.capture(host)
            file = self._bench.folders["captures"] / f"{host}-eth0.pcap"
            self._say("bench", f"captures at {host} (pid {process.pid})")
            self.findings.far_captures.append(file)
        self.findings.unit_capture = self.findings.far_captures.pop(0)

    async def _power_on(self) -> Unit:
        unit = await self._bench.power_on("touchpro-1")
        self.findings.powered_on_unix = unit.powered_on_at or time.time()
        self._say("touchpro-1", "power on")
        told: set[str] = set()

        async def running() -> bool:
            self._tell_stages(unit, told)
            return bool(unit.status().get("stage") == "running")

        await until(running, "boot", deadline_s=BOOT_DEADLINE_S)
        return unit

    def _tell_stages(self, unit: Unit, told: set[str]) -> None:
        """Tell each boot stage that has ended since the last look."""
        for stage in unit.status().get("stages", []):
            name = str(stage["name"])
            if stage["state"] != "done" or name in told:
                continue
            told.add(name)
            took = (
                f"{name} in {stage['duration_s'] * 1000:.0f} ms, {stage['round_trips']} round trips"
            )
            self._say("boot", f"{took}: {stage['detail']}")

    def _panel(self, unit: Unit) -> PanelClient:
        address = unit.address()
        if address is None:
            raise DemoError(f"{unit.name} runs without an address")
        return PanelClient(address)

    async def _log_in(self, unit: Unit, panel: PanelClient) -> None:
        person = plan.PEOPLE[0]
        await until(lambda: self._state(panel), "the panel's first answer")
        self.findings.wrong_password_refused = await self._is_refused(panel, person.user)
        await panel.login(person.user, person.password)
        self._say("panel", f"{person.name} logged in")
        await until(lambda: self._registered(panel), "registration at both PBXs")
        self.findings.registered_after_s = time.time() - self.findings.powered_on_unix
        self._say("sip", f"registered at {' and '.join(host.address for host in plan.PBX)}")
        self.findings.stages = unit.status()["stages"]

    async def _is_refused(self, panel: PanelClient, user: str) -> bool:
        try:
            await panel.login(user, "not the password")
        except PanelError as error:
            self._say("panel", "a wrong password is refused")
            return "401" in str(error) or "403" in str(error)
        return False

    # ------------------------------------------------------------ calls

    async def _listen(self, hand: Hand) -> None:
        for position in EARS:
            self.findings.ear[position] = self._folder / f"{position}.wav"
            await hand.listen(position, self.findings.ear[position])

    async def _call(self, hand: Hand, panel: PanelClient, side: str, number: str) -> None:
        position = position_of(side)
        await hand.lift(position)
        await until(lambda: self._off_hook(panel, side), f"{position} off-hook")
        self._say(position, "off-hook")
        await panel.dial(side, number)
        self._say(position, f"dials {number}")
        await until(
            lambda: self._connected(panel, position),
            f"call to {number}",
            deadline_s=CALL_DEADLINE_S,
        )
        await hand.speak(position, self._sentences[DEALERS[position]], loop=True)
        self._say(position, f"connected to {number}, speaks")

    async def _hear_hoots(self, panel: PanelClient) -> None:
        async def all_open() -> bool:
            calls = await self._calls(panel)
            open_ones = [c for c in calls if c.position.startswith("channel-")]
            return sum(call.state == "connected" for call in open_ones) == len(plan.HOOTS)

        await until(all_open, "opening of the speaker channels", deadline_s=CALL_DEADLINE_S)
        self._say(SPEAKER, f"{len(plan.HOOTS)} channels open to the hoots")

    async def _talk(self, seconds: float) -> None:
        self._say("bench", f"everybody talks for {seconds:g} s")
        await asyncio.sleep(seconds)

    # ------------------------------------------------------------ the kill

    async def _kill_runtime(self, unit: Unit, panel: PanelClient) -> None:
        kill = self.findings.kill
        kill.before = await self._calls(panel)
        matrix = unit.pids().get("matrix")
        runtime = unit.pids()["runtime"]
        os.kill(runtime, signal.SIGKILL)
        kill.at_unix = time.time()
        self._say("bench", f"SIGKILL to the runtime (pid {runtime})")
        await until(lambda: self._new_state(unit, panel, runtime), "return of the runtime")
        kill.panel_back_s = time.time() - kill.at_unix
        kill.after = await until(
            lambda: self._calls_again(panel, len(kill.before)), "return of the calls"
        )
        kill.calls_back_s = time.time() - kill.at_unix
        for call in kill.after:
            how = "adopted" if call.adopted else "taken over by INVITE with Replaces"
            self._say("runtime", f"{call.position} to {call.remote}: {how}")
        await until(lambda: self._registered(panel), "registration after the kill")
        kill.registered_back_s = time.time() - kill.at_unix
        kill.matrix_pid_same = unit.pids().get("matrix") == matrix

    async def _new_state(self, unit: Unit, panel: PanelClient, old: int) -> bool:
        return unit.pids().get("runtime") != old and await self._state(panel) is not None

    async def _calls_again(self, panel: PanelClient, count: int) -> list[Call] | None:
        calls = [call for call in await self._calls(panel) if call.state == "connected"]
        return calls if len(calls) >= count else None

    # ------------------------------------------------------------ hanging up

    async def _hang_up_left(self, hand: Hand, panel: PanelClient) -> None:
        await hand.silence("handset-left")
        await hand.cradle("handset-left")
        self._say("handset-left", "back on its cradle")
        await until(lambda: self._free(panel, "handset-left"), "end of the left call")
        number = plan.PARTIES[0].number
        await until(lambda: self._party_idle(number), f"end of the call at {number}")
        self.findings.bye_reached_party = True
        self._say(f"party {number}", "got the BYE of the old dialog")

    async def _be_hung_up_right(self, hand: Hand, panel: PanelClient) -> None:
        number = plan.PARTIES[1].number
        await self._bench.party_control(number).hang_up()
        self._say(f"party {number}", "hangs up")
        await until(lambda: self._free(panel, "handset-right"), "end of the right call")
        self.findings.party_hang_up_freed_line = True
        self._say("handset-right", "the line is free")
        await hand.silence("handset-right")
        await hand.cradle("handset-right")

    async def _party_idle(self, number: str) -> bool:
        return len(self._bench.party(number).heard()) > 0 and not await self._party_calls(number)

    async def _party_calls(self, number: str) -> bool:
        listed = await self._bench.party_control(number).command("listcalls")
        return "ESTABLISHED" in listed

    async def _log_out(self, hand: Hand, panel: PanelClient) -> None:
        await panel.logout()
        for position in EARS:
            await hand.stop_listening(position)
        await hand.close()
        await until(lambda: self._no_calls(panel), "end of the speaker channels")
        self._say("panel", "logged out")

    # ------------------------------------------------------------ looking at the unit

    async def _state(self, panel: PanelClient) -> dict[str, Any] | None:
        try:
            return await panel.state()
        except PanelError:
            return None

    async def _calls(self, panel: PanelClient) -> list[Call]:
        state = await self._state(panel) or {}
        return [Call.of(shown) for shown in state.get("calls", [])]

    async def _registered(self, panel: PanelClient) -> bool:
        state = await self._state(panel) or {}
        standing = [bool(item["registered"]) for item in state.get("registrations", [])]
        return len(standing) == len(plan.PBX) and all(standing)

    async def _off_hook(self, panel: PanelClient, side: str) -> bool:
        state = await self._state(panel) or {}
        return bool(state["handsets"][side]["off_hook"]) if state else False

    async def _connected(self, panel: PanelClient, position: str) -> bool:
        calls = await self._calls(panel)
        return any(call.position == position and call.state == "connected" for call in calls)

    async def _free(self, panel: PanelClient, position: str) -> bool:
        state = await self._state(panel)
        shown = [Call.of(call) for call in (state or {}).get("calls", [])]
        return state is not None and all(call.position != position for call in shown)

    async def _no_calls(self, panel: PanelClient) -> bool:
        state = await self._state(panel)
        return state is not None and not state.get("calls")

    def _say(self, actor: str, text: str) -> None:
        self._timeline.add(actor, text)
