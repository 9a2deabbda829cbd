/* ITU-T G.711 Appendix I.
 *
 * The sums run in double precision and in the order in which the Appendix writes them, so that
 * its test vectors come out bit for bit; that order is why they are plain loops.
 */
#include "plc.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    FRAME = 80,           /* samples of 10 ms at 8 kHz */
    CORRELATE = 160,      /* 20 ms */
    DECIMATE = 2,         /* of the first, coarse search */
    OVERLAP_GROWTH = 32,  /* 4 ms for every 10 ms lost */
    FRAMES_WIDENED = 2,   /* the second and third lost frame repeat one period more each */
    FRAMES_AUDIBLE = 6    /* 60 ms */
};

static const double LEAST_POWER = 250.0;
static const double FADE_PER_FRAME = 0.2;

static double limit(double value)
{
    return value > 32767.0 ? 32767.0 : value < -32768.0 ? -32768.0 : value;
}

/* -- the synthesis --------------------------------------------------------------------------- */

/* Goes over from `from` to `to` in a straight line; out may be either. */
static void blend(double *out, const double *from, const double *to, size_t samples)
{
    double step = samples ? 1.0 / (double)samples : 0.0;
    double left = 1.0 - step;
    double right = step;

    for (size_t i = 0; i < samples; i++) {
        out[i] = limit(left * from[i] + right * to[i]);
        left -= step;
        right += step;
    }
}

typedef struct {
    const double *recent; /* the last 20 ms */
    const double *oldest; /* as long, one longest period earlier */
    uint32_t samples;
    uint32_t step;
} ot_search;

static double likeness(const ot_search *search, uint32_t shift, double power)
{
    const double *past = search->oldest + shift;
    double product = 0.0;

    for (uint32_t i = 0; i < search->samples; i += search->step)
        product += past[i] * search->recent[i];
    return product / sqrt(power < LEAST_POWER ? LEAST_POWER : power);
}

/* The shift between first and last at which the past is most like the present. */
static uint32_t find_shift(const ot_search *search, uint32_t first, uint32_t last, int later_wins)
{
    double power = 0.0;
    uint32_t best = first;

    for (uint32_t i = 0; i < search->samples; i += search->step)
        power += search->oldest[first + i] * search->oldest[first + i];
    double best_likeness = likeness(search, first, power);
    for (uint32_t shift = first + search->step; shift <= last; shift += search->step) {
        const double *left = search->oldest + shift - search->step;
        power -= left[0] * left[0];
        power += left[search->samples] * left[search->samples];
        double here = likeness(search, shift, power);
        if (here > best_likeness || (later_wins && here == best_likeness)) {
            best_likeness = here;
            best = shift;
        }
    }
    return best;
}

static uint32_t find_pitch(const double *end, uint32_t scale)
{
    uint32_t longest = OT_PITCH_MAX * scale;
    uint32_t range = (OT_PITCH_MAX - OT_PITCH_MIN) * scale;
    ot_search search = {
        .recent = end - CORRELATE * scale,
        .oldest = end - (CORRELATE + OT_PITCH_MAX) * scale,
        .samples = CORRELATE * scale,
        .step = DECIMATE * scale,
    };
    uint32_t coarse = find_shift(&search, 0, range, 1);
    uint32_t beside = search.step - 1;
    uint32_t first = coarse > beside ? coarse - beside : 0;
    uint32_t last = coarse + beside < range ? coarse + beside : range;

    search.step = 1;
    return longest - find_shift(&search, first, last, 0);
}

static double *past_end(ot_synth *synth)
{
    return synth->past + ot_synth_past_samples(synth->scale);
}

/* Lets the end of the repeated stretch run into its beginning. */
static void close_loop(ot_synth *synth)
{
    double *end = past_end(synth);

    blend(end - synth->overlap, synth->tail, end - synth->length - synth->overlap, synth->overlap);
}

void ot_synth_start(ot_synth *synth, uint32_t scale)
{
    synth->scale = scale;
    ot_synth_start_at(synth, scale, find_pitch(past_end(synth), scale));
}

void ot_synth_start_at(ot_synth *synth, uint32_t scale, uint32_t pitch)
{
    synth->scale = scale;
    synth->pitch = pitch;
    synth->overlap = synth->pitch / 4;
    synth->length = synth->pitch;
    synth->at = 0;
    memcpy(synth->tail, past_end(synth) - synth->overlap, synth->overlap * sizeof(double));
    close_loop(synth);
}

void ot_synth_run(ot_synth *synth, double *pcm, size_t samples)
{
    const double *start = past_end(synth) - synth->length;

    for (size_t i = 0; i < samples; i++) {
        pcm[i] = start[synth->at];
        synth->at = synth->at + 1 < synth->length ? synth->at + 1 : 0;
    }
}

static void take_one_more(ot_synth *synth)
{
    if (synth->length + synth->pitch > 3 * synth->pitch)
        return;
    while (synth->at > synth->pitch)
        synth->at -= synth->pitch;
    synth->length += synth->pitch;
    close_loop(synth);
}

/* What would have followed fades into what follows now.  Both are whole numbers in the Appendix. */
void ot_synth_widen(ot_synth *synth, double *pcm, size_t samples)
{
    double before[OT_SYNTH_OVERLAP * OT_SYNTH_SCALE_MAX];
    size_t overlap = synth->overlap < samples ? synth->overlap : samples;
    uint32_t at = synth->at;

    ot_synth_run(synth, before, overlap);
    synth->at = at;
    take_one_more(synth);
    ot_synth_run(synth, pcm, samples);
    for (size_t i = 0; i < overlap; i++) {
        before[i] = (int16_t)before[i];
        pcm[i] = (int16_t)pcm[i];
    }
    blend(pcm, before, pcm, overlap);
}

/* -- the Appendix ---------------------------------------------------------------------------- */

void ot_plc_init(ot_plc *plc, uint32_t rate_hz)
{
    memset(plc, 0, sizeof(*plc));
    plc->scale = rate_hz / 8000;
}

int ot_plc_create(ot_plc **plc, uint32_t rate_hz)
{
    if (rate_hz != 8000 && rate_hz != 16000 && rate_hz != 48000)
        return EINVAL;
    *plc = malloc(sizeof(**plc));
    if (*plc == NULL)
        return ENOMEM;
    ot_plc_init(*plc, rate_hz);
    return 0;
}

void ot_plc_destroy(ot_plc *plc)
{
    free(plc);
}

uint32_t ot_plc_delay(const ot_plc *plc)
{
    return OT_SYNTH_OVERLAP * plc->scale;
}

/* Appends a frame to the history and gives back the one that is 3.75 ms older. */
static void remember(ot_plc *plc, int16_t *pcm)
{
    size_t frame = (size_t)FRAME * plc->scale;
    size_t total = ot_synth_past_samples(plc->scale);

    memmove(plc->history, plc->history + frame, (total - frame) * sizeof(*pcm));
    memcpy(plc->history + total - frame, pcm, frame * sizeof(*pcm));
    memcpy(pcm, plc->history + total - frame - ot_plc_delay(plc), frame * sizeof(*pcm));
}

static void truncate(int16_t *pcm, const double *from, size_t samples)
{
    for (size_t i = 0; i < samples; i++)
        pcm[i] = (int16_t)from[i];
}

/* 20 % softer every 10 ms, sample by sample. */
static void fade(const ot_plc *plc, int16_t *pcm)
{
    size_t samples = (size_t)FRAME * plc->scale;
    double gain = 1.0 - (plc->lost - 1) * FADE_PER_FRAME;

    for (size_t i = 0; i < samples; i++) {
        pcm[i] = (int16_t)((double)pcm[i] * gain);
        gain -= FADE_PER_FRAME / (double)samples;
    }
}

static void begin_gap(ot_plc *plc)
{
    size_t total = ot_synth_past_samples(plc->scale);
    ot_synth *synth = &plc->synth;

    for (size_t i = 0; i < total; i++)
        synth->past[i] = (double)plc->history[i];
    ot_synth_start(synth, plc->scale);
    truncate(plc->history + total - synth->overlap, synth->past + total - synth->overlap,
             synth->overlap);
}

void ot_plc_lost(ot_plc *plc, int16_t *pcm)
{
    double made[FRAME * OT_SYNTH_SCALE_MAX];
    size_t samples = (size_t)FRAME * plc->scale;

    if (plc->lost == 0)
        begin_gap(plc);
    if (plc->lost >= FRAMES_AUDIBLE)
        memset(made, 0, samples * sizeof(*made));
    else if (plc->lost >= 1 && plc->lost <= FRAMES_WIDENED)
        ot_synth_widen(&plc->synth, made, samples);
    else
        ot_synth_run(&plc->synth, made, samples);
    truncate(pcm, made, samples);
    if (plc->lost >= 1 && plc->lost < FRAMES_AUDIBLE)
        fade(plc, pcm);
    plc->lost += plc->lost < FRAMES_AUDIBLE + 3;
    remember(plc, pcm);
}

/* The synthesis runs on into what came, the longer the more was lost. */
static void end_gap(ot_plc *plc, int16_t *pcm)
{
    double more[FRAME * OT_SYNTH_SCALE_MAX];
    size_t frame = (size_t)FRAME * plc->scale;
    size_t samples = plc->synth.overlap + (size_t)(plc->lost - 1) * OVERLAP_GROWTH * plc->scale;

    samples = samples < frame ? samples : frame;
    double gain = 1.0 - (plc->lost - 1) * FADE_PER_FRAME;
    gain = gain < 0.0 ? 0.0 : gain;
    double step = 1.0 / (double)samples;
    double left = (1.0 - step) * gain;
    double right = step;
    ot_synth_run(&plc->synth, more, samples);
    for (size_t i = 0; i < samples; i++) {
        pcm[i] = (int16_t)limit(left * (int16_t)more[i] + right * (double)pcm[i]);
        left -= step * gain;
        right += step;
    }
    plc->lost = 0;
}

void ot_plc_good(ot_plc *plc, int16_t *pcm)
{
    if (plc->lost)
        end_gap(plc, pcm);
    remember(plc, pcm);
}
