/* Mixing: one shared sum in 32 bits, minus what the listener said, saturated once. */
#include "engine.h"
#include "kernels.h"
#include "pcm.h"

#define OT_CHUNK_SAMPLES 256 /* the shared sum of the plain mix lives on the stack */

OT_BODY void ot_k_set16_body(int32_t *sum, const int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = pcm[i];
}

OT_BODY void ot_k_add16_body(int32_t *sum, const int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += pcm[i];
}

OT_BODY void ot_k_add32_body(int32_t *sum, const int32_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += pcm[i];
}

OT_BODY void ot_k_less16_body(int32_t *out, const int32_t *sum, const int16_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = sum[i] - own[i];
}

OT_BODY void ot_k_less32_body(int32_t *out, const int32_t *sum, const int32_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = sum[i] - own[i];
}

OT_BODY void ot_k_interleave_body(int16_t *both, const int16_t *left, const int16_t *right,
                                  size_t n)
{
    for (size_t i = 0; i < n; i++) {
        both[2 * i] = left[i];
        both[2 * i + 1] = right[i];
    }
}

OT_BODY void ot_k_deinterleave_body(int16_t *left, int16_t *right, const int16_t *both, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        left[i] = both[2 * i];
        right[i] = both[2 * i + 1];
    }
}

OT_VARIANTS(void, ot_k_set16, (int32_t * sum, const int16_t *pcm, size_t n), (sum, pcm, n))
OT_VARIANTS(void, ot_k_add16, (int32_t * sum, const int16_t *pcm, size_t n), (sum, pcm, n))
OT_VARIANTS(void, ot_k_add32, (int32_t * sum, const int32_t *pcm, size_t n), (sum, pcm, n))
OT_VARIANTS(void, ot_k_less16, (int32_t * out, const int32_t *sum, const int16_t *own, size_t n),
            (out, sum, own, n))
OT_VARIANTS(void, ot_k_less32, (int32_t * out, const int32_t *sum, const int32_t *own, size_t n),
            (out, sum, own, n))
OT_VARIANTS(void, ot_k_interleave,
            (int16_t * both, const int16_t *left, const int16_t *right, size_t n),
            (both, left, right, n))
OT_VARIANTS(void, ot_k_deinterleave,
            (int16_t * left, int16_t *right, const int16_t *both, size_t n),
            (left, right, both, n))

/* -- the plain form of what simd_kernels.h does with vectors --------------------------------- */

void ot_k_scale_base(int32_t *out, const int32_t *in, float first, float last, size_t n)
{
    float step = ot_gain_step(first, last, n);

    for (size_t i = 0; i < n; i++)
        out[i] = ot_scaled(in[i], ot_gain_at(first, step, i));
}

void ot_k_gain16_base(int16_t *out, const int16_t *in, float first, float last, size_t n)
{
    float step = ot_gain_step(first, last, n);

    for (size_t i = 0; i < n; i++)
        out[i] = ot_saturated(ot_scaled(in[i], ot_gain_at(first, step, i)));
}

void ot_k_saturate_base(int16_t *out, const int32_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = ot_saturated(in[i]);
}

void ot_k_minus_self_base(int16_t *out, const int32_t *sum, const int16_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = ot_saturated(sum[i] - own[i]);
}

void ot_k_minus_self32_base(int16_t *out, const int32_t *sum, const int32_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = ot_saturated(sum[i] - own[i]);
}

static void mix_chunk(int16_t *out, const int16_t *sources, size_t count, size_t stride, size_t n)
{
    int32_t sum[OT_CHUNK_SAMPLES];

    ot_k_set16_base(sum, sources, n);
    for (size_t i = 1; i < count; i++)
        ot_k_add16_base(sum, sources + i * stride, n);
    for (size_t i = 0; i < count; i++)
        ot_k_minus_self_base(out + i * stride, sum, sources + i * stride, n);
}

void ot_k_mix_base(int16_t *out, const int16_t *sources, size_t count, size_t stride, size_t n)
{
    for (size_t at = 0; count != 0 && at < n; at += OT_CHUNK_SAMPLES) {
        size_t left = n - at;
        mix_chunk(out + at, sources + at, count, stride,
                  left < OT_CHUNK_SAMPLES ? left : OT_CHUNK_SAMPLES);
    }
}

/* -- for everyone -------------------------------------------------------------------------- */

void ot_mix_minus_self(int16_t *out, const int16_t *sources, size_t count, size_t samples)
{
    if (count != 0)
        ot_kernel->mix(out, sources, count, samples, samples);
}

void ot_scale(int32_t *out, const int32_t *in, float first, float last, size_t samples)
{
    ot_kernel->scale(out, in, first, last, samples);
}

void ot_gain(int16_t *out, const int16_t *in, float first, float last, size_t samples)
{
    ot_kernel->gain16(out, in, first, last, samples);
}

void ot_saturate(int16_t *out, const int32_t *in, size_t samples)
{
    ot_kernel->saturate(out, in, samples);
}

void ot_minus_self(int16_t *out, const int32_t *sum, const int16_t *own, size_t samples)
{
    ot_kernel->minus_self(out, sum, own, samples);
}

void ot_minus_self32(int16_t *out, const int32_t *sum, const int32_t *own, size_t samples)
{
    ot_kernel->minus_self32(out, sum, own, samples);
}

void ot_interleave(int16_t *both, const int16_t *left, const int16_t *right, size_t samples)
{
    ot_kernel->interleave(both, left, right, samples);
}

void ot_deinterleave(int16_t *left, int16_t *right, const int16_t *both, size_t samples)
{
    ot_kernel->deinterleave(left, right, both, samples);
}
