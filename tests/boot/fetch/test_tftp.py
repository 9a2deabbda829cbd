import asyncio
import random
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import TftpError, TftpRefusedError
from openturret.boot.fetch.tftp import TftpClient, is_acceptable, waterfall
from openturret.boot.fetch.transfer import Settings
from openturret.boot.wire.tftp import (
    Acknowledgement,
    Data,
    Failure,
    OptionAcknowledgement,
    Packet,
    ReadRequest,
    parse,
)

HOST = IPv4Address("127.0.0.1")
FILE = "default.yaml"


class Peer:
    """A TFTP server of the test's own, one socket for requests and one for the transfer."""

    def __init__(self, listener: socket.socket, transfer: socket.socket) -> None:
        self.listener = listener
        self.transfer = transfer
        self.client = ("", 0)

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    async def request(self) -> ReadRequest:
        data, self.client = await asyncio.get_running_loop().sock_recvfrom(self.listener, 2048)
        request = parse(data)
        assert isinstance(request, ReadRequest)
        return request

    async def send(self, packet: Packet | bytes, *, stranger: bool = False) -> None:
        via = self.listener if stranger else self.transfer
        await asyncio.get_running_loop().sock_sendto(via, bytes(packet), self.client)

    async def receive(self) -> Packet:
        data, _ = await asyncio.get_running_loop().sock_recvfrom(self.transfer, 2048)
        return parse(data)


@asynccontextmanager
async def served_by(script: Callable[[Peer], Awaitable[None]]) -> AsyncIterator[Peer]:
    sockets = [
        socket.socket(socket.AF_INET, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) for _ in "12"
    ]
    for each in sockets:
        each.bind((str(HOST), 0))
    peer = Peer(*sockets)
    task = asyncio.ensure_future(script(peer))
    try:
        yield peer
        if task.done():
            task.result()
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task
        for each in sockets:
            each.close()


class Trips:
    total = 0

    def __call__(self, number: int) -> None:
        self.total += number


def client(peer: Peer, trips: Trips | None = None, **settings: float) -> TftpClient:
    values: dict[str, float] = {"timeout_s": 0.05, "resends": 2, "deadline_s": 2.0, **settings}
    return TftpClient(Settings(port=peer.port, **values), trips or Trips())  # type: ignore[arg-type]


async def test_a_server_without_options_sends_blocks_of_512() -> None:
    content = random.Random(1).randbytes(1300)

    async def plain(peer: Peer) -> None:
        await peer.request()
        for block in range(3):
            await peer.send(Data(block + 1, content[block * 512 : block * 512 + 512]))
            assert await peer.receive() == Acknowledgement(block + 1)

    trips = Trips()
    async with served_by(plain) as peer:
        assert await client(peer, trips).fetch(HOST, FILE) == content
    assert trips.total == 3, "the last acknowledgement is not answered"


async def test_a_lost_request_is_sent_again() -> None:
    async def deaf_once(peer: Peer) -> None:
        await peer.request()
        await peer.request()
        await peer.send(Data(1, b"hint"))

    async with served_by(deaf_once) as peer:
        assert await client(peer).fetch(HOST, FILE) == b"hint"


async def test_a_lost_block_of_a_window_is_sent_again() -> None:
    content = random.Random(2).randbytes(100)

    async def lossy(peer: Peer) -> None:
        await peer.request()
        await peer.send(OptionAcknowledgement({"blksize": "16", "windowsize": "4"}))
        assert await peer.receive() == Acknowledgement(0)
        for block in (1, 2, 4):
            await peer.send(Data(block, content[block * 16 - 16 : block * 16]))
        assert await peer.receive() == Acknowledgement(2)
        for block in (3, 4, 5, 6):
            await peer.send(Data(block, content[block * 16 - 16 : block * 16]))
        assert await peer.receive() == Acknowledgement(6)
        await peer.send(Data(7, content[96:]))
        assert await peer.receive() == Acknowledgement(7)

    async with served_by(lossy) as peer:
        assert await client(peer).fetch(HOST, FILE) == content


async def test_repeated_blocks_are_not_acknowledged_twice() -> None:
    async def repeating(peer: Peer) -> None:
        await peer.request()
        for _ in range(3):
            await peer.send(Data(1, bytes(512)))
        assert await peer.receive() == Acknowledgement(1)
        await peer.send(Data(2, b""))
        assert await peer.receive() == Acknowledgement(2)

    async with served_by(repeating) as peer:
        assert await client(peer).fetch(HOST, FILE) == bytes(512)


async def test_a_stranger_changes_nothing_and_is_told_off() -> None:
    async def with_a_stranger(peer: Peer) -> None:
        await peer.request()
        await peer.send(Data(1, b"a" * 512))
        await peer.receive()
        await peer.send(Data(2, b"forged"), stranger=True)
        await peer.send(Failure(0, "forged"), stranger=True)
        data = await asyncio.get_running_loop().sock_recv(peer.listener, 2048)
        assert parse(data) == Failure(5, "unknown transfer id")
        await peer.send(Data(2, b"b"))

    async with served_by(with_a_stranger) as peer:
        assert await client(peer).fetch(HOST, FILE) == b"a" * 512 + b"b"


async def test_strangers_without_end_are_given_up() -> None:
    async def crowded(peer: Peer) -> None:
        await peer.request()
        await peer.send(Data(1, bytes(512)))
        await peer.receive()
        while True:
            await peer.send(Data(2, b"forged"), stranger=True)
            await asyncio.sleep(0)

    async with served_by(crowded) as peer:
        with pytest.raises(TftpRefusedError, match="strangers"):
            await client(peer, timeout_s=60.0, longest_s=60.0, deadline_s=60.0).fetch(HOST, FILE)


async def test_garbage_without_end_is_given_up() -> None:
    async def noisy(peer: Peer) -> None:
        await peer.request()
        while True:
            await peer.send(b"\0\x09\0\1")
            await asyncio.sleep(0)

    async with served_by(noisy) as peer:
        with pytest.raises(TftpRefusedError, match="malformed"):
            await client(peer, timeout_s=60.0, longest_s=60.0, deadline_s=60.0).fetch(HOST, FILE)


async def test_garbage_is_dropped() -> None:
    async def noisy(peer: Peer) -> None:
        await peer.request()
        for garbage in (b"", b"\0", b"\0\x09\0\1", b"\0\6a\0"):
            await peer.send(garbage)
        await peer.send(Data(1, b"hint"))

    async with served_by(noisy) as peer:
        assert await client(peer).fetch(HOST, FILE) == b"hint"


async def test_endless_blocks_end_at_the_cap() -> None:
    async def endless(peer: Peer) -> None:
        await peer.request()
        for block in range(1, 10_000):
            await peer.send(Data(block % 65536, bytes(512)))
            if isinstance(await peer.receive(), Failure):
                return

    async with served_by(endless) as peer:
        with pytest.raises(TftpRefusedError, match="longer than 4096 bytes"):
            await client(peer, max_bytes=4096).fetch(HOST, FILE)


async def test_more_than_the_announced_size_is_refused() -> None:
    async def lying(peer: Peer) -> None:
        await peer.request()
        await peer.send(OptionAcknowledgement({"tsize": "10"}))
        await peer.receive()
        await peer.send(Data(1, bytes(512)))

    async with served_by(lying) as peer:
        with pytest.raises(TftpRefusedError, match="longer than 10 bytes"):
            await client(peer).fetch(HOST, FILE)


@pytest.mark.parametrize(
    "options",
    [
        {"tsize": "99999999"},
        {"tsize": "-1"},
        {"blksize": "65464"},
        {"blksize": "4"},
        {"windowsize": "0"},
        {"windowsize": "65535"},
        {"multicast": "1"},
        {"blksize": "٣٣"},
    ],
    ids=str,
)
async def test_options_that_were_not_asked_for_are_refused(options: dict[str, str]) -> None:
    async def greedy(peer: Peer) -> None:
        await peer.request()
        body = b"".join(text.encode() + b"\0" for pair in options.items() for text in pair)
        await peer.send(b"\0\6" + body)

    async with served_by(greedy) as peer:
        with pytest.raises(TftpError):
            await client(peer, deadline_s=0.5).fetch(HOST, FILE)


async def test_a_block_longer_than_negotiated_is_refused() -> None:
    async def swelling(peer: Peer) -> None:
        await peer.request()
        await peer.send(OptionAcknowledgement({"blksize": "16"}))
        await peer.receive()
        await peer.send(Data(1, bytes(600)))

    async with served_by(swelling) as peer:
        with pytest.raises(TftpRefusedError, match="longer than negotiated"):
            await client(peer).fetch(HOST, FILE)


async def test_a_dripping_server_is_given_up() -> None:
    async def dripping(peer: Peer) -> None:
        await peer.request()
        await peer.send(OptionAcknowledgement({"blksize": "8"}))
        block = 0
        while True:
            await peer.receive()
            block += 1
            await peer.send(Data(block % 65_536, bytes(8)))

    async with served_by(dripping) as peer:
        with pytest.raises(TftpError, match="too slow"):
            await client(peer, deadline_s=0.2, max_bytes=1_000_000_000).fetch(HOST, FILE)


async def test_silence_is_given_up() -> None:
    async def silent(peer: Peer) -> None:
        await peer.request()

    async with served_by(silent) as peer:
        with pytest.raises(TftpError, match="does not answer"):
            await client(peer).fetch(HOST, FILE)


async def test_a_refusal_is_final_and_says_why() -> None:
    async def refusing(peer: Peer) -> None:
        await peer.request()
        await peer.send(Failure(1, "File not found"))

    async with served_by(refusing) as peer:
        with pytest.raises(TftpRefusedError, match="File not found"):
            await client(peer).fetch(HOST, FILE)


NAMES = ["../etc/passwd", "/etc/passwd", "a/../b", "a/b/c", ".hidden", "a\0b", "a b", "", "a" * 200]


@pytest.mark.parametrize("name", NAMES)
async def test_a_name_that_leads_elsewhere_is_not_asked_for(name: str) -> None:
    assert not is_acceptable(name)
    with pytest.raises(TftpRefusedError, match="acceptable"):
        await TftpClient(Settings(), Trips()).fetch(HOST, name)


def test_the_waterfall_goes_from_specific_to_generic() -> None:
    mine = "units/02-54-50-00-00-01.yaml"
    rest = [mine, "models/touchpro.yaml", "default.yaml"]
    assert list(waterfall("", "02-54-50-00-00-01", "TouchPro")) == rest
    assert list(waterfall("site.yaml", "02-54-50-00-00-01", "TouchPro")) == ["site.yaml", *rest]
    assert list(waterfall(mine, "02-54-50-00-00-01", "TouchPro")) == rest
    assert list(waterfall("../x", "02-54-50-00-00-01", "TouchPro")) == rest


async def test_a_small_file_takes_one_round_trip() -> None:
    async def plain(peer: Peer) -> None:
        assert (await peer.request()).options == {}
        await peer.send(Data(1, b"hint"))
        assert await peer.receive() == Acknowledgement(1)

    trips = Trips()
    async with served_by(plain) as peer:
        assert await client(peer, trips).fetch(HOST, FILE, small=True) == b"hint"
    assert trips.total == 1


async def test_a_file_that_turns_out_long_is_asked_for_again_with_options() -> None:
    async def long(peer: Peer) -> None:
        await peer.request()
        await peer.send(Data(1, bytes(512)))
        assert isinstance(await peer.receive(), Failure), "the server need not go on"
        assert (await peer.request()).options["windowsize"] == "64"
        await peer.send(OptionAcknowledgement({"blksize": "1428"}))
        await peer.receive()
        await peer.send(Data(1, bytes(600)))

    async with served_by(long) as peer:
        assert await client(peer).fetch(HOST, FILE, small=True) == bytes(600)


async def test_a_server_that_refuses_options_is_asked_without() -> None:
    async def old(peer: Peer) -> None:
        await peer.request()
        await peer.send(Failure(8, "no options here"))
        assert (await peer.request()).options == {}
        await peer.send(Data(1, b"hint"))

    async with served_by(old) as peer:
        assert await client(peer).fetch(HOST, FILE) == b"hint"


async def test_large_blocks_that_never_arrive_are_asked_for_without_options() -> None:
    async def behind_a_narrow_tunnel(peer: Peer) -> None:
        await peer.request()
        await peer.send(OptionAcknowledgement({"blksize": "1428"}))
        while (await peer.request()).options:
            continue
        await peer.send(Data(1, b"hint"))

    async with served_by(behind_a_narrow_tunnel) as peer:
        assert await client(peer).fetch(HOST, FILE) == b"hint"


async def test_the_end_of_a_window_that_is_lost_is_asked_for() -> None:
    async def lossy(peer: Peer) -> None:
        await peer.request()
        await peer.send(OptionAcknowledgement({"blksize": "16", "windowsize": "4"}))
        assert await peer.receive() == Acknowledgement(0)
        for block in (1, 2, 3):
            await peer.send(Data(block, bytes(16)))
        assert await peer.receive() == Acknowledgement(3)
        await peer.send(Data(4, b"end"))

    async with served_by(lossy) as peer:
        assert await client(peer).fetch(HOST, FILE) == bytes(48) + b"end"


async def test_a_last_block_that_comes_again_later_is_acknowledged_again() -> None:
    async def missed_it(peer: Peer) -> None:
        await peer.request()
        await peer.send(Data(1, bytes(512)))
        assert await peer.receive() == Acknowledgement(1)
        again = asyncio.ensure_future(peer.receive())
        while not again.done():  # until a round trip has passed
            await peer.send(Data(1, bytes(512)))
            await asyncio.sleep(0)
        assert await again == Acknowledgement(1)
        await peer.send(Data(2, b"end"))

    async with served_by(missed_it) as peer:
        data = await client(peer, timeout_s=5.0).fetch(HOST, FILE)
    assert data == bytes(512) + b"end"


async def test_a_closed_port_is_told_at_once() -> None:
    async with served_by(lambda peer: asyncio.sleep(0)) as peer:
        peer.listener.close()
        with pytest.raises(TftpError, match="port 69: Connection refused"):
            await TftpClient(Settings(timeout_s=60), Trips()).fetch(HOST, FILE)


async def test_a_stranger_without_a_port_does_not_end_the_transfer() -> None:
    async def with_a_ghost(peer: Peer) -> None:
        await peer.request()
        await peer.send(Data(1, bytes(512)))
        await peer.receive()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as ghost:
            ghost.sendto(b"\0\3\0\2forged", peer.client)
        await peer.send(Data(2, b"end"))

    async with served_by(with_a_ghost) as peer:
        assert await client(peer, timeout_s=5.0).fetch(HOST, FILE) == bytes(512) + b"end"


async def test_a_server_is_told_that_nobody_waits_any_more() -> None:
    heard: asyncio.Future[Packet] = asyncio.get_running_loop().create_future()

    async def patient(peer: Peer) -> None:
        await peer.request()
        await peer.send(Data(1, bytes(512)))
        assert await peer.receive() == Acknowledgement(1)
        fetching.cancel()
        heard.set_result(await peer.receive())

    async with served_by(patient) as peer:
        fetching = asyncio.ensure_future(client(peer, timeout_s=5.0).fetch(HOST, FILE))
        with pytest.raises(asyncio.CancelledError):
            await fetching
        assert await heard == Failure(0, "not needed any more")


async def test_a_window_that_mostly_gets_lost_is_halved_and_grows_again() -> None:
    asked: list[int] = []

    async def narrow(peer: Peer) -> None:
        while True:
            request = await peer.request()
            window = int(request.options["windowsize"])
            asked.append(window)
            await peer.send(OptionAcknowledgement({"blksize": "8", "windowsize": str(window)}))
            await peer.receive()
            await send_narrowly(peer, window)

    async def send_narrowly(peer: Peer, window: int) -> None:
        behind, last = 0, 4 * window + 1
        while behind < last:
            for block in range(behind + 1, min(behind + window, last) + 1):
                if block - behind <= 3 or block == behind + window:
                    await peer.send(Data(block, bytes(8) if block < last else b""))
            answer = await peer.receive()
            assert isinstance(answer, Acknowledgement)
            behind = answer.block

    async with served_by(narrow) as peer:
        fetching = client(peer, window=16, block_bytes=8)
        for _ in range(4):
            await fetching.fetch(HOST, FILE)
    assert asked == [16, 8, 4, 8]
