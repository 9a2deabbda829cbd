"""VoIP metrics against the definitions of RFC 3611, the E-model against the formulas of G.107."""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from openturret.c_ext._engine import ffi, lib

if TYPE_CHECKING:
    from openturret.c_ext._engine import Quality, VoipMetrics

PACKET_MS = 20
PLAYED, LOST, DISCARDED = "plx"
UNKNOWN = 127


def fed(fates: str, chunk: int = 64) -> "Quality":
    quality = ffi.new("ot_quality *")
    lib.ot_quality_init(quality)
    for at in range(0, len(fates), chunk):
        piece = fates[at : at + chunk]
        lost = sum(1 << i for i, fate in enumerate(piece) if fate == LOST)
        discarded = sum(1 << i for i, fate in enumerate(piece) if fate == DISCARDED)
        lib.ot_quality_feed(quality, lost, discarded, len(piece))
    return quality


def report(quality: "Quality", **fields: int) -> "VoipMetrics":
    setup = ffi.new("ot_quality_setup *")
    setup.packet_ms, setup.echo_return_loss_db = PACKET_MS, UNKNOWN
    for name, value in fields.items():
        setattr(setup, name, value)
    metrics = ffi.new("ot_voip_metrics *")
    lib.ot_quality_report(quality, setup, metrics)
    return metrics


# -- bursts and gaps -----------------------------------------------------------------------------


def of_256(part: int, whole: int) -> int:
    return min(255, 256 * part // whole) if whole else 0


@dataclass(frozen=True, slots=True)
class Periods:
    burst_density: int
    gap_density: int
    burst_duration_ms: int
    gap_duration_ms: int


def definition(fates: str) -> Periods:
    """RFC 3611 section 4.7.2, word by word: slow, and without a state machine."""
    losses = [at for at, fate in enumerate(fates) if fate != PLAYED]
    groups: list[list[int]] = []
    for at in losses:
        if groups and at - groups[-1][-1] - 1 < lib.OT_GMIN:
            groups[-1].append(at)
        else:
            groups.append([at])
    bursts = [group for group in groups if len(group) > 1]
    inside = [False] * len(fates)
    for burst in bursts:
        inside[burst[0] : burst[-1] + 1] = [True] * (burst[-1] + 1 - burst[0])
    gap_packets = inside.count(False)
    gaps = sum(1 for before, now in pairwise([True, *inside]) if before and not now)
    burst_losses = sum(map(len, bursts))
    in_bursts = inside.count(True)
    return Periods(
        of_256(burst_losses, in_bursts),
        of_256(len(losses) - burst_losses, gap_packets),
        min(65535, in_bursts * PACKET_MS // len(bursts)) if bursts else 0,
        min(65535, gap_packets * PACKET_MS // gaps) if gaps else 0,
    )


def periods(fates: str, chunk: int = 64) -> Periods:
    metrics = report(fed(fates, chunk))
    return Periods(
        metrics.burst_density,
        metrics.gap_density,
        metrics.burst_duration_ms,
        metrics.gap_duration_ms,
    )


good = "p" * 16


@pytest.mark.parametrize(
    ("what", "fates"),
    [
        ("nothing yet", ""),
        ("no loss", "p" * 100),
        ("one loss", good + "l" + good),
        ("two, fifteen apart", good + "l" + "p" * 15 + "l" + good),
        ("two, sixteen apart", good + "l" + good + "l" + good),
        ("a burst at the very start", "ll" + good),
        ("nothing but losses", "l" * 40),
        ("a burst that goes on", good + "lplpl"),
        ("a burst that may go on", good + "lplplppp"),
        ("two bursts", good + "lpl" + good + "xllx" + good),
    ],
)
def test_bursts_and_gaps_are_as_defined(what: str, fates: str) -> None:
    assert periods(fates) == definition(fates), what


def test_the_example_of_rfc_3611_gives_the_figures_printed_there() -> None:
    """Section 4.7.2: gaps of 230 and 290 ms around a burst of 120 ms, packets of 10 ms."""
    gap, burst, after = "pppplpppppppppppppppppp", "xpppxplppppl", "p" * 18 + "x" + "p" * 10
    metrics = report(fed(gap + burst + after), packet_ms=10)
    assert (metrics.burst_duration_ms, metrics.gap_duration_ms) == (120, 260)
    assert (metrics.burst_density, metrics.gap_density) == (256 * 4 // 12, 256 * 2 // 52)
    assert (metrics.loss_rate, metrics.discard_rate) == (12, 12)


def test_two_losses_fifteen_apart_are_a_burst_and_sixteen_apart_are_not() -> None:
    assert periods(good + "l" + "p" * 15 + "l" + good).burst_duration_ms == 17 * PACKET_MS
    assert periods(good + "l" + "p" * 16 + "l" + good).burst_duration_ms == 0


@given(
    st.lists(st.tuples(st.sampled_from("plx"), st.integers(1, 20)), min_size=1, max_size=40).map(
        lambda runs: "".join(fate * count for fate, count in runs)
    ),
    st.integers(1, 64),
)
@example("l", 1)
def test_any_sequence_gives_what_the_definition_gives(fates: str, chunk: int) -> None:
    assert periods(fates, chunk) == definition(fates)


def appendix_a2(fates: str) -> float:
    """The burst density of RFC 3611 appendix A.2, from its transition counts."""
    c13 = c22 = c23 = c33 = 0
    packets, lost = 0, 1  # as if received packets came before (section 4.7.2)
    for fate in fates:
        if fate == PLAYED:
            packets += 1
            continue
        if packets >= lib.OT_GMIN:
            c13 += lost != 1
            lost = 1
        else:
            lost += 1
            c33 += packets == 0
            c23 += packets > 0
            c22 += max(0, packets - 1)
        packets = 0
    p23 = 1 - c22 / (c22 + c23) if c22 + c23 else 1.0
    p32 = c23 / (c13 + c23 + c33)
    return 256 * p23 / (p23 + p32)


@pytest.mark.parametrize("pattern", ["lplpl", "lll", "lpppplppl", "ll" + good + "lpplplpppl"])
def test_the_density_of_ended_bursts_is_that_of_appendix_a2(pattern: str) -> None:
    fates = good + pattern + good + "l" + good  # its counts need the loss after the burst
    assert abs(periods(fates).burst_density - min(255, appendix_a2(fates))) < 1


@given(st.text("plx", max_size=300), st.integers(1, 64))
def test_losses_and_discards_are_counted_apart(fates: str, chunk: int) -> None:
    quality = fed(fates, chunk)
    assert (quality.expected, quality.lost) == (len(fates), fates.count("l"))
    assert quality.discarded == fates.count("x")
    metrics = report(quality)
    assert metrics.loss_rate == of_256(fates.count("l"), len(fates))
    assert metrics.discard_rate == of_256(fates.count("x"), len(fates))


def test_a_packet_both_lost_and_discarded_is_lost() -> None:
    quality = ffi.new("ot_quality *")
    lib.ot_quality_init(quality)
    lib.ot_quality_feed(quality, 1, 1, 2)
    assert (quality.expected, quality.lost, quality.discarded) == (2, 1, 0)


def test_hours_of_packets_saturate_what_is_sixteen_bits() -> None:
    assert periods("p" * 100_000).gap_duration_ms == 65535


# -- the E-model ---------------------------------------------------------------------------------

NOISE_DBM0P = -61.18  # No of G.107 with every parameter at its default


def delay_impairment(ms: float) -> float:
    """Idte + Idle + Idd of G.107 section 7.4 with TELR 65, WEPL 110, T = Ta = Tr / 2."""
    ro = 15 - 1.5 * (8 + NOISE_DBM0P)
    terv = 65 - 40 * math.log10((1 + ms / 10) / (1 + ms / 150)) + 6 * math.exp(-0.3 * ms * ms)
    half: float = (-1.5 * (NOISE_DBM0P - 2) - (80 + 2.5 * (terv - 14))) / 2
    talker: float = (half + math.sqrt(half * half + 100) - 1) * (1 - math.exp(-ms))
    half = (ro - 10.5 * (110 + 7) * (2 * ms + 1) ** -0.25) / 2
    listener: float = half + math.sqrt(half * half + 169)
    x = max(0.0, math.log2(ms / 100)) if ms else 0.0
    late: float = 25 * ((1 + x**6) ** (1 / 6) - 3 * (1 + (x / 3) ** 6) ** (1 / 6) + 2)
    return talker + listener + late


def test_delay_impairs_as_g107_computes_it() -> None:
    for ms in range(1000):
        exact = delay_impairment(ms) - delay_impairment(0)
        assert abs(lib.ot_emodel_delay(ms) - exact) < 0.15, ms


def test_absurd_delays_stay_at_the_ends_of_the_curve() -> None:
    assert lib.ot_emodel_delay(-5) == 0
    assert lib.ot_emodel_delay(1e9) == lib.ot_emodel_delay(1000)
    assert lib.ot_emodel_delay(math.nan) == 0


@pytest.mark.parametrize(
    ("percent", "ratio", "expected"),
    [
        (0, 1, 0),
        (1, 1, 95 / 26.1),
        (5, 1, 95 * 5 / 30.1),
        (5, 2, 95 * 5 / 27.6),
        (5, 0.5, 95 * 5 / 30.1),
    ],
)
def test_loss_impairs_g711_as_g107_and_g113_say(
    percent: float, ratio: float, expected: float
) -> None:
    assert lib.ot_emodel_equipment(lib.OT_PCMU, percent, ratio) == pytest.approx(expected)


def test_every_codec_suffers_more_from_more_loss_and_from_bursts() -> None:
    for codec in (lib.OT_PCMU, lib.OT_PCMA, lib.OT_G722, lib.OT_L16_16K, lib.OT_OPUS_48K):
        curve = [lib.ot_emodel_equipment(codec, percent, 1) for percent in range(101)]
        assert curve[0] == 0
        assert curve == sorted(curve)
        assert curve[-1] < 95
        assert lib.ot_emodel_equipment(codec, 5, 3) > curve[5]


@pytest.mark.parametrize(
    ("r", "mos"), [(-5, 1), (0, 1), (3, 1), (50, 2.575), (80, 4.024), (93.2, 4.409), (120, 4.5)]
)
def test_r_becomes_mos_as_in_g107_annex_b(r: float, mos: float) -> None:
    assert lib.ot_emodel_mos(r) == pytest.approx(mos, abs=1e-3)


def test_mos_never_falls_while_r_rises() -> None:
    curve = [lib.ot_emodel_mos(r / 10) for r in range(-100, 1100)]
    assert curve == sorted(curve)


# -- the report ----------------------------------------------------------------------------------


def test_a_clean_stream_without_delay_has_the_best_r() -> None:
    metrics = report(fed("p" * 500))
    assert (metrics.r_factor, metrics.mos_lq, metrics.mos_cq) == (93, 44, 44)
    assert metrics.external_r_factor == UNKNOWN


def test_delay_spoils_conversation_and_not_listening() -> None:
    metrics = report(fed("p" * 500), round_trip_ms=500, end_system_delay_ms=100)
    assert metrics.mos_lq == 44
    one_way = 350
    assert metrics.r_factor == round(93.2 - delay_impairment(one_way) + delay_impairment(0))
    assert metrics.mos_cq < metrics.mos_lq


def test_the_far_ends_own_delay_is_used_when_it_tells_it() -> None:
    known = report(
        fed("p" * 500),
        round_trip_ms=200,
        end_system_delay_ms=100,
        remote_end_system_delay_ms=500,
    )
    assumed = report(fed("p" * 500), round_trip_ms=200, end_system_delay_ms=100)
    assert known.r_factor < assumed.r_factor


def test_losses_in_bursts_sound_worse_than_as_many_apart() -> None:
    apart, together = "l" + "p" * 19, "lllll" + "p" * 95
    spread, burst = report(fed(good + apart * 50)), report(fed(good + together * 10))
    assert spread.loss_rate == burst.loss_rate
    assert burst.r_factor < spread.r_factor


def test_late_packets_count_like_lost_ones_for_the_listener() -> None:
    lost, late = report(fed((good + "l") * 20)), report(fed((good + "x") * 20))
    assert lost.r_factor == late.r_factor
    assert (lost.discard_rate, late.loss_rate) == (0, 0)


def test_before_the_first_packet_nothing_is_claimed() -> None:
    metrics = report(fed(""))
    assert {metrics.r_factor, metrics.mos_lq, metrics.mos_cq} == {UNKNOWN}
    assert {metrics.signal_dbm0, metrics.noise_dbm0} == {UNKNOWN}


def test_the_setup_is_passed_on() -> None:
    metrics = report(
        fed("p"),
        ssrc=0xDEADBEEF,
        echo_return_loss_db=45,
        receiver=lib.OT_PLC_ENHANCED | lib.OT_JITTER_ADAPTIVE,
        jitter_nominal_ms=60,
        jitter_maximum_ms=120,
        jitter_absolute_ms=640,
    )
    assert (metrics.ssrc, metrics.gmin) == (0xDEADBEEF, 16)
    assert (metrics.echo_return_loss_db, metrics.receiver) == (45, 0xB0)
    assert metrics.jitter_nominal_ms == 60
    assert (metrics.jitter_maximum_ms, metrics.jitter_absolute_ms) == (120, 640)


# -- levels --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dbfs", [0, -3.01, -20, -43.7, -90])
def test_a_level_is_told_in_dbm0(dbfs: float) -> None:
    square = 32768**2 * 10 ** (dbfs / 10)
    assert lib.ot_level_dbm0(square) == pytest.approx(dbfs + 6.18, abs=0.05)


def test_silence_and_nonsense_have_the_lowest_level() -> None:
    assert lib.ot_level_dbm0(0) == lib.ot_level_dbm0(-1) == lib.ot_level_dbm0(math.nan) == -127


def test_speech_and_its_pauses_are_told_apart() -> None:
    quality = fed("p")
    speech, pause = 80 * 2000**2, 80 * 10**2
    for frame in range(3000):
        lib.ot_quality_hear(quality, speech if frame % 100 < 60 else pause, 80)
    metrics = report(quality)
    assert metrics.signal_dbm0 == round(10 * math.log10(2000**2 / 2**30) + 6.18)
    assert abs(metrics.noise_dbm0 - (10 * math.log10(10**2 / 2**30) + 6.18)) < 3


def test_a_frame_of_no_samples_says_nothing() -> None:
    quality = fed("p")
    lib.ot_quality_hear(quality, 5, 0)
    assert report(quality).noise_dbm0 == UNKNOWN


@given(st.lists(st.integers(0, 480 * 32768**2), max_size=50))
def test_levels_stay_within_an_octet(energies: list[int]) -> None:
    quality = fed("p")
    for energy in energies:
        lib.ot_quality_hear(quality, energy, 480)
    metrics = report(quality)
    for level in (metrics.signal_dbm0, metrics.noise_dbm0):
        assert level == UNKNOWN or -127 <= level <= 7
