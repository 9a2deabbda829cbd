"""The rules of a window, block by block, without a network."""

import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.fetch.download import BLOCK_NUMBERS, Download, Outcome, RejectedError
from openturret.boot.wire.tftp import Acknowledgement, ErrorCode

ASKED = {"blksize": "8", "tsize": "0", "timeout": "1", "windowsize": "4"}


def block(number: int) -> bytes:
    return number.to_bytes(8, "big")


def started(**options: str) -> Download:
    download = Download(ASKED, 100_000_000)
    assert download.agree({"blksize": "8", "windowsize": "4", **options}) is Outcome.ACKNOWLEDGE
    download.acknowledgement()
    return download


def feed(download: Download, *numbers: int) -> list[int]:
    """Feeds blocks; returns what is acknowledged."""
    told = []
    for number in numbers:
        if download.take(number % BLOCK_NUMBERS, block(number)) is Outcome.ACKNOWLEDGE:
            packet = download.acknowledgement()
            told.append(int.from_bytes(packet[2:], "big"))
    return told


def feed_bytes(download: Download, data: bytes) -> None:
    size = download.block_bytes
    for number, at in enumerate(range(0, len(data) + 1, size), start=1):
        download.take(number, data[at : at + size])


def test_the_end_of_a_window_is_acknowledged() -> None:
    assert feed(started(), 1, 2, 3, 4, 5, 6, 7, 8, 9) == [4, 8]


def test_a_gap_is_told_at_once_and_once() -> None:
    assert feed(started(), 1, 3, 4) == [1]


def test_what_came_behind_a_gap_need_not_come_again() -> None:
    download = started()
    assert feed(download, 1, 3, 4, 2) == [1]
    assert download.blocks == 4
    assert feed(download, 3, 4, 5) == [5], "the window began behind 1"


def test_a_gap_that_stays_is_told_again_when_the_server_begins_anew() -> None:
    assert feed(started(), 1, 3, 4, 3, 4, 5) == [1, 1]


def test_two_gaps_of_one_window_are_told_one_after_the_other() -> None:
    assert feed(started(), 2, 4, 1, 2, 4) == [0, 2]


def test_blocks_from_before_and_from_nowhere_are_ignored() -> None:
    download = started()
    assert feed(download, 1, 2, 1, 2, 100, 65_000, 3, 4, 1, 2, 3) == [4]
    assert download.take(4, block(4)) is Outcome.REPEATED
    assert download.take(3, block(3)) is Outcome.IGNORED


def test_block_numbers_wrap_to_zero() -> None:
    download = started()
    told = feed(download, *range(1, 2 * BLOCK_NUMBERS + 5))
    assert told == [n % BLOCK_NUMBERS for n in range(4, 2 * BLOCK_NUMBERS + 5, 4)]
    assert download.content == b"".join(map(block, range(1, 2 * BLOCK_NUMBERS + 5)))


def test_a_gap_at_the_wrap_is_a_gap_like_any_other() -> None:
    download = started()
    feed(download, *range(1, BLOCK_NUMBERS - 1))
    assert feed(download, BLOCK_NUMBERS + 1) == [BLOCK_NUMBERS - 2]
    assert feed(download, BLOCK_NUMBERS - 1, BLOCK_NUMBERS, BLOCK_NUMBERS + 1) == []
    assert download.blocks == BLOCK_NUMBERS + 1


def test_a_short_block_ends_the_file_and_nothing_comes_after_it() -> None:
    download = started()
    assert download.take(2, b"end") is Outcome.ACKNOWLEDGE, "a gap"
    download.acknowledgement()
    assert download.take(3, block(3)) is Outcome.IGNORED
    assert download.take(1, block(1)) is Outcome.ACKNOWLEDGE
    assert download.finished
    assert download.content == block(1) + b"end"
    assert download.acknowledgement() == bytes(Acknowledgement(2))


@pytest.mark.parametrize(
    ("options", "code"),
    [
        ({"tsize": "101"}, ErrorCode.DISK_FULL),
        ({"tsize": "-1"}, ErrorCode.OPTION_REFUSED),
        ({"blksize": "9"}, ErrorCode.OPTION_REFUSED),
        ({"blksize": "7"}, ErrorCode.OPTION_REFUSED),
        ({"windowsize": "0"}, ErrorCode.OPTION_REFUSED),
        ({"windowsize": "5"}, ErrorCode.OPTION_REFUSED),
        ({"timeout": "2"}, ErrorCode.OPTION_REFUSED),
        ({"multicast": "1"}, ErrorCode.OPTION_REFUSED),
        ({"blksize": "٨"}, ErrorCode.OPTION_REFUSED),
        ({"blksize": "8" * 500}, ErrorCode.OPTION_REFUSED),
    ],
    ids=str,
)
def test_a_server_may_agree_to_nothing_more_than_was_asked(
    options: dict[str, str], code: ErrorCode
) -> None:
    with pytest.raises(RejectedError) as caught:
        Download(ASKED, 100).agree(options)
    assert caught.value.code == code


def test_options_to_a_request_without_any_are_refused() -> None:
    with pytest.raises(RejectedError, match="not asked for"):
        Download({}, 100).agree({"blksize": "512"})


def test_options_that_come_again_change_nothing() -> None:
    download = started()
    assert download.agree({"windowsize": "1", "evil": "1"}) is Outcome.REPEATED
    feed(download, 1)
    assert download.agree({"windowsize": "1"}) is Outcome.IGNORED
    assert download.window == 4


@pytest.mark.parametrize(("announced", "sent"), [("16", 17), ("16", 15), ("0", 1)])
def test_a_file_of_another_size_than_announced_is_refused(announced: str, sent: int) -> None:
    download = started(tsize=announced)
    with pytest.raises(RejectedError, match="bytes"):
        feed_bytes(download, bytes(sent))


def test_an_endless_file_ends_at_the_bound() -> None:
    with pytest.raises(RejectedError, match="longer than 1000 bytes") as caught:
        feed_bytes(Download({}, 1000), bytes(50_000))
    assert caught.value.code == ErrorCode.DISK_FULL


@pytest.mark.parametrize("number", [1, 2])
def test_a_block_longer_than_agreed_is_refused_wherever_it_belongs(number: int) -> None:
    with pytest.raises(RejectedError, match="longer than negotiated"):
        started().take(number, bytes(9))


@given(st.integers(0, 2**32), st.integers(1, 8), st.floats(0, 0.4), st.floats(0, 0.3))
def test_any_loss_and_repetition_ends_with_the_file(
    seed: int, window: int, loss: float, repetition: float
) -> None:
    """A server of RFC 7440 that starts again behind every acknowledgement, and its timeouts."""
    rng = random.Random(seed)
    content = rng.randbytes(rng.randrange(600))
    download = Download({"blksize": "8", "windowsize": str(window)}, 1000)
    download.agree({"blksize": "8", "windowsize": str(window)})
    behind, sent = int.from_bytes(download.acknowledgement()[2:], "big"), 0
    while not download.finished:
        for number in range(behind + 1, behind + 1 + window):
            payload = content[number * 8 - 8 : number * 8]
            if number > len(content) // 8 + 1:
                break
            sent += 1
            for _ in range((rng.random() >= loss) + (rng.random() < repetition)):
                if download.take(number, payload) is Outcome.ACKNOWLEDGE:
                    behind = download.blocks
                    download.acknowledgement()
                if download.finished:
                    break
        behind = download.blocks  # the receiver's clock
        assert sent < 20_000
    assert download.content == content
