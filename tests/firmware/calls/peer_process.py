"""A second SIP agent as a peer that supports Replaces: answers every call, tells what happens."""

from __future__ import annotations

import asyncio
import json
import sys

from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.events import Account, CallConnected, Event, IncomingCall, LocalMedia


async def main(address: str) -> None:
    agent = Agent(AgentSettings(address=address))
    events: asyncio.Queue[Event] = asyncio.Queue()
    agent.subscribe(events.put_nowait)
    await agent.start()
    await agent.add_account(Account("direct", "sip:peer@turret.example"))
    while True:
        event = await events.get()
        line = {"event": type(event).__name__, "call": getattr(event, "call_id", "")}
        if isinstance(event, IncomingCall):
            await agent.answer(event.call_id, media=[LocalMedia(address, 22_000)])
            line["offer"] = event.offer
        if isinstance(event, CallConnected):
            line["sip_call_id"] = event.dialog.sip_call_id
        sys.stdout.write(json.dumps(line) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
