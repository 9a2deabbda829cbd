/* Bursts and gaps as RFC 3611 defines them, and R and MOS by ITU-T G.107. */
#include "quality.h"

#include <string.h>

#include "codec.h"

enum {
    FEED_MAX = 64,
    FRACTION_MAX = 255,
    R_MAX = 100,
    DELAY_STEP_MS = 25,
    DELAY_STEPS = 40,
    SPEECH_OVER_NOISE = 8, /* as a ratio of powers: 9 dB */
    NOISE_START = 3400,    /* -49 dBm0, until the stream shows its own */
    NOISE_RISE = 256       /* a part of itself per 10 ms: 1.7 dB a second */
};

static const double R_BEST = 93.2;
static const double FULL_SCALE_DBM0 = 6.18; /* a square wave; a sine has 3.17 (G.711) */

/* Idte + Idle + Idd of G.107 for T = Ta = Tr/2, less their value at 0, every 25 ms. */
static const float DELAY[DELAY_STEPS + 1] = {
    0.00F, 0.82F, 1.45F, 2.02F, 2.54F, 3.04F, 3.67F, 4.98F, 7.40F,
    10.60F, 14.03F, 17.38F, 20.54F, 23.47F, 26.18F, 28.67F, 30.96F, 33.06F,
    35.00F, 36.77F, 38.40F, 39.90F, 41.28F, 42.55F, 43.72F, 44.80F, 45.79F,
    46.71F, 47.56F, 48.35F, 49.08F, 49.75F, 50.38F, 50.97F, 51.52F, 52.02F,
    52.50F, 52.95F, 53.37F, 53.76F, 54.13F,
};

/* -- packets ------------------------------------------------------------------------------- */

void ot_quality_init(ot_quality *quality)
{
    memset(quality, 0, sizeof(*quality));
    quality->noise_power = NOISE_START;
}

/* Enough packets came: what went before was a burst, or one loss inside a gap. */
static void close_pattern(ot_quality *quality)
{
    if (quality->open_losses > 1) {
        quality->bursts++;
        quality->burst_packets += quality->open_packets;
        quality->burst_losses += quality->open_losses;
        quality->began_in_burst |= quality->open_at == 0;
    }
    quality->open_losses = 0;
    quality->open_packets = 0;
}

static void note_received(ot_quality *quality, uint32_t packets)
{
    quality->expected += packets;
    quality->since_loss += packets;
    if (quality->since_loss >= OT_GMIN && quality->open_losses)
        close_pattern(quality);
}

static void note_lost(ot_quality *quality)
{
    if (quality->open_losses == 0)
        quality->open_at = quality->expected;
    else
        quality->open_packets += quality->since_loss;
    if (quality->since_loss || quality->expected == 0)
        quality->runs++;
    quality->open_packets++;
    quality->open_losses++;
    quality->since_loss = 0;
    quality->expected++;
}

void ot_quality_feed(ot_quality *quality, uint64_t lost, uint64_t discarded, uint32_t packets)
{
    uint32_t count = packets < FEED_MAX ? packets : FEED_MAX;

    if ((lost | discarded) == 0) {
        note_received(quality, count);
        return;
    }
    for (uint32_t i = 0; i < count; i++) {
        uint64_t bit = 1ULL << i;
        if (((lost | discarded) & bit) == 0) {
            note_received(quality, 1);
            continue;
        }
        quality->lost += (lost & bit) != 0;
        quality->discarded += (lost & bit) == 0;
        note_lost(quality);
    }
}

/* -- levels -------------------------------------------------------------------------------- */

void ot_quality_hear(ot_quality *quality, uint64_t energy, uint32_t samples)
{
    if (samples == 0)
        return;
    uint64_t power = energy / samples;
    if (power > SPEECH_OVER_NOISE * quality->noise_power) {
        quality->signal_sum += power;
        quality->signal_frames++;
    } else {
        quality->noise_sum += power;
        quality->noise_frames++;
    }
    if (power < quality->noise_power)
        quality->noise_power -= (quality->noise_power - power + 3) / 4;
    else
        quality->noise_power += quality->noise_power / NOISE_RISE + 1;
}

/* A parabola through the mantissa: within 0.01, which is 0.03 dB. */
static double log2_of(double value)
{
    int exponent = 0;

    for (; value >= 2; exponent++)
        value /= 2;
    for (; value < 1; exponent--)
        value *= 2;
    return exponent + (-0.34484843 * value + 2.02466578) * value - 1.67487759;
}

double ot_level_dbm0(double mean_square)
{
    static const double FLOOR = -127;

    if (!(mean_square >= 1e-3))
        return FLOOR;
    return 3.0102999566 * (log2_of(mean_square) - 30) + FULL_SCALE_DBM0;
}

static int8_t mean_level(uint64_t sum, uint64_t frames)
{
    if (frames == 0)
        return OT_METRIC_UNKNOWN;
    double level = ot_level_dbm0((double)sum / (double)frames);
    return (int8_t)(level < 0 ? level - 0.5 : level + 0.5);
}

/* -- the E-model --------------------------------------------------------------------------- */

double ot_emodel_delay(double one_way_ms)
{
    double at = one_way_ms > 0 ? one_way_ms / DELAY_STEP_MS : 0;

    if (!(at < DELAY_STEPS))
        return DELAY[DELAY_STEPS];
    int step = (int)at;
    return DELAY[step] + (DELAY[step + 1] - DELAY[step]) * (at - step);
}

typedef struct {
    double impairment;  /* Ie */
    double robustness;  /* Bpl */
} equipment;

/* G.711 with concealment by its Appendix I is ITU-T G.113 Appendix I.  L16 is concealed alike.
 * For the others no value on this scale is published for our decoders: these are ours, chosen from
 * what they do with a lost packet, on the telephone band's scale where wide band earns nothing. */
static equipment equipment_of(int codec)
{
    switch (codec) {
    case OT_G722:
        return (equipment){0, 20};
    case OT_OPUS_8K:
    case OT_OPUS_16K:
    case OT_OPUS_48K:
        return (equipment){0, 30};
    default:
        return (equipment){0, 25.1};
    }
}

double ot_emodel_equipment(int codec, double loss_percent, double burst_ratio)
{
    equipment with = equipment_of(codec);
    double ratio = burst_ratio > 1 ? burst_ratio : 1;

    if (!(loss_percent > 0))
        return with.impairment;
    double share = loss_percent / (loss_percent / ratio + with.robustness);
    return with.impairment + (95 - with.impairment) * share;
}

double ot_emodel_mos(double r)
{
    if (r >= R_MAX)
        return 4.5;
    double mos = 1 + 0.035 * r + r * (r - 60) * (R_MAX - r) * 7e-6;
    return r > 0 && mos > 1 ? mos : 1; /* below R = 6.5 the polynomial dips under its floor */
}

/* -- the report ---------------------------------------------------------------------------- */

/* Everything until now, with a pattern that has not ended taken as it stands. */
typedef struct {
    uint64_t bursts;
    uint64_t burst_packets;
    uint64_t burst_losses;
    uint64_t gaps;
    uint64_t gap_packets;
    uint64_t gap_losses;
} periods;

static periods periods_of(const ot_quality *quality)
{
    ot_quality until_now = *quality;
    int in_burst = quality->open_losses > 1 && quality->since_loss == 0;

    close_pattern(&until_now);
    uint64_t first = until_now.began_in_burst ? 0 : 1;
    uint64_t gaps = until_now.bursts + first - (in_burst ? 1 : 0);
    return (periods){
        .bursts = until_now.bursts,
        .burst_packets = until_now.burst_packets,
        .burst_losses = until_now.burst_losses,
        .gaps = gaps,
        .gap_packets = quality->expected - until_now.burst_packets,
        .gap_losses = quality->lost + quality->discarded - until_now.burst_losses,
    };
}

static uint8_t of_256(uint64_t part, uint64_t whole)
{
    uint64_t fraction = whole ? (part << 8) / whole : 0;

    return (uint8_t)(fraction < FRACTION_MAX ? fraction : FRACTION_MAX);
}

static uint16_t mean_ms(uint64_t packets, uint64_t count, uint16_t packet_ms)
{
    uint64_t mean = count ? packets * packet_ms / count : 0;

    return (uint16_t)(mean < UINT16_MAX ? mean : UINT16_MAX);
}

static void fill_periods(const ot_quality *quality, uint16_t packet_ms, ot_voip_metrics *metrics)
{
    periods seen = periods_of(quality);

    metrics->loss_rate = of_256(quality->lost, quality->expected);
    metrics->discard_rate = of_256(quality->discarded, quality->expected);
    metrics->burst_density = of_256(seen.burst_losses, seen.burst_packets);
    metrics->gap_density = of_256(seen.gap_losses, seen.gap_packets);
    metrics->burst_duration_ms = mean_ms(seen.burst_packets, seen.bursts, packet_ms);
    metrics->gap_duration_ms = mean_ms(seen.gap_packets, seen.gaps, packet_ms);
}

/* How much longer losses in a row are than chance would make them (G.107 section 7.5). */
static double burst_ratio(const ot_quality *quality)
{
    double missing = (double)(quality->lost + quality->discarded);

    if (quality->runs == 0)
        return 1;
    return missing / (double)quality->runs * (1 - missing / (double)quality->expected);
}

static double one_way_ms(const ot_quality_setup *setup)
{
    uint32_t ours = setup->end_system_delay_ms;
    uint32_t theirs = setup->remote_end_system_delay_ms ? setup->remote_end_system_delay_ms : ours;

    return (setup->round_trip_ms + ours + theirs) / 2.0;
}

static uint8_t rounded(double value)
{
    return (uint8_t)(value > 0 ? value + 0.5 : 0);
}

static void fill_opinion(const ot_quality *quality, const ot_quality_setup *setup,
                         ot_voip_metrics *metrics)
{
    if (quality->expected == 0)
        return;
    double missing = (double)(quality->lost + quality->discarded);
    double percent = 100 * missing / (double)quality->expected;
    double listening = R_BEST - ot_emodel_equipment(setup->codec, percent, burst_ratio(quality));
    double talking = listening - ot_emodel_delay(one_way_ms(setup));

    metrics->r_factor = rounded(talking);
    metrics->mos_lq = rounded(10 * ot_emodel_mos(listening));
    metrics->mos_cq = rounded(10 * ot_emodel_mos(talking));
}

void ot_quality_report(const ot_quality *quality, const ot_quality_setup *setup,
                       ot_voip_metrics *metrics)
{
    *metrics = (ot_voip_metrics){
        .ssrc = setup->ssrc,
        .round_trip_ms = setup->round_trip_ms,
        .end_system_delay_ms = setup->end_system_delay_ms,
        .signal_dbm0 = mean_level(quality->signal_sum, quality->signal_frames),
        .noise_dbm0 = mean_level(quality->noise_sum, quality->noise_frames),
        .echo_return_loss_db = setup->echo_return_loss_db,
        .gmin = OT_GMIN,
        .r_factor = OT_METRIC_UNKNOWN,
        .external_r_factor = OT_METRIC_UNKNOWN,
        .mos_lq = OT_METRIC_UNKNOWN,
        .mos_cq = OT_METRIC_UNKNOWN,
        .receiver = setup->receiver,
        .jitter_nominal_ms = setup->jitter_nominal_ms,
        .jitter_maximum_ms = setup->jitter_maximum_ms,
        .jitter_absolute_ms = setup->jitter_absolute_ms,
    };
    fill_periods(quality, setup->packet_ms, metrics);
    fill_opinion(quality, setup, metrics);
}
