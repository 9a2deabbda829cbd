"""The fuzzers find what they are for: each is set on an engine with a mistake planted in it."""

import json
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

HERE = Path(__file__).parent
SOURCES = HERE.parents[1] / "c_ext"
RUN = HERE / "run.py"
UNUSABLE = 2

pytestmark = pytest.mark.slow


@dataclass(frozen=True, slots=True)
class Mistake:
    """A change to a source file, the target that must notice, and how soon."""

    target: str
    file: str
    pattern: str
    replacement: str
    runs: int = 100_000


MISTAKES = {
    "a header longer than the datagram": Mistake(
        "rtp", "rtp.c", r"return header <= octets \? header : 0;", "return header;"
    ),
    "padding longer than the payload": Mistake(
        "rtp", "rtp.c", r"\|\| data\[octets - 1\] > payload\)", ")"
    ),
    "a report longer than the datagram": Mistake(
        "rtcp", "rtcp.c", r"if \(octets > left\)", "if (octets > left + 4)"
    ),
    "a frame that is not written": Mistake(
        "jitter", "jitter.c", r"memcpy\(pcm, frame, .*\);", "if (got != 2) {\n\\g<0>\n}"
    ),
    "a leg that moves the time of all": Mistake(
        "leg",
        "leg.c",
        r"void ot_leg_receive\([^)]*\)\n{",
        "\\g<0>\nif (leg->stats.packets_malformed > 3)\nengine->tick++;",
    ),
    "an index out of bounds": Mistake(
        "commands", "recording_control.c", r"index >= OT_FORKS", "index > 900"
    ),
    "memory that is never freed": Mistake("commands", "ring.c", r"free\(ring->items\);", ""),
    "a block longer than the payload": Mistake(
        "redundancy", "redundancy.c", r"if \(block->octets > octets - at\)", "if (0)"
    ),
    "one coefficient too many": Mistake(
        "comfort", "comfort.c", r"given < OT_COMFORT_ORDER && given \+ 1", "given + 1"
    ),
    "a digit that stays pressed": Mistake(
        "dtmf", "dtmf.c", r"receiver->active && \+\+receiver->quiet_ticks", "receiver->quiet_ticks"
    ),
    "more samples than there is room": Mistake(
        "decoder", "g722.c", r"octets > room / SAMPLES_PER_OCTET", "octets > room"
    ),
    "a replay that is heard": Mistake("srtp", "srtp.c", r"return EALREADY;", "return 0;"),
    "a value in another's place": Mistake(
        "xr", "rtcp.c", r"\.mos_lq = block\[26\]", ".mos_lq = block[25]"
    ),
    "a descriptor that stays open": Mistake(
        "commands", "socket.c", r"(ot_socket_close\(\*rtp\);)\n", "\n"
    ),
}


def fuzz(*words: str | Path) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(
        [sys.executable, RUN, *words], capture_output=True, text=True, check=False
    )
    if done.returncode == UNUSABLE and "libFuzzer is missing" in done.stderr:
        pytest.skip(done.stderr.strip())
    return done


def mistaken(folder: Path, mistake: Mistake) -> Path:
    engine = folder / "engine"
    shutil.copytree(SOURCES, engine, ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    path = engine / mistake.file
    changed, times = re.subn(mistake.pattern, mistake.replacement, path.read_text())
    assert times, f"{mistake.file} reads otherwise by now: plant this mistake anew"
    path.write_text(changed)
    return engine


@pytest.fixture(scope="session")
def build(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What is compiled once serves every mistake."""
    return tmp_path_factory.mktemp("build")


@pytest.mark.parametrize("name", MISTAKES)
def test_a_planted_mistake_is_found_and_replayed(tmp_path: Path, build: Path, name: str) -> None:
    mistake = MISTAKES[name]
    common = ("--sources", mistaken(tmp_path, mistake), "--build", build)
    folders = ("--corpora", tmp_path / "corpora", "--findings", tmp_path / "findings")
    limits = ("--runs", str(mistake.runs), "--seed", "1", "--json", "-")
    done = fuzz(mistake.target, *common, *folders, *limits)
    assert done.returncode == 1, done.stderr
    (result,) = json.loads(done.stdout)["targets"]
    finding = Path(result["finding"])
    assert finding.parent == tmp_path / "findings"
    assert f"--replay {mistake.target} {finding}" in done.stderr
    again = fuzz("--replay", mistake.target, finding, *common)
    assert again.returncode == 1
    assert "ERROR" in again.stderr or "broken promise" in again.stderr


def test_every_target_has_a_mistake_to_find() -> None:
    targets = {line.split()[0] for line in fuzz("--list").stdout.splitlines()}
    assert {mistake.target for mistake in MISTAKES.values()} == targets


def test_help_and_list_explain_every_target() -> None:
    assert "examples:" in fuzz("--help").stdout
    listed = fuzz("--list").stdout.splitlines()
    assert {line.split()[0] for line in listed} >= {"commands", "jitter", "leg", "rtcp", "rtp"}
    assert all(len(line.split()) > 3 for line in listed)


def test_an_unknown_target_is_refused_by_name() -> None:
    done = fuzz("rpt")
    assert done.returncode == UNUSABLE
    assert re.search(r"no target 'rpt'; there are .*\brtp\b", done.stderr)
