"""Where the contract runs: a board, the drivers that answer for it, and a hand at its devices.

``--place twins`` (the default) runs on twins in this process, ``guest`` in a QEMU guest whose
kernel drives the twins, ``rig`` on the devices of ``--board``, worked by an operator or by the
program of ``--actuator``, or on what a place of labgrid lends (``--lg-env``).  A new driver
joins by adding its bench to ``BENCHES``; the tests choose by capability of a device and by
ability of the hand.
"""

import dataclasses
import importlib.util
import os
import shlex
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from importlib.metadata import EntryPoint
from pathlib import Path
from typing import Final

import pytest

from openturret.drivers.emulated.hardware import Hardware
from openturret.drivers.emulated.port_gate import PortGate
from openturret.drivers.emulated.serial_box import SerialBoxTwin
from openturret.drivers.emulated.serial_ports import PtyPort, Rfc2217Port, TcpPort
from openturret.drivers.emulated.usb.backend import EmulatedBackend
from openturret.drivers.emulated.usb.bus import EmulatedBus
from openturret.drivers.emulated.xma2 import Xma2Twin
from openturret.drivers.usb.bus import UsbBus
from openturret.hal import AudioPort, Device, SystemClock
from openturret.hal import board as boards
from openturret.hal.board import (
    Board,
    Capability,
    DeviceSpec,
    DeviceType,
    load_board,
    parse_board,
)
from openturret.hal.registry import GROUP, Registry
from openturret.hal.xma import RANGES
from openturret.lab.guest.twins import PLACES
from openturret.lab.hands.hand import Ability, Hand
from openturret.lab.hands.operator import OperatorHand, Terminal
from openturret.lab.hands.serial import SerialHand
from openturret.lab.hands.sockets import SocketHand
from openturret.lab.hands.twins import TwinHand
from openturret.lab.hands.wire import WireHand

if importlib.util.find_spec("labgrid"):
    from openturret.lab.rig._labgrid import LABGRID_ENV_KEY
    from openturret.lab.rig.protocols import BoardProtocol

ROOT: Final = Path(__file__).parents[2]
BOARDS: Final = Path(boards.__file__).parent / "boards"
EMULATED: Final = load_board(BOARDS / "emulated.yaml")
TOUCHPRO: Final = load_board(BOARDS / "touchpro.yaml")
SECRET: Final = b"5e71a0c4d2b94f0f8d3e6c1b7a925a44"
SERIAL: Final = parse_board(
    b"""
board: serial
devices:
  gooseneck:
    type: gooseneck
    driver: serial
    match: {url: /dev/ttyACM0, serial: GN-0001}
    capabilities: [ptt, latch, mute, lamp, ring]
  panel: {type: panel, driver: serial, match: {url: "rfc2217://rig:4001"}}
  xma-1:
    type: xma2
    driver: xma2
    channels: 8
    match: {url: "socket://rig:2305", serial: XM-0007, secret: /run/secret}
"""
)
HAND: Final = "OPENTURRET_HAND"
"""Names the port of the hand outside, in a guest's environment."""

NOWHERE: Final = "nowhere"
SOUND: Final = frozenset({Capability.CAPTURE, Capability.PLAYBACK})


@dataclasses.dataclass(frozen=True, slots=True)
class Rig:
    """Devices under test.

    Attributes:
        board: What there is.
        registry: Makes their drivers.
        hand: Works them.
        key: Name of a key of the panel.
        acknowledges: Whether drivers answer a hook with a lamp.
        more: What drivers are made with beside spec and clock.
    """

    board: Board
    registry: Registry
    hand: Hand
    key: str
    acknowledges: bool = True
    more: tuple[object, ...] = ()

    def device(self, position: str) -> Device:
        spec = self.board.devices[position]
        made = self.registry.load(f"{spec.driver}.{spec.type}")(spec, SystemClock(), *self.more)
        assert isinstance(made, Device)
        return made

    def audio(self, position: str) -> AudioPort:
        return self.registry.audio(self.board.devices[position])


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """How to come by a rig; board and abilities are known before."""

    board: Board
    abilities: frozenset[Ability]
    open: Callable[[], AbstractAsyncContextManager[Rig]]


def declared_drivers() -> list[EntryPoint]:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    return [
        EntryPoint(name=name, value=value, group=GROUP)
        for name, value in project["entry-points"][GROUP].items()
    ]


REGISTRY: Final = Registry(declared_drivers)


def changed(board: Board, change: Callable[[DeviceSpec], DeviceSpec]) -> Board:
    devices = {position: change(spec) for position, spec in board.devices.items()}
    return dataclasses.replace(board, devices=devices)


def silent(board: Board) -> Board:
    """A board without audio: no sound card is made of a twin in the same process."""
    return changed(
        board, lambda spec: dataclasses.replace(spec, capabilities=spec.capabilities - SOUND)
    )


@asynccontextmanager
async def sockets() -> AsyncIterator[Rig]:
    """Emulated hardware behind Unix sockets, and its drivers."""
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        folder = Path(name)
        board = changed(
            EMULATED,
            lambda spec: dataclasses.replace(spec, match={"socket": f"{folder}/{spec.position}"}),
        )
        hardware = Hardware(board, folder)
        await hardware.open()
        hand = await SocketHand.connect(folder)
        yield Rig(board, REGISTRY, hand, "line-1", acknowledges=False)
        await hand.close()
        await hardware.close()


@asynccontextmanager
async def usb() -> AsyncIterator[Rig]:
    """Twins on an emulated USB, and the drivers that reach them through libusb's interface."""
    bus = EmulatedBus(kernel_drivers=False)
    twins = {position: place.make() for position, place in PLACES.items()}
    for position, place in PLACES.items():
        bus.connect(twins[position], f"1-{place.port}")
    more = (UsbBus(EmulatedBackend(bus)),)
    yield Rig(silent(TOUCHPRO), REGISTRY, TwinHand(twins), "key-1", more=more)


@asynccontextmanager
async def serial() -> AsyncIterator[Rig]:
    """Boxes and an XMA2 on serial lines of each kind, and their drivers."""
    with tempfile.TemporaryDirectory(prefix="ot-") as name:
        folder = Path(name)
        secret = folder / "secret"
        secret.write_bytes(SECRET)
        secret.chmod(0o600)
        gate = PortGate("127.0.0.2", "127.0.0.1", RANGES[0])
        twins: dict[str, SerialBoxTwin | Xma2Twin] = {
            "gooseneck": SerialBoxTwin(DeviceType.GOOSENECK, "GN-0001", PtyPort(folder / "tty")),
            "panel": SerialBoxTwin(DeviceType.PANEL, "KB-0001", Rfc2217Port()),
            "xma-1": Xma2Twin("XM-0007", SECRET, TcpPort(), gate),
        }
        for twin in twins.values():
            await twin.plug()

        def found(spec: DeviceSpec) -> DeviceSpec:
            match = {**spec.match, "url": twins[spec.position].url}
            if "secret" in match:
                match["secret"] = str(secret)
            return dataclasses.replace(spec, match=match)

        yield Rig(changed(SERIAL, found), REGISTRY, SerialHand(twins), "line-1")
        for twin in twins.values():
            await twin.pull()


@asynccontextmanager
async def guest() -> AsyncIterator[Rig]:
    """What the guest's kernel made of the twins in its ports; the hand is outside."""
    hand = await WireHand.connect(Path(os.environ[HAND]))
    yield Rig(TOUCHPRO, REGISTRY, hand, "key-1")
    await hand.tidy()
    await hand.close()


def operated(
    board: Board, actuator: Sequence[str], abilities: frozenset[Ability]
) -> Callable[[], AbstractAsyncContextManager[Rig]]:
    """A rig of real devices."""

    @asynccontextmanager
    async def rig() -> AsyncIterator[Rig]:
        hand = OperatorHand(Terminal(), actuator, abilities)
        yield Rig(board, REGISTRY, hand, "key-1")
        await hand.tidy()
        await hand.close()

    return rig


def lent(driver: "BoardProtocol") -> Bench:
    """A rig that a place of labgrid lends."""
    board = driver.board()
    emulated = all("socket" in spec.match for spec in board.devices.values())

    @asynccontextmanager
    async def rig() -> AsyncIterator[Rig]:
        hand = await driver.hand()
        yield Rig(
            board, REGISTRY, hand, "line-1" if emulated else "key-1", acknowledges=not emulated
        )
        await hand.tidy()
        await hand.close()

    return Bench(board, driver.abilities(), rig)


BENCHES: Final[dict[str, dict[str, Bench]]] = {
    "twins": {
        "sockets": Bench(EMULATED, SocketHand.ABILITIES, sockets),
        "usb": Bench(silent(TOUCHPRO), TwinHand.ABILITIES, usb),
        "serial": Bench(SERIAL, SerialHand.ABILITIES, serial),
    },
    "guest": {"guest": Bench(TOUCHPRO, TwinHand.ABILITIES, guest)},
}


def benches(config: pytest.Config) -> dict[str, Bench]:
    place = config.getoption("--place", default="twins")
    if place != "rig":
        return BENCHES[place]
    if config.getoption("lg_env", default=None):
        target = config.stash[LABGRID_ENV_KEY].get_target("main")
        return {"rig": lent(target.get_driver("BoardProtocol"))}
    actuator = shlex.split(config.getoption("--actuator"))
    abilities = OperatorHand.abilities_of(actuator)
    board = load_board(config.getoption("--board"))
    return {"rig": Bench(board, abilities, operated(board, actuator, abilities))}


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("contract", "where the contract runs")
    places = (*BENCHES, "rig")
    group.addoption("--place", choices=places, default="twins", help="which devices to test")
    group.addoption("--board", type=Path, help="board of the rig (YAML)")
    group.addoption("--actuator", default="", help="program that works the devices of the rig")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "needs(ability, ...): what the hand must be able to do")
    place = config.getoption("--place", default="twins")
    if place == "guest" and HAND not in os.environ:
        raise pytest.UsageError("--place guest is only in a guest: run `make kernel-test`")
    lent_board = config.getoption("lg_env", default=None)
    if place == "rig" and not lent_board and config.getoption("--board") is None:
        raise pytest.UsageError("--place rig needs --board FILE, or --lg-env of labgrid")


@pytest.fixture
async def rig(request: pytest.FixtureRequest) -> AsyncIterator[Rig]:
    async with benches(request.config)[request.param].open() as found:
        yield found


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Gives a test every rig whose hand is able, and every position that is.

    A test that asks for ``<capability>_position`` gets each position that has the capability, for
    ``<type>_position`` each one of the type, for ``any_position`` each one.
    """
    if "rig" not in metafunc.fixturenames:
        return
    name, wanted = _asked(metafunc.fixturenames)
    needed = {a for mark in metafunc.definition.iter_markers("needs") for a in mark.args}
    able = {
        bench: found.board
        for bench, found in benches(metafunc.config).items()
        if needed <= found.abilities
    }
    if not name:
        _parametrize(metafunc, ("rig",), [(bench,) for bench in able])
        return
    pairs = [(bench, at) for bench, board in able.items() for at in _having(board, wanted)]
    _parametrize(metafunc, ("rig", name), pairs)


def _asked(names: Iterable[str]) -> tuple[str, str]:
    wanted = {f"{word}_position": str(word) for word in (*Capability, *DeviceType)}
    wanted["any_position"] = ""
    return next(((name, wanted[name]) for name in names if name in wanted), ("", ""))


def _having(board: Board, wanted: str) -> list[str]:
    devices = board.devices.items()
    return [at for at, spec in devices if wanted in ("", spec.type, *spec.capabilities)]


def _parametrize(
    metafunc: pytest.Metafunc, names: tuple[str, ...], values: Sequence[tuple[str, ...]]
) -> None:
    """A test that no rig can run gets :data:`NOWHERE`, to be left out instead of skipped."""
    found = values or [(NOWHERE,) * len(names)]
    ids = ["-".join(value) for value in found]
    metafunc.parametrize(names, found, indirect=["rig"], ids=ids)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    nowhere = [item for item in items if _is_nowhere(item)]
    if nowhere:
        config.hook.pytest_deselected(items=nowhere)
        items[:] = [item for item in items if item not in nowhere]


def _is_nowhere(item: pytest.Item) -> bool:
    params = item.callspec.params if hasattr(item, "callspec") else {}
    return bool(params.get("rig") == NOWHERE)
