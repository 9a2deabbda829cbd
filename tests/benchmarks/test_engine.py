"""How the engine's benchmarks judge runs, read histograms and speak to rtpengine."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.engine.devices import Run, refuse
from benchmarks.engine.lateness import percentile_us
from benchmarks.engine.rtpengine import Value, bdecode, bencode
from benchmarks.engine.run import Subject, ratio
from benchmarks.figures import BenchmarkError, Figure

GOOD = {"gaps": 0, "wrong": 0, "least": 100}
VALUES = st.recursive(
    st.binary(max_size=20) | st.integers(),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.binary(max_size=5), inner, max_size=4)
    ),
    max_leaves=12,
)


def test_a_clean_run_counts() -> None:
    assert refuse(0, GOOD, 2000) == ""


@pytest.mark.parametrize(
    ("lost", "sinks", "reason"),
    [
        (1, GOOD, "1 packets lost"),
        (0, {**GOOD, "gaps": 2}, "2 gaps"),
        (0, {**GOOD, "least": 91}, "91 of 92 packets"),
        (0, {**GOOD, "wrong": 3}, "3 payloads"),
    ],
)
def test_a_run_with_any_flaw_does_not_count(lost: int, sinks: dict[str, int], reason: str) -> None:
    assert reason in refuse(lost, sinks, 2000)


def test_ratios_are_taken_between_neighbours_that_both_count() -> None:
    engine = Subject("engine", runs=[Run(12, "", {}), Run(99, "lost", {}), Run(15, "", {})])
    bare = Subject("bare", runs=[Run(10, "", {}), Run(10, "", {}), Run(10, "", {})])
    (row,) = ratio([engine, bare], "engine", "bare")
    assert isinstance(row, Figure)
    assert (row.median, row.least, row.most) == (1.35, 1.2, 1.5)


def test_no_pair_gives_no_ratio() -> None:
    refused = Subject("engine", runs=[Run(12, "lost", {})])
    assert ratio([refused, Subject("bare", runs=[Run(10, "", {})])], "engine", "bare") == []


@pytest.mark.parametrize(
    ("histogram", "expected"),
    [
        ([(50, 99), (100, 1), (None, 0)], 50),
        ([(50, 98), (100, 2), (None, 0)], 100),
        ([(50, 0), (100, 0), (None, 1)], 777),
    ],
)
def test_a_percentile_is_the_bound_of_its_bucket(
    histogram: list[tuple[float | None, int]], expected: float
) -> None:
    assert percentile_us(histogram, 0.99, 777) == expected


def test_a_histogram_without_ticks_has_no_percentile() -> None:
    with pytest.raises(BenchmarkError, match="no ticks"):
        percentile_us([(50, 0), (None, 0)], 0.99, 0)


@given(VALUES)
def test_what_is_bencoded_comes_back(value: Value) -> None:
    assert bdecode(bencode(value)) == value


def test_bencode_writes_names_in_order() -> None:
    assert bencode({b"sdp": b"v=0", b"command": b"offer"}) == b"d7:command5:offer3:sdp3:v=0e"


@pytest.mark.parametrize("data", [b"", b"i1", b"3:ab", b"l1:a", b"di1e1:ae", b"d1:ae", b"i1ei2e"])
def test_malformed_bencode_is_refused(data: bytes) -> None:
    with pytest.raises(BenchmarkError):
        bdecode(data)
