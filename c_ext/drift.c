#include "drift.h"

#include <string.h>

enum {
    HALF = OT_DRIFT_TAPS / 2,
    ODD_TERMS = 3,
    LANES = 8, /* outputs computed side by side */
    TICK_IN_MAX = OT_RATE_TICK_MAX + 2,
    PHASE_BITS = 32,
    AVERAGED_TICKS = 18000, /* three minutes */
    FIRST_TICKS = 200,      /* 2 s */
    ROW_BITS = 26 /* 64 rows of coefficients to a sample, blended linearly in between */
};

/* Kaiser's window (beta 7) over a sinc, as it falls on tap k when the output is at 1/2 + t
 * between the middle taps: a polynomial in t, lowest power first.  Tap 31 - k at t is tap k
 * at -t.  Written out so that every processor computes with the same bits. */
static const float TAPS[HALF][2 * ODD_TERMS + 1] = {
    {-2.324280e-04F, 2.723958e-04F, 1.052417e-03F, -1.316944e-03F, -4.812339e-04F, 9.105399e-04F, -3.845145e-05F},
    {6.148997e-04F, -5.068034e-04F, -2.892608e-03F, 2.457143e-03F, 1.798917e-03F, -1.721862e-03F, -2.674617e-04F},
    {-1.283128e-03F, 8.465773e-04F, 6.131291e-03F, -4.111005e-03F, -4.215899e-03F, 2.902467e-03F, 8.832486e-04F},
    {2.354487e-03F, -1.315585e-03F, -1.134654e-02F, 6.394814e-03F, 8.201533e-03F, -4.535716e-03F, -1.948947e-03F},
    {-3.971510e-03F, 1.940462e-03F, 1.923976e-02F, -9.438106e-03F, -1.432283e-02F, 6.713714e-03F, 3.632603e-03F},
    {6.305854e-03F, -2.753374e-03F, -3.065398e-02F, 1.339694e-02F, 2.325460e-02F, -9.546178e-03F, -6.131073e-03F},
    {-9.566526e-03F, 3.798148e-03F, 4.661219e-02F, -1.848339e-02F, -3.580178e-02F, 1.318030e-02F, 9.672545e-03F},
    {1.401714e-02F, -5.142893e-03F, -6.839802e-02F, 2.502614e-02F, 5.294752e-02F, -1.784145e-02F, -1.452287e-02F},
    {-2.001166e-02F, 6.905997e-03F, 9.772252e-02F, -3.359518e-02F, -7.595140e-02F, 2.391572e-02F, 2.099807e-02F},
    {2.806925e-02F, -9.312469e-03F, -1.370705e-01F, 4.527056e-02F, 1.065425e-01F, -3.212404e-02F, -2.948314e-02F},
    {-3.903775e-02F, 1.282734e-02F, 1.904461e-01F, -6.227469e-02F, -1.472879e-01F, 4.391700e-02F, 4.044202e-02F},
    {5.448284e-02F, -1.851549e-02F, -2.651003e-01F, 8.965899e-02F, 2.022519e-01F, -6.246519e-02F, -5.432079e-02F},
    {-7.775114e-02F, 2.920792e-02F, 3.760233e-01F, -1.406665e-01F, -2.777659e-01F, 9.545075e-02F, 7.078303e-02F},
    {1.175894e-01F, -5.448652e-02F, -5.597152e-01F, 2.587363e-01F, 3.784027e-01F, -1.633262e-01F, -8.390969e-02F},
    {-2.062379e-01F, 1.452491e-01F, 9.233009e-01F, -6.510883e-01F, -4.124068e-01F, 2.806006e-01F, 7.605823e-02F},
    {6.346085e-01F, -1.277124e+00F, -5.851428e-01F, 1.205967e+00F, 1.948119e-01F, -3.901626e-01F, -3.191217e-02F},
};

/* The loop: a natural frequency of 0.03 rad/s, critically damped, so that a clock 300 ppm off
 * moves the fill by 4 ms before it is known, within a few minutes.  Blocks of 10 ms make the fill
 * a staircase whose steps wander through the tick with the clocks' difference; faster loops would
 * follow them.  A pitch that moves by 25 ppm in a second is a twentieth of a cent: nobody hears
 * it. */
static const float PROPORTIONAL_PPM = 60.0F;  /* for each ms */
static const float INTEGRAL_PPM = 0.009F;     /* for each ms and tick */
static const float SLEW_PPM = 0.25F;          /* a tick */
static const float SMOOTHING = 1.0F / 128.0F; /* a tick: 1.3 s */
static const float ERROR_MAX_MS = 20.0F;
static const float SAME_CLOCK_MS = 2.0F; /* of wander, before the clocks count as two */

static float within(float value, float bound)
{
    return value > bound ? bound : value < -bound ? -bound : value;
}

void ot_drift_init(ot_drift *drift, uint32_t rate_hz, uint32_t target_samples)
{
    memset(drift, 0, sizeof(*drift));
    drift->rate_hz = rate_hz;
    drift->tick = ot_rate_tick(rate_hz);
    drift->target = target_samples;
}

float ot_drift_ppm(const ot_drift *drift)
{
    return drift->average;
}

/* -- the controller ------------------------------------------------------------------------- */

static float error_ms(const ot_drift *drift, uint32_t fill)
{
    float samples = (float)((int32_t)fill - (int32_t)drift->target);
    return within(samples * 1000.0F / (float)drift->rate_hz, ERROR_MAX_MS);
}

/* A ring that ran dry, overran or skipped says nothing about clocks until it is filled again. */
static int is_steady(ot_drift *drift, const ot_sample_ring *ring, uint32_t fill)
{
    uint64_t events = ot_sample_ring_underruns(ring) + ot_sample_ring_overruns(ring) +
                      ot_sample_ring_skips(ring);

    if (events != drift->events) {
        drift->events = events;
        drift->steady = 0;
    }
    if (!drift->steady && fill >= drift->target) {
        drift->steady = 1;
        drift->first = 0.0F;
        drift->smoothed = 0.0F;
    }
    return drift->steady > 0;
}

/* Where the fill lies on the mean when the ring has just begun: blocks make a staircase of it, and
 * one look would not tell a step from a clock. */
static void look_first(ot_drift *drift, float error)
{
    drift->first += (error - drift->first) / (float)drift->steady;
    drift->steady++;
    if (!drift->following)
        drift->smoothed = drift->first;
}

static void correct(ot_drift *drift)
{
    drift->integral = within(drift->integral + INTEGRAL_PPM * drift->smoothed, OT_DRIFT_PPM_MAX);
    float wanted = within(PROPORTIONAL_PPM * drift->smoothed + drift->integral, OT_DRIFT_PPM_MAX);

    drift->ppm += within(wanted - drift->ppm, SLEW_PPM);
    drift->averaged += drift->averaged < AVERAGED_TICKS;
    drift->average += (drift->ppm - drift->average) / (float)drift->averaged;
}

static void steer(ot_drift *drift, const ot_sample_ring *ring, uint32_t fill)
{
    if (!is_steady(drift, ring, fill))
        return;
    float error = error_ms(drift, fill);
    if (drift->steady <= FIRST_TICKS)
        look_first(drift, error);
    if (drift->steady <= FIRST_TICKS && !drift->following)
        return;
    drift->smoothed += (error - drift->smoothed) * SMOOTHING;
    float wander = drift->smoothed - drift->first;
    drift->following |= wander > SAME_CLOCK_MS || wander < -SAME_CLOCK_MS;
    if (drift->following)
        correct(drift);
}

/* -- the interpolator ----------------------------------------------------------------------- */

/* What one output is further than one sample from the next, in 2^-32 samples. */
static int64_t surplus(const ot_drift *drift)
{
    return (int64_t)(drift->ppm * 4294.967296F);
}

/* Coefficients for an output `row` sixty-fourths after the middle tap. */
static void make_row(float *row_taps, int64_t row)
{
    float t = (float)row / 64.0F - 0.5F;
    float t2 = t * t;

    for (uint32_t k = 0; k < HALF; k++) {
        const float *c = TAPS[k];
        float even = c[0] + t2 * (c[2] + t2 * (c[4] + t2 * c[6]));
        float odd = t * (c[1] + t2 * (c[3] + t2 * c[5]));
        row_taps[k] = even + odd;
        row_taps[OT_DRIFT_TAPS - 1 - k] = even - odd;
    }
}

static int16_t rounded(float value)
{
    value += value < 0.0F ? -0.5F : 0.5F;
    return value > 32767.0F ? INT16_MAX : value < -32768.0F ? INT16_MIN : (int16_t)value;
}

/* LANES outputs between two rows; sums run in one order, so that all processors agree. */
static void make_lanes(float *low, float *high, const float *x, const float *rows)
{
    float a[LANES] = {0}, b[LANES] = {0};

    for (uint32_t k = 0; k < OT_DRIFT_TAPS; k++)
        for (uint32_t i = 0; i < LANES; i++) {
            a[i] += rows[k] * x[k + i];
            b[i] += rows[OT_DRIFT_TAPS + k] * x[k + i];
        }
    memcpy(low, a, sizeof(a));
    memcpy(high, b, sizeof(b));
}

/* `count` outputs whose phases all lie between the same two rows. */
static void make_run(int16_t *out, const float *x, uint32_t count, int64_t phase, int64_t step)
{
    const int64_t mask = ((int64_t)1 << PHASE_BITS) - 1;
    const float scale = 1.0F / (float)(1 << ROW_BITS);
    int64_t row = (phase & mask) >> ROW_BITS;
    int64_t above = phase & (((int64_t)1 << ROW_BITS) - 1);
    float rows[2 * OT_DRIFT_TAPS], low[LANES], high[LANES];

    make_row(rows, row);
    make_row(rows + OT_DRIFT_TAPS, row + 1);
    for (uint32_t at = 0; at < count; at += LANES) {
        make_lanes(low, high, x + at, rows);
        for (uint32_t i = 0; i < LANES && at + i < count; i++) {
            float part = (float)(above + (int64_t)(at + i) * step) * scale;
            out[at + i] = rounded(low[i] + part * (high[i] - low[i]));
        }
    }
}

/* How many outputs from `phase` on lie between the same two rows. */
static uint32_t run_length(int64_t phase, int64_t step, uint32_t most)
{
    const int64_t row = (int64_t)1 << ROW_BITS;
    int64_t above = phase & (row - 1);
    int64_t length = most;

    if (step > 0)
        length = (row - above + step - 1) / step;
    else if (step < 0)
        length = above / -step + 1;
    return length < most ? (uint32_t)length : most;
}

/* x[0] is one before the oldest sample that an output at phase 0 needs. */
static void interpolate(int16_t *out, const float *x, uint32_t count, int64_t phase, int64_t step)
{
    if (phase == 0 && step == 0) {
        for (uint32_t i = 0; i < count; i++)
            out[i] = (int16_t)x[HALF + i];
        return;
    }
    for (uint32_t done = 0; done < count;) {
        uint32_t length = run_length(phase, step, count - done);
        make_run(out + done, x + done + 1 + (phase >> PHASE_BITS), length, phase, step);
        done += length;
        phase += (int64_t)length * step;
    }
}

enum { WINDOW = OT_DRIFT_TAPS + TICK_IN_MAX + LANES };

static void fill_window(float *x, ot_drift *drift, const int16_t *in, uint32_t samples)
{
    for (uint32_t i = 0; i < OT_DRIFT_TAPS; i++)
        x[i] = drift->history[i];
    for (uint32_t i = 0; i < samples; i++)
        x[OT_DRIFT_TAPS + i] = in[i];
    memset(x + OT_DRIFT_TAPS + samples, 0, LANES * sizeof(*x));
    memcpy(drift->history, in + samples - OT_DRIFT_TAPS, sizeof(drift->history));
}

static int is_quiet(const int16_t *pcm, uint32_t samples)
{
    int any = 0;

    for (uint32_t i = 0; i < samples; i++)
        any |= pcm[i];
    return any == 0;
}

/* -- both directions ------------------------------------------------------------------------ */

int ot_drift_read(ot_drift *drift, ot_sample_ring *ring, int16_t *pcm)
{
    int16_t in[TICK_IN_MAX];
    float x[WINDOW];
    int quiet = is_quiet(drift->history, OT_DRIFT_TAPS);

    steer(drift, ring, ot_sample_ring_fill(ring));
    int64_t step = surplus(drift), phase = drift->phase;
    int64_t last_whole = (phase + (int64_t)(drift->tick - 1) * step) >> PHASE_BITS;
    uint32_t needed = (uint32_t)((int64_t)drift->tick + last_whole);
    int any = ot_sample_ring_read(ring, in, needed);

    drift->phase = phase + (int64_t)drift->tick * step - last_whole * ((int64_t)1 << PHASE_BITS);
    fill_window(x, drift, in, needed);
    if (!any && quiet)
        memset(pcm, 0, drift->tick * sizeof(*pcm));
    else
        interpolate(pcm, x, drift->tick, phase, step);
    return any || !quiet;
}

/* How many outputs one tick of input is good for. */
static uint32_t outputs(const ot_drift *drift, int64_t step)
{
    uint32_t count = drift->tick - 2;

    while ((int64_t)count + ((drift->phase + count * step) >> PHASE_BITS) < (int64_t)drift->tick)
        count++;
    return count;
}

void ot_drift_write(ot_drift *drift, ot_sample_ring *ring, const int16_t *pcm)
{
    static const int16_t SILENCE[OT_RATE_TICK_MAX];
    int16_t out[TICK_IN_MAX + 1];
    float x[WINDOW];
    int quiet = pcm == NULL && is_quiet(drift->history, OT_DRIFT_TAPS);
    int64_t step = surplus(drift), phase = drift->phase;
    uint32_t count = outputs(drift, step);

    drift->phase = phase + (int64_t)count * (step + ((int64_t)1 << PHASE_BITS)) -
                   (int64_t)drift->tick * ((int64_t)1 << PHASE_BITS);
    fill_window(x, drift, pcm ? pcm : SILENCE, drift->tick);
    if (quiet)
        memset(out, 0, sizeof(out));
    else
        interpolate(out, x, count, phase, step);
    ot_sample_ring_write(ring, out, count);
    steer(drift, ring, ot_sample_ring_fill(ring));
}
