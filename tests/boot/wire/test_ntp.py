import contextlib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from openturret.boot.wire.errors import MalformedError, TruncatedError, WireError
from openturret.boot.wire.ntp import NtpMode, NtpPacket, from_unix, to_unix

ANSWER = bytes.fromhex(
    "24020ae900000a3d000003c20a01000200000000000000001122334455667788"
    "ecd3f1a080000000ecd3f1a0c0000000"
)
"""As chronyd answers: stratum 2, version 4."""
SHORT = st.integers(0, 2**32 - 1).map(lambda units: units / 65_536)
STAMP = st.integers(0, 2**64 - 1)


def test_an_answer_is_read_and_rebuilt() -> None:
    packet = NtpPacket.parse(ANSWER)
    assert (packet.mode, packet.version, packet.leap, packet.stratum) == (NtpMode.SERVER, 4, 0, 2)
    assert packet.originate == 0x1122334455667788
    assert packet.root_dispersion_s == pytest.approx(0.01468, abs=1e-5)
    assert packet.reference_id == bytes([10, 1, 0, 2])
    assert packet.transmit - packet.receive == 1 << 30, "a quarter of a second"
    assert bytes(packet) == ANSWER


def test_an_answer_cut_anywhere_is_a_typed_error() -> None:
    for length in range(len(ANSWER)):
        with pytest.raises(TruncatedError):
            NtpPacket.parse(ANSWER[:length])
    assert NtpPacket.parse(ANSWER + b"an extension") == NtpPacket.parse(ANSWER)


@pytest.mark.parametrize("first", [0x04, 0x2C, 0x3C, 0x20, 0x21, 0x25, 0x26, 0x27])
def test_versions_and_modes_that_are_no_clients_business_are_refused(first: int) -> None:
    with pytest.raises(MalformedError):
        NtpPacket.parse(bytes([first]) + ANSWER[1:])


@given(st.binary(max_size=120))
def test_any_bytes_are_a_value_or_a_typed_error(data: bytes) -> None:
    with contextlib.suppress(WireError):
        assert bytes(NtpPacket.parse(data)) == data[:48]


@given(
    st.builds(
        NtpPacket,
        mode=st.sampled_from(NtpMode),
        version=st.integers(1, 4),
        leap=st.integers(0, 3),
        stratum=st.integers(0, 255),
        poll=st.integers(-128, 127),
        precision=st.integers(-128, 127),
        root_delay_s=SHORT,
        root_dispersion_s=SHORT,
        reference_id=st.binary(min_size=4, max_size=4),
        reference=STAMP,
        originate=STAMP,
        receive=STAMP,
        transmit=STAMP,
    )
)
def test_a_packet_survives_its_own_bytes(packet: NtpPacket) -> None:
    assert NtpPacket.parse(bytes(packet)) == packet


@pytest.mark.parametrize(
    ("moment", "not_before"),
    [
        (1_795_000_000.0, 1_790_000_000.0),
        (1_795_000_000.0, 0.0),
        (2_085_978_500.0, 1_790_000_000.0),  # era 1, in 2036
        (4_000_000_000.0, 3_900_000_000.0),
        (100.0, 1_790_000_000.0),  # a server that thinks it is 1970
    ],
)
def test_timestamps_survive_the_change_of_era(moment: float, not_before: float) -> None:
    assert to_unix(from_unix(moment), not_before=not_before) == pytest.approx(moment, abs=1e-5)


@given(st.integers(0, 2**64 - 1), st.floats(0, 2**34))
def test_no_timestamp_is_far_before_the_floor(stamp: int, floor: float) -> None:
    assert to_unix(stamp, not_before=floor) >= floor - 2**31 - 1
