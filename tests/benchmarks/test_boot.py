"""What is drawn from a storm and from a boot; and that a storm of a few units passes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.boot.crowd import percentiles
from benchmarks.boot.power_on import boot_of
from benchmarks.boot.storm import mac_of, together
from openturret.lab import namespace
from openturret.lab.errors import NamespaceError, ToolMissingError
from openturret.lab.tools import tool

STORM = Path(__file__).parents[2] / "benchmarks/boot/storm.py"


def test_percentiles_of_many_and_of_one() -> None:
    spread = percentiles([float(number) for number in range(1, 101)])
    assert spread == {"median": 50.5, "p95": 96.0, "p99": 100.0, "max": 100.0}
    assert set(percentiles([3.0]).values()) == {3.0}


def test_no_two_units_of_a_crowd_have_the_same_mac() -> None:
    assert len({mac_of(number) for number in range(10_000)}) == 10_000


def test_processes_of_a_crowd_are_told_together() -> None:
    tally = {"seconds": {"dhcp": [1.0]}, "resends": {"dhcp": 2}, "failures": 1, "overflowed": 0}
    both = together([tally, tally])
    assert both["seconds"] == {"dhcp": [1.0, 1.0]}
    assert (both["resends"]["dhcp"], both["failures"]) == (4, 2)


def test_a_boot_lasts_from_its_first_stage_to_its_last_and_registering_is_counted() -> None:
    stages = [
        {"name": "dhcp", "started": 10.0, "duration_s": 0.5, "round_trips": 2},
        {"name": "register", "started": 11.0, "duration_s": 1.5, "round_trips": 0},
        {"name": "slot", "started": None, "duration_s": None, "round_trips": 0},
    ]
    boot = boot_of({"stages": stages}, 50.0)
    assert (boot.seconds, boot.round_trips) == (2.5, 4)
    assert set(boot.stages) == {"dhcp", "register"}


@pytest.mark.bench
@pytest.mark.slow
def test_a_small_storm_passes_without_a_unit_left_behind() -> None:
    try:
        namespace.check()
        tool("dnsmasq")
    except (NamespaceError, ToolMissingError) as error:
        pytest.skip(str(error))
    done = subprocess.run(
        [sys.executable, str(STORM), "--units", "12", "--full", "0", "--json"],
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    rows = {row["subject"]: row for row in json.loads(done.stdout)}
    assert rows["not done in time"]["median"] == 0
    assert rows["all: max"]["n"] == 12
