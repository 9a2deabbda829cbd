import asyncio
import os
import socket
from pathlib import Path

from openturret.boot.supervision.life import LOOKS, Life, LifeSocket, Phase
from openturret.hal.notify import Notice, Notifier


def test_a_service_that_gives_signs_of_life_may_miss_a_few() -> None:
    life = Life(patience_s=5, start_s=60)
    life.hear(Notice(alive=True, status="1 call"))
    assert [life.look() for _ in range(LOOKS + 1)] == [False] * LOOKS + [True]
    life.hear(Notice(alive=True))
    assert not life.look()
    assert life.doing == "1 call"


def test_one_that_starts_or_ends_has_longer() -> None:
    for notice, phase in ((Notice(status="starting"), Phase.STARTING),
                          (Notice(stopping=True), Phase.STOPPING)):  # fmt: skip
        life = Life(patience_s=5, start_s=60)
        life.hear(notice)
        assert life.phase is phase
        assert [life.look() for _ in range(61)] == [False] * 60 + [True]


def test_one_that_serves_without_a_word_is_trusted_until_it_speaks() -> None:
    life = Life(patience_s=5, start_s=5)
    life.serves()
    assert not any(life.look() for _ in range(1000))
    life.hear(Notice(alive=True))
    life.serves()
    assert life.phase is Phase.BEATING


async def test_what_a_service_says_reaches_its_life(tmp_path: Path) -> None:
    listening = LifeSocket(tmp_path / "run" / "matrix.notify", patience_s=5)
    listening.open()
    life = Life(5, 60)
    listening.follow(life)
    environment = listening.environment()
    assert environment["WATCHDOG_USEC"] == "5000000"
    assert os.stat(environment["NOTIFY_SOCKET"]).st_mode & 0o777 == 0o600  # noqa: PTH116
    speaker = Notifier.of(environment)
    speaker.tell(Notice(alive=True, status="2 legs"))
    async with asyncio.timeout(5):
        while life.doing != "2 legs":
            await asyncio.sleep(0)
    listening.close()
    speaker.tell(Notice(alive=True, status="nobody hears it"))
    speaker.close()
    assert not (tmp_path / "run" / "matrix.notify").exists()


async def test_a_flood_on_the_socket_does_not_stop_the_agent(tmp_path: Path) -> None:
    listening = LifeSocket(tmp_path / "x.notify", patience_s=5)
    listening.open()
    life = Life(5, 60)
    listening.follow(life)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as flood:
        flood.setblocking(False)
        for data in (b"", b"\xff" * 5000, b"WATCHDOG=1\n" * 300, b"STATUS=" + b"x" * 9000):
            flood.sendto(data, str(tmp_path / "x.notify"))
    async with asyncio.timeout(5):
        while not life.doing:
            await asyncio.sleep(0)
    assert len(life.doing) == 200
    listening.close()


async def test_without_a_place_for_the_socket_services_are_told_of_none(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    listening = LifeSocket(tmp_path / "file" / "x.notify", patience_s=5)
    listening.open()
    assert listening.environment() == {}
    listening.close()
