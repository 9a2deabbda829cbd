/* Does somebody speak?  From the energy of a tick, against a floor that follows the noise.
 *
 * Integers only; a few nanoseconds.  The floor falls to quieter sound at once and rises slowly,
 * so gaps between words keep it down while lasting noise, comfort noise included, lifts it.
 */
#ifndef OT_ACTIVITY_H
#define OT_ACTIVITY_H

#include <stdint.h>

/* cdef: begin */

enum { OT_ACTIVITY_HANG_OVER_MS = 200 };

typedef struct {
    int32_t floor; /* of the noise: log2 of the power of a sample, in 1/256 */
    uint16_t hang_over; /* ticks left */
    uint16_t onset;     /* loud ticks in a row */
} ot_activity;

void ot_activity_init(ot_activity *activity);
/* One tick; `energy` as ot_energy gives it.  Returns 1 while somebody speaks, and 200 ms on. */
int ot_activity_run(ot_activity *activity, uint64_t energy, uint32_t samples);

/* cdef: end */

#endif
