/* Makes a signal shorter or longer by one pitch period, by overlap-add, without a click.
 *
 * Pitch and length are kept apart: what is taken out or put in is one period (5 to 15 ms) of what
 * repeats itself there anyway.  Where nothing repeats itself nothing is done, unless forced.
 */
#ifndef OT_STRETCH_H
#define OT_STRETCH_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

/* In place; returns the samples left.  Looks for a period of at most half of `samples`. */
size_t ot_stretch_shorten(int16_t *pcm, size_t samples, uint32_t rate_hz, int force);
/* `past` is the 15 ms before `pcm`, which has room for `samples` + rate_hz / 50; returns the
 * samples there are now. */
size_t ot_stretch_lengthen(int16_t *pcm, size_t samples, const int16_t *past, uint32_t rate_hz,
                           int force);

/* cdef: end */

#endif
