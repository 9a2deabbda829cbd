"""A box behind a console server of Debian's: ser2net, over RFC 2217 and over plain TCP."""

import asyncio
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from openturret.drivers.emulated.serial_box import SerialBoxTwin
from openturret.drivers.serial.gooseneck import SerialGooseneck
from openturret.drivers.serial.messages import Change
from openturret.hal import AttachedEvent, Colour, DetachedEvent, PttEvent, RingLight, SystemClock
from openturret.hal.board import Capability, DeviceSpec, DeviceType
from openturret.lab.errors import ToolMissingError
from openturret.lab.tools import tool

ACCEPTERS = {"rfc2217": "telnet(rfc2217=true),tcp", "socket": "tcp"}
RED = RingLight(Colour.RED, blinking=True)
pytestmark = pytest.mark.slow


@pytest.fixture(params=ACCEPTERS)
async def served(
    request: pytest.FixtureRequest, pty_box: SerialBoxTwin, folder: Path
) -> AsyncIterator[str]:
    """The URL of the box's line at ser2net."""
    try:
        program = tool("ser2net")
    except ToolMissingError as error:
        pytest.skip(str(error))
    modules = program.find("usr/libexec/*/gensio/*")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    (folder / "ser2net.yaml").write_text(
        f"connection: &box\n"
        f"  accepter: {ACCEPTERS[request.param]},127.0.0.1,{port}\n"
        f"  connector: serialdev,{pty_box.url},115200N81,local\n"
    )
    process = await asyncio.create_subprocess_exec(
        *(str(program.path), "-u", "-n", "-d", "-c", str(folder / "ser2net.yaml")),
        *("-P", str(folder / "ser2net.pid")),
        env={**program.environment(), "GENSIO_LIBRARY_PATH": str(modules)},
        stderr=asyncio.subprocess.DEVNULL,
    )
    yield f"{request.param}://127.0.0.1:{port}"
    process.kill()
    await process.wait()


async def test_a_box_behind_ser2net_attaches_reports_and_shows(
    served: str, pty_box: SerialBoxTwin
) -> None:
    match: dict[str, str | int] = {"url": served, "serial": "GN-0001"}
    described = DeviceSpec(
        "gooseneck", DeviceType.GOOSENECK, "serial", match, frozenset(Capability)
    )
    driver = SerialGooseneck(described, SystemClock())
    events = driver.events()
    await driver.open()
    async with asyncio.timeout(30):
        assert isinstance(await anext(events), AttachedEvent)
        pty_box.move(Change("ptt", on=True))
        assert isinstance(await anext(events), PttEvent)
        await driver.set_ring(RED)
        await pty_box.until_shown(frozenset(), RED)
        await pty_box.power_cut()
        assert isinstance(await anext(events), DetachedEvent)
        pty_box.power_on()
        assert isinstance(await anext(events), AttachedEvent)
        await pty_box.until_shown(frozenset(), RED)
    await driver.close()
