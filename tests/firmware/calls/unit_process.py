"""The part of the runtime under test as a process of its own, so that it can be killed.

Reads ``{"id", "method", "arguments"}`` lines, answers ``{"id", "result" | "error"}``, and writes
``{"snapshot"}`` whenever the desk changes and ``{"call"}`` whenever a call starts or ends.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
from pathlib import Path
from typing import Any

from openturret.drivers.emulated.handset import EmulatedHandset
from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.desk import Desk, DeskParts
from openturret.firmware.calls.errors import CallsError
from openturret.firmware.calls.journal import Journal
from openturret.firmware.calls.profile import Profile, SpeakerChannel
from openturret.firmware.calls.registration import Identity
from openturret.hal.board import DeviceSpec, load_board
from openturret.hal.clock import SystemClock
from openturret.hal.errors import HalError


def say(message: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


def profile_from(fields: dict[str, Any]) -> Profile:
    return Profile(
        "Alice",
        Identity(fields["number"], fields["password"], fields["domain"]),
        tuple(SpeakerChannel(n, f"Hoot {n}", uri) for n, uri in enumerate(fields["channels"], 1)),
    )


async def report(desk: Desk) -> None:
    async for _ in desk.changes():
        say({"snapshot": desk.snapshot()})


async def carry_out(desk: Desk, method: str, arguments: list[Any]) -> object:
    if method == "open_profile":
        arguments = [profile_from(arguments[0])]
    if method == "snapshot":
        return desk.snapshot()
    return await getattr(desk, method)(*arguments)


async def obey(desk: Desk, line: bytes) -> None:
    request = json.loads(line)
    try:
        result = await carry_out(desk, request["method"], request["arguments"])
        say({"id": request["id"], "result": result})
    except (CallsError, HalError) as error:
        say({"id": request["id"], "error": f"{type(error).__name__}: {error}"})


async def open_handsets(board: Path) -> dict[str, EmulatedHandset]:
    devices = load_board(board).devices
    specs: dict[str, DeviceSpec] = {side: devices[f"handset-{side}"] for side in ("left", "right")}
    made = {side: EmulatedHandset(spec, SystemClock()) for side, spec in specs.items()}
    for handset in made.values():
        await handset.open()
    return made


async def main(options: argparse.Namespace) -> None:
    agent = Agent(AgentSettings(address=options.address))
    await agent.start()
    desk = Desk(
        DeskParts(
            agent=agent,
            matrix=OldcbMatrix(control_port=options.matrix),
            servers=tuple(options.server),
            journal=Journal(options.state / "journal", SystemClock()),
            handsets=await open_handsets(options.board),
            clock=SystemClock(),
            rng=random.Random(1),
            peers=tuple(options.peer),
        )
    )
    desk.follow_calls(
        lambda line: say({"call": ["started", line.line_id]}),
        lambda line: say({"call": ["ended", line.line_id]}),
    )
    await desk.start()
    reporter = asyncio.create_task(report(desk))
    say({"snapshot": desk.snapshot(), "ready": True})
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while line := await reader.readline():
        await obey(desk, line)
    reporter.cancel()
    await desk.stop()
    await agent.stop()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--matrix", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--board", type=Path, required=True)
    parser.add_argument("--server", action="append", default=[])
    parser.add_argument("--peer", action="append", default=[])
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(parser.parse_args()))
