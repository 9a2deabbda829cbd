/* From one rate to another: exactly one tick in, one tick out, by speexdsp's resampler.
 *
 * Made and destroyed by the control side; running allocates nothing.  Between two equal rates it
 * copies, without delay.
 */
#ifndef OT_RATE_H
#define OT_RATE_H

#include <stdint.h>

/* cdef: begin */

enum { OT_RATE_TICK_MAX = 480 /* samples of 10 ms at 48 kHz, the highest rate */ };

typedef struct ot_rate ot_rate;

uint32_t ot_rate_tick(uint32_t rate_hz); /* samples of 10 ms; 0: not a rate of ours */

int ot_rate_create(ot_rate **rate, uint32_t from_hz, uint32_t to_hz); /* EINVAL: no such rate */
void ot_rate_destroy(ot_rate *rate);
void ot_rate_run(ot_rate *rate, int16_t *out, const int16_t *in);
uint32_t ot_rate_delay_us(const ot_rate *rate); /* of the group, the same at every frequency */

/* cdef: end */

#endif
