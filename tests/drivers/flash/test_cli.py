"""``turret flash`` from its words to its exit code."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path

import pytest

from openturret.drivers.emulated.bootloader import Bootloader, memory_for
from openturret.drivers.emulated.smp_box import SmpBox
from openturret.drivers.errors import FlashStoppedError
from openturret.drivers.flash import cli
from openturret.drivers.flash.dfu_file import DfuFile, DfuSuffix
from openturret.drivers.flash.pace import SystemPace
from openturret.drivers.flash.targets import Surroundings
from openturret.lab.cli import COMMANDS

from .conftest import BLOCK_BYTES, NEW, OLD, PID, VID, DfuRig, KeyPair, Sign

Run = Callable[..., tuple[int, str]]


class QuickPace(SystemPace):
    """Stops like the real one, and passes the time of the rig instead of waiting."""

    def __init__(self, rig: DfuRig) -> None:
        super().__init__()
        self._rig = rig

    def wait(self, seconds: float) -> None:
        super().wait(0)
        self._rig.pace.now += seconds


@pytest.fixture
def file(tmp_path: Path, sign: Sign) -> Path:
    path = tmp_path / "handset-1.1.0.dfu"
    image = sign(bytes(range(60, 250)), str(NEW))
    path.write_bytes(bytes(DfuFile(image, DfuSuffix(VID, PID))))
    return path


@pytest.fixture
def run(rig: DfuRig, file: Path, pair: KeyPair) -> Run:
    def run_it(*words: str, key: Path | None = pair.public) -> tuple[int, str]:
        said: list[str] = []
        trusted = () if key is None else ("--key", str(key))

        def around(_pace: SystemPace) -> Surroundings:
            return Surroundings(rig.present, QuickPace(rig), rig.backend)

        code = cli.main([str(file), *trusted, *words], said.append, around)
        return code, "".join(said)

    return run_it


def outcomes(text: str) -> list[dict[str, object]]:
    events = [json.loads(line) for line in text.splitlines()]
    return [event for event in events if event["event"] == "outcome"]


def test_every_device_that_the_file_is_for_is_flashed(
    run: Run, rig: DfuRig, make_rig: Callable[..., DfuRig]
) -> None:
    second = make_rig()
    rig.bus.connect(second.twin.device, "1-2.4")
    code, text = run("--json")
    assert code == 0
    found = {str(each["unit"]): each for each in outcomes(text)}
    assert set(found) == {"1-1", "1-2.4"}
    assert all(each["result"] == "flashed" for each in found.values())
    assert all((each["before"], each["running"]) == ("1.0.0", "1.1.0") for each in found.values())
    assert [each.bcd_device for each in rig.present()] == [NEW.bcd(), NEW.bcd()]


def test_one_that_fails_does_not_disturb_the_others(
    run: Run, rig: DfuRig, make_rig: Callable[..., DfuRig]
) -> None:
    bad, revert = make_rig(), make_rig(starts=lambda image: image.version != NEW)
    bad.flash.cut_after(12)
    rig.bus.connect(bad.twin.device, "1-2")
    rig.bus.connect(revert.twin.device, "1-3")
    code, text = run("--json")
    assert code == cli.EXIT_ROLLED_BACK, "the worst counts"
    results = {each["unit"]: each["result"] for each in outcomes(text)}
    assert results == {"1-1": "flashed", "1-2": "failed", "1-3": "rolled back"}
    assert bad.running == OLD


def test_json_lines_tell_every_phase(run: Run) -> None:
    _, text = run("--json")
    events = [json.loads(line) for line in text.splitlines()]
    phases = dict.fromkeys(event["phase"] for event in events if event["event"] == "progress")
    assert list(phases) == ["detach", "erase", "write", "verify", "reboot", "confirm"]
    ends = [event for event in events if event.get("phase") == "write"]
    assert ends[-1]["done_bytes"] == ends[-1]["total_bytes"] > BLOCK_BYTES


def test_a_log_gets_a_line_for_each_phase(run: Run) -> None:
    code, text = run()
    assert code == 0
    assert text.splitlines()[:3] == ["1-1: detach", "1-1: erase", "1-1: write  0.0 of 0.4 kB"]
    assert text.splitlines()[-1].startswith("1-1: runs 1.1.0 (was 1.0.0), ")


def test_the_same_again_writes_nothing(run: Run) -> None:
    run()
    assert run() == (0, "1-1: runs 1.1.0 already; nothing was written\n")


def test_a_dry_run_says_what_would_be_flashed(run: Run, rig: DfuRig) -> None:
    operations = rig.flash.operations
    assert run("--dry-run") == (0, "1-1: can be flashed; runs 1.0.0 now\n")
    assert rig.flash.operations == operations


def test_a_rollback_has_an_exit_code_of_its_own(
    run: Run, rig: DfuRig, make_rig: Callable[..., DfuRig]
) -> None:
    rig.bus.connect(make_rig(starts=lambda image: image.version != NEW).twin.device, "1-2")
    code, text = run("--device", "1-2")
    assert code == cli.EXIT_ROLLED_BACK
    assert "ROLLED BACK" in text


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (("--device", "1-7"), cli.EXIT_NO_UNIT, "port 1-7 has no device"),
        (("--device", "handset-left"), cli.EXIT_NO_UNIT, "positions are none: give --board"),
        (("--device", "1-1", "--device", "1-1"), cli.EXIT_NO_UNIT, "named twice"),
        (("--board", "/missing.yaml"), cli.EXIT_USAGE, "cannot read /missing.yaml"),
    ],
)
def test_what_cannot_be_meant_is_refused(
    run: Run, capsys: pytest.CaptureFixture[str], words: tuple[str, ...], code: int, message: str
) -> None:
    assert run(*words)[0] == code
    assert message in capsys.readouterr().err


def test_a_file_that_nobody_trusted_has_signed_is_refused(
    run: Run, rig: DfuRig, stranger: KeyPair, capsys: pytest.CaptureFixture[str]
) -> None:
    operations = rig.flash.operations
    assert run(key=stranger.public)[0] == cli.EXIT_REFUSED
    assert "is signed by" in capsys.readouterr().err
    assert run(key=None)[0] == cli.EXIT_REFUSED
    assert "no key is trusted; give --key" in capsys.readouterr().err
    assert rig.flash.operations == operations


def test_a_damaged_file_is_refused(
    run: Run, file: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(b"x" + file.read_bytes()[1:])
    assert run()[0] == cli.EXIT_REFUSED
    assert "the file is damaged: its CRC is" in capsys.readouterr().err


def test_a_file_for_nothing_that_is_here_is_refused(
    run: Run, file: Path, sign: Sign, capsys: pytest.CaptureFixture[str]
) -> None:
    file.write_bytes(bytes(DfuFile(sign(b"firmware"), DfuSuffix(VID, 0x7704))))
    assert run()[0] == cli.EXIT_NO_UNIT
    assert "no device is plugged in that the file is for: 1209:7704:any" in capsys.readouterr().err
    file.write_bytes(sign(b"firmware"))
    assert run()[0] == cli.EXIT_NO_UNIT
    assert "name the unit with --device" in capsys.readouterr().err


BOARD = """
board: touchpro
devices:
  handset-left:
    type: handset
    driver: usb
    match: {vid: 0x1209, pid: 0x7701, port: "1-1"}
  handset-right:
    type: handset
    driver: usb
    match: {vid: 0x1209, pid: 0x7701, port: "1-2"}
"""


def test_a_position_is_a_unit_and_its_board_knows_the_key(
    run: Run, tmp_path: Path, pair: KeyPair, rig: DfuRig
) -> None:
    board = tmp_path / "board.yaml"
    board.write_text(BOARD)
    (tmp_path / "board.pem").write_bytes(pair.public.read_bytes())
    code, text = run("--board", str(board), "--device", "handset-left", key=None)
    assert code == 0, text
    assert "handset-left: runs 1.1.0" in text
    assert rig.running == NEW


def test_a_position_is_found_while_its_loader_runs(run: Run, tmp_path: Path, rig: DfuRig) -> None:
    board = tmp_path / "board.yaml"
    board.write_text(BOARD)
    rig.twin.load()
    assert rig.seen.pid != PID
    assert run("--board", str(board), "--device", "handset-left")[0] == 0
    assert rig.running == NEW


def test_a_position_without_a_device_is_refused(
    run: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    board = tmp_path / "board.yaml"
    board.write_text(BOARD)
    assert run("--board", str(board), "--device", "handset-right")[0] == cli.EXIT_NO_UNIT
    assert "handset-right" in capsys.readouterr().err


def test_a_box_on_a_serial_line_is_flashed(
    run: Run, file: Path, tmp_path: Path, sign: Sign, pair: KeyPair
) -> None:
    memory = Bootloader(memory_for(8, 128), [pair.trusted])
    memory.program(sign(b"the first firmware", str(OLD)))
    box = SmpBox(tmp_path / "box", memory)
    try:
        code, text = run("--device", str(tmp_path / "box"), "--json")
    finally:
        box.cut_power()
    [outcome] = outcomes(text)
    assert (code, outcome["result"], outcome["running"]) == (0, "flashed", "1.1.0")
    assert memory.confirmed


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_stops_between_blocks_and_leaves_the_old_firmware(
    rig: DfuRig,
    file: Path,
    pair: KeyPair,
    capfd: pytest.CaptureFixture[str],
    number: signal.Signals,
) -> None:
    said: list[str] = []

    class Interrupting(QuickPace):
        def __init__(self, pace: SystemPace) -> None:
            super().__init__(rig)
            self._pace = pace
            self._interrupted = False

        def wait(self, seconds: float) -> None:
            if rig.flash.operations > 12 and not self._interrupted:
                self._interrupted = True
                os.kill(os.getpid(), number)
                self._pace.wait(30)
            super().wait(seconds)

    def around(pace: SystemPace) -> Surroundings:
        return Surroundings(rig.present, Interrupting(pace), rig.backend)

    code = cli.main([str(file), "--key", str(pair.public)], said.append, around)
    assert code == cli.EXIT_STOPPED
    assert "stopping" in capfd.readouterr().err
    assert "stopped: stopped on request" in said[-1]
    assert rig.running == OLD


def test_a_pace_waits_until_it_is_stopped() -> None:
    pace = SystemPace()
    pace.wait(0)
    pace.stop()
    with pytest.raises(FlashStoppedError):
        pace.wait(1000)


def test_help_has_every_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        cli.main(["--help"])
    text = capsys.readouterr().out
    codes = (0, 1, 2, 3, 4, 5, 6, 130)
    assert all(f"\n  {code:>3}  " in text for code in codes)


def test_turret_knows_the_command() -> None:
    assert COMMANDS["flash"].module == cli.__name__
