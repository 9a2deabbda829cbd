"""Beside an XMA2 the matrix process of the unit stands by: OLDCB is off (SPEC section 3)."""

import asyncio
import signal
import socket
import sys
from pathlib import Path

import pytest

BOARD = """
board: flexpro
devices:
  xma-1:
    type: xma2
    driver: xma2
    match: {url: "socket://192.0.2.7:2305", matrix: "192.0.2.7:4250", secret: /run/secret}
"""


def free_ports() -> tuple[int, int]:
    with (
        socket.create_server(("127.0.0.1", 0)) as one,
        socket.create_server(("127.0.0.1", 0)) as two,
    ):
        return one.getsockname()[1], two.getsockname()[1]


async def test_a_matrix_beside_an_xma2_opens_nothing_until_it_is_ended(tmp_path: Path) -> None:
    (tmp_path / "board.yaml").write_text(BOARD)
    ports = free_ports()
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-W", "error", "-m", "openturret.firmware.matrix"),
        *("--state", str(tmp_path), "--control-port", str(ports[0])),
        *("--event-port", str(ports[1])),
        stderr=asyncio.subprocess.PIPE,
    )
    assert process.stderr is not None
    async with asyncio.timeout(20):
        assert b"standing by: xma-1 mixes at 192.0.2.7:4250" in await process.stderr.readline()
    for port in ports:
        with pytest.raises(ConnectionRefusedError):
            await asyncio.open_connection("127.0.0.1", port)
    process.send_signal(signal.SIGTERM)
    await process.communicate()
    assert process.returncode == 0
    assert not (tmp_path / "run" / "matrix.pid").exists()
