/* The vector kernels for AVX2, whose zip and pack keep to halves of 16 octets. */
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define OT_ISA avx2
#define OT_REST sse2
#define OT_TARGET OT_TARGET_AVX2
#define OT_OCTETS 32
#include "simd_types.h"

enum { BLOCK_VECTORS = 5 /* 80 samples are one block */ };

enum { HALVES_IN_ORDER = 0xD8 /* quarters 0, 2, 1, 3 */ };

OT_OP v16 adds(v16 a, v16 b) { return (v16)_mm256_adds_epi16((__m256i)a, (__m256i)b); }
OT_OP v16 subs(v16 a, v16 b) { return (v16)_mm256_subs_epi16((__m256i)a, (__m256i)b); }
OT_OP v16 zip_low(v16 a, v16 b) { return (v16)_mm256_unpacklo_epi16((__m256i)a, (__m256i)b); }
OT_OP v16 zip_high(v16 a, v16 b) { return (v16)_mm256_unpackhi_epi16((__m256i)a, (__m256i)b); }
OT_OP v16 pack(v32 low, v32 high) { return (v16)_mm256_packs_epi32((__m256i)low, (__m256i)high); }

OT_OP v16 narrow(v32 first, v32 second)
{
    return (v16)_mm256_permute4x64_epi64((__m256i)pack(first, second), HALVES_IN_ORDER);
}

OT_OP v32 load_wide(const int16_t *at)
{
    return (v32)_mm256_cvtepi16_epi32(_mm_loadu_si128((const __m128i_u *)at));
}

OT_OP v16 load_codes(const uint8_t *at)
{
    return (v16)_mm256_cvtepu8_epi16(_mm_loadu_si128((const __m128i_u *)at));
}

OT_OP void store_codes(uint8_t *at, v16 codes)
{
    __m128i high = _mm256_extracti128_si256((__m256i)codes, 1);
    __m128i both = _mm_packus_epi16(_mm256_castsi256_si128((__m256i)codes), high);
    _mm_storeu_si128((__m128i_u *)at, both);
}

OT_OP vfloat limit(vfloat value, float most)
{
    __m256 below = _mm256_min_ps((__m256)value, _mm256_set1_ps(most));
    return (vfloat)_mm256_max_ps(below, _mm256_set1_ps(-most));
}

OT_OP void store_narrow(int16_t *at, v32 value)
{
    __m128i high = _mm256_extracti128_si256((__m256i)value, 1);
    __m128i both = _mm_packs_epi32(_mm256_castsi256_si128((__m256i)value), high);
    _mm_storeu_si128((__m128i_u *)at, both);
}

OT_OP vu64 add_squares(vu64 energy, v16 x)
{
    vu64 pairs = (vu64)_mm256_madd_epi16((__m256i)x, (__m256i)x); /* at most 2^31: unsigned */
    return energy + (pairs & 0xFFFFFFFFU) + (pairs >> 32);
}

OT_OP uint64_t total(vu64 energy)
{
    __m128i high = _mm256_extracti128_si256((__m256i)energy, 1);
    __m128i pair = _mm_add_epi64(_mm256_castsi256_si128((__m256i)energy), high);
    return (uint64_t)_mm_cvtsi128_si64(pair) + (uint64_t)_mm_extract_epi64(pair, 1);
}

#include "simd_kernels.h"
#endif
