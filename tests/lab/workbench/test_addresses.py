from __future__ import annotations

from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.lab.workbench.addresses import reserve

FIRST, LAST = IPv4Address("192.0.2.100"), IPv4Address("192.0.2.102")


def given(path: Path, *macs: str, first: IPv4Address = FIRST) -> dict[str, str]:
    return {mac: str(at)[-3:] for mac, at in reserve(path, macs, first, LAST).items()}


def test_units_keep_their_addresses_when_others_come(tmp_path: Path) -> None:
    path = tmp_path / "addresses"
    assert given(path, "b") == {"b": "100"}
    assert given(path, "a", "b") == {"b": "100", "a": "101"}
    assert given(path, "a", "c", "b") == {"b": "100", "a": "101", "c": "102"}


def test_the_address_of_a_unit_that_went_is_given_away(tmp_path: Path) -> None:
    path = tmp_path / "addresses"
    given(path, "a", "b")
    assert given(path, "b", "c") == {"b": "101", "c": "100"}


def test_when_there_are_no_more_the_others_get_any(tmp_path: Path) -> None:
    assert len(given(tmp_path / "addresses", "a", "b", "c", "d")) == 3


def test_an_address_outside_of_a_new_range_is_changed(tmp_path: Path) -> None:
    path = tmp_path / "addresses"
    given(path, "a")
    assert given(path, "a", first=FIRST + 1) == {"a": "101"}


@pytest.mark.parametrize("damage", [b"", b"\xff\n", b"a\n", b"a,nowhere\n", b"a,1.2.3.4,5\n"])
def test_damage_costs_the_memory_only(tmp_path: Path, damage: bytes) -> None:
    path = tmp_path / "addresses"
    path.write_bytes(damage)
    assert given(path, "a") == {"a": "100"}
