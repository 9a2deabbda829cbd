/* The loops over samples, chosen once for the processor; every variant gives the same bits.
 *
 * Two kinds.  A loop that a compiler turns into good vector code is written once, in plain C, and
 * OT_VARIANTS compiles it for each instruction set.  A loop that needs an instruction the compiler
 * does not find (saturating arithmetic, above all) is written a second time over vectors, in
 * simd_kernels.h, and its plain C stays as the variant `base`, to which tests compare the others.
 * Products are never contracted into fused ones (-ffp-contract=off), so rounding agrees too.
 *
 * Wherever `own` is taken from `sum`, the caller keeps the difference within 32 bits: a sum of up
 * to 65536 parts of 16 bits is.  Output may be input where the types agree.
 */
#ifndef OT_KERNELS_H
#define OT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define OT_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define OT_TARGET_AVX2 __attribute__((target("avx2")))
#define OT_VARIANTS(result, name, parameters, arguments)                                          \
    result name##_base parameters { return name##_body arguments; }                               \
    OT_TARGET_AVX2 result name##_avx2 parameters { return name##_body arguments; }
#define OT_DECLARE(result, name, parameters)                                                      \
    result name##_base parameters;                                                                \
    result name##_sse2 parameters;                                                                \
    result name##_avx2 parameters;                                                                \
    result name##_avx512 parameters
#else
#define OT_VARIANTS(result, name, parameters, arguments)                                          \
    result name##_base parameters { return name##_body arguments; }
#define OT_DECLARE(result, name, parameters)                                                      \
    result name##_base parameters;                                                                \
    result name##_neon parameters
#endif

typedef struct {
    const char *name;
    void (*set16)(int32_t *sum, const int16_t *pcm, size_t n);
    void (*add16)(int32_t *sum, const int16_t *pcm, size_t n);
    void (*add32)(int32_t *sum, const int32_t *pcm, size_t n);
    void (*less16)(int32_t *out, const int32_t *sum, const int16_t *own, size_t n);
    void (*less32)(int32_t *out, const int32_t *sum, const int32_t *own, size_t n);
    void (*scale)(int32_t *out, const int32_t *in, float first, float last, size_t n);
    void (*gain16)(int16_t *out, const int16_t *in, float first, float last, size_t n);
    void (*interleave)(int16_t *both, const int16_t *left, const int16_t *right, size_t n);
    void (*deinterleave)(int16_t *left, int16_t *right, const int16_t *both, size_t n);
    void (*saturate)(int16_t *out, const int32_t *in, size_t n);
    void (*minus_self)(int16_t *out, const int32_t *sum, const int16_t *own, size_t n);
    void (*minus_self32)(int16_t *out, const int32_t *sum, const int32_t *own, size_t n);
    /* `n` columns of `count` rows that begin `stride` samples apart. */
    void (*mix)(int16_t *out, const int16_t *sources, size_t count, size_t stride, size_t n);
    uint64_t (*energy)(const int16_t *pcm, size_t n);
    void (*ulaw_encode)(uint8_t *code, const int16_t *pcm, size_t n);
    void (*alaw_encode)(uint8_t *code, const int16_t *pcm, size_t n);
    void (*ulaw_decode)(int16_t *pcm, const uint8_t *code, size_t n);
    void (*alaw_decode)(int16_t *pcm, const uint8_t *code, size_t n);
} ot_kernels;

static const float OT_SCALED_MAX = 65536.0F;

extern const ot_kernels *ot_kernel; /* the best for this processor from before main on */

/* Compiled from one body. */
OT_DECLARE(void, ot_k_set16, (int32_t * sum, const int16_t *pcm, size_t n));
OT_DECLARE(void, ot_k_add16, (int32_t * sum, const int16_t *pcm, size_t n));
OT_DECLARE(void, ot_k_add32, (int32_t * sum, const int32_t *pcm, size_t n));
OT_DECLARE(void, ot_k_less16, (int32_t * out, const int32_t *sum, const int16_t *own, size_t n));
OT_DECLARE(void, ot_k_less32, (int32_t * out, const int32_t *sum, const int32_t *own, size_t n));
OT_DECLARE(void, ot_k_interleave,
           (int16_t * both, const int16_t *left, const int16_t *right, size_t n));
OT_DECLARE(void, ot_k_deinterleave,
           (int16_t * left, int16_t *right, const int16_t *both, size_t n));

/* Written over vectors too. */
OT_DECLARE(void, ot_k_scale, (int32_t * out, const int32_t *in, float first, float last, size_t n));
OT_DECLARE(void, ot_k_gain16, (int16_t * out, const int16_t *in, float first, float last, size_t n));
OT_DECLARE(void, ot_k_saturate, (int16_t * out, const int32_t *in, size_t n));
OT_DECLARE(void, ot_k_minus_self,
           (int16_t * out, const int32_t *sum, const int16_t *own, size_t n));
OT_DECLARE(void, ot_k_minus_self32,
           (int16_t * out, const int32_t *sum, const int32_t *own, size_t n));
OT_DECLARE(void, ot_k_mix,
           (int16_t * out, const int16_t *sources, size_t count, size_t stride, size_t n));
OT_DECLARE(uint64_t, ot_k_energy, (const int16_t *pcm, size_t n));
OT_DECLARE(void, ot_k_ulaw_encode, (uint8_t * code, const int16_t *pcm, size_t n));
OT_DECLARE(void, ot_k_alaw_encode, (uint8_t * code, const int16_t *pcm, size_t n));
OT_DECLARE(void, ot_k_ulaw_decode, (int16_t * pcm, const uint8_t *code, size_t n));
OT_DECLARE(void, ot_k_alaw_decode, (int16_t * pcm, const uint8_t *code, size_t n));

OT_BODY int16_t ot_saturated(int32_t value)
{
    value = value > INT16_MAX ? INT16_MAX : value;
    return (int16_t)(value < INT16_MIN ? INT16_MIN : value);
}

/* One sample under a gain, limited to twice full scale, halves away from zero.  However many ports
 * and buses are joined, no 32-bit sum of such samples can overflow. */
OT_BODY int32_t ot_scaled(int32_t sample, float gain)
{
    float value = (float)sample * gain;

    value = value > OT_SCALED_MAX ? OT_SCALED_MAX : value;
    value = value < -OT_SCALED_MAX ? -OT_SCALED_MAX : value;
    return (int32_t)(value + (value < 0.0F ? -0.5F : 0.5F));
}

/* The gain of sample i on a straight way that ends with the last sample of n. */
OT_BODY float ot_gain_step(float first, float last, size_t n)
{
    return n ? (last - first) / (float)n : 0.0F;
}

OT_BODY float ot_gain_at(float first, float step, size_t i)
{
    return first + step * (float)(int32_t)(i + 1);
}

OT_BODY uint32_t ot_square(int16_t sample)
{
    return (uint32_t)((int32_t)sample * sample);
}

#endif
