/* The loops over samples, chosen once for the processor; every variant gives the same bits.
 *
 * A file writes the body of a loop once and OT_VARIANTS compiles it for each instruction set.
 * Products are never contracted into fused ones (-ffp-contract=off), so rounding agrees too.
 */
#ifndef OT_KERNELS_H
#define OT_KERNELS_H

#include <stddef.h>
#include <stdint.h>

#define OT_BODY static inline __attribute__((always_inline))

#if defined(__x86_64__)
#define OT_HAVE_AVX2 1
#define OT_VARIANTS(result, name, parameters, arguments)                                          \
    result name##_base parameters { return name##_body arguments; }                               \
    __attribute__((target("avx2"))) result name##_avx2 parameters { return name##_body arguments; }
#define OT_DECLARE(result, name, parameters)                                                      \
    result name##_base parameters;                                                                \
    result name##_avx2 parameters
#else
#define OT_HAVE_AVX2 0
#define OT_VARIANTS(result, name, parameters, arguments)                                          \
    result name##_base parameters { return name##_body arguments; }
#define OT_DECLARE(result, name, parameters) result name##_base parameters
#endif

typedef struct {
    const char *name;
    void (*set16)(int32_t *sum, const int16_t *pcm, size_t n);
    void (*add16)(int32_t *sum, const int16_t *pcm, size_t n);
    void (*add32)(int32_t *sum, const int32_t *pcm, size_t n);
    void (*less16)(int32_t *out, const int32_t *sum, const int16_t *own, size_t n);
    void (*less32)(int32_t *out, const int32_t *sum, const int32_t *own, size_t n);
    void (*scale)(int32_t *out, const int32_t *in, float first, float last, size_t n);
    void (*saturate)(int16_t *out, const int32_t *in, size_t n);
    void (*minus_self)(int16_t *out, const int32_t *sum, const int16_t *own, size_t n);
    uint64_t (*energy)(const int16_t *pcm, size_t n);
    void (*ulaw_encode)(uint8_t *code, const int16_t *pcm, size_t n);
    void (*ulaw_decode)(int16_t *pcm, const uint8_t *code, size_t n);
    void (*alaw_encode)(uint8_t *code, const int16_t *pcm, size_t n);
    void (*alaw_decode)(int16_t *pcm, const uint8_t *code, size_t n);
} ot_kernels;

extern const ot_kernels *ot_kernel; /* the best for this processor from before main on */

OT_DECLARE(void, ot_k_ulaw_encode, (uint8_t * code, const int16_t *pcm, size_t n));
OT_DECLARE(void, ot_k_ulaw_decode, (int16_t * pcm, const uint8_t *code, size_t n));
OT_DECLARE(void, ot_k_alaw_encode, (uint8_t * code, const int16_t *pcm, size_t n));
OT_DECLARE(void, ot_k_alaw_decode, (int16_t * pcm, const uint8_t *code, size_t n));
OT_DECLARE(uint64_t, ot_k_energy, (const int16_t *pcm, size_t n));

#endif
