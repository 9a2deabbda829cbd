#include "activity.h"

/* Powers are log2 in 1/256: 85 is one decibel, 30 * 256 is a full-scale square wave. */
enum {
    ONE_DB = 85,
    FULL_SCALE = 30 * 256,
    QUIET = FULL_SCALE - 55 * ONE_DB,      /* below -55 dBFS nobody speaks */
    FLOOR_MIN = FULL_SCALE - 70 * ONE_DB,
    FLOOR_FIRST_MAX = FULL_SCALE - 40 * ONE_DB,
    FLOOR_UNKNOWN = INT32_MAX,
    ABOVE_FLOOR = 8 * ONE_DB,
    RISE_NOISE = 12, /* a tick: 14 dB/s while it is taken for noise */
    RISE_VOICE = 3,  /* a tick: 3.5 dB/s while it is taken for a voice */
    FALL_SHIFT = 3,  /* an eighth of the way each tick */
    ONSET_TICKS = 2, /* one loud tick is a click */
    HANG_OVER_TICKS = OT_ACTIVITY_HANG_OVER_MS / 10
};

/* log2 in 1/256; the mantissa is taken for its own logarithm, 0.26 dB off at worst. */
static int32_t log2_q8(uint64_t value)
{
    int32_t whole = 63 - __builtin_clzll(value);
    uint64_t mantissa = whole >= 8 ? value >> (whole - 8) : value << (8 - whole);

    return whole * 256 + (int32_t)(mantissa & 255);
}

void ot_activity_init(ot_activity *activity)
{
    activity->floor = FLOOR_UNKNOWN;
    activity->hang_over = 0;
    activity->onset = 0;
}

static void follow(ot_activity *activity, int32_t power, int loud)
{
    int32_t above = power - activity->floor;
    int32_t rise = loud ? RISE_VOICE : RISE_NOISE;

    if (above < 0)
        activity->floor -= -above >> FALL_SHIFT;
    else
        activity->floor += above < rise ? above : rise;
    if (activity->floor < FLOOR_MIN)
        activity->floor = FLOOR_MIN;
}

/* Digital silence says nothing about the noise to come: the floor stays. */
static int is_loud(ot_activity *activity, uint64_t power)
{
    if (power == 0)
        return 0;
    int32_t level = log2_q8(power);
    if (activity->floor == FLOOR_UNKNOWN) /* the first sound is taken for noise, unless loud */
        activity->floor = level < FLOOR_FIRST_MAX ? level : FLOOR_FIRST_MAX;
    int loud = level > QUIET && level > activity->floor + ABOVE_FLOOR;

    follow(activity, level, loud);
    return loud;
}

int ot_activity_run(ot_activity *activity, uint64_t energy, uint32_t samples)
{
    int loud = samples != 0 && is_loud(activity, energy / samples);

    activity->onset = (uint16_t)(loud ? activity->onset + (activity->onset < ONSET_TICKS) : 0);
    if (activity->onset >= ONSET_TICKS)
        activity->hang_over = HANG_OVER_TICKS + 1;
    activity->hang_over = (uint16_t)(activity->hang_over - (activity->hang_over > 0));
    return activity->onset >= ONSET_TICKS || activity->hang_over > 0;
}
