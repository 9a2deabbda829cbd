from ipaddress import IPv4Address

import pytest

from openturret.boot.errors import DhcpError
from openturret.boot.lan.offers import MAX_OFFERS, Offers
from openturret.boot.wire.dhcp import BootpOp, DhcpMessage, Option, Options


def offer(number: int, *options: tuple[int, bytes], file: str = "") -> DhcpMessage:
    server = (int(Option.SERVER_ID), IPv4Address(f"10.1.0.{number}").packed)
    return DhcpMessage(
        BootpOp.REPLY,
        1,
        your_address=IPv4Address("10.1.0.100"),
        file=file,
        options=Options((server, *options)),
    )


def taken(offers: Offers) -> list[int]:
    numbers = []
    while (lease := offers.take()) is not None:
        numbers.append(lease.server.packed[3])
    return numbers


@pytest.mark.parametrize("code", [43, 66, 67, 125, 150])
def test_an_offer_about_a_tss_comes_first(code: int) -> None:
    offers = Offers(None)
    offers.add(offer(1), 0)
    assert not offers.preferred
    offers.add(offer(2, (code, b"\n\1\0\2")), 0)
    assert offers.preferred
    assert taken(offers) == [2, 1]


def test_so_do_a_boot_file_and_the_server_of_the_last_lease() -> None:
    offers = Offers(IPv4Address("10.1.0.3"))
    for message in (offer(1), offer(2, file="site.yaml"), offer(3)):
        offers.add(message, 0)
    assert taken(offers) == [2, 3, 1]


def test_each_server_counts_once_and_only_the_first_few() -> None:
    offers = Offers(None)
    for number in [*range(1, 100), *range(1, 100)]:
        offers.add(offer(number), 0)
    assert taken(offers) == list(range(1, MAX_OFFERS + 1))
    assert not offers


def test_what_is_not_acceptable_is_told_once() -> None:
    offers = Offers(None, lambda lease: lease.server.packed[3] == 3)
    with pytest.raises(DhcpError, match="no better"):
        offers.add(offer(1), 0)
    offers.add(offer(2), 0)
    offers.add(DhcpMessage(BootpOp.REPLY, 1), 0)
    offers.add(offer(3), 0)
    assert taken(offers) == [3]
