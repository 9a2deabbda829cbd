import socket

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.firmware.matrix.errors import ExhaustedError
from openturret.firmware.matrix.ports import PortPairs


@given(st.integers(1024, 60_000), st.integers(0, 300))
def test_every_pair_is_even_whole_and_inside_the_range(lower: int, size: int) -> None:
    pairs = PortPairs(lower, lower + size)
    taken = [pairs.take() for _ in range(pairs.free)]
    assert all(port % 2 == 0 and lower <= port and port + 1 <= lower + size for port in taken)
    assert len(set(taken)) == len(taken)
    with pytest.raises(ExhaustedError, match=f"{lower}-{lower + size}"):
        pairs.take()


def test_a_returned_pair_is_used_last() -> None:
    pairs = PortPairs(11000, 11007)
    first = pairs.take()
    pairs.give_back(first)
    assert [pairs.take() for _ in range(4)] == [11002, 11004, 11006, first]


def test_a_held_pair_is_bound_until_released() -> None:
    held = PortPairs(12000, 12999).hold("127.0.0.1")
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        with pytest.raises(OSError, match="in use"):
            other.bind(("127.0.0.1", held.rtp_port + 1))
        held.release()
        other.bind(("127.0.0.1", held.rtp_port + 1))


def test_a_pair_of_which_half_is_taken_is_passed_over() -> None:
    pairs = PortPairs(12000, 12999)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as other:
        first = pairs.hold("127.0.0.1")
        other.bind(("127.0.0.1", first.rtp_port + 3))
        second = pairs.hold("127.0.0.1")
    assert second.rtp_port > first.rtp_port + 2
    first.release()
    second.release()


def test_an_address_that_is_not_ours_is_said_as_it_is() -> None:
    pairs = PortPairs(12000, 12010)
    with pytest.raises(OSError, match="assign"):
        pairs.hold("192.0.2.1")
    assert pairs.free == 5
