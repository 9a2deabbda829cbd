"""The three ports that a serial cable may end in, each with a box or bare."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.emulated.serial_box import SerialBoxTwin
from openturret.drivers.emulated.serial_ports import PtyPort, Rfc2217Port, SerialPort, TcpPort
from openturret.hal.board import DeviceType

PORTS: Final[dict[str, Callable[[Path], SerialPort]]] = {
    "pty": lambda folder: PtyPort(folder / "tty"),
    "socket": lambda _: TcpPort(),
    "rfc2217": lambda _: Rfc2217Port(),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        yield Path(name)


@pytest.fixture(params=PORTS)
def port(request: pytest.FixtureRequest, folder: Path) -> SerialPort:
    return PORTS[request.param](folder)


@pytest.fixture
async def box(port: SerialPort) -> AsyncIterator[SerialBoxTwin]:
    """A gooseneck's box, plugged in."""
    twin = SerialBoxTwin(DeviceType.GOOSENECK, "GN-0001", port)
    await twin.plug()
    yield twin
    await twin.pull()


@pytest.fixture
async def pty_box(folder: Path) -> AsyncIterator[SerialBoxTwin]:
    """The same on a pty, for what does not depend on the port."""
    twin = SerialBoxTwin(DeviceType.GOOSENECK, "GN-0001", PtyPort(folder / "tty"))
    await twin.plug()
    yield twin
    await twin.pull()


@pytest.fixture
def folder_port(folder: Path) -> PtyPort:
    """A pty, for what does not depend on the port."""
    return PtyPort(folder / "tty")
