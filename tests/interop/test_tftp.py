"""The client against Debian's TFTP servers: every size, window and loss that makes a difference."""

from __future__ import annotations

import random
from collections.abc import Iterator
from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import TftpRefusedError
from openturret.boot.fetch.tftp import TftpClient
from openturret.boot.fetch.transfer import Settings
from openturret.lab.delay import FAR_ADDRESS, Way, delayed_link
from openturret.lab.errors import ToolMissingError
from openturret.lab.tftp_servers import SERVERS, serving

pytestmark = [pytest.mark.bench, pytest.mark.slow]

HOST = "127.0.0.1"
SIZES = (0, 1, 511, 512, 513, 1024, 1428, 1429, 64 * 512, 64 * 1428, 300_000)
CONTENT = random.Random(69).randbytes(max(SIZES))
ROLLOVER = random.Random(70).randbytes(8 * 65_536 + 8 * 300 + 3)
"""Past the wrap of the block number even with blocks of 8 bytes."""


class Trips:
    total = 0

    def __call__(self, number: int) -> None:
        self.total += number


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tftp")
    (folder / "units").mkdir()
    for size in SIZES:
        (folder / str(size)).write_bytes(CONTENT[:size])
    (folder / "units" / "rollover").write_bytes(ROLLOVER)
    for path in (folder.parent, folder, folder / "units"):
        path.chmod(0o755)
    return folder


@pytest.fixture(scope="module", params=sorted(SERVERS))
def server(request: pytest.FixtureRequest, folder: Path) -> Iterator[str]:
    try:
        with serving(request.param, folder, HOST):
            yield request.param
    except ToolMissingError as error:
        pytest.skip(str(error))


def client(trips: Trips, **settings: float) -> TftpClient:
    values: dict[str, float] = {"max_bytes": 10_000_000, "deadline_s": 60.0, **settings}
    return TftpClient(Settings(**values), trips)  # type: ignore[arg-type]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize(("block_bytes", "window"), [(512, 1), (512, 64), (1428, 8), (1428, 64)])
async def test_a_file_of_any_size_comes_whole(
    server: str, size: int, block_bytes: int, window: int
) -> None:
    trips = Trips()
    fetching = client(trips, block_bytes=block_bytes, window=window)
    assert await fetching.fetch(IPv4Address(HOST), str(size)) == CONTENT[:size]
    blocks = size // block_bytes + 1
    agreed = min(window, SERVERS[server].largest_window)
    assert trips.total == 1 + -(-blocks // agreed), "the request, then one for each window"


@pytest.mark.parametrize("size", [0, 1, 511, 512, 300_000])
async def test_a_small_file_takes_one_round_trip(server: str, size: int) -> None:
    trips = Trips()
    data = await client(trips).fetch(IPv4Address(HOST), str(size), small=True)
    assert data == CONTENT[:size]
    if size < 512:
        assert trips.total == 1


async def test_block_numbers_wrap(server: str) -> None:
    fetching = client(Trips(), block_bytes=8)
    assert await fetching.fetch(IPv4Address(HOST), "units/rollover") == ROLLOVER


async def test_a_missing_file_is_final(server: str) -> None:
    trips = Trips()
    with pytest.raises(TftpRefusedError, match=r"(?i)not found"):
        await client(trips).fetch(IPv4Address(HOST), "units/missing.yaml")
    assert trips.total == 1


async def test_a_file_that_is_too_long_is_not_taken(server: str) -> None:
    with pytest.raises(TftpRefusedError, match="300000 bytes, allowed are 299999"):
        await client(Trips(), max_bytes=299_999).fetch(IPv4Address(HOST), "300000")


@pytest.mark.parametrize(
    ("name", "window"), [("atftpd", 1), ("atftpd", 16), ("dnsmasq", 1), ("tftpd-hpa", 1)]
)
async def test_what_the_link_loses_is_asked_for_again(name: str, window: int, folder: Path) -> None:
    fetching = client(Trips(), window=window, resends=10)
    with (
        delayed_link(Way(delay_ms=1, loss=0.02), seed=5) as link,
        serving(name, folder, FAR_ADDRESS, place=link.command),
    ):
        data = await fetching.fetch(IPv4Address(FAR_ADDRESS), str(64 * 512))
    assert data == CONTENT[: 64 * 512]
    assert link.counts is not None
    assert sum(way.lost for way in link.counts) > 0
