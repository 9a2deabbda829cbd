/* Packet loss concealment by ITU-T G.711 Appendix I, for 8, 16 and 48 kHz.
 *
 * Two layers.  An ot_synth says how a signal may go on after its last sample: it repeats one, two
 * or three pitch periods and joins them by overlap-add.  An ot_plc is the Appendix as it stands,
 * a box that every frame passes through, 3.75 ms late, so that the last quarter wavelength before
 * a gap can still be blended into the repetition.
 *
 * Neither allocates.  Calls are made with frames of 10 ms.
 */
#ifndef OT_PLC_H
#define OT_PLC_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

typedef struct ot_plc ot_plc;

int ot_plc_create(ot_plc **plc, uint32_t rate_hz); /* EINVAL: not 8000, 16000 or 48000 */
void ot_plc_destroy(ot_plc *plc);
void ot_plc_good(ot_plc *plc, int16_t *pcm); /* in place; comes out 3.75 ms late */
void ot_plc_lost(ot_plc *plc, int16_t *pcm); /* writes the frame that stands for the lost one */
uint32_t ot_plc_delay(const ot_plc *plc);    /* samples */

/* cdef: end */

/* Figures of the Appendix, in samples at 8 kHz; `scale` (1, 2 or 6) makes them another rate's. */
enum {
    OT_PITCH_MIN = 40,  /* 5 ms, 200 Hz */
    OT_PITCH_MAX = 120, /* 15 ms, 66 Hz */
    OT_SYNTH_OVERLAP = OT_PITCH_MAX / 4,
    OT_SYNTH_PAST = 3 * OT_PITCH_MAX + OT_SYNTH_OVERLAP,
    OT_SYNTH_SCALE_MAX = 6
};

typedef struct {
    uint32_t scale;
    uint32_t pitch;
    uint32_t overlap; /* a quarter wavelength */
    uint32_t length;  /* samples repeated: one, two or three periods */
    uint32_t at;      /* of the next sample in them */
    double tail[OT_SYNTH_OVERLAP * OT_SYNTH_SCALE_MAX]; /* the last quarter, as it was */
    double past[OT_SYNTH_PAST * OT_SYNTH_SCALE_MAX];    /* the last 3.25 of the longest periods */
} ot_synth;

static inline size_t ot_synth_past_samples(uint32_t scale)
{
    return (size_t)OT_SYNTH_PAST * scale;
}

/* `past` (ot_synth_past_samples) must be filled before. */
void ot_synth_start(ot_synth *synth, uint32_t scale);
/* The same where the pitch is known and only 1.25 periods of the past may be real. */
void ot_synth_start_at(ot_synth *synth, uint32_t scale, uint32_t pitch);
void ot_synth_run(ot_synth *synth, double *pcm, size_t samples);
/* The same, repeating one period more from here on; at most three. */
void ot_synth_widen(ot_synth *synth, double *pcm, size_t samples);

struct ot_plc {
    uint32_t scale;
    uint32_t lost; /* frames in a row */
    int16_t history[OT_SYNTH_PAST * OT_SYNTH_SCALE_MAX];
    ot_synth synth;
};

void ot_plc_init(ot_plc *plc, uint32_t rate_hz);

#endif
