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

from .. import plan
from ..bench import Bench
from ..dealer import BOOT_DEADLINE_S, SENTENCES, Call, Dealer, position_of
from ..panel_client import PanelError
from ..timeline import Timeline
from ..waiting import until
from .findings import Findings

TALK_S = 9.0
AFTER_KILL_S = 6.0
SPEAKER = "speaker-1"
DEALERS = {position_of(side): sentence for side, sentence in SENTENCES.items()}
"""What is said into each handset."""

EARS = (*DEALERS, SPEAKER)


class Story:
    """One run of the story on a bench that is up.

    Args:
        bench: the bench.
        timeline: told what happens.
        folder: where recordings of the ears go.
    """

    def __init__(self, bench: Bench, timeline: Timeline, folder: Path) -> None:
        self._bench = bench
        self._say = timeline.add
        self._folder = folder
        self._dealer = Dealer(bench, "touchpro-1")
        self.findings = Findings()

    async def tell(self) -> Findings:
        """Tell it from power-on to the last hang-up.

        Raises:
            LabError: something that must happen did not.
        """
        async with self._dealer:
            await self._capture()
            await self._power_on()
            await self._log_in()
            await self._listen()
            await self._call("left", plan.PARTIES[0].number)
            await self._call("right", plan.PARTIES[1].number)
            await self._hear_hoots()
            talking = time.monotonic()
            await self._talk(TALK_S)
            await self._kill_runtime()
            await self._talk(AFTER_KILL_S)
            self.findings.talked_s = time.monotonic() - talking
            self.findings.legs = await self._dealer.panel.legs()
            await self._hang_up_left()
            await self._be_hung_up_right()
            await self._log_out()
        return self.findings

    # ------------------------------------------------------------ power-on

    async def _capture(self) -> None:
        for host in (self._dealer.unit.name, plan.PARTY.name, plan.TPO.name):
            await self._bench.capture(host)
            self.findings.captures[host] = self._bench.folders["captures"] / f"{host}-eth0.pcap"
        self._say("bench", f"captures at {', '.join(self.findings.captures)}")

    async def _power_on(self) -> None:
        await self._dealer.power_on()
        self.findings.powered_on_unix = self._dealer.unit.powered_on_at or time.time()
        self._say("touchpro-1", "power on")
        told: set[str] = set()

        async def running() -> bool:
            self._tell_stages(told)
            return bool(self._dealer.unit.status().get("stage") == "running")

        await until(running, "boot", deadline_s=BOOT_DEADLINE_S)

    def _tell_stages(self, told: set[str]) -> None:
        """Tell each boot stage that has ended since the last look."""
        for stage in self._dealer.unit.status().get("stages", []):
            name = str(stage["name"])
            if stage["state"] != "done" or name in told:
                continue
            told.add(name)
            took = f"{stage['duration_s'] * 1000:.0f} ms, {stage['round_trips']} round trips"
            self._say("boot", f"{name} in {took}: {stage['detail']}")

    async def _log_in(self) -> None:
        dealer = self._dealer
        await dealer.wait_for_panel()
        self.findings.wrong_password_refused = await self._is_refused("not the password")
        await dealer.log_in()
        self.findings.registered_after_s = time.time() - self.findings.powered_on_unix
        self._say("panel", f"{dealer.person.name} logged in")
        self._say("sip", f"registered at {' and '.join(host.address for host in plan.PBX)}")
        await dealer.unit.reach("register")
        self.findings.stages = dealer.unit.status()["stages"]

    async def _is_refused(self, password: str) -> bool:
        try:
            await self._dealer.panel.login(self._dealer.person.user, password)
        except PanelError as error:
            self._say("panel", f"a wrong password is refused: {error}")
            return error.status in (401, 403)
        return False

    # ------------------------------------------------------------ calls

    async def _listen(self) -> None:
        for position in EARS:
            self.findings.ear[position] = self._folder / f"{position}.wav"
            await self._dealer.hand.listen(position, self.findings.ear[position])

    async def _call(self, side: str, number: str) -> None:
        self._say(position_of(side), f"goes off-hook and dials {number}")
        await self._dealer.call(side, number)
        self._say(position_of(side), f"connected to {number}, speaks")

    async def _hear_hoots(self) -> None:
        await until(self._dealer.hears_hoots, "opening of the speaker channels")
        self._say(SPEAKER, f"{len(plan.HOOTS)} channels open to the hoots")

    async def _talk(self, seconds: float) -> None:
        self._say("bench", f"everybody talks for {seconds:g} s")
        await asyncio.sleep(seconds)

    # ------------------------------------------------------------ the kill

    async def _kill_runtime(self) -> None:
        kill, unit = self.findings.kill, self._dealer.unit
        kill.before = await self._dealer.calls()
        pids = unit.pids()
        os.kill(pids["runtime"], signal.SIGKILL)
        kill.at_unix = time.time()
        self._say("bench", f"SIGKILL to the runtime (pid {pids['runtime']})")
        kill.after = await until(
            lambda: self._calls_again(pids["runtime"], len(kill.before)), "return of the calls"
        )
        kill.calls_back_s = time.time() - kill.at_unix
        for call in kill.after:
            how = "adopted" if call.adopted else "taken over by INVITE with Replaces"
            self._say("runtime", f"{call.position} to {call.remote}: {how}")
        await until(self._dealer.is_registered, "registration after the kill")
        kill.registered_back_s = time.time() - kill.at_unix
        kill.matrix_pid_same = unit.pids()["matrix"] == pids["matrix"]

    async def _calls_again(self, old_pid: int, count: int) -> list[Call] | None:
        """The calls that a new runtime shows, once they are all there."""
        if self._dealer.unit.pids().get("runtime") == old_pid:
            return None
        calls = [call for call in await self._dealer.calls() if call.state == "connected"]
        return calls if len(calls) >= count else None

    # ------------------------------------------------------------ hanging up

    async def _hang_up_left(self) -> None:
        await self._dealer.cradle("left")
        self._say("handset-left", "back on its cradle")
        await until(lambda: self._dealer.is_free("handset-left"), "end of the left call")
        number = plan.PARTIES[0].number
        await until(lambda: self._party_is_idle(number), f"end of the call at {number}")
        self.findings.bye_reached_party = True
        self._say(f"party {number}", "got the BYE of the old dialog")

    async def _be_hung_up_right(self) -> None:
        number = plan.PARTIES[1].number
        await self._bench.party_control(number).hang_up()
        self._say(f"party {number}", "hangs up")
        await until(lambda: self._dealer.is_free("handset-right"), "end of the right call")
        self.findings.party_hang_up_freed_line = True
        self._say("handset-right", "the line is free")
        await self._dealer.cradle("right")

    async def _party_is_idle(self, number: str) -> bool:
        listed = await self._bench.party_control(number).command("listcalls")
        return "ESTABLISHED" not in listed

    async def _log_out(self) -> None:
        await self._dealer.panel.logout()
        for position in EARS:
            await self._dealer.hand.stop_listening(position)
        self._say("panel", "logged out")
