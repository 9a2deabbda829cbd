"""A second SIP agent as the far end: answers every call, or makes one; tells what happens."""

from __future__ import annotations

import asyncio
import json
import sys

from openturret.firmware.calls.agent import Agent, AgentSettings
from openturret.firmware.calls.events import (
    Account,
    CallConnected,
    CallEnded,
    CallProgress,
    Event,
    IncomingCall,
    LocalMedia,
    MediaChanged,
)

PORTS = {"answer": 22_000, "call": 23_000}


def told(event: Event) -> dict[str, object]:
    line: dict[str, object] = {"event": type(event).__name__}
    match event:
        case CallProgress(status=status) | CallEnded(status=status):
            line["status"] = status
        case CallConnected(dialog=dialog):
            line["sip_call_id"] = dialog.sip_call_id
        case MediaChanged(media=media):
            each = media[0]
            line["remote"] = [each.remote_address, each.remote_rtp_port]
            line["send"], line["receive"] = each.send, each.receive
    return line


async def main(address: str, target: str = "", password: str = "") -> None:
    agent = Agent(AgentSettings(address=address))
    events: asyncio.Queue[Event] = asyncio.Queue()
    agent.subscribe(events.put_nowait)
    await agent.start()
    await agent.add_account(
        Account("direct", "sip:2001@turret.example", username="2001", password=password)
    )
    media = [LocalMedia(address, PORTS["call" if target else "answer"])]
    if target:
        await agent.invite(target, account="direct", media=media)
    while True:
        event = await events.get()
        if isinstance(event, IncomingCall):
            await agent.answer(event.call_id, media=media)
        sys.stdout.write(json.dumps(told(event)) + "\n")
        sys.stdout.flush()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
