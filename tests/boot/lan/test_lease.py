from ipaddress import IPv4Address
from pathlib import Path

import pytest

from openturret.boot.errors import DhcpError
from openturret.boot.lan.lease import Lease, LeaseStore
from openturret.boot.wire.dhcp import BootpOp, DhcpMessage, Option, Options

ACK = (Path(__file__).parents[1] / "data" / "dhcp_ack_dnsmasq.bin").read_bytes()
SERVER = IPv4Address("10.1.0.2")


def granted(*options: tuple[int, bytes], address: str = "10.1.0.100", **fields: object) -> Lease:
    message = DhcpMessage(
        BootpOp.REPLY,
        xid=1,
        your_address=IPv4Address(address),
        options=Options(((int(Option.SERVER_ID), SERVER.packed), *options)),
        **fields,  # type: ignore[arg-type]
    )
    return Lease.from_ack(message, acquired=1000.0)


def seconds(value: int) -> bytes:
    return value.to_bytes(4, "big")


def test_what_dnsmasq_granted_is_understood() -> None:
    lease = Lease.from_ack(DhcpMessage.parse(ACK), acquired=1000.0)
    assert (lease.server, lease.prefix, lease.lease_s) == (SERVER, 24, 3600)
    assert (lease.renew_s, lease.rebind_s) == (1800, 3150)
    assert lease.routers == (IPv4Address("10.1.0.1"),)
    assert lease.dns_servers == (SERVER,)
    assert lease.domain == "turret.example"
    assert lease.tftp_servers == ("10.1.0.2",), "options 43, 150 and 66 name the same"


def test_a_lease_survives_a_reboot(tmp_path: Path) -> None:
    store = LeaseStore(tmp_path / "lease.json")
    assert store.load() is None
    route = bytes([24, 10, 11, 0, 10, 1, 0, 1])
    lease = granted((121, route), (42, SERVER.packed), (67, b"site.yaml\0"))
    store.save(lease)
    assert store.load() == lease
    store.forget()
    assert store.load() is None


@pytest.mark.parametrize("damage", [b"", b"{}", b"[]", b"null", b"\xff", b'{"address": "x"}'])
def test_a_damaged_lease_is_no_lease(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "lease.json").write_bytes(damage)
    assert LeaseStore(tmp_path / "lease.json").load() is None


def test_the_tftp_servers_come_in_order_of_trust() -> None:
    lease = granted(
        (43, b"\1\x04\x0a\1\0\3"),
        (150, IPv4Address("10.1.0.4").packed + IPv4Address("10.1.0.5").packed),
        (66, b"tftp.turret.example\0"),
        next_server=IPv4Address("10.1.0.6"),
    )
    assert lease.tftp_servers == (
        "10.1.0.3", "10.1.0.4", "10.1.0.5", "tftp.turret.example", "10.1.0.6",
    )  # fmt: skip


def test_option_43_may_hold_a_name() -> None:
    assert granted((43, b"\1\x0ftftp.example.tv")).tftp_servers == ("tftp.example.tv",)


@pytest.mark.parametrize(
    "option", [(43, b"\2\5paris"), (125, b"\0\0\x7e\xd9\7\2\5paris")], ids=["43", "125"]
)
def test_sub_option_2_names_the_site(option: tuple[int, bytes]) -> None:
    assert granted(option).site == "paris"


@pytest.mark.parametrize(
    "option",
    [
        (43, b"\2\5pa\nis"),
        (43, b"\1\xff"),
        (43, b"\1\2\1\2"),
        (150, b"123"),
        (66, b"\x1b[2J"),
        (121, b"\x63"),
    ],
)
def test_a_malformed_hint_costs_only_the_hint(option: tuple[int, bytes]) -> None:
    assert granted(option) == granted()


@pytest.mark.parametrize(
    ("times", "expected"),
    [
        ({}, (60, 30, 52)),
        ({51: 0}, (60, 30, 52)),
        ({51: 1}, (60, 30, 52)),
        ({51: 1000}, (1000, 500, 875)),
        ({51: 1000, 58: 100, 59: 200}, (1000, 100, 200)),
        ({51: 1000, 58: 200, 59: 100}, (1000, 500, 875)),
        ({51: 1000, 58: 0, 59: 0}, (1000, 500, 875)),
        ({51: 1000, 58: 900, 59: 5000}, (1000, 500, 875)),
    ],
)
def test_times_that_make_no_sense_are_replaced(
    times: dict[int, int], expected: tuple[int, int, int]
) -> None:
    lease = granted(*((code, seconds(value)) for code, value in times.items()))
    assert (lease.lease_s, lease.renew_s, lease.rebind_s) == expected


def test_an_endless_lease_never_ends() -> None:
    assert granted((51, b"\xff" * 4)).remaining_s(1e12) == float("inf")


def test_a_clock_that_was_reset_does_not_end_a_lease() -> None:
    lease = granted((51, seconds(1000)))
    assert lease.remaining_s(1400.0) == 600
    assert lease.remaining_s(0.0) == 1000
    assert lease.remaining_s(2500.0) < 0


@pytest.mark.parametrize("address", ["0.0.0.0", "127.0.0.1", "224.0.0.1", "255.255.255.255"])
def test_an_address_that_is_none_is_refused(address: str) -> None:
    with pytest.raises(DhcpError, match="granted"):
        granted(address=address)


def test_a_mask_with_holes_is_not_used() -> None:
    assert granted((1, IPv4Address("255.0.255.0").packed)).prefix == 24
    assert granted((1, IPv4Address("255.255.254.0").packed)).prefix == 23
