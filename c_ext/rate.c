#include "rate.h"

#include <errno.h>
#include <speex/speex_resampler.h>
#include <stdlib.h>
#include <string.h>

enum { QUALITY = 4 };

struct ot_rate {
    SpeexResamplerState *resampler; /* NULL: the rates are equal */
    uint32_t in_samples;
    uint32_t out_samples;
    uint32_t delay_us;
};

uint32_t ot_rate_tick(uint32_t rate_hz)
{
    return rate_hz == 8000 || rate_hz == 16000 || rate_hz == 48000 ? rate_hz / 100 : 0;
}

static int open_resampler(ot_rate *rate, uint32_t from_hz, uint32_t to_hz)
{
    int error = 0;

    rate->resampler = speex_resampler_init(1, from_hz, to_hz, QUALITY, &error);
    if (rate->resampler == NULL)
        return ENOMEM;
    rate->delay_us = (uint32_t)((uint64_t)speex_resampler_get_input_latency(rate->resampler) *
                                1000000 / from_hz);
    return 0;
}

int ot_rate_create(ot_rate **out, uint32_t from_hz, uint32_t to_hz)
{
    if (ot_rate_tick(from_hz) == 0 || ot_rate_tick(to_hz) == 0)
        return EINVAL;
    ot_rate *rate = calloc(1, sizeof(*rate));
    if (rate == NULL)
        return ENOMEM;
    rate->in_samples = ot_rate_tick(from_hz);
    rate->out_samples = ot_rate_tick(to_hz);
    int error = from_hz == to_hz ? 0 : open_resampler(rate, from_hz, to_hz);
    if (error)
        free(rate);
    else
        *out = rate;
    return error;
}

void ot_rate_destroy(ot_rate *rate)
{
    if (rate == NULL)
        return;
    if (rate->resampler)
        speex_resampler_destroy(rate->resampler);
    free(rate);
}

/* All ratios of our rates are whole numbers, so a tick in is always exactly a tick out. */
void ot_rate_run(ot_rate *rate, int16_t *out, const int16_t *in)
{
    spx_uint32_t taken = rate->in_samples;
    spx_uint32_t made = rate->out_samples;

    if (rate->resampler)
        speex_resampler_process_int(rate->resampler, 0, in, &taken, out, &made);
    else
        memmove(out, in, taken * sizeof(*in));
}

uint32_t ot_rate_delay_us(const ot_rate *rate)
{
    return rate->delay_us;
}
