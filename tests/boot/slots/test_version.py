import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.errors import SlotError
from openturret.boot.slots.version import order

IN_ORDER = [
    "0.9", "1.0.dev1", "1.0a1", "1.0a2.dev1", "1.0a2", "1.0b1", "1.0rc1", "1.0rc10", "1.0",
    "1.0+a", "1.0+a.1", "1.0+1", "1.0.post0", "1.0.post1.dev2", "1.0.post1", "1.0.1", "1.9",
    "1.10", "2026.11",
]  # fmt: skip


def test_versions_are_ordered_as_pep_440_says() -> None:
    mixed = list(IN_ORDER)
    random.Random(1).shuffle(mixed)
    assert sorted(mixed, key=order) == IN_ORDER


def test_zeros_at_the_end_make_no_difference() -> None:
    assert order("1.0.0") == order("1")
    assert order("1.0rc1") == order("1rc1")


@pytest.mark.parametrize(
    "text", ["", "v1", "1-2", "1..2", "1.", "a", "1\n", "1/2", "../1", "1.0rc", "1+", "1" * 65]
)
def test_what_is_no_version_is_refused(text: str) -> None:
    with pytest.raises(SlotError, match="not a version"):
        order(text)


@given(st.text(max_size=70))
def test_any_text_is_a_version_or_an_error(text: str) -> None:
    try:
        assert order(text) == order(text)
    except SlotError:
        return


@given(st.lists(st.sampled_from(IN_ORDER), min_size=2, max_size=2))
def test_any_two_versions_can_be_compared(pair: list[str]) -> None:
    one, other = pair
    assert (order(one) < order(other)) == (IN_ORDER.index(one) < IN_ORDER.index(other))
