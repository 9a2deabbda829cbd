"""The port filter of the XMA2, as SPEC section 3 has it."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.hal.xma import RANGES, PortFilter, PortFilterError

DOCUMENTED = [
    (0x2800, 0xF800, 10240, 12286),
    (0x2C00, 0xFC00, 11264, 12286),
    (0x4000, 0xF000, 16384, 20478),
    (0x4800, 0xF800, 18432, 20478),
    (0x8000, 0xF000, 32768, 36862),
    (0x8800, 0xF800, 34816, 36862),
]
WIDTHS = st.integers(1, 15)


def test_the_documented_ranges_are_these_six_and_the_first_is_the_default() -> None:
    assert [(each.portref, each.netmask) for each in RANGES] == [row[:2] for row in DOCUMENTED]


@pytest.mark.parametrize(("portref", "netmask", "first", "last"), DOCUMENTED)
def test_a_documented_range_has_the_bounds_of_the_table(
    portref: int, netmask: int, first: int, last: int
) -> None:
    ports = PortFilter(portref, netmask)
    assert (ports.rtp_lower_port, ports.rtp_upper_port) == (first, last)
    assert ports.ports == last + 2 - first


@pytest.mark.parametrize(("portref", "netmask", "first", "last"), DOCUMENTED)
def test_a_documented_range_accepts_its_ports_and_no_other(
    portref: int, netmask: int, first: int, last: int
) -> None:
    ports = PortFilter(portref, netmask)
    at_the_edges = (first - 1, first, first + 1, last, last + 1, last + 2)
    accepted = [ports.accepts(port) for port in at_the_edges]
    assert accepted == [False, True, True, True, True, False]
    assert [port for port in range(0x10000) if ports.accepts(port)] == [*range(first, last + 2)]


@pytest.mark.parametrize("netmask", [0xF0F0, 0x0F00, 0xF801, 0x7FFF, 0xFEFF, 0x0001])
def test_a_mask_with_a_hole_is_refused(netmask: int) -> None:
    with pytest.raises(PortFilterError, match="is not contiguous; use one like 0xF800"):
        PortFilter(0, netmask)


@pytest.mark.parametrize("netmask", [0x0000, 0xFFFF])
def test_a_mask_that_leaves_no_block_is_refused(netmask: int) -> None:
    with pytest.raises(PortFilterError, match="leaves no block of ports; use 0xF800"):
        PortFilter(0, netmask)


@pytest.mark.parametrize(
    ("portref", "netmask", "aligned"),
    [(0x2801, 0xF800, 0x2800), (0x2C00, 0xF800, 0x2800), (0x4800, 0xF000, 0x4000)],
)
def test_a_block_that_is_not_aligned_is_refused_with_one_that_is(
    portref: int, netmask: int, aligned: int
) -> None:
    with pytest.raises(PortFilterError, match=f"is not aligned to .*; use {aligned:#06x}"):
        PortFilter(portref, netmask)


@pytest.mark.parametrize(
    ("portref", "netmask", "name"),
    [(-1, 0xF800, "portref -0x1"), (0x10000, 0xF800, "portref 0x10000"), (0, -2048, "netmask")],
)
def test_a_number_of_more_than_16_bits_is_refused(portref: int, netmask: int, name: str) -> None:
    with pytest.raises(PortFilterError, match=f"{name}.* is not a 16-bit number"):
        PortFilter(portref, netmask)


@pytest.mark.parametrize(
    ("portref", "netmask", "field"),
    [(0x2800, 0xF0F0, "netmask"), (0x2800, 0, "netmask"), (0x2900, 0xF800, "portref")],
)
def test_a_refusal_says_which_number_to_change(portref: int, netmask: int, field: str) -> None:
    with pytest.raises(PortFilterError) as refused:
        PortFilter(portref, netmask)
    assert refused.value.field == field


@given(WIDTHS, st.integers(0, 0xFFFF))
def test_every_aligned_block_accepts_just_the_ports_between_its_bounds(
    width: int, port: int
) -> None:
    netmask = 0xFFFF << width & 0xFFFF
    ports = PortFilter(port & netmask, netmask)
    assert ports.accepts(port)
    assert ports.rtp_lower_port <= port <= ports.rtp_upper_port + 1
    assert ports.rtp_upper_port % 2 == 0
    assert ports.rtp_upper_port + 2 - ports.rtp_lower_port == ports.ports == 2**width


@given(st.integers(0, 0xFFFF), st.integers(0, 0xFFFF))
def test_what_is_taken_is_what_the_rule_says(portref: int, netmask: int) -> None:
    open_bits = ~netmask & 0xFFFF
    valid = open_bits + 1 in {2**width for width in range(1, 16)} and not portref & open_bits
    if valid:
        assert PortFilter(portref, netmask).accepts(portref)
    else:
        with pytest.raises(PortFilterError):
            PortFilter(portref, netmask)
