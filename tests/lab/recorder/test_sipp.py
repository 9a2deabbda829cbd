"""sipp, from Debian, records at our recorder as another maker's source would."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from openturret.hal.clock import SystemClock
from openturret.lab.errors import ToolMissingError
from openturret.lab.recorder.server import RecorderServer
from openturret.lab.recorder.session import Where, load
from openturret.lab.tools import Tool, tool

SCENARIO = Path(__file__).with_name("siprec_source.xml")
CALLS = 30

pytestmark = [pytest.mark.bench, pytest.mark.slow]


@pytest.fixture
def sipp() -> Tool:
    try:
        return tool("sipp")
    except ToolMissingError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize(("transport", "word"), [("UDP", "u1"), ("TCP", "t1")])
async def test_sipp_records_thirty_sessions(
    sipp: Tool, tmp_path: Path, transport: str, word: str
) -> None:
    where = Where("A", "127.0.0.1", range(31_700, 31_900), tmp_path / "kept")
    recorder = RecorderServer(where, port=0, clock=SystemClock())
    await recorder.start()
    process = await asyncio.create_subprocess_exec(
        *(str(sipp.path), "-sf", str(SCENARIO), "-i", "127.0.0.1", "-mi", "127.0.0.1"),
        *("-t", word, "-m", str(CALLS), "-r", "20", "-nostdin", "-timeout", "30"),
        *("-trace_err", "-error_file", "errors.log", f"127.0.0.1:{recorder.sip.port}"),
        env={**os.environ, **sipp.env},
        cwd=tmp_path,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    status = await process.wait()
    await recorder.close()
    errors = tmp_path / "errors.log"
    assert status == 0, errors.read_text() if errors.exists() else "sipp said nothing"
    sessions = [load(folder) for folder in (tmp_path / "kept").iterdir()]
    assert [each["state"] for each in sessions] == ["complete"] * CALLS
    assert all(each["metadata"] == ["metadata-001.xml", "metadata-002.xml"] for each in sessions)
    assert recorder.sip.counters.malformed == 0
