#include "duck.h"

#include <errno.h>
#include <math.h>

enum { TICK_MS = 10 };

static uint32_t ticks(uint32_t ms)
{
    return (ms + TICK_MS - 1) / TICK_MS;
}

/* The factor that, applied every tick, covers `depth_db` in `ms`; no time at all is one tick. */
static float step(double depth_db, uint32_t ms)
{
    uint32_t count = ticks(ms) ? ticks(ms) : 1;
    return (float)pow(10.0, depth_db / 20.0 / count);
}

static int is_valid(const ot_duck_settings *settings)
{
    return settings->depth_db >= 0.0F && settings->depth_db <= (float)OT_DUCK_DEPTH_DB_MAX &&
           settings->attack_ms <= OT_DUCK_TIME_MS_MAX && settings->hold_ms <= OT_DUCK_TIME_MS_MAX &&
           settings->release_ms <= OT_DUCK_TIME_MS_MAX;
}

int ot_duck_set(ot_duck *duck, const ot_duck_settings *settings)
{
    if (!is_valid(settings))
        return EINVAL;
    double depth_db = (double)settings->depth_db;

    duck->floor = (float)pow(10.0, -depth_db / 20.0);
    duck->fall = step(-depth_db, settings->attack_ms);
    duck->rise = step(depth_db, settings->release_ms);
    duck->hold_ticks = ticks(settings->hold_ms);
    if (duck->gain <= 0.0F)
        duck->gain = 1.0F;
    return 0;
}

static float at_least(float value, float bound)
{
    return value < bound * 1.0001F ? bound : value; /* rounding must not cost a tick */
}

static float at_most(float value, float bound)
{
    return value > bound * 0.9999F ? bound : value;
}

ot_duck_gain ot_duck_run(ot_duck *duck, int key_active)
{
    ot_duck_gain gain = {duck->gain, duck->gain};

    if (key_active)
        duck->held = duck->hold_ticks + 1;
    if (duck->held) {
        duck->held--;
        gain.last = duck->gain > duck->floor ? at_least(duck->gain * duck->fall, duck->floor)
                                             : at_most(duck->gain * duck->rise, duck->floor);
    } else {
        gain.last = at_most(duck->gain * duck->rise, 1.0F);
    }
    duck->gain = gain.last;
    return gain;
}
