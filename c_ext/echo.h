/* What makes a hands-free microphone bearable: echo cancelling, noise suppression and automatic
 * gain, by speexdsp.
 *
 * The reference is what this unit's loudspeakers were given.  For a speakerphone it is what the
 * device itself played; for a gooseneck the sum of the unit's other loudspeakers, so that a
 * neighbour's voice does not come back through the open microphone.
 *
 * A sample of the reference returns after
 *     playback ring fill + the device's output latency + the way through the room
 *     + the device's input latency + capture ring fill + both interpolators (2 x 16 samples).
 * `delay_ms` holds the reference back by the part of it that is certain (never more: an echo
 * before its reference cannot be cancelled), and the tail must cover the rest: the fills' wander
 * (a device's block, 10 or 20 ms, in both rings) and the room.  Cost grows with the tail.
 *
 * Made and destroyed by the control side; running allocates nothing.
 */
#ifndef OT_ECHO_H
#define OT_ECHO_H

#include <stdint.h>

/* cdef: begin */

enum {
    OT_ECHO_TAIL_MS_MIN = 20,
    OT_ECHO_TAIL_MS_MAX = 500,
    OT_ECHO_DELAY_MS_MAX = 500,
    OT_ECHO_NOISE_DB_MAX = 40
};

typedef struct ot_echo ot_echo;

typedef struct {
    uint16_t delay_ms;         /* 0 to 500: how long the reference is held back */
    uint8_t cancel_echo;
    uint8_t suppress_noise_db; /* 0: off, at most 40 */
    uint8_t agc;               /* brings speech to about -22 dBFS, at most 30 dB up */
} ot_echo_options;

int ot_echo_create(ot_echo **echo, uint32_t rate_hz, uint32_t tail_ms,
                   const ot_echo_options *options);
void ot_echo_destroy(ot_echo *echo);
/* One tick, in place; `played` NULL is silence.  What comes out is a tick late. */
void ot_echo_run(ot_echo *echo, int16_t *mic, const int16_t *played);

/* cdef: end */

#endif
