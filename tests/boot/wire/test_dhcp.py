import contextlib
from ipaddress import IPv4Address, IPv4Network
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.dhcp import (
    MAX_SEARCH_DOMAINS,
    BootpOp,
    DhcpMessage,
    MessageType,
    Option,
    Options,
    Route,
    vendor_identifying,
)
from openturret.boot.wire.errors import MalformedError, OptionError, TruncatedError, WireError

DATA = Path(__file__).parent.parent / "data"
OFFER = (DATA / "dhcp_offer_dnsmasq.bin").read_bytes()
ACK = (DATA / "dhcp_ack_dnsmasq.bin").read_bytes()
FIXED_BYTES = 240


def overloaded(where: int, *, file: bytes = b"", sname: bytes = b"", main: bytes = b"") -> bytes:
    """A reply whose options go on in the fields for file and server name."""
    plain = bytearray(bytes(DhcpMessage(BootpOp.REPLY, xid=1))[:FIXED_BYTES])
    plain[44:108] = sname.ljust(64, b"\0")
    plain[108:236] = file.ljust(128, b"\0")
    return bytes(plain) + bytes([Option.OVERLOAD, 1, where]) + main + b"\xff"


def test_what_dnsmasq_offered_is_read() -> None:
    offer = DhcpMessage.parse(OFFER)
    assert offer.type is MessageType.OFFER
    assert offer.hardware_address.hex(":") == "02:54:50:00:00:01"
    assert offer.your_address in IPv4Network("10.1.0.0/24")
    options = offer.options
    assert options.address(Option.SERVER_ID) == IPv4Address("10.1.0.2")
    assert options.address(Option.SUBNET_MASK) == IPv4Address("255.255.255.0")
    assert options.addresses(Option.ROUTER) == (IPv4Address("10.1.0.1"),)
    assert options.addresses(Option.TFTP_SERVER_LIST) == (IPv4Address("10.1.0.2"),)
    assert options.text(Option.TFTP_SERVER) == "10.1.0.2"
    assert options.text(Option.DOMAIN_NAME) == "turret.example"
    assert options.seconds(Option.LEASE_TIME) == 3600
    assert options.vendor_specific() == {1: IPv4Address("10.1.0.2").packed}


@pytest.mark.parametrize("captured", [OFFER, ACK])
def test_what_dnsmasq_sent_is_rebuilt_byte_for_byte(captured: bytes) -> None:
    assert bytes(DhcpMessage.parse(captured)).rstrip(b"\0") == captured.rstrip(b"\0")


@pytest.mark.parametrize("captured", [OFFER, ACK])
def test_a_message_cut_anywhere_is_a_value_or_a_typed_error(captured: bytes) -> None:
    for length in range(len(captured)):
        try:
            DhcpMessage.parse(captured[:length])
        except WireError:
            continue
        assert length >= FIXED_BYTES


@given(st.binary(max_size=700))
def test_any_bytes_are_a_value_or_a_typed_error(tail: bytes) -> None:
    for data in (tail, OFFER[:FIXED_BYTES] + tail, overloaded(3, file=tail[:128], main=tail[128:])):
        try:
            options = DhcpMessage.parse(data).options
        except WireError:
            continue
        for read in (options.routes, options.vendor_specific, options.vendor_identifying):
            try:
                read()
            except WireError:
                continue


@given(
    xid=st.integers(0, 2**32 - 1),
    values=st.dictionaries(
        st.integers(1, 254).filter(lambda code: code != Option.OVERLOAD), st.binary(max_size=600)
    ),
)
def test_a_message_survives_its_own_bytes(xid: int, values: dict[int, bytes]) -> None:
    options = Options(tuple(values.items()))
    message = DhcpMessage(BootpOp.REQUEST, xid=xid, hardware_address=b"\2TP\0\0\1", options=options)
    assert DhcpMessage.parse(bytes(message)) == message


def test_pieces_of_a_long_option_are_joined() -> None:
    pieces = bytes([67, 3]) + b"def" + bytes([67, 2]) + b"au"
    message = DhcpMessage.parse(OFFER[:FIXED_BYTES] + pieces + b"\xff")
    assert message.options.text(Option.BOOT_FILE) == "defau"


def test_overloaded_options_go_on_in_file_and_then_in_server_name() -> None:
    data = overloaded(3, main=b"\x43\x01a", file=b"\x43\x01b\xff", sname=b"\x43\x01c\xff")
    message = DhcpMessage.parse(data)
    assert message.options.text(Option.BOOT_FILE) == "abc"
    assert (message.file, message.server_name) == ("", "")
    assert Option.OVERLOAD not in message.options


def test_without_overload_the_fields_are_texts() -> None:
    data = overloaded(1, file=b"\x43\x01b\xff", sname=b"tftp.turret.example")
    message = DhcpMessage.parse(data)
    assert message.server_name == "tftp.turret.example"
    assert message.options.text(Option.BOOT_FILE) == "b"


def test_an_unknown_overload_is_refused() -> None:
    with pytest.raises(MalformedError, match="overload"):
        DhcpMessage.parse(overloaded(4))


def test_a_text_may_end_in_nul() -> None:
    assert Options(((66, b"10.1.0.2\0"),)).text(66) == "10.1.0.2"


def test_a_text_with_control_characters_is_refused() -> None:
    with pytest.raises(OptionError):
        Options(((66, b"a\x1b[2J"),)).text(66)


def test_classless_routes_are_read() -> None:
    value = bytes([24, 10, 11, 0, 10, 1, 0, 1]) + bytes([0, 10, 1, 0, 2])
    assert Options(((121, value),)).routes() == (
        Route(IPv4Network("10.11.0.0/24"), IPv4Address("10.1.0.1")),
        Route(IPv4Network("0.0.0.0/0"), IPv4Address("10.1.0.2")),
    )


@pytest.mark.parametrize("value", [b"\x21\1\2\3\4", b"\x18\x0a", b"\x08\x0a\1\2\3"])
def test_a_damaged_route_is_refused(value: bytes) -> None:
    with pytest.raises(OptionError):
        Options(((121, value),)).routes()


def test_vendor_identifying_options_are_read_by_enterprise() -> None:
    value = (4491).to_bytes(4, "big") + bytes([4, 1, 2]) + b"ab"
    assert Options(((125, value),)).vendor_identifying() == {4491: {1: b"ab"}}
    with pytest.raises(WireError):
        Options(((125, value[:-1]),)).vendor_identifying()


@pytest.mark.parametrize(
    ("code", "value"), [(1, b"\1\2\3"), (51, b"\0"), (54, b""), (3, b"\1\2\3\4\5"), (3, b"")]
)
def test_a_value_of_the_wrong_length_is_refused(code: int, value: bytes) -> None:
    options = Options(((code, value),))
    with pytest.raises(OptionError):
        options.addresses(code) if code == 3 else options.address(code)


def test_plain_bootp_and_other_hardware_are_refused() -> None:
    with pytest.raises(MalformedError, match="cookie"):
        DhcpMessage.parse(bytes(300))
    with pytest.raises(MalformedError, match="hardware"):
        DhcpMessage.parse(OFFER[:1] + b"\6" + OFFER[2:])
    with pytest.raises(TruncatedError):
        DhcpMessage.parse(b"")
    with pytest.raises(OptionError, match="message type"):
        _ = DhcpMessage(BootpOp.REPLY, xid=1).type


@pytest.mark.parametrize(
    ("value", "domains"),
    [
        (b"\x06turret\x07example\0\x03tss\xc0\x07", ("turret.example", "tss.example")),
        (b"\3tss\xc0\x06\3tss\0", None),
        (b"\6turret\7example\0\xc0\0", ("turret.example", "turret.example")),
        (b"\0\1a\0", ("a",)),
        (b"", ()),
        (b"\xc0\0", None),
        (b"\1a\xc0\2", None),
        (b"\1a\xc0", None),
        (b"\1a", None),
        (b"\5abc", None),
        (b"\x40" + bytes(64), None),
        (b"\3a.b\0", None),
        (b"\1\x1b\0", None),
        ((b"\x3f" + b"a" * 63) * 5 + b"\0", None),
    ],
)
def test_search_domains_are_read_with_their_pointers(
    value: bytes, domains: tuple[str, ...] | None
) -> None:
    options = Options(((int(Option.DOMAIN_SEARCH), value),))
    if domains is None:
        with pytest.raises(OptionError, match="119"):
            options.domain_search()
    else:
        assert options.domain_search() == domains


@given(st.binary(max_size=300))
def test_any_search_domains_are_few_and_short_or_a_typed_error(value: bytes) -> None:
    with contextlib.suppress(OptionError):
        domains = Options(((int(Option.DOMAIN_SEARCH), value),)).domain_search()
        assert len(domains) <= MAX_SEARCH_DOMAINS
        assert all(0 < len(domain) <= 253 for domain in domains)


def test_a_field_that_is_no_text_costs_only_itself() -> None:
    message = bytearray(OFFER)
    message[44:48] = b"\xff\xfe\x1b\0"
    parsed = DhcpMessage.parse(bytes(message))
    assert parsed.server_name == ""
    assert parsed.options == DhcpMessage.parse(OFFER).options


def test_what_is_written_for_an_enterprise_is_read_for_it() -> None:
    value = vendor_identifying(32_473, b"\1\4\x0a\1\0\2")
    options = Options(((int(Option.VENDOR_IDENTIFYING), value),))
    assert options.vendor_identifying() == {32_473: {1: b"\x0a\1\0\2"}}
