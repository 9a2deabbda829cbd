"""The PBX pair and the parties behind it, called by sipp, which echoes what it hears."""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path

import pytest

from openturret.lab import listening, plan, speech
from openturret.lab.bench import Bench
from openturret.lab.errors import ToolMissingError
from openturret.lab.party import PartyFiles
from openturret.lab.pbx import PbxUser, configuration
from openturret.lab.tools import tool

SCENARIOS = Path(__file__).with_name("data")
BOB = next(person for person in plan.PEOPLE if person.user == "bob")
PBX = pytest.mark.parametrize("pbx", [0, 1])
TALK_MS = 7000


async def sipp(
    scenario: str,
    folder: Path,
    *,
    pbx: int = 0,
    service: str = BOB.number,
    password: str = BOB.sip_password,
    status: int = 200,
    transport: str = "u1",
) -> None:
    """Run a scenario once as bob and fail with what sipp said when it went another way."""
    try:
        program = tool("sipp")
    except ToolMissingError as error:
        pytest.skip(str(error))
    text = (SCENARIOS / f"{scenario}.xml").read_text().replace("@STATUS@", str(status))
    (folder / f"{scenario}.xml").write_text(text)
    argv = [
        str(program.path), f"{plan.PBX[pbx].address}:5060", "-sf", f"{scenario}.xml",
        "-i", plan.OBSERVER_ADDRESS, "-p", "5099", "-mi", plan.OBSERVER_ADDRESS, "-mp", "6000",
        "-m", "1", "-t", transport, "-s", service, "-au", BOB.number, "-ap", password,
        "-d", str(TALK_MS), "-rtp_echo", "-nostdin", "-timeout", "20s", "-trace_err",
    ]  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        *argv,
        cwd=folder,
        env=program.environment(),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    output, _ = await process.communicate()
    errors = "".join(path.read_text() for path in folder.glob("*_errors.log"))
    assert process.returncode == 0, errors or output[-2000:].decode(errors="replace")


@pytest.mark.bench
@PBX
@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_a_user_registers_at_both_over_udp_and_tcp(
    bench: Bench, tmp_path: Path, pbx: int, transport: str
) -> None:
    await sipp("register", tmp_path, pbx=pbx, transport=transport)


@pytest.mark.bench
@PBX
async def test_a_wrong_password_registers_nobody(bench: Bench, tmp_path: Path, pbx: int) -> None:
    await sipp("register", tmp_path, pbx=pbx, password="wrong", status=401)


@pytest.mark.bench
async def test_nobody_registers_for_somebody_else(bench: Bench, tmp_path: Path) -> None:
    await sipp("register", tmp_path, service="1001", status=403)


@pytest.mark.bench
@pytest.mark.parametrize(("number", "status"), [("9999", 404), ("1003", 480)])
async def test_an_unknown_number_is_404_and_an_absent_one_480(
    bench: Bench, tmp_path: Path, number: str, status: int
) -> None:
    await sipp("refused", tmp_path, service=number, status=status)


@pytest.mark.bench
async def test_nobody_calls_with_a_wrong_password(bench: Bench, tmp_path: Path) -> None:
    await sipp("refused", tmp_path, service="2001", password="wrong", status=407)


@pytest.mark.bench
@pytest.mark.slow
@PBX
@pytest.mark.parametrize("transport", ["u1", "t1"])
async def test_a_party_answers_speaks_its_own_sentence_and_keeps_what_it_hears(
    bench: Bench, tmp_path: Path, pbx: int, transport: str
) -> None:
    called, other = plan.PARTIES[pbx], plan.PARTIES[1 - pbx]
    files = bench.party(called.number)
    before = set(files.heard())
    await sipp("call", tmp_path, pbx=pbx, service=called.number, transport=transport)
    heard = await new_recording(files, before)
    sentences = speech.make_all([called.sentence, other.sentence])
    assert listening.compare(sentences[called.sentence], heard).correlation > 0.95
    assert listening.compare(sentences[other.sentence], heard).correlation < 0.5


async def new_recording(files: PartyFiles, before: set[Path]) -> Path:
    async with asyncio.timeout(5):
        while not set(files.heard()) - before:
            await asyncio.sleep(0.05)
    return (set(files.heard()) - before).pop()


def test_passwords_are_not_in_the_configuration() -> None:
    text = configuration(
        Path("/modules"),
        "10.11.0.20",
        port=5060,
        domain="turret.example",
        users=[PbxUser("1001", "very secret")],
    )
    assert "very secret" not in text
    assert "@" not in "".join(line for line in text.splitlines() if not line.startswith("#"))
