import contextlib
import struct

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.errors import TruncatedError, WireError
from openturret.boot.wire.netlink import LinkState

NEW_LINK, DELETED_LINK, RUNNING = 16, 17, 0x40


def message(kind: int = NEW_LINK, index: int = 2, flags: int = RUNNING, tail: bytes = b"") -> bytes:
    length = 32 + len(tail)
    head = struct.pack("=IHHIIBxHiII", length, kind, 0, 0, 0, 0, 1, index, flags, 0)
    return (head + tail).ljust(-(-length // 4) * 4, b"\0")


def states(data: bytes, index: int = 2) -> list[bool]:
    return [state.carrier for state in LinkState.parse_all(data, index=index)]


def test_losses_and_returns_come_in_order() -> None:
    assert states(message(flags=0) + message(tail=b"\4\0\1\0") + message(flags=0x1003)) == [
        False, True, False,
    ]  # fmt: skip


def test_other_interfaces_and_other_news_are_passed_over() -> None:
    assert states(message(index=3) + message(kind=2) + message()) == [True]


def test_an_interface_that_goes_away_has_no_carrier() -> None:
    assert states(message(kind=DELETED_LINK)) == [False]


def test_a_datagram_cut_anywhere_is_a_value_or_a_typed_error() -> None:
    whole = message() + message(tail=b"\5\0\1\0x")
    for length in range(len(whole)):
        try:
            assert len(states(whole[:length])) <= length // 32
        except TruncatedError:
            continue


def test_losses_are_counted() -> None:
    counted = struct.pack("=HHI", 8, 35, 9) + struct.pack("=HHI", 8, 48, 3)
    (state,) = LinkState.parse_all(message(tail=b"\5\0\1\0x\0\0\0" + counted), index=2)
    assert state == LinkState(carrier=True, losses=3)


@pytest.mark.parametrize("tail", [b"\0\0\x30\0", b"\x09\0\x30\0\0\0\0\0"])
def test_an_attribute_whose_length_lies_is_an_error(tail: bytes) -> None:
    with pytest.raises(TruncatedError):
        states(message(tail=tail))


@pytest.mark.parametrize("length", [0, 15, 33, 2**32 - 1])
def test_a_length_that_lies_is_an_error(length: int) -> None:
    with pytest.raises(TruncatedError):
        states(struct.pack("=I", length) + message()[4:])


@given(st.binary(max_size=200))
def test_any_bytes_are_values_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert len(states(data)) <= len(data) // 32
