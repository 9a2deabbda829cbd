/* Edges of a sound that begins or is cut in the middle: 5 ms, so that nothing clicks. */
#include "state.h"

enum { EDGE_PARTS = 2 /* of a tick */ };

static int16_t limited(int32_t value)
{
    value = value > INT16_MAX ? INT16_MAX : value;
    return (int16_t)(value < INT16_MIN ? INT16_MIN : value);
}

void ot_rise(int16_t *pcm, uint32_t rate)
{
    int32_t length = (int32_t)ot_rate_samples(rate) / EDGE_PARTS;

    for (int32_t i = 0; i < length; i++)
        pcm[i] = (int16_t)(pcm[i] * i / length);
}

void ot_fall(int16_t *pcm, int16_t *from, uint32_t rate)
{
    int32_t length = (int32_t)ot_rate_samples(rate) / EDGE_PARTS;

    if (*from == 0)
        return;
    for (int32_t i = 0; i < length; i++)
        pcm[i] = limited(pcm[i] + *from * (length - 1 - i) / length);
    *from = 0;
}
