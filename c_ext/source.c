/* A source in the tick: a tone or a clip. */
#include <string.h>

#include "kernels.h"
#include "state.h"

/* Returns 0 when this was the end of the clip. */
static int play_clip(ot_clip *clip, int16_t *pcm, uint32_t samples)
{
    uint32_t done = 0;
    int goes_on = 1;

    while (goes_on && done < samples) {
        uint32_t left = clip->samples - clip->at;
        uint32_t some = left < samples - done ? left : samples - done;
        memcpy(pcm + done, clip->pcm + clip->at, some * sizeof(*pcm));
        done += some;
        clip->at = (clip->at + some) % clip->samples;
        goes_on = clip->at || clip->times_left == 0 || --clip->times_left;
    }
    memset(pcm + done, 0, (samples - done) * sizeof(*pcm));
    return goes_on;
}

void ot_source_hush(ot_engine *engine, struct ot_source *source)
{
    ot_retire_memory(engine, OT_RETIRED_CLIP, source->clip.pcm);
    source->clip.pcm = NULL;
    source->says = OT_SAYS_NOTHING;
}

void ot_source_say(ot_engine *engine, struct ot_source *source, const ot_command *command)
{
    ot_source_hush(engine, source);
    source->says = command->with.say.says;
    source->tone = command->with.say.tone;
    source->clip = command->with.say.clip;
    source->fresh = 1;
}

static int make(struct ot_source *source)
{
    if (source->says == OT_SAYS_TONE)
        return ot_tone_make(&source->tone, source->frame);
    return play_clip(&source->clip, source->frame, ot_rate_samples(source->rate));
}

static int speak(ot_engine *engine, struct ot_source *source, uint32_t port)
{
    uint32_t samples = ot_rate_samples(source->rate);

    if (source->says == OT_SAYS_NOTHING) {
        if (source->last == 0)
            return 0;
        memset(source->frame, 0, samples * sizeof(*source->frame));
        ot_fall(source->frame, &source->last, source->rate);
        return 1;
    }
    int goes_on = make(source);
    if (source->fresh) {
        ot_rise(source->frame, source->rate);
        ot_fall(source->frame, &source->last, source->rate);
    }
    source->fresh = 0;
    source->last = source->frame[samples - 1];
    if (!goes_on) {
        ot_source_hush(engine, source);
        ot_tell(engine, OT_SOURCE_ENDED, port, 0, 0);
    }
    return 1;
}

void ot_source_speak(ot_engine *engine, struct ot_source *source, uint32_t port)
{
    int any = speak(engine, source, port);
    uint64_t energy =
        any ? ot_kernel->energy(source->frame, ot_rate_samples(source->rate)) : 0;

    engine->said[port] = any ? source->frame : NULL;
    engine->loudness[port] =
        ot_smoothed(engine->loudness[port], ot_rate_energy(energy, source->rate));
}
