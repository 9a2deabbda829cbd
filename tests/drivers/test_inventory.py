"""``turret devices`` over a unit's sysfs, and what it says about every way to be missing."""

import asyncio
import contextlib
import json
import signal
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Protocol

import pytest

from openturret.drivers.devices_cli import main
from openturret.drivers.inventory import Inventory, State, take_inventory, watch
from openturret.drivers.inventory_report import as_json, changed, report
from openturret.hal import UsbDevice
from openturret.hal.board import parse_board
from openturret.hal.errors import DriverMissingError

DRIVERS = frozenset({"usb.handset", "serial.gooseneck", "emulated.panel", "xma2.xma2"})
BOARD = """board: desk
devices:
  handset-left:
    {type: handset, driver: usb, match: {vid: 0x1209, pid: 0x7701, port: "1-1"}}
  handset-right:
    {type: handset, driver: usb, match: {vid: 0x1209, pid: 0x7701, port: "1-2"}, optional: true}
"""


class Tree(Protocol):
    root: Path

    def handset(self, port: str = "1-1", serial: str = "TP-0001", *, card: int = 1) -> Path: ...
    def unplug(self, port: str) -> None: ...
    def plug(self, port: str, **attributes: str) -> Path: ...
    def devices(self, *, closed: str = "") -> tuple[UsbDevice, ...]: ...


def inventory(tree: Tree, text: str = BOARD, *, closed: str = "") -> Inventory:
    return take_inventory(parse_board(text.encode()), tree.devices(closed=closed), DRIVERS)


def states(found: Inventory) -> dict[str, str]:
    return {place.spec.position: place.state for place in found.places}


def lines(found: Inventory) -> str:
    return "".join(report(found))


def test_a_unit_with_both_handsets_is_complete(tree: Tree) -> None:
    tree.handset("1-1")
    tree.handset("1-2", "TP-0002", card=2)
    found = inventory(tree)
    assert states(found) == {"handset-left": "ready", "handset-right": "ready"}
    assert found.complete
    assert "handset-left    ready      1209:7701 TP-0001 on 1-1 (hidraw5, sound card 1)\n" in lines(
        found
    )
    assert lines(found).endswith("desk: 2 of 2 positions are filled\n")


def test_an_optional_position_may_stay_empty(tree: Tree) -> None:
    tree.handset("1-1")
    found = inventory(tree)
    assert states(found)["handset-right"] == "missing"
    assert found.complete
    assert "(optional)\n" in lines(found)


def test_a_handset_in_the_wrong_port_says_why_and_what_to_do(tree: Tree) -> None:
    tree.handset("1-2")
    tree.handset("1-4", "TP-0009", card=2)
    found = inventory(tree)
    assert not found.complete
    said = lines(found)
    assert "1209:7701 TP-0009 on 1-4: it has port 1-4, the board says port 1-1" in said
    assert "→ plug it into the port of the board, or correct the board's port" in said
    assert "Handset: handset-left: the board says port 1-1\n" in said
    assert said.endswith("1 of 2 positions are filled; not filled: handset-left\n")


def test_a_device_that_may_not_be_opened_does_not_fill_its_position(tree: Tree) -> None:
    tree.handset("1-1")
    (place, _) = inventory(tree, closed="hidraw").places
    assert place.state is State.CLOSED
    assert "hidraw5 may not be opened" in place.reason
    assert place.remedy.startswith("copy 60-openturret.rules")
    assert not place.filled


def test_a_driver_that_is_not_installed_is_said_beside_what_was_found(tree: Tree) -> None:
    tree.handset("1-1")
    (place, _) = take_inventory(parse_board(BOARD.encode()), tree.devices(), frozenset()).places
    assert place.state is State.DRIVERLESS
    assert "no driver usb.handset is installed" in place.reason
    assert "on 1-1" in place.what


def one(match: str, kind: str = "gooseneck", driver: str = "serial") -> str:
    return f"board: x\ndevices:\n  it: {{type: {kind}, driver: {driver}, match: {{{match}}}}}\n"


def test_a_serial_line_is_there_when_its_node_is(tree: Tree, tmp_path: Path) -> None:
    board = one(f"url: {tmp_path}/ttyACM0")
    assert inventory(tree, board).places[0].reason == f"{tmp_path}/ttyACM0 is not there"
    (tmp_path / "ttyACM0").touch()
    assert states(inventory(tree, board)) == {"it": "ready"}
    place = take_inventory(
        parse_board(board.encode()), (), DRIVERS, may_open=lambda _: False
    ).places[0]
    assert (place.state, place.remedy) == (
        State.CLOSED, "add the user to the group: usermod -aG dialout USER, and log in again",
    )  # fmt: skip


def test_a_line_of_another_machine_is_not_disturbed(tree: Tree) -> None:
    found = inventory(tree, one("url: 'rfc2217://rig:4001'"))
    assert states(found) == {"it": "unseen"}
    assert found.complete
    assert "rfc2217://rig:4001: only its driver can tell; turret selftest it asks it" in lines(
        found
    )


@contextlib.contextmanager
def served(path: Path) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        yield


def test_emulated_hardware_is_there_when_it_serves_its_socket(
    tree: Tree, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    board = one(f"socket: {tmp_path}/panel", "panel", "emulated")
    assert "nobody serves" in inventory(tree, board).places[0].reason
    with served(Path("panel.control")):
        assert states(inventory(tree, board)) == {"it": "ready"}


def test_the_json_says_the_same_in_numbers_that_boards_use(tree: Tree) -> None:
    tree.handset("1-1")
    tree.plug("1-7", idVendor="046d", idProduct="c077")
    said = json.loads(json.dumps(as_json(inventory(tree))))
    assert (said["board"], said["complete"]) == ("desk", True)
    left, right = said["positions"]
    assert left["device"]["vid"] == "0x1209"
    assert left["device"]["hidraw"]["3"].endswith("hidraw5")
    assert (right["state"], right["device"], right["filled"]) == ("missing", None, False)
    assert said["spares"][0]["device"]["pid"] == "0xc077"
    assert said["spares"][0]["reason"] == "no position of the board asks for it"


async def test_what_changes_is_said_when_it_changes(tree: Tree) -> None:
    tree.handset("1-1")
    tree.plug("1-7")
    before = inventory(tree)
    following = watch(lambda: inventory(tree), before, poll_s=0.01)
    tree.unplug("1-1")
    tree.unplug("1-7")
    gone = await anext(following)
    assert states(gone)["handset-left"] == "missing"
    assert "gone from 1-7\n" in "".join(changed(before, gone))
    assert "handset-left    missing" in "".join(changed(before, gone))
    tree.handset("1-2", "TP-0002")
    come = await anext(following)
    assert states(come) == {"handset-left": "missing", "handset-right": "ready"}
    assert "handset-right   ready" in "".join(changed(gone, come))
    await following.aclose()


async def test_what_stays_as_it_is_is_not_said_again(tree: Tree) -> None:
    before = inventory(tree)
    tree.handset("1-1")
    looks = iter([before, before, inventory(tree)])
    following = watch(lambda: next(looks), before, poll_s=0.001)
    assert states(await anext(following))["handset-left"] == "ready"
    await following.aclose()


Run = Callable[..., tuple[int, str]]


@pytest.fixture
def run(tree: Tree, tmp_path: Path) -> Run:
    def run(*words: str, board: str | None = None) -> tuple[int, str]:
        said: list[str] = []
        arguments = list(words)
        if board is not None:
            (tmp_path / "board.yaml").write_text(board)
            arguments += ["--board", str(tmp_path / "board.yaml")]
        return main(arguments, said.append, tree.devices), "".join(said)

    return run


def test_without_a_board_it_lists_what_there_is(tree: Tree, run: Run) -> None:
    tree.handset("1-1")
    code, said = run()
    assert code == 0
    assert "1209:7701 TP-0001 on 1-1 (hidraw5, sound card 1) Handset: no board was given" in said
    assert "1 USB devices; --board FILE says what they are for" in said


def test_its_exit_code_says_whether_the_unit_is_whole(tree: Tree, run: Run) -> None:
    board = one("socket: /nowhere/panel", "panel", "emulated")
    assert run(board=board)[0] == 1
    assert run(board=board.replace("type", "optional: true, type"))[0] == 0
    assert run("--json", board="board: x\ndevices: {}\n")[0] == 0


def blind() -> tuple[UsbDevice, ...]:
    raise DriverMissingError("USB cannot be seen; apt-get install libusb-1.0-0")


def test_a_machine_that_cannot_see_usb_fails_only_a_board_that_asks_for_it(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    said: list[str] = []
    path = tmp_path / "board.yaml"
    path.write_text(one("socket: /nowhere/panel", "panel", "emulated"))
    main(["--board", str(path)], said.append, blind)
    assert "nobody serves /nowhere/panel.control" in "".join(said)
    path.write_text(BOARD)
    assert main(["--board", str(path)], said.append, blind) == 1
    assert "USB cannot be seen; apt-get install libusb" in capsys.readouterr().err
    assert main([], said.append, blind) == 1


def test_a_board_that_is_refused_is_wrong_usage(
    run: Run, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(board="board: x\ndevices: {it: {type: lamp}}\n")[0] == 2
    assert "board.yaml: line 2: type 'lamp' is not known; use one of" in capsys.readouterr().err


def test_json_for_machines_is_one_object(tree: Tree, run: Run) -> None:
    tree.handset("1-1")
    code, said = run("--json")
    assert code == 0
    assert json.loads(said)["positions"] == []


async def test_watching_prints_a_line_for_every_change_until_it_is_interrupted() -> None:
    with tempfile.TemporaryDirectory(prefix="ot-") as folder:
        sockets = Path(folder)
        (sockets / "board.yaml").write_text(one(f"socket: {sockets}/it", "panel", "emulated"))
        process = await asyncio.create_subprocess_exec(
            sys.executable, "-m", "openturret.lab.cli", "devices",
            "--board", str(sockets / "board.yaml"), "--watch", "--json",
            stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        assert process.stdout is not None
        async with asyncio.timeout(30):
            assert not json.loads(await process.stdout.readline())["complete"]
            with served(sockets / "it.control"):
                assert json.loads(await process.stdout.readline())["complete"]
            process.send_signal(signal.SIGINT)
            assert await process.wait() == 130
