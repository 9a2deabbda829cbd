import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.hal.notify import (
    STATUS_CHARACTERS_MAX,
    Heartbeat,
    Notice,
    Notifier,
    watchdog_period_s,
    without_supervisor,
)


@pytest.fixture
def supervisor(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def environment(supervisor: socket.socket, period_s: float | None = None) -> dict[str, str]:
    found = {"NOTIFY_SOCKET": str(supervisor.getsockname())}
    return found if period_s is None else {**found, "WATCHDOG_USEC": str(int(period_s * 2e6))}


@given(st.builds(Notice, st.booleans(), st.booleans(), st.booleans(), st.text(max_size=300)))
def test_a_notice_is_read_as_it_was_said(notice: Notice) -> None:
    read = Notice.parse(bytes(notice))
    assert (read.ready, read.alive, read.stopping) == (
        notice.ready, notice.alive, notice.stopping,
    )  # fmt: skip
    assert len(read.status) <= STATUS_CHARACTERS_MAX


@given(st.binary(max_size=6000))
def test_whatever_comes_is_a_notice_that_can_be_shown(data: bytes) -> None:
    assert Notice.parse(data).status.isprintable() or not Notice.parse(data).status


def test_what_systemd_defines_and_we_do_not_is_left_out() -> None:
    data = b"MAINPID=1\nREADY=1\nFDSTORE=1\nWATCHDOG=trigger\nERRNO=2"
    assert Notice.parse(data) == Notice(ready=True)


def test_an_abstract_socket_is_understood() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind("\0openturret-test-notify")
        notifier = Notifier("@openturret-test-notify")
        notifier.tell(Notice(ready=True))
        assert listening.recv(100) == b"READY=1"
        notifier.close()


def test_nobody_is_told_where_nobody_supervises() -> None:
    for address in ("", "/nonexistent/notify"):
        notifier = Notifier(address)
        notifier.tell(Notice(ready=True))
        notifier.close()


@pytest.mark.parametrize(
    ("environment", "period_s"),
    [
        ({"WATCHDOG_USEC": "30000000"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "7"}, 15.0),
        ({"WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "8"}, None),
        ({}, None),
        ({"WATCHDOG_USEC": "0"}, None),
        ({"WATCHDOG_USEC": "-1"}, None),
        ({"WATCHDOG_USEC": "x"}, None),
    ],
)
def test_a_supervisor_says_how_patient_it_is(
    environment: dict[str, str], period_s: float | None
) -> None:
    assert watchdog_period_s(environment, pid=7) == period_s


def test_children_do_not_speak_to_our_own_supervisor() -> None:
    ours = {"NOTIFY_SOCKET": "/x", "WATCHDOG_USEC": "1", "WATCHDOG_PID": "2", "PATH": "/bin"}
    assert without_supervisor(ours) == {"PATH": "/bin"}


@pytest.fixture
async def beats(supervisor: socket.socket) -> AsyncIterator["asyncio.Queue[Notice]"]:
    """What the supervisor hears."""
    loop, heard = asyncio.get_running_loop(), asyncio.Queue[Notice]()
    supervisor.setblocking(False)
    loop.add_reader(supervisor, lambda: heard.put_nowait(Notice.parse(supervisor.recv(4096))))
    yield heard
    loop.remove_reader(supervisor)


async def test_a_heart_beats_from_ready_to_stopping(
    supervisor: socket.socket, beats: "asyncio.Queue[Notice]"
) -> None:
    async def pulse() -> str:
        return "2 calls"

    async with asyncio.timeout(5):
        async with Heartbeat(environment(supervisor, 0.001), pulse):
            assert await beats.get() == Notice(ready=True, status="serving")
            for _ in range(3):
                assert await beats.get() == Notice(alive=True, status="2 calls")
        notice = await beats.get()
        while notice.alive:
            notice = await beats.get()
    assert notice == Notice(stopping=True, status="stopping")


async def test_a_dead_part_silences_the_heart_and_its_return_is_heard(
    supervisor: socket.socket, beats: "asyncio.Queue[Notice]"
) -> None:
    failures = iter([OSError("stuck"), OSError("stuck")])

    async def pulse() -> str:
        for error in failures:
            raise error
        return "well again"

    async with asyncio.timeout(5), Heartbeat(environment(supervisor, 0.001), pulse):
        assert (await beats.get()).ready
        assert await beats.get() == Notice(alive=True, status="well again")


async def test_without_a_watchdog_no_pulse_is_taken(
    supervisor: socket.socket, beats: "asyncio.Queue[Notice]"
) -> None:
    async def pulse() -> str:
        raise AssertionError("nobody asked")

    async with Heartbeat(environment(supervisor), pulse):
        assert (await beats.get()).ready
    assert (await beats.get()).stopping
