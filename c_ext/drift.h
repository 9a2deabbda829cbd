/* Fill control: a device's clock and the engine's differ, and a ring between them must neither
 * run dry nor fill up.  A slow controller turns the ring's fill into a correction of a few parts
 * per million, and an interpolator takes a little more or less than a tick.  While the fill
 * stays where it began, as between two ends of one clock, samples pass bit by bit.
 *
 * The engine's side of a ring only: ot_drift_read where a device writes, ot_drift_write where a
 * device reads.  Nothing is allocated; the struct belongs to whoever embeds it.
 */
#ifndef OT_DRIFT_H
#define OT_DRIFT_H

#include <stdint.h>

#include "rate.h"
#include "ring.h"

/* cdef: begin */

typedef struct ot_sample_ring ot_sample_ring; /* ring.h */

enum {
    OT_DRIFT_TAPS = 32,     /* of the interpolator: a delay of half as many samples */
    OT_DRIFT_PPM_MAX = 1000 /* crystals stay within 300 */
};

typedef struct {
    uint32_t rate_hz;
    uint32_t tick;   /* samples of 10 ms */
    uint32_t target; /* samples that should wait */
    uint32_t steady; /* the fill has reached its target since the last event of the ring */
    uint32_t following; /* the clocks were seen to differ; until then samples pass unchanged */
    uint64_t events; /* of the ring: underruns, overruns and skips */
    int64_t phase;   /* where the next sample falls, from the middle of history, in 2^-32 samples */
    float smoothed;  /* how far the fill is off, ms */
    float first;     /* and how far it was when it became steady */
    float integral;  /* ppm */
    float ppm;       /* the correction in force */
    float average;   /* of ppm, over three minutes */
    uint32_t averaged; /* ticks */
    int16_t history[OT_DRIFT_TAPS];
} ot_drift;

void ot_drift_init(ot_drift *drift, uint32_t rate_hz, uint32_t target_samples);
/* Writes one tick to pcm; returns 0 when it is nothing but silence. */
int ot_drift_read(ot_drift *drift, ot_sample_ring *ring, int16_t *pcm);
/* Takes one tick; NULL is silence. */
void ot_drift_write(ot_drift *drift, ot_sample_ring *ring, const int16_t *pcm);
/* By how much the clock at the ring's entrance is faster than the one at its end, averaged over
 * three minutes: for a microphone the device's against ours, for an earpiece ours against it. */
float ot_drift_ppm(const ot_drift *drift);

/* cdef: end */

#endif
