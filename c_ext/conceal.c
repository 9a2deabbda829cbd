/* Concealment from both sides of a gap. */
#include "conceal.h"

#include <math.h>
#include <string.h>

enum {
    ORDER = 32,
    WINDOW = 240,   /* 30 ms */
    WINDOW_END = 20, /* of it, the falling part: what is nearest the gap counts most */
    FADE_AFTER = 80, /* 10 ms at full level, silent at 60 ms */
    FADE = 400,
    WIDEN_EVERY = 80,
    JOIN_GROWTH = 32, /* 4 ms for every 10 ms */
    JOIN_MAX = 80,
    PITCH_WINDOW_MIN = 40
};

static int16_t to_sample(double value)
{
    return (int16_t)(value > 32767.0 ? 32767.0 : value < -32768.0 ? -32768.0 : value);
}

/* -- linear prediction ----------------------------------------------------------------------- */

/* Autocorrelation of the last `samples` before `end`, windowed; lag by lag, so that the loop can
 * run over several lags at once. */
static void correlate(double *lags, const double *end, size_t samples, size_t falling)
{
    double shaped[ORDER + WINDOW * OT_SYNTH_SCALE_MAX] = {0};
    double *from = shaped + ORDER;
    size_t rising = samples - falling;

    for (size_t i = 0; i < samples; i++) {
        double angle = i < rising ? ((double)i + 0.5) / (double)rising
                                  : 1.0 - ((double)(i - rising) + 0.5) / (double)falling;
        from[i] = end[(ptrdiff_t)i - (ptrdiff_t)samples] * angle * (2.0 - angle);
    }
    memset(lags, 0, (ORDER + 1) * sizeof(*lags));
    for (size_t i = 0; i < samples; i++)
        for (size_t lag = 0; lag <= ORDER; lag++)
            lags[lag] += from[i] * *(from + i - lag);
}

/* Levinson and Durbin's recursion: lags to the coefficients of sum a[j] x[-j] = 0. */
static void solve(double *a, const double *lags)
{
    double before[ORDER + 1];
    double error = lags[0] * 1.0001 + 1.0; /* a little white noise keeps it stable */

    memset(a, 0, (ORDER + 1) * sizeof(*a));
    a[0] = 1.0;
    for (size_t i = 1; i <= ORDER; i++) {
        double sum = lags[i];
        for (size_t j = 1; j < i; j++)
            sum += a[j] * lags[i - j];
        double reflection = -sum / error;
        memcpy(before, a, sizeof(before));
        for (size_t j = 1; j < i; j++)
            a[j] = before[j] + reflection * before[i - j];
        a[i] = reflection;
        error *= 1.0 - reflection * reflection;
    }
}

/* How the last `known` samples before `end` would ring on. */
static void predict(double *out, size_t samples, const double *end, size_t known, uint32_t scale)
{
    double lags[ORDER + 1];
    double a[ORDER + 1];
    double line[ORDER + OT_LEAD * OT_SYNTH_SCALE_MAX];
    size_t window = (size_t)WINDOW * scale;

    correlate(lags, end, known < window ? known : window, (size_t)WINDOW_END * scale);
    solve(a, lags);
    memcpy(line, end - ORDER, ORDER * sizeof(*line));
    for (size_t i = ORDER; i < ORDER + samples; i++) {
        double sum = 0.0;
        for (size_t j = 1; j <= ORDER; j++)
            sum -= a[j] * line[i - j];
        line[i] = sum;
    }
    memcpy(out, line + ORDER, samples * sizeof(*out));
}

/* -- forwards -------------------------------------------------------------------------------- */

static double *past_end(ot_synth *synth)
{
    return synth->past + ot_synth_past_samples(synth->scale);
}

void ot_conceal_begin(ot_conceal *conceal, uint32_t scale, uint32_t run)
{
    ot_synth *synth = &conceal->synth;

    conceal->run = run;
    conceal->lead_at = 0;
    conceal->bridge_length = 0;
    conceal->bridge_at = 0;
    synth->scale = scale;
    predict(conceal->lead, (size_t)OT_LEAD * scale, past_end(synth),
            ot_synth_past_samples(scale), scale);
    ot_synth_start(synth, scale);
}

/* The prediction goes over into the repetition within a quarter wavelength. */
static void blend_lead(ot_conceal *conceal, double *pcm, size_t samples)
{
    uint32_t length = conceal->synth.overlap;

    for (size_t i = 0; i < samples && conceal->lead_at < length; i++, conceal->lead_at++) {
        double right = (conceal->lead_at + 1.0) / (length + 1.0);
        pcm[i] = pcm[i] * right + conceal->lead[conceal->lead_at] * (1.0 - right);
    }
}

static double fade(const ot_conceal *conceal)
{
    uint32_t scale = conceal->synth.scale;

    if (conceal->run <= FADE_AFTER * scale)
        return 1.0;
    if (conceal->run >= (FADE_AFTER + FADE) * scale)
        return 0.0;
    return 1.0 - (conceal->run - FADE_AFTER * scale) / (double)(FADE * scale);
}

/* Where another 10 ms are over, one period more is repeated (at most three). */
static size_t until_widening(const ot_conceal *conceal, size_t samples)
{
    uint32_t every = WIDEN_EVERY * conceal->synth.scale;
    size_t left = every - conceal->run % every;

    return left < samples ? left : samples;
}

static void go_on(ot_conceal *conceal, double *pcm, size_t samples)
{
    for (size_t at = 0; at < samples;) {
        size_t part = until_widening(conceal, samples - at);
        if (conceal->run && conceal->run % (WIDEN_EVERY * conceal->synth.scale) == 0)
            ot_synth_widen(&conceal->synth, pcm + at, part);
        else
            ot_synth_run(&conceal->synth, pcm + at, part);
        blend_lead(conceal, pcm + at, part);
        for (size_t i = at; i < at + part; i++, conceal->run++)
            pcm[i] *= fade(conceal);
        at += part;
    }
}

static size_t run_bridge(ot_conceal *conceal, int16_t *pcm, size_t samples)
{
    size_t left = conceal->bridge_length - conceal->bridge_at;

    samples = samples < left ? samples : left;
    memcpy(pcm, conceal->bridge + conceal->bridge_at, samples * sizeof(*pcm));
    conceal->bridge_at += (uint32_t)samples;
    conceal->run += (uint32_t)samples;
    return samples;
}

void ot_conceal_run(ot_conceal *conceal, int16_t *pcm, size_t samples)
{
    double made[JOIN_MAX * OT_SYNTH_SCALE_MAX];
    size_t most = (size_t)JOIN_MAX * conceal->synth.scale;

    for (size_t at = run_bridge(conceal, pcm, samples); at < samples;) {
        size_t part = samples - at < most ? samples - at : most;
        go_on(conceal, made, part);
        for (size_t i = 0; i < part; i++)
            pcm[at + i] = to_sample(made[i]);
        at += part;
    }
}

void ot_conceal_end(ot_conceal *conceal, int16_t *pcm, size_t samples)
{
    int16_t more[JOIN_MAX * OT_SYNTH_SCALE_MAX];
    uint32_t scale = conceal->synth.scale;
    size_t length = conceal->synth.overlap + conceal->run / FADE_AFTER * JOIN_GROWTH;

    if (conceal->bridge_length && conceal->bridge_at == conceal->bridge_length)
        return; /* it leads there by itself */
    length = length < (size_t)JOIN_MAX * scale ? length : (size_t)JOIN_MAX * scale;
    length = length < samples ? length : samples;
    ot_conceal_run(conceal, more, length);
    for (size_t i = 0; i < length; i++) {
        double right = ((double)i + 1.0) / ((double)length + 1.0);
        pcm[i] = to_sample(more[i] * (1.0 - right) + pcm[i] * right);
    }
}

/* -- from both sides ------------------------------------------------------------------------- */

/* How alike the last `window` samples before `end` are to those `lag` earlier. */
static double likeness(const double *end, size_t window, uint32_t lag, uint32_t step)
{
    double product = 0.0;
    double own = 1000.0;
    double other = 1.0;

    for (size_t i = 1; i <= window; i += step) {
        double here = *(end - i);
        double there = *(end - i - lag);
        product += here * there;
        own += here * here;
        other += there * there;
    }
    return product / sqrt(own * other);
}

typedef struct {
    const double *end;
    size_t known;
    size_t window; /* at most */
} ot_known;

static uint32_t best_lag(const ot_known *sound, uint32_t first, uint32_t last, uint32_t lag_step,
                         uint32_t step)
{
    uint32_t found = first;
    double best = -2.0;

    for (uint32_t lag = first; lag <= last; lag += lag_step) {
        size_t left = sound->known - lag;
        size_t window = left < sound->window ? left : sound->window;
        double here = likeness(sound->end, window, lag, step);
        if (here > best) {
            best = here;
            found = lag;
        }
    }
    return found;
}

static uint32_t find_lag(const double *end, size_t known, uint32_t scale)
{
    ot_known sound = {end, known, (size_t)OT_FUTURE_MIN * scale};
    uint32_t shortest = OT_PITCH_MIN * scale;
    uint32_t longest = OT_PITCH_MAX * scale;
    uint32_t beside = 2 * scale - 1;
    uint32_t coarse = best_lag(&sound, shortest, longest, 2 * scale, 2 * scale);
    uint32_t first = coarse > shortest + beside ? coarse - beside : shortest;
    uint32_t last = coarse + beside < longest ? coarse + beside : longest;

    return best_lag(&sound, first, last, 1, scale);
}

/* What may have led to `future`: time runs backwards in here. */
static void come_from(double *out, size_t samples, const int16_t *future, size_t known,
                      uint32_t scale)
{
    ot_synth synth;
    double lead[OT_LEAD * OT_SYNTH_SCALE_MAX];
    size_t total = ot_synth_past_samples(scale);
    double *end = synth.past + total;

    known = known < total ? known : total;
    memset(synth.past, 0, total * sizeof(*synth.past));
    for (size_t i = 0; i < known; i++)
        *(end - 1 - i) = future[i];
    predict(lead, (size_t)OT_LEAD * scale, end, known, scale);
    ot_synth_start_at(&synth, scale, find_lag(end, known, scale));
    ot_synth_run(&synth, out, samples);
    for (size_t i = 0; i < synth.overlap && i < samples; i++) {
        double right = ((double)i + 1.0) / (synth.overlap + 1.0);
        out[i] = out[i] * right + lead[i] * (1.0 - right);
    }
}

void ot_conceal_bridge(ot_conceal *conceal, size_t length, const int16_t *future, size_t known)
{
    double forwards[OT_BRIDGE_MAX * OT_SYNTH_SCALE_MAX];
    double backwards[OT_BRIDGE_MAX * OT_SYNTH_SCALE_MAX];
    uint32_t scale = conceal->synth.scale;
    double level = fade(conceal);

    if (length == 0 || length > (size_t)OT_BRIDGE_MAX * scale ||
        known < (size_t)OT_FUTURE_MIN * scale)
        return;
    ot_synth_run(&conceal->synth, forwards, length);
    blend_lead(conceal, forwards, length);
    come_from(backwards, length, future, known, scale);
    for (size_t i = 0; i < length; i++) {
        double part = ((double)i + 0.5) / (double)length;
        double right = part * part * (3.0 - 2.0 * part);
        double from = forwards[i] * level;
        conceal->bridge[i] = to_sample(from + (backwards[length - 1 - i] - from) * right);
    }
    conceal->bridge_length = (uint32_t)length;
    conceal->bridge_at = 0;
}
