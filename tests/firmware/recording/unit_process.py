"""Recording as a process of its own, so that it can be killed.

Reads lines of words (``call``, ``end``, ``stop``) and writes ``{"snapshot", "alarms", "time"}``
whenever something changes.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import time
from pathlib import Path

from openturret.drivers.oldcb import OldcbMatrix
from openturret.firmware.alarms import AlarmBoard
from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.events import Account
from openturret.firmware.calls.journal import Journal
from openturret.firmware.recording.cti import RecordedCall, User
from openturret.firmware.recording.ledger import Ledger
from openturret.firmware.recording.recordings import Recordings, recorders_of
from openturret.firmware.recording.session import Tools
from openturret.hal.clock import SystemClock

ALICE = User("alice", "sip:1001@turret.example", "Alice")
CALL = RecordedCall("call-1", "abc@pbx", "2001", "handset-left", "2001", "Bob", start_unix_s=1e9)


class Reporter:
    """Says what a panel would show."""

    def __init__(self, alarms: AlarmBoard) -> None:
        self._alarms = alarms
        self.recordings: Recordings | None = None

    def __call__(self) -> None:
        if self.recordings is not None:
            report = {
                "snapshot": self.recordings.snapshot(),
                "alarms": [alarm.as_json() for alarm in self._alarms.active],
                "time": time.time(),
            }
            sys.stdout.write(json.dumps(report) + "\n")
            sys.stdout.flush()


async def obey(recordings: Recordings) -> None:
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    while word := (await reader.readline()).strip():
        if word == b"call":
            recordings.call_started(CALL)
        elif word == b"end":
            recordings.call_ended(CALL.call_id)


async def main(options: argparse.Namespace) -> None:
    clock = SystemClock()
    alarms = AlarmBoard(clock)
    agent = Agent(AgentSettings(address=options.address))
    await agent.start()
    await agent.add_account(Account("direct", ALICE.address))
    journal = Journal(options.state / "journal", clock)
    left_over = journal.entries()
    journal.follow(agent)
    matrix = OldcbMatrix(
        options.address, control_port=options.control_port, event_port=options.event_port
    )
    reporter = Reporter(alarms)
    ledger = Ledger(options.state / "calls.jsonl", clock)
    tools = Tools(agent, matrix, alarms, clock, random.Random(), reporter)
    recorders = recorders_of(options.a, options.b)
    recordings = Recordings(tools, unit="TP-0001", recorders=recorders, ledger=ledger)
    reporter.recordings = recordings
    await recordings.start(ALICE, channels=3, left_over=left_over)
    reporter()
    await obey(recordings)
    await recordings.stop()
    await agent.stop(hang_up=True)
    await matrix.close()
    ledger.close()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--address", required=True)
    parser.add_argument("--control-port", type=int, required=True)
    parser.add_argument("--event-port", type=int, required=True)
    parser.add_argument("--state", type=Path, required=True)
    parser.add_argument("--a", required=True)
    parser.add_argument("--b", required=True)
    logging.basicConfig(level=logging.INFO)
    asyncio.run(main(parser.parse_args()))
