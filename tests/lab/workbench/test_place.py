from __future__ import annotations

from ipaddress import IPv4Interface

import pytest

from openturret.lab.workbench.errors import PlaceError
from openturret.lab.workbench.place import Place, find, serving_range


def at(text: str) -> Place:
    return Place("eth0", bytes(6), IPv4Interface(text))


@pytest.mark.parametrize(
    ("address", "expected"),
    [
        ("192.0.2.1/24", ("192.0.2.128", "192.0.2.254")),
        ("192.0.2.200/24", ("192.0.2.128", "192.0.2.199")),
        ("192.0.2.130/24", ("192.0.2.131", "192.0.2.254")),
        ("10.0.0.1/8", ("10.128.0.0", "10.128.0.199")),
        ("192.0.2.1/29", ("192.0.2.4", "192.0.2.6")),
    ],
)
def test_units_get_the_upper_half_but_our_own_address(
    address: str, expected: tuple[str, str]
) -> None:
    assert tuple(map(str, serving_range(at(address)))) == expected


def test_a_range_may_be_given() -> None:
    first, last = serving_range(at("192.0.2.1/24"), "192.0.2.10-192.0.2.20")
    assert (str(first), str(last)) == ("192.0.2.10", "192.0.2.20")


@pytest.mark.parametrize(
    "text",
    ["192.0.2.10", "x-y", "192.0.2.20-192.0.2.10", "192.0.3.1-192.0.3.9", "192.0.2.1-192.0.2.9"],
)
def test_a_range_that_cannot_be_served_is_refused_with_the_remedy(text: str) -> None:
    with pytest.raises(PlaceError, match=r"range|write it as"):
        serving_range(at("192.0.2.1/24"), text)


def test_a_network_without_room_is_refused() -> None:
    with pytest.raises(PlaceError, match="/29 or shorter"):
        serving_range(at("192.0.2.1/31"))


def test_an_interface_that_is_not_there_is_told_with_those_that_are() -> None:
    with pytest.raises(PlaceError, match=r"name one of .*lo"):
        find("no-such-one")


def test_an_address_that_an_interface_does_not_have_is_told() -> None:
    with pytest.raises(PlaceError, match=r"lo (does not have 192\.0\.2\.77|is down)"):
        find("lo", "192.0.2.77")
