"""The far side of ``conftest.py``: a LAN, a bench TSS and a unit, by their commands alone."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from openturret.lab.tools import tool
from openturret.lab.workbench import hints, place, probe

MAC, FOLDER = "02:54:50:00:00:01", "02-54-50-00-00-01"
TURRET = [sys.executable, "-m", "openturret.lab.cli"]
DEADLINE_S = 40.0
LAN = """\
link set lo up
netns add unit
netns add gateway
link add eth0 type bridge
link add to-unit type veth peer name eth0 netns unit
link add to-gateway type veth peer name eth0 netns gateway
link set to-unit master eth0
link set to-gateway master eth0
link set to-unit up
link set to-gateway up
link set eth0 up
address add 192.0.2.1/24 dev eth0
"""
UNIT = f"link set lo up\nlink set eth0 address {MAC}\nlink set eth0 up\n"
GATEWAY = "link set eth0 up\naddress add 192.0.2.2/24 dev eth0\n"


def lay_cables() -> None:
    for scope, commands in (([], LAN), (["-n", "unit"], UNIT), (["-n", "gateway"], GATEWAY)):
        ip = [str(tool("ip").path), *scope, "-batch", "-"]
        subprocess.run(ip, input=commands, text=True, check=True)


@asynccontextmanager
async def running(*command: str, log: Path) -> AsyncIterator[asyncio.subprocess.Process]:
    """A process whose standard output is read; it is ended by Ctrl-C."""
    with log.open("wb") as errors:
        process = await asyncio.create_subprocess_exec(
            *command, stdout=asyncio.subprocess.PIPE, stderr=errors, limit=2**20
        )
        try:
            yield process
        finally:
            if process.returncode is None:
                process.send_signal(signal.SIGINT)
            await process.wait()


async def until(process: asyncio.subprocess.Process, wanted: Callable[[dict[str, Any]], bool],
                seen: list[dict[str, Any]]) -> None:  # fmt: skip
    """Read events until one is wanted."""
    assert process.stdout is not None
    async for line in process.stdout:
        seen.append(json.loads(line))
        if wanted(seen[-1]):
            return
    raise EOFError("the command ended")


def boot(folder: Path, state: str = "state") -> list[str]:
    inside = [str(tool("nsenter").path), "--net=/run/netns/unit", "--"]
    return [*inside, *TURRET, "boot", "--state", str(folder / state),
            "--factory", str(folder / "site/factory" / FOLDER), "--interface", "eth0"]  # fmt: skip


async def status(folder: Path) -> dict[str, Any]:
    process = await asyncio.create_subprocess_exec(
        *TURRET, "boot", "status", "--state", str(folder / "state"), "--json",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    output, _ = await process.communicate()
    found: dict[str, Any] = json.loads(output)
    return found


async def a_unit_boots(folder: Path) -> dict[str, Any]:
    """One command, a unit that is plugged in, and Ctrl-C."""
    events: list[dict[str, Any]] = []
    serve = [*TURRET, "tss", "serve", str(folder / "site"), "--interface", "eth0",
             "--unit", MAC, "--json"]  # fmt: skip
    async with running(*serve, log=folder / "serve.log") as bench:
        await until(bench, lambda event: event["event"] == "ready", events)
        async with running(*boot(folder), log=folder / "boot.log"):
            await until(bench, lambda event: str(event.get("text")) == "boot: running", events)
            shown = await status(folder)
    again = subprocess.run(
        [*TURRET, "tss", "check", "--interface", "eth0"], capture_output=True, text=True
    )
    return {"events": events, "status": shown, "code": bench.returncode, "after": again.stdout,
            "errors": (folder / "serve.log").read_text()}  # fmt: skip


async def a_lan_with_its_own_dhcp_server(folder: Path) -> dict[str, Any]:
    """The LAN's own dnsmasq hands out addresses and our options; the TSS demands certificates."""
    configuration = folder / "lan.conf"
    configuration.write_text(
        "port=0\nbind-interfaces\ninterface=eth0\nno-ping\nlog-facility=-\n"
        "dhcp-range=192.0.2.50,192.0.2.60,120\n"
        f"dhcp-leasefile={folder}/lan.leases\n" + hints.SERVERS["dnsmasq"]("192.0.2.1") + "\n"
    )
    program, inside = tool("dnsmasq"), ["--net=/run/netns/gateway", "--"]
    server = await asyncio.create_subprocess_exec(
        str(tool("nsenter").path), *inside, str(program.path), f"--conf-file={configuration}",
        "--no-daemon",
        env=program.environment(), stderr=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert server.stderr is not None
    await server.stderr.readuntil(b"IP range")
    drain = asyncio.create_task(server.stderr.read())
    events: list[dict[str, Any]] = []
    serve = [*TURRET, "tss", "serve", str(folder / "site"), "--interface", "eth0",
             "--unit", MAC, "--json", "--once"]  # fmt: skip
    async with running(*serve, log=folder / "serve.log") as bench:
        await until(bench, lambda event: event["event"] == "ready", events)
        demand = [*TURRET, "bundle", "certificates", str(folder / "site"), "demanded"]
        subprocess.run(demand, check=True)
        async with running(*boot(folder), log=folder / "boot.log"):
            assert bench.stdout is not None
            events += [json.loads(line) async for line in bench.stdout]
            await bench.wait()
    server.terminate()
    await drain
    await server.wait()
    return {
        "events": events,
        "code": bench.returncode,
        "errors": (folder / "serve.log").read_text(),
    }


async def nobody_answers(_folder: Path) -> dict[str, Any]:
    found = await probe.dhcp_server(place.find("eth0"), wait_s=0.3)
    return {"server": str(found)}


async def a_taken_port(folder: Path) -> dict[str, Any]:
    holder = await asyncio.create_subprocess_exec(
        sys.executable, "-c",
        "import socket; s = socket.create_server(('192.0.2.1', 443)); print(flush=True); input()",
        stdin=asyncio.subprocess.PIPE, stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert holder.stdout is not None
    await holder.stdout.readline()
    serve = [
        *TURRET,
        "tss",
        "serve",
        str(folder / "site"),
        "--interface",
        "eth0",
        "--dhcp",
        "serve",
    ]
    async with running(*serve, log=folder / "serve.log") as bench:
        await bench.wait()
    await holder.communicate(b"\n")
    return {"code": bench.returncode, "errors": (folder / "serve.log").read_text(),
            "holder": holder.pid}  # fmt: skip


STORIES: Iterable[Callable[[Path], Awaitable[dict[str, Any]]]] = (
    a_unit_boots,
    a_lan_with_its_own_dhcp_server,
    nobody_answers,
    a_taken_port,
)


def main() -> None:
    # Standard output is the channel of the answer; what a story prints goes to standard error.
    channel = os.dup(1)
    os.dup2(2, 1)
    lay_cables()
    story = next(story for story in STORIES if getattr(story, "__name__", "") == sys.argv[1])
    answer = asyncio.run(asyncio.wait_for(story(Path(sys.argv[2])), DEADLINE_S))
    os.write(channel, json.dumps(answer).encode())


if __name__ == "__main__":
    main()
