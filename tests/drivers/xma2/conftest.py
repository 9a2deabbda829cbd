"""An XMA2 on a pty or on TCP, and the driver at its console."""

import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.emulated.port_gate import PortGate
from openturret.drivers.emulated.serial_ports import PtyPort, Rfc2217Port, SerialPort, TcpPort
from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.hal.xma import RANGES

SECRET: Final = b"5e71a0c4d2b94f0f8d3e6c1b7a925a44"
PORTS: Final[dict[str, Callable[[Path], SerialPort]]] = {
    "pty": lambda folder: PtyPort(folder / "console"),
    "socket": lambda _: TcpPort(),
    "rfc2217": lambda _: Rfc2217Port(),
}


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        yield Path(name)


@pytest.fixture
def secret_path(folder: Path) -> Path:
    path = folder / "secret"
    path.write_bytes(SECRET + b"\n")
    path.chmod(0o600)
    return path


def twin_at(port: SerialPort) -> Xma2Twin:
    return Xma2Twin("XM-0007", SECRET, port, PortGate("127.0.0.2", "127.0.0.1", RANGES[0]))


@pytest.fixture(params=PORTS)
async def any_xma(request: pytest.FixtureRequest, folder: Path) -> AsyncIterator[Xma2Twin]:
    """A module whose console is on each kind of line in turn."""
    twin = twin_at(PORTS[request.param](folder))
    await twin.plug()
    yield twin
    await twin.pull()


@pytest.fixture
async def xma(folder: Path) -> AsyncIterator[Xma2Twin]:
    """A module whose console is on a pty."""
    twin = twin_at(PtyPort(folder / "console"))
    await twin.plug()
    yield twin
    await twin.pull()
