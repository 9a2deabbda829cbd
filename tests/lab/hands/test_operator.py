import os
import stat
from pathlib import Path

import pytest

from openturret.drivers.errors import HandRefusedError
from openturret.lab.hands.hand import Ability, Sound
from openturret.lab.hands.operator import OperatorHand, Terminal
from openturret.lab.hands.sockets import read_wav, write_wav

ACTUATOR = """\
#!/bin/sh
echo "$@" >> {log}
case "$1" in
abilities) echo hear speak ;;
lift) ;;
lamps) echo ring mute ;;
stop_listening) cp {heard} "$3" ;;
speak) cp "$4" {said} ;;
press) echo the arm is stuck; exit 3 ;;
*) exit 64 ;;
esac
"""


class Scripted:
    """A console whose operator types what was written before."""

    def __init__(self, *answers: str) -> None:
        self.asked: list[str] = []
        self._answers = list(answers)

    async def ask(self, text: str) -> str:
        self.asked.append(text)
        return self._answers.pop(0) if self._answers else ""


@pytest.fixture
def actuator(tmp_path: Path) -> list[str]:
    program = tmp_path / "actuator"
    names = {name: tmp_path / name for name in ("log", "heard", "said")}
    program.write_text(ACTUATOR.format(**names))
    program.chmod(program.stat().st_mode | stat.S_IXUSR)
    return [str(program)]


def hand(console: Scripted, actuator: list[str]) -> OperatorHand:
    return OperatorHand(console, actuator, OperatorHand.abilities_of(actuator))


async def test_without_actuators_the_operator_is_asked_for_everything() -> None:
    console = Scripted("", "ring, hold")
    alone = hand(console, [])
    assert alone.abilities == {Ability.CABLE, Ability.TURN}
    await alone.lift("handset-left")
    assert await alone.lamps("handset-left") == {"ring": True, "hold": True}
    await alone.turn("speaker-1", -3, channel=2)
    await alone.close()
    assert console.asked == [
        "Lift handset-left, or switch it on, then press Enter:",
        "Which lamps of handset-left are lit?, then press Enter:",
        "Turn knob 2 of speaker-1 3 steps quieter, then press Enter:",
    ]


async def test_what_an_actuator_does_nobody_is_asked_for(
    actuator: list[str], tmp_path: Path
) -> None:
    console = Scripted()
    helped = hand(console, actuator)
    assert helped.abilities == {Ability.CABLE, Ability.TURN, Ability.HEAR, Ability.SPEAK}
    await helped.lift("handset-left")
    assert await helped.lamps("handset-left") == {"ring": True, "mute": True}
    assert console.asked == []
    await helped.unplug("handset-left")
    assert len(console.asked) == 1
    await helped.close()
    assert (tmp_path / "log").read_text().splitlines()[1:] == [
        "lift handset-left",
        "lamps handset-left",
        "unplug handset-left",
    ]


async def test_sounds_go_through_files(actuator: list[str], tmp_path: Path) -> None:
    helped = hand(Scripted(), actuator)
    write_wav(tmp_path / "heard", Sound(b"\1\2" * 50, 48_000))
    assert await helped.stop_listening("handset-left") == Sound(b"\1\2" * 50, 48_000)
    await helped.speak("handset-left", Sound(b"\3\4" * 9, 8000))
    assert read_wav(tmp_path / "said") == Sound(b"\3\4" * 9, 8000)
    await helped.close()


async def test_an_actuator_that_fails_is_no_reason_to_ask_the_operator(
    actuator: list[str],
) -> None:
    console = Scripted()
    helped = hand(console, actuator)
    with pytest.raises(HandRefusedError, match=r"press panel key-1 ended with 3: the arm is stuck"):
        await helped.press("panel", "key-1")
    assert console.asked == []
    await helped.close()


def test_an_actuator_with_unheard_of_abilities_is_refused() -> None:
    with pytest.raises(HandRefusedError, match=r"levitate.*abilities are cable"):
        OperatorHand.abilities_of(["echo", "levitate"])


async def test_the_terminal_asks_and_reads_a_line() -> None:
    ours, theirs = os.openpty()
    os.write(ours, b"done\n")
    assert await Terminal(Path(os.ttyname(theirs))).ask("Ready?") == "done"
    shown = b""
    while b"Ready?" not in shown:
        shown += os.read(ours, 100)
    os.close(ours)
    os.close(theirs)
