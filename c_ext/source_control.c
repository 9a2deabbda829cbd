/* Sources: the control side. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

static uint16_t slot_of(const ot_source *source)
{
    return (uint16_t)(source - source->control.engine->sources);
}

static int open_source(ot_source **out, ot_engine *engine, uint32_t rate)
{
    for (uint32_t i = 0; i < OT_SOURCES_MAX; i++) {
        ot_source *source = &engine->sources[i];
        if (source->control.used)
            continue;
        source->rate = (uint8_t)rate;
        source->says = OT_SAYS_NOTHING;
        source->last = 0;
        source->closing_ticks = 0;
        source->clip.pcm = NULL;
        source->control.engine = engine;
        ot_port_opened(engine, OT_FIRST_SOURCE + i, rate);
        int error = ot_hand_over_plain(engine, OT_SOURCE_ADD, (uint16_t)i, 0);
        source->control.used = source->control.open = error == 0;
        *out = source;
        return error;
    }
    return ENOSPC;
}

int ot_source_open(ot_source **source, ot_engine *engine, uint32_t rate_hz)
{
    if (!ot_is_rate(rate_hz))
        return EINVAL;
    ot_lock(engine);
    return ot_unlock(engine, open_source(source, engine, ot_rate_index(rate_hz)));
}

uint32_t ot_source_port(const ot_source *source)
{
    return OT_FIRST_SOURCE + (uint32_t)slot_of(source);
}

static int say(ot_source *source, ot_command *command)
{
    ot_engine *engine = source->control.engine;

    command->kind = OT_SOURCE_SAY;
    command->slot = slot_of(source);
    ot_lock(engine);
    return ot_unlock(engine, source->control.open ? ot_hand_over(engine, command) : EBADF);
}

int ot_source_tone(ot_source *source, const ot_tone_spec *tone)
{
    ot_command command = {.with.say = {.says = OT_SAYS_TONE}};
    int error = ot_tone_init(&command.with.say.tone, ot_rate_hz(source->rate), tone);

    return error ? error : say(source, &command);
}

int ot_source_clip(ot_source *source, const int16_t *pcm, uint32_t samples, uint32_t times)
{
    ot_command command = {.with.say = {.says = OT_SAYS_CLIP}};
    ot_clip *clip = &command.with.say.clip;

    if (samples == 0 ||
        samples > ot_rate_samples(source->rate) * 100U * OT_CLIP_SECONDS_MAX)
        return EINVAL;
    *clip = (ot_clip){malloc(samples * sizeof(*pcm)), samples, times, 0};
    if (clip->pcm == NULL)
        return ENOMEM;
    memcpy(clip->pcm, pcm, samples * sizeof(*pcm));
    int error = say(source, &command);
    if (error)
        free(clip->pcm);
    return error;
}

int ot_source_stop(ot_source *source)
{
    ot_command command = {.with.say = {.says = OT_SAYS_NOTHING}};
    return say(source, &command);
}

int ot_source_close(ot_source *source)
{
    return ot_hand_over_close(source->control.engine, &source->control.open, OT_SOURCE_REMOVE,
                              slot_of(source));
}
