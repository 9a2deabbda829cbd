/* Which kernels this processor runs. */
#include "kernels.h"

#include <errno.h>

#include "engine.h"

/* `loops` came from one body, `vectors` were written for the instruction set. */
#define TABLE(title, loops, vectors)                                                               \
    {                                                                                              \
        .name = #title, .set16 = ot_k_set16_##loops, .add16 = ot_k_add16_##loops,                  \
        .add32 = ot_k_add32_##loops, .less16 = ot_k_less16_##loops,                                \
        .less32 = ot_k_less32_##loops, .scale = ot_k_scale_##vectors,                                \
        .gain16 = ot_k_gain16_##vectors, .interleave = ot_k_interleave_##loops,                      \
        .deinterleave = ot_k_deinterleave_##loops, .saturate = ot_k_saturate_##vectors,            \
        .minus_self = ot_k_minus_self_##vectors, .minus_self32 = ot_k_minus_self32_##vectors,      \
        .mix = ot_k_mix_##vectors, .energy = ot_k_energy_##vectors,                                \
        .ulaw_encode = ot_k_ulaw_encode_##vectors, .alaw_encode = ot_k_alaw_encode_##vectors,      \
        .ulaw_decode = ot_k_ulaw_decode_##vectors, .alaw_decode = ot_k_alaw_decode_##vectors,      \
    }

/* Each runs wherever the one after it does. */
static const ot_kernels VARIANTS[] = {
    TABLE(base, base, base),
#if defined(__x86_64__)
    TABLE(sse2, base, sse2),
    TABLE(avx2, avx2, avx2),
    TABLE(avx512, avx2, avx512),
#elif defined(__aarch64__)
    TABLE(neon, base, neon),
#endif
};

const ot_kernels *ot_kernel = &VARIANTS[0];

uint32_t ot_cpu_variants(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (!__builtin_cpu_supports("avx2"))
        return 2;
    int wide = __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
               __builtin_cpu_supports("avx512vl") && __builtin_cpu_supports("avx512dq");
    return wide ? 4 : 3;
#else
    return sizeof(VARIANTS) / sizeof(VARIANTS[0]);
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
