/* How loud a frame is: the sum of squares in the tick, decibels only for who asks. */
#include <math.h>

#include "engine.h"
#include "kernels.h"

static const double FLOOR_DBFS = -127.0;
static const double FULL_SCALE_SQUARE = 32768.0 * 32768.0;

uint64_t ot_k_energy_base(const int16_t *pcm, size_t n)
{
    uint64_t energy = 0;

    for (size_t i = 0; i < n; i++)
        energy += ot_square(pcm[i]);
    return energy;
}

uint64_t ot_energy(const int16_t *pcm, size_t samples)
{
    return ot_kernel->energy(pcm, samples);
}

double ot_level_dbfs(uint64_t energy, size_t samples)
{
    if (energy == 0 || samples == 0)
        return FLOOR_DBFS;
    double level = 10.0 * log10((double)energy / ((double)samples * FULL_SCALE_SQUARE));
    return level < FLOOR_DBFS ? FLOOR_DBFS : level;
}
