/* Time stretching by whole pitch periods. */
#include "stretch.h"

#include <math.h>
#include <string.h>

enum {
    PERIOD_MIN = 40, /* at 8 kHz: 5 ms */
    PERIOD_MAX = 120,
    QUIET = 60 /* root mean square below which any period will do, about -55 dBFS */
};

static const double ALIKE = 0.6; /* normalised correlation from which a period is one */

/* Two stretches that are to be laid over each other, `lag` long, `lag` apart. */
typedef struct {
    uint32_t lag;
    double likeness;
    double power; /* mean square */
} ot_period;

static ot_period compare(const int16_t *earlier, const int16_t *later, uint32_t lag, uint32_t step)
{
    double product = 0.0;
    double first = 1.0;
    double second = 1.0;

    for (uint32_t i = 0; i < lag; i += step) {
        product += (double)earlier[i] * later[i];
        first += (double)earlier[i] * earlier[i];
        second += (double)later[i] * later[i];
    }
    return (ot_period){lag, product / sqrt(first * second), (first + second) * step / (2.0 * lag)};
}

/* The best period such that one ends, and one begins, at `middle`; or, with `middle` NULL, such
 * that two begin at `pcm`. */
static ot_period find_period(const int16_t *pcm, const int16_t *middle, size_t most,
                             uint32_t scale)
{
    ot_period best = {0, -2.0, 0.0};

    for (uint32_t lag = PERIOD_MIN * scale; lag <= PERIOD_MAX * scale && lag <= most;
         lag += scale) {
        ot_period here = middle ? compare(middle - lag, middle, lag, scale)
                                : compare(pcm, pcm + lag, lag, scale);
        if (here.likeness > best.likeness)
            best = here;
    }
    return best;
}

static int usable(const ot_period *period, int force)
{
    return period->lag && (force || period->likeness >= ALIKE || period->power < QUIET * QUIET);
}

static void blend(int16_t *out, const int16_t *from, const int16_t *to, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) {
        int64_t sum = (int64_t)from[i] * (samples - i) + (int64_t)to[i] * i;
        out[i] = (int16_t)(sum / samples);
    }
}

size_t ot_stretch_shorten(int16_t *pcm, size_t samples, uint32_t rate_hz, int force)
{
    ot_period period = find_period(pcm, NULL, samples / 2, rate_hz / 8000);
    uint32_t lag = period.lag;

    if (!usable(&period, force))
        return samples;
    blend(pcm, pcm, pcm + lag, lag);
    memmove(pcm + lag, pcm + 2 * lag, (samples - 2 * lag) * sizeof(*pcm));
    return samples - lag;
}

size_t ot_stretch_lengthen(int16_t *pcm, size_t samples, const int16_t *past, uint32_t rate_hz,
                           int force)
{
    int16_t around[2 * PERIOD_MAX * 6];
    uint32_t scale = rate_hz / 8000;
    size_t most = (size_t)PERIOD_MAX * scale;
    size_t known = samples < most ? samples : most;

    memcpy(around, past, most * sizeof(*pcm));
    memcpy(around + most, pcm, known * sizeof(*pcm));
    ot_period period = find_period(NULL, around + most, known, scale);
    if (!usable(&period, force))
        return samples;
    memmove(pcm + period.lag, pcm, samples * sizeof(*pcm));
    blend(pcm, around + most, around + most - period.lag, period.lag);
    return samples + period.lag;
}
