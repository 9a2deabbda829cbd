"""A unit on the bench: its emulated hardware, its factory folder, its power switch.

The hardware is a process of its own that outlives everything else, as hardware does. The
boot agent starts in the unit's namespace; what it starts is its own business.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import shutil
import sys
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any

from .errors import LabError
from .network import Network
from .plan import UnitPlan
from .processes import Processes, Service, listens
from .tss import write_factory

_BOARD = "emulated.yaml"
_SHIPPED_SOCKETS = "/run/openturret/hardware"
_ANSWER_SECONDS = 30.0
_POLL_SECONDS = 0.05
_CLOCK_STEP_SECONDS = 0.01
"""The kernel stamps files with the time of its last tick."""


class UnitError(LabError, RuntimeError):
    """The boot agent refused a request, or does not answer.

    Attributes:
        code: its own word for it, such as ``bad_credentials``.
        remedy: what to do about it.
    """

    def __init__(self, message: str, *, code: str = "unreachable", remedy: str = "") -> None:
        super().__init__(message)
        self.code = code
        self.remedy = remedy


@dataclass(frozen=True, slots=True)
class Trust:
    """Whom a unit believes.

    Attributes:
        authority: the CA's certificate.
        root: the TUF root.
    """

    authority: Path
    root: bytes


class Unit:
    """One unit.

    Args:
        plan: who it is.
        folder: its folders: ``factory`` and ``state``.
        network: where it is plugged in.
        processes: runs its hardware and its boot agent.
        trust: whom it believes.
    """

    def __init__(
        self,
        plan: UnitPlan,
        folder: Path,
        *,
        network: Network,
        processes: Processes,
        trust: Trust,
    ) -> None:
        self.plan = plan
        self.factory = folder / "factory"
        self.state = folder / "state"
        self.sockets = Path("/run/openturret") / plan.name
        self.powered_on_at: float | None = None
        self._network = network
        self._processes = processes
        self._trust = trust

    @property
    def name(self) -> str:
        """Its name, which is also its namespace."""
        return self.plan.name

    @property
    def is_on(self) -> bool:
        """Whether its boot agent runs."""
        boot = f"{self.name}-boot"
        return boot in self._processes and self._processes[boot].running

    @property
    def boot_log(self) -> Path:
        """What the boot agent writes to its standard output."""
        return self._processes[f"{self.name}-boot"].log

    async def power_on(self) -> None:
        """Plug it in: the hardware answers and the boot agent starts.

        Raises:
            UnitError: it is on already.
            ServiceError: the hardware did not come up.
        """
        if self.is_on:
            raise UnitError(f"{self.name} is on already", remedy="power it off first")
        self._manufacture()
        if f"{self.name}-hardware" not in self._processes:
            await self._processes.start(self._hardware())
        self.powered_on_at = time.time()
        self._processes.launch(self._boot())

    async def power_off(self) -> None:
        """Pull the plug: every process of the unit dies at once, its state folder stays."""
        while self._network.kill_all_in(self.name):
            await asyncio.sleep(_POLL_SECONDS)
        await self._processes[f"{self.name}-boot"].kill()
        forget = ["address flush dev eth0", "route flush table main"]
        self._network.configure(self.name, forget)

    async def factory_reset(self) -> None:
        """Power it off, if it is on, and forget everything since the factory."""
        if self.is_on:
            await self.power_off()
        if f"{self.name}-hardware" in self._processes:
            await self._processes[f"{self.name}-hardware"].restart()
        shutil.rmtree(self.state, ignore_errors=True)
        self.state.mkdir(parents=True, exist_ok=True)

    def pids(self) -> dict[str, int]:
        """Its running processes: ``boot``, ``matrix``, ``runtime``."""
        found = {"boot": self._processes[f"{self.name}-boot"].pid}
        for name in ("matrix", "runtime"):
            with contextlib.suppress(OSError, ValueError):
                found[name] = int((self.state / "run" / f"{name}.pid").read_text())
        return found

    def status(self) -> dict[str, Any]:
        """The boot agent's ``status.json``; empty before it wrote one since the power came."""
        return self._read("status.json")

    def address(self) -> str | None:
        """The address that DHCP gave it; None before it gave one since the power came."""
        found = self._read("network.json").get("address")
        return str(found) if found else None

    def _read(self, name: str) -> dict[str, Any]:
        """A file of the state folder, unless it is left from before the last power-on."""
        path = self.state / name
        try:
            stale = path.stat().st_mtime < (self.powered_on_at or 0.0) - _CLOCK_STEP_SECONDS
        except OSError:
            return {}
        return {} if stale else _read_json(path)

    async def reach(self, stage: str = "running", *, deadline_s: float = 30.0) -> dict[str, Any]:
        """Wait until the boot agent says that a stage is reached.

        Args:
            stage: ``running``, or the name of a stage that must be done.
            deadline_s: how long to wait.

        Returns:
            Its status.

        Raises:
            UnitError: the deadline passed; the message says what it was doing.
        """
        status: dict[str, Any] = {}
        try:
            async with asyncio.timeout(deadline_s):
                while not _has_reached(status, stage):
                    await asyncio.sleep(_POLL_SECONDS)
                    with contextlib.suppress(UnitError):
                        status = await self.ask_boot("status")
        except TimeoutError as error:
            doing = status.get("stage", "nothing that it says")
            raise UnitError(f"{self.name} did not reach {stage}: it is at {doing}") from error
        return status

    async def ask_boot(self, method: str, **parameters: object) -> dict[str, Any]:
        """Ask the boot agent on its control socket.

        Args:
            method: ``status``, ``login`` or ``logout``.
            parameters: of the method.

        Raises:
            UnitError: it refused, with its code and remedy, or does not answer.
        """
        request = {"id": 1, "method": method, "params": parameters}
        try:
            async with asyncio.timeout(_ANSWER_SECONDS):
                answer = await _exchange(self.state / "run/boot.sock", request)
        except (OSError, ValueError) as error:
            raise UnitError(f"{self.name}: the boot agent does not answer: {error}") from error
        if "error" in answer:
            raise _refusal(answer["error"])
        result: dict[str, Any] = answer["result"]
        return result

    async def login(self, user: str, password: str) -> dict[str, Any]:
        """Log somebody in; the profile is fetched and verified by the boot agent.

        Raises:
            UnitError: the credentials are wrong, or the directory or the TSS is away.
        """
        return await self.ask_boot("login", user=user, password=password)

    def _manufacture(self) -> None:
        if self.factory.exists():
            return
        shipped = resources.files("openturret.hal").joinpath("boards", _BOARD).read_text()
        write_factory(
            self.factory,
            self.plan,
            authority=self._trust.authority,
            root=self._trust.root,
            board=shipped.replace(_SHIPPED_SOCKETS, str(self.sockets)),
        )
        self.state.mkdir(parents=True, exist_ok=True)

    def _hardware(self) -> Service:
        self.sockets.mkdir(parents=True, exist_ok=True)
        argv = [sys.executable, "-m", "openturret.drivers.emulated"]
        argv += ["--board", str(self.factory / "board.yaml"), "--sockets", str(self.sockets)]
        ready = listens(self.sockets / "hand.sock")
        return Service(f"{self.name}-hardware", "", argv, ready=ready)

    def _boot(self) -> Service:
        argv = [sys.executable, "-m", "openturret.boot", "--state", str(self.state)]
        argv += ["--factory", str(self.factory), "--interface", "eth0"]
        return Service(f"{self.name}-boot", self.name, argv)


async def _exchange(path: Path, request: dict[str, object]) -> dict[str, Any]:
    reader, writer = await asyncio.open_unix_connection(os.fspath(path), limit=2**20)
    try:
        writer.write(json.dumps(request).encode() + b"\n")
        while True:
            answer: dict[str, Any] = json.loads(await reader.readline())
            if answer.get("id") == request["id"]:
                return answer
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()


def _has_reached(status: dict[str, Any], stage: str) -> bool:
    if status.get("stage") == stage:
        return True
    return any(
        entry["name"] == stage and entry["state"] == "done" for entry in status.get("stages", ())
    )


def _refusal(error: dict[str, Any]) -> UnitError:
    return UnitError(
        str(error.get("message", "refused")),
        code=str(error.get("code", "")),
        remedy=str(error.get("remedy", "")),
    )


def _read_json(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
