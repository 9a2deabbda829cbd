/* The vector kernels for AVX-512 with words (BW), whose zip and pack keep to quarters. */
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define OT_ISA avx512
#define OT_REST avx2
#define OT_TARGET __attribute__((target("avx512f,avx512bw,avx512vl,avx512dq")))
#define OT_OCTETS 64
#include "simd_types.h"

enum { BLOCK_VECTORS = 2 /* wider is slower: the lines of many rows no longer stay near */ };

OT_OP v16 adds(v16 a, v16 b) { return (v16)_mm512_adds_epi16((__m512i)a, (__m512i)b); }
OT_OP v16 subs(v16 a, v16 b) { return (v16)_mm512_subs_epi16((__m512i)a, (__m512i)b); }
OT_OP v16 zip_low(v16 a, v16 b) { return (v16)_mm512_unpacklo_epi16((__m512i)a, (__m512i)b); }
OT_OP v16 zip_high(v16 a, v16 b) { return (v16)_mm512_unpackhi_epi16((__m512i)a, (__m512i)b); }
OT_OP v16 pack(v32 low, v32 high) { return (v16)_mm512_packs_epi32((__m512i)low, (__m512i)high); }

OT_OP v16 narrow(v32 first, v32 second)
{
    const __m512i quarters_in_order = _mm512_setr_epi64(0, 2, 4, 6, 1, 3, 5, 7);
    return (v16)_mm512_permutexvar_epi64(quarters_in_order, (__m512i)pack(first, second));
}

OT_OP v32 load_wide(const int16_t *at)
{
    return (v32)_mm512_cvtepi16_epi32(_mm256_loadu_si256((const __m256i_u *)at));
}

OT_OP v16 load_codes(const uint8_t *at)
{
    return (v16)_mm512_cvtepu8_epi16(_mm256_loadu_si256((const __m256i_u *)at));
}

OT_OP void store_codes(uint8_t *at, v16 codes)
{
    _mm256_storeu_si256((__m256i_u *)at, _mm512_cvtepi16_epi8((__m512i)codes));
}

OT_OP vfloat limit(vfloat value, float most)
{
    __m512 below = _mm512_min_ps((__m512)value, _mm512_set1_ps(most));
    return (vfloat)_mm512_max_ps(below, _mm512_set1_ps(-most));
}

OT_OP void store_narrow(int16_t *at, v32 value)
{
    _mm256_storeu_si256((__m256i_u *)at, _mm512_cvtsepi32_epi16((__m512i)value));
}

OT_OP vu64 add_squares(vu64 energy, v16 x)
{
    vu64 pairs = (vu64)_mm512_madd_epi16((__m512i)x, (__m512i)x); /* at most 2^31: unsigned */
    return energy + (pairs & 0xFFFFFFFFU) + (pairs >> 32);
}

#define OT_OWN_ENERGY
#include "simd_kernels.h"

/* A masked load costs nothing and 80 samples are two vectors and a half; masked stores do cost,
 * so the kernels that store leave the half to AVX2. */
OT_TARGET uint64_t ot_k_energy_avx512(const int16_t *pcm, size_t n)
{
    vu64 energy = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        energy = add_squares(energy, load16(pcm + i));
    __mmask32 left = (1U << (n - i)) - 1;
    energy = add_squares(energy, (v16)_mm512_maskz_loadu_epi16(left, pcm + i));
    return (uint64_t)_mm512_reduce_add_epi64((__m512i)energy);
}
#endif
