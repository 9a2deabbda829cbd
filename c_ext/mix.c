/* Mixing: one shared sum in 32 bits, minus what the listener said, saturated once. */
#include <errno.h>
#include <string.h>

#include "engine.h"
#include "kernels.h"

#define OT_CHUNK_SAMPLES 256 /* the shared sum of ot_mix_minus_self lives on the stack */

/* Twice full scale: however many ports and buses are joined, no 32-bit sum can overflow. */
static const float SCALED_MAX = 65536.0F;

OT_BODY int16_t saturate(int32_t value)
{
    value = value > INT16_MAX ? INT16_MAX : value;
    return (int16_t)(value < INT16_MIN ? INT16_MIN : value);
}

OT_BODY void k_set16_body(int32_t *sum, const int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] = pcm[i];
}

OT_BODY void k_add16_body(int32_t *sum, const int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += pcm[i];
}

OT_BODY void k_add32_body(int32_t *sum, const int32_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++)
        sum[i] += pcm[i];
}

OT_BODY void k_less16_body(int32_t *out, const int32_t *sum, const int16_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = sum[i] - own[i];
}

OT_BODY void k_less32_body(int32_t *out, const int32_t *sum, const int32_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = sum[i] - own[i];
}

OT_BODY void k_scale_body(int32_t *out, const int32_t *in, float first, float last, size_t n)
{
    float step = n ? (last - first) / (float)n : 0.0F;

    for (size_t i = 0; i < n; i++) {
        float scaled = (float)in[i] * (first + step * (float)(int32_t)(i + 1));
        scaled = scaled > SCALED_MAX ? SCALED_MAX : scaled;
        scaled = scaled < -SCALED_MAX ? -SCALED_MAX : scaled;
        out[i] = (int32_t)(scaled + (scaled < 0.0F ? -0.5F : 0.5F));
    }
}

OT_BODY void k_saturate_body(int16_t *out, const int32_t *in, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = saturate(in[i]);
}

OT_BODY void k_minus_self_body(int16_t *out, const int32_t *sum, const int16_t *own, size_t n)
{
    for (size_t i = 0; i < n; i++)
        out[i] = saturate(sum[i] - own[i]);
}

OT_VARIANTS(static void, k_set16, (int32_t * sum, const int16_t *pcm, size_t n), (sum, pcm, n))
OT_VARIANTS(static void, k_add16, (int32_t * sum, const int16_t *pcm, size_t n), (sum, pcm, n))
OT_VARIANTS(static void, k_add32, (int32_t * sum, const int32_t *pcm, size_t n), (sum, pcm, n))
OT_VARIANTS(static void, k_less16, (int32_t * out, const int32_t *sum, const int16_t *own, size_t n),
                (out, sum, own, n))
OT_VARIANTS(static void, k_less32, (int32_t * out, const int32_t *sum, const int32_t *own, size_t n),
                (out, sum, own, n))
OT_VARIANTS(static void, k_scale, (int32_t * out, const int32_t *in, float first, float last, size_t n),
                (out, in, first, last, n))
OT_VARIANTS(static void, k_saturate, (int16_t * out, const int32_t *in, size_t n), (out, in, n))
OT_VARIANTS(static void, k_minus_self, (int16_t * out, const int32_t *sum, const int16_t *own, size_t n),
                (out, sum, own, n))

#define TABLE(suffix)                                                                              \
    {                                                                                              \
        .name = #suffix, .set16 = k_set16_##suffix, .add16 = k_add16_##suffix,                     \
        .add32 = k_add32_##suffix, .less16 = k_less16_##suffix, .less32 = k_less32_##suffix,       \
        .scale = k_scale_##suffix, .saturate = k_saturate_##suffix,                                \
        .minus_self = k_minus_self_##suffix, .energy = ot_k_energy_##suffix,                       \
        .ulaw_encode = ot_k_ulaw_encode_##suffix, .ulaw_decode = ot_k_ulaw_decode_##suffix,        \
        .alaw_encode = ot_k_alaw_encode_##suffix, .alaw_decode = ot_k_alaw_decode_##suffix,        \
    }

static const ot_kernels VARIANTS[] = {
    TABLE(base),
#if OT_HAVE_AVX2
    TABLE(avx2),
#endif
};

const ot_kernels *ot_kernel = &VARIANTS[0];

uint32_t ot_cpu_variants(void)
{
#if OT_HAVE_AVX2
    __builtin_cpu_init();
    return __builtin_cpu_supports("avx2") ? 2 : 1;
#else
    return 1;
#endif
}

const char *ot_cpu_name(uint32_t variant)
{
    return variant < ot_cpu_variants() ? VARIANTS[variant].name : NULL;
}

int ot_cpu_select(uint32_t variant)
{
    if (variant >= ot_cpu_variants())
        return EINVAL;
    ot_kernel = &VARIANTS[variant];
    return 0;
}

__attribute__((constructor)) static void select_best(void)
{
    ot_cpu_select(ot_cpu_variants() - 1);
}

static void mix_chunk(int16_t *out, const int16_t *sources, size_t count, size_t stride, size_t n)
{
    int32_t sum[OT_CHUNK_SAMPLES];

    ot_kernel->set16(sum, sources, n);
    for (size_t i = 1; i < count; i++)
        ot_kernel->add16(sum, sources + i * stride, n);
    for (size_t i = 0; i < count; i++)
        ot_kernel->minus_self(out + i * stride, sum, sources + i * stride, n);
}

void ot_mix_minus_self(int16_t *out, const int16_t *sources, size_t count, size_t samples)
{
    if (count == 0)
        return;
    for (size_t at = 0; at < samples; at += OT_CHUNK_SAMPLES) {
        size_t n = samples - at < OT_CHUNK_SAMPLES ? samples - at : OT_CHUNK_SAMPLES;
        mix_chunk(out + at, sources + at, count, samples, n);
    }
}

void ot_scale(int32_t *out, const int32_t *in, float first, float last, size_t samples)
{
    ot_kernel->scale(out, in, first, last, samples);
}
