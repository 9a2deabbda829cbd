/* Tones of call progress, beeps and DTMF: up to four frequencies in a cadence, without clicks.
 *
 * Integers only in the tick: every processor makes the same bits.  Nothing is allocated; the
 * struct belongs to whoever embeds it, and the specification may go after ot_tone_init.
 */
#ifndef OT_TONE_H
#define OT_TONE_H

#include <stdint.h>

/* cdef: begin */

enum {
    OT_TONE_PARTS = 4,
    OT_TONE_STEPS = 4,
    OT_TONE_RAMP_MS = 5, /* onset and offset; both lie inside the time it is on */
    OT_TONE_STEP_MS_MAX = 60000
};

typedef struct {
    uint16_t frequency_hz; /* 0: no more parts; below half the rate */
    float level_dbfs;      /* as ot_level_dbfs measures: a full-scale sine is -3 */
} ot_tone_part;

typedef struct {
    uint16_t on_ms; /* 0: no more steps */
    uint16_t off_ms;
} ot_tone_step;

typedef struct {
    ot_tone_part parts[OT_TONE_PARTS];
    ot_tone_step steps[OT_TONE_STEPS]; /* none: it sounds without a break until stopped */
    uint32_t repeats;                  /* of all steps; 0: endless */
} ot_tone_spec;

typedef enum { OT_TONE_DONE = 0, OT_TONE_SILENT = 1, OT_TONE_SOUND = 2 } ot_tone_state;

typedef struct {
    uint32_t rate_hz;
    uint32_t parts;
    uint32_t phase[OT_TONE_PARTS]; /* of a turn, in 2^-32 */
    uint32_t step[OT_TONE_PARTS];  /* a sample */
    int32_t peak[OT_TONE_PARTS];   /* in 1/256 */
    uint32_t on[OT_TONE_STEPS];    /* samples; 0 in the first: endless */
    uint32_t off[OT_TONE_STEPS];
    uint32_t steps;
    uint32_t at_step;
    uint32_t at; /* samples into the step */
    uint32_t repeats;
    uint32_t repeats_left;
    uint32_t ramp;     /* samples */
    uint32_t stopping; /* samples of the ramp left, and one */
    uint32_t done;
} ot_tone;

/* EINVAL: no rate of ours, no frequency, one too high, a level above -3 dBFS or a long step. */
int ot_tone_init(ot_tone *tone, uint32_t rate_hz, const ot_tone_spec *spec);
/* One tick.  pcm is silence when it returns OT_TONE_SILENT (a pause) or OT_TONE_DONE (a pause
 * whose end is the end of all, or later). */
int ot_tone_make(ot_tone *tone, int16_t *pcm);
void ot_tone_stop(ot_tone *tone); /* fades out in 5 ms; then it is done */

/* Tones by their name in the field: "dial", "ringback", "busy", "congestion", "call-waiting",
 * "recording-beep", "blocking", "dtmf-0" to "dtmf-9", "dtmf-*", "dtmf-#", "dtmf-A" to "dtmf-D".
 * Zone is a lower-case country code: "fr", "gb" or "us".  NULL: there is none. */
const ot_tone_spec *ot_tone_find(const char *zone, const char *name);

/* cdef: end */

#endif
