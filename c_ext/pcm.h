/* Pure functions on samples, beside those of engine.h: each calls the processor's best kernel. */
#ifndef OT_PCM_H
#define OT_PCM_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

/* out = saturate(in). */
void ot_saturate(int16_t *out, const int32_t *in, size_t samples);
/* out = saturate(sum - own); the difference has to fit in 32 bits. */
void ot_minus_self(int16_t *out, const int32_t *sum, const int16_t *own, size_t samples);
void ot_minus_self32(int16_t *out, const int32_t *sum, const int32_t *own, size_t samples);
/* out = saturate(in * a gain that goes linearly from first to last), halves away from zero. */
void ot_gain(int16_t *out, const int16_t *in, float first, float last, size_t samples);
/* Two channels of `samples` each, to and from left, right, left, right. */
void ot_interleave(int16_t *both, const int16_t *left, const int16_t *right, size_t samples);
void ot_deinterleave(int16_t *left, int16_t *right, const int16_t *both, size_t samples);

/* cdef: end */

#endif
