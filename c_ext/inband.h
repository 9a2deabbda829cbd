/* Digits found in the sound itself, for far ends that know no RFC 4733. */
#ifndef OT_INBAND_H
#define OT_INBAND_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

typedef struct ot_inband ot_inband;

/* ENOMEM; running it allocates nothing. */
int ot_inband_create(ot_inband **inband);
void ot_inband_destroy(ot_inband *inband);
/* Listens on: samples of 8 kHz.  Returns 1 when a key was found pressed, once for each press,
 * with `digit` one of "0123456789*#ABCD"; else 0. */
int ot_inband_run(ot_inband *inband, const int16_t *pcm, size_t samples, char *digit);

/* cdef: end */

#endif
