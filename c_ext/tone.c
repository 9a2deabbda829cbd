#include "tone.h"

#include <errno.h>
#include <math.h>
#include <string.h>

#include "rate.h"

enum {
    QUARTER = 64,      /* entries of the table to a quarter of a turn */
    ENTRY_BITS = 24,   /* phase bits between two entries */
    SINE_BITS = 24,    /* of a table entry */
    PEAK_BITS = 8,     /* of a peak below one */
    GAIN_BITS = 15     /* of the ramps */
};

/* A quarter of a sine, its last entry shared with the next; interpolated linearly it is 80 dB
 * pure. */
static const int32_t SINE[QUARTER + 1] = {
    0, 411733, 823219, 1234209, 1644455, 2053710, 2461729, 2868265, 3273072,
    3675909, 4076531, 4474698, 4870169, 5262706, 5652074, 6038037, 6420363, 6798821,
    7173184, 7543226, 7908725, 8269459, 8625213, 8975771, 9320922, 9660458, 9994176,
    10321873, 10643353, 10958422, 11266890, 11568571, 11863283, 12150850, 12431097, 12703856,
    12968963, 13226258, 13475586, 13716797, 13949745, 14174291, 14390298, 14597637, 14796184,
    14985817, 15166424, 15337895, 15500126, 15653022, 15796488, 15930439, 16054795, 16169479,
    16274424, 16369565, 16454846, 16530216, 16595628, 16651044, 16696429, 16731757, 16757007,
    16772163, 16777216,
};

static int32_t sine(uint32_t phase)
{
    uint32_t turned = phase & 0x40000000U ? 0x40000000U - (phase & 0x3FFFFFFFU)
                                          : phase & 0x3FFFFFFFU;
    uint32_t entry = turned >> ENTRY_BITS;
    int64_t between = turned & ((1U << ENTRY_BITS) - 1);
    int64_t low = SINE[entry];
    int64_t high = SINE[entry < QUARTER ? entry + 1 : entry];
    int32_t value = (int32_t)(low + ((high - low) * between >> ENTRY_BITS));

    return phase & 0x80000000U ? -value : value;
}

/* -- making --------------------------------------------------------------------------------- */

static int set_parts(ot_tone *tone, const ot_tone_spec *spec)
{
    for (uint32_t i = 0; i < OT_TONE_PARTS && spec->parts[i].frequency_hz; i++) {
        const ot_tone_part *part = &spec->parts[i];
        if (part->frequency_hz * 2U >= tone->rate_hz || !(part->level_dbfs <= -3.0F))
            return EINVAL;
        double peak = 32768.0 * sqrt(2.0) * pow(10.0, (double)part->level_dbfs / 20.0);
        tone->step[i] = (uint32_t)(((uint64_t)part->frequency_hz << 32) / tone->rate_hz);
        tone->peak[i] = (int32_t)(peak * (1 << PEAK_BITS));
        tone->parts = i + 1;
    }
    return tone->parts ? 0 : EINVAL;
}

static int set_steps(ot_tone *tone, const ot_tone_spec *spec)
{
    for (uint32_t i = 0; i < OT_TONE_STEPS && spec->steps[i].on_ms; i++) {
        if (spec->steps[i].on_ms > OT_TONE_STEP_MS_MAX ||
            spec->steps[i].off_ms > OT_TONE_STEP_MS_MAX)
            return EINVAL;
        tone->on[i] = spec->steps[i].on_ms * (tone->rate_hz / 1000);
        tone->off[i] = spec->steps[i].off_ms * (tone->rate_hz / 1000);
        tone->steps = i + 1;
    }
    return 0;
}

int ot_tone_init(ot_tone *tone, uint32_t rate_hz, const ot_tone_spec *spec)
{
    if (ot_rate_tick(rate_hz) == 0)
        return EINVAL;
    memset(tone, 0, sizeof(*tone));
    tone->rate_hz = rate_hz;
    tone->ramp = rate_hz / 1000 * OT_TONE_RAMP_MS;
    tone->repeats = spec->repeats;
    tone->repeats_left = spec->repeats;
    int error = set_parts(tone, spec);
    return error ? error : set_steps(tone, spec);
}

/* -- running -------------------------------------------------------------------------------- */

/* A smooth rise over `length` samples: 3x^2 - 2x^3. */
static int64_t rise(uint32_t at, uint32_t length)
{
    const int64_t one = 1 << GAIN_BITS;

    if (at >= length)
        return one;
    int64_t x = (int64_t)at * one / length;
    return x * x / one * (3 * one - 2 * x) / one;
}

/* Of the onset, the offset and a stop, whichever is quietest. */
static int64_t gain(const ot_tone *tone)
{
    int64_t quietest = rise(tone->at + 1, tone->ramp);

    if (tone->steps) {
        int64_t end = rise(tone->on[tone->at_step] - tone->at, tone->ramp);
        quietest = end < quietest ? end : quietest;
    }
    if (tone->stopping) {
        int64_t stop = rise(tone->stopping - 1, tone->ramp);
        quietest = stop < quietest ? stop : quietest;
    }
    return quietest;
}

static int16_t next_sample(ot_tone *tone)
{
    int64_t sum = 0;

    for (uint32_t i = 0; i < tone->parts; i++) {
        sum += (int64_t)tone->peak[i] * sine(tone->phase[i]) >> SINE_BITS;
        tone->phase[i] += tone->step[i];
    }
    sum = sum * gain(tone) >> GAIN_BITS;
    sum = (sum + (1 << (PEAK_BITS - 1))) >> PEAK_BITS;
    return sum > INT16_MAX ? INT16_MAX : sum < INT16_MIN ? INT16_MIN : (int16_t)sum;
}

static int is_on(const ot_tone *tone)
{
    return !tone->done && (tone->steps == 0 || tone->at < tone->on[tone->at_step]);
}

static void next_step(ot_tone *tone)
{
    tone->at = 0;
    memset(tone->phase, 0, sizeof(tone->phase));
    if (++tone->at_step < tone->steps)
        return;
    tone->at_step = 0;
    tone->done = tone->repeats != 0 && --tone->repeats_left == 0;
}

static void advance(ot_tone *tone)
{
    if (tone->steps == 0) { /* without a break: only the onset is counted */
        tone->at += tone->at < tone->ramp;
    } else if (++tone->at >= tone->on[tone->at_step] + tone->off[tone->at_step]) {
        next_step(tone);
    }
    if (tone->stopping && --tone->stopping == 0)
        tone->done = 1;
}

int ot_tone_make(ot_tone *tone, int16_t *pcm)
{
    uint32_t samples = ot_rate_tick(tone->rate_hz);
    int sounded = 0;

    for (uint32_t i = 0; i < samples; i++) {
        int on = is_on(tone);
        pcm[i] = on ? next_sample(tone) : 0;
        sounded |= on;
        if (!tone->done)
            advance(tone);
    }
    if (sounded)
        return OT_TONE_SOUND;
    return tone->done ? OT_TONE_DONE : OT_TONE_SILENT;
}

void ot_tone_stop(ot_tone *tone)
{
    if (!is_on(tone))
        tone->done = 1;
    else if (tone->stopping == 0)
        tone->stopping = tone->ramp + 1;
}

/* -- the field's tones ---------------------------------------------------------------------- */

/* ITU-T E.180 asks for -10 dBm0 +- 5; 0 dBm0 is a sine of -6.2 dBFS here (G.711: full scale is
 * +3.17 dBm0).  Of two frequencies each is 3 dB lower. */
#define OT_ONE(hz) {{hz, -16.2F}}
#define OT_TWO(low, high) {{low, -19.2F}, {high, -19.2F}}
/* ITU-T Q.23 pairs; the high group 2 dB up, against the loss of lines (ETSI ES 201 235-2). */
#define OT_KEY(key, low, high)                                                                     \
    {NULL, "dtmf-" key, {{{low, -14.2F}, {high, -12.2F}}, {{100, 100}}, 1}}

typedef struct {
    const char *zone; /* NULL: every one */
    const char *name;
    ot_tone_spec spec;
} named_tone;

/* Countries as in ITU-T E.180 Supplement 2; the beep as in the United States' FED-STD-1037C,
 * recorder warning tone.  The blocking tone is ours: talk is blocked, as while no recorder
 * answers; unlike any call-progress tone, three short low bursts. */
static const named_tone TONES[] = {
    {"fr", "dial", {OT_ONE(440), {{0}}, 0}},
    {"fr", "ringback", {OT_ONE(440), {{1500, 3500}}, 0}},
    {"fr", "busy", {OT_ONE(440), {{500, 500}}, 0}},
    {"fr", "congestion", {OT_ONE(440), {{250, 250}}, 0}},
    {"fr", "call-waiting", {OT_ONE(440), {{300, 10000}}, 0}},
    {"gb", "dial", {OT_TWO(350, 440), {{0}}, 0}},
    {"gb", "ringback", {OT_TWO(400, 450), {{400, 200}, {400, 2000}}, 0}},
    {"gb", "busy", {OT_ONE(400), {{375, 375}}, 0}},
    {"gb", "congestion", {OT_ONE(400), {{400, 350}, {225, 525}}, 0}},
    {"gb", "call-waiting", {OT_ONE(400), {{100, 4000}}, 0}},
    {"us", "dial", {OT_TWO(350, 440), {{0}}, 0}},
    {"us", "ringback", {OT_TWO(440, 480), {{2000, 4000}}, 0}},
    {"us", "busy", {OT_TWO(480, 620), {{500, 500}}, 0}},
    {"us", "congestion", {OT_TWO(480, 620), {{250, 250}}, 0}},
    {"us", "call-waiting", {OT_ONE(440), {{300, 10000}}, 0}},
    {NULL, "recording-beep", {OT_ONE(1400), {{500, 14500}}, 0}},
    {NULL, "blocking", {OT_TWO(300, 340), {{80, 80}, {80, 80}, {80, 1500}}, 0}},
    OT_KEY("1", 697, 1209), OT_KEY("2", 697, 1336), OT_KEY("3", 697, 1477),
    OT_KEY("A", 697, 1633), OT_KEY("4", 770, 1209), OT_KEY("5", 770, 1336),
    OT_KEY("6", 770, 1477), OT_KEY("B", 770, 1633), OT_KEY("7", 852, 1209),
    OT_KEY("8", 852, 1336), OT_KEY("9", 852, 1477), OT_KEY("C", 852, 1633),
    OT_KEY("*", 941, 1209), OT_KEY("0", 941, 1336), OT_KEY("#", 941, 1477),
    OT_KEY("D", 941, 1633),
};

const ot_tone_spec *ot_tone_find(const char *zone, const char *name)
{
    for (size_t i = 0; i < sizeof(TONES) / sizeof(TONES[0]); i++)
        if ((TONES[i].zone == NULL || strcmp(TONES[i].zone, zone) == 0) &&
            strcmp(TONES[i].name, name) == 0)
            return &TONES[i].spec;
    return NULL;
}
