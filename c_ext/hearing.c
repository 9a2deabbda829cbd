/* What ports say on buses of other rates than their own, and what each hears of all its buses. */
#include <string.h>

#include "kernels.h"
#include "state.h"

enum { TAIL_TICKS = 4 /* of silence, after which a resampler has nothing left to say */ };

/* -- saying ---------------------------------------------------------------------------------- */

/* Feeds a resampler while its input sounds and until its tail has passed; 1 when there is output. */
static int resample(ot_rate *rate, int16_t *out, const int16_t *in, uint8_t *quiet_ticks)
{
    if (rate == NULL || (in == NULL && *quiet_ticks >= TAIL_TICKS))
        return 0;
    *quiet_ticks = in ? 0 : (uint8_t)(*quiet_ticks + 1);
    ot_rate_run(rate, out, in ? in : ot_silence);
    return 1;
}

static void convert_said_to(ot_engine *engine, uint32_t port, uint32_t rate)
{
    ot_conversion *conversion = engine->conversions[port];
    int16_t *said = conversion->said[rate];
    int any = engine->uses[port][rate] &&
              resample(conversion->said_rates[rate], said, engine->said[port],
                       &conversion->said_quiet[rate]);

    if (!any && conversion->fall[rate])
        memset(said, 0, ot_rate_samples(rate) * sizeof(*said));
    conversion->said_any[rate] = (uint8_t)(any || conversion->fall[rate]);
    conversion->heard_any[rate] = 0;
    ot_fall(said, &conversion->fall[rate], rate);
}

void ot_convert_said(ot_engine *engine)
{
    for (uint32_t i = 0; i < engine->conversions_active.count; i++)
        for (uint32_t rate = 0; rate < OT_RATES; rate++)
            convert_said_to(engine, engine->conversions_active.slots[i], rate);
}

const int16_t *ot_said_at(const ot_engine *engine, uint32_t port, uint32_t rate)
{
    const ot_conversion *conversion = engine->conversions[port];

    if (engine->rates[port] == rate)
        return engine->said[port];
    return conversion && conversion->said_any[rate] ? conversion->said[rate] : NULL;
}

/* -- hearing --------------------------------------------------------------------------------- */

static void subtract(int32_t *out, const int32_t *sum, const int16_t *own, uint32_t samples)
{
    ot_kernel->less16(out, sum, own ? own : ot_silence, samples);
}

static void add_native(ot_engine *engine, uint32_t port, const int32_t *part, uint32_t samples)
{
    ot_hearing *hearing = &engine->hearing[port];

    if (hearing->parts == 0)
        memcpy(engine->heard[port], part, samples * sizeof(*part));
    else if (hearing->sum)
        subtract(engine->heard[port], hearing->sum, hearing->own, samples);
    if (hearing->parts++)
        ot_kernel->add32(engine->heard[port], part, samples);
    hearing->sum = NULL;
}

static void add_foreign(ot_conversion *conversion, uint32_t rate, const int32_t *part)
{
    uint32_t samples = ot_rate_samples(rate);

    if (conversion->heard_any[rate])
        ot_kernel->add32(conversion->heard[rate], part, samples);
    else
        memcpy(conversion->heard[rate], part, samples * sizeof(*part));
    conversion->heard_any[rate] = 1;
}

void ot_hear_part(ot_engine *engine, uint32_t port, uint32_t rate, const int32_t *part)
{
    if (engine->rates[port] == rate)
        add_native(engine, port, part, ot_rate_samples(rate));
    else if (engine->conversions[port])
        add_foreign(engine->conversions[port], rate, part);
}

void ot_hear_plain(ot_engine *engine, uint32_t port, uint32_t rate, const int32_t *sum,
                   const int16_t *own)
{
    ot_hearing *hearing = &engine->hearing[port];

    if (engine->rates[port] == rate && hearing->parts == 0) {
        hearing->sum = sum;
        hearing->own = own;
        hearing->parts = 1;
        return;
    }
    subtract(engine->scratch, sum, own, ot_rate_samples(rate));
    ot_hear_part(engine, port, rate, engine->scratch);
}

static void convert_heard_from(ot_engine *engine, uint32_t port, ot_conversion *conversion,
                               uint32_t rate)
{
    int16_t in[OT_TICK_SAMPLES_MAX];
    int16_t out[OT_TICK_SAMPLES_MAX];
    uint32_t samples = ot_rate_samples(engine->rates[port]);
    const int16_t *heard = conversion->heard_any[rate] ? in : NULL;

    if (heard)
        ot_kernel->saturate(in, conversion->heard[rate], ot_rate_samples(rate));
    if (!resample(conversion->heard_rates[rate], out, heard, &conversion->heard_quiet[rate]))
        return;
    ot_kernel->set16(engine->scratch, out, samples);
    add_native(engine, port, engine->scratch, samples);
}

void ot_convert_heard(ot_engine *engine)
{
    for (uint32_t i = 0; i < engine->conversions_active.count; i++) {
        uint32_t port = engine->conversions_active.slots[i];
        for (uint32_t rate = 0; rate < OT_RATES; rate++)
            if (engine->uses[port][rate])
                convert_heard_from(engine, port, engine->conversions[port], rate);
    }
}

const int16_t *ot_heard(const ot_engine *engine, uint32_t port, int16_t *out)
{
    const ot_hearing *hearing = &engine->hearing[port];
    uint32_t samples = ot_rate_samples(engine->rates[port]);

    if (hearing->parts == 0)
        return NULL;
    if (hearing->sum)
        ot_kernel->minus_self(out, hearing->sum, hearing->own ? hearing->own : ot_silence,
                              samples);
    else
        ot_kernel->saturate(out, engine->heard[port], samples);
    return out;
}
