"""Drivers of a unit: its power and its panel."""

from __future__ import annotations

from typing import Any, ClassVar

import attr

from ..errors import LabError
from ..panel_client import PanelClient, PanelError
from ..waiting import until
from ._labgrid import Driver, PowerProtocol, proxymanager, step, target_factory
from .bridge import Bridge
from .errors import CallRefusedError
from .power import PowerSwitch
from .protocols import UnitProtocol
from .resources import TurretPanel, TurretPower

_TEXT = attr.validators.instance_of(str)
BOOT_S = 60.0
REGISTER_S = 15.0
ANSWER_S = 15.0


@target_factory.reg_driver
@attr.s(eq=False)
class UnitPowerDriver(Driver, PowerProtocol):
    """Switches an emulated unit; a real one takes whatever labgrid has for its power."""

    bindings: ClassVar = {"switch": {TurretPower}}
    switch: TurretPower

    @Driver.check_active
    @step()
    def on(self) -> None:
        """Plug the unit in; nothing happens when it is on."""
        self._power().on()

    @Driver.check_active
    @step()
    def off(self) -> None:
        """Pull its plug; nothing happens when it is off."""
        self._power().off()

    @Driver.check_active
    @step()
    def cycle(self) -> None:
        """Pull its plug and plug it in again."""
        self._power().off()
        self._power().on()

    @Driver.check_active
    @step(result=True)
    def get(self) -> bool:
        """Whether it has power."""
        return self._power().is_on()

    def _power(self) -> PowerSwitch:
        return PowerSwitch(*proxymanager.get_host_and_port(self.switch), self.switch.unit)


@target_factory.reg_driver
@attr.s(eq=False)
class UnitPanelDriver(Driver, UnitProtocol):
    """Touches and reads the panel of a unit, emulated or real.

    Attributes:
        user: who logs in.
        password: of that user; an environment takes it from outside with
            ``!template $LG_DEALER_PASSWORD``.
    """

    bindings: ClassVar = {"panel": {TurretPanel}}
    panel: TurretPanel
    user: str = attr.ib(validator=_TEXT)
    password: str = attr.ib(validator=_TEXT, repr=False)

    def on_activate(self) -> None:
        """Begin a session at the panel."""
        self._bridge = Bridge()
        self._client = self._bridge.run(_client(*proxymanager.get_host_and_port(self.panel)))

    def on_deactivate(self) -> None:
        """End the session."""
        self._bridge.run(self._client.__aexit__(None, None, None))
        self._bridge.close()

    @Driver.check_active
    @step()
    def wait_until_up(self) -> None:
        """Wait until the panel answers."""
        self._bridge.run(until(self._state, "an answer of the panel", deadline_s=BOOT_S))

    @Driver.check_active
    @step()
    def log_in(self) -> None:
        """Log the dealer in and wait until every PBX knows the unit."""
        self._bridge.run(self._log_in())

    @Driver.check_active
    @step()
    def log_out(self) -> None:
        """Log the dealer out."""
        self._bridge.run(self._client.logout())

    @Driver.check_active
    @step(args=["side", "number"])
    def dial(self, side: str, number: str) -> None:
        """Dial on a handset that is off-hook and wait for the answer."""
        self._bridge.run(self._dial(side, number))

    @Driver.check_active
    @step(args=["side"])
    def wait_until_free(self, side: str) -> None:
        """Wait until a handset has no call."""
        self._bridge.run(until(lambda: self._is_free(side), f"end of the {side} handset's call"))

    @Driver.check_active
    def situation(self) -> str:
        """What the panel shows, in a line, for people."""
        try:
            return _in_words(self._bridge.run(self._client.state()))
        except LabError as error:
            return f"its panel does not answer ({error})"

    async def _log_in(self) -> None:
        await self._client.login(self.user, self.password)
        await until(self._is_registered, "registration at every PBX", deadline_s=REGISTER_S)

    async def _dial(self, side: str, number: str) -> None:
        await until(lambda: self._is_off_hook(side), f"lifting of the {side} handset")
        await self._client.dial(side, number)
        what = f"an answer of {number}"
        await until(lambda: self._is_connected(side), what, deadline_s=ANSWER_S)

    async def _state(self) -> dict[str, Any]:
        """What the panel shows; empty while it does not answer."""
        try:
            return await self._client.state()
        except PanelError:
            return {}

    async def _is_registered(self) -> bool:
        standing = [item["registered"] for item in (await self._state()).get("registrations", [])]
        return bool(standing) and all(standing)

    async def _is_off_hook(self, side: str) -> bool:
        return bool((await self._client.state())["handsets"][side]["off_hook"])

    async def _is_connected(self, side: str) -> bool:
        state = await self._client.state()
        if failure := state["last_failure"]:
            raise CallRefusedError("{remote} answered {status} {reason}".format_map(failure))
        return "connected" in _calls(state, side)

    async def _is_free(self, side: str) -> bool:
        return not _calls(await self._client.state(), side)


async def _client(host: str, port: int) -> PanelClient:
    """Made on the loop that it is used on."""
    return PanelClient(host, port)


def _calls(state: dict[str, Any], side: str) -> list[str]:
    """The states of the calls at a handset."""
    calls = state["calls"]
    return [str(call["state"]) for call in calls if call["position"] == f"handset-{side}"]


def _in_words(state: dict[str, Any]) -> str:
    if "calls" not in state:
        return "its panel answers; this session is not logged in"
    standing = [bool(item["registered"]) for item in state["registrations"]]
    calls = [f"{call['position']} {call['state']}" for call in state["calls"]]
    return (
        f"its panel shows {state['user']['name']}, {sum(standing)} of {len(standing)} "
        f"registrations, {', '.join(calls) or 'no call'}"
    )
