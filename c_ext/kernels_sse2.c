/* The vector kernels for every x86-64. */
#include "kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define OT_ISA sse2
#define OT_REST base
#define OT_TARGET __attribute__((target("sse2")))
#define OT_OCTETS 16
#include "simd_types.h"

enum { BLOCK_VECTORS = 5 /* 80 samples are two blocks */ };

OT_OP v16 adds(v16 a, v16 b) { return (v16)_mm_adds_epi16((__m128i)a, (__m128i)b); }
OT_OP v16 subs(v16 a, v16 b) { return (v16)_mm_subs_epi16((__m128i)a, (__m128i)b); }
OT_OP v16 zip_low(v16 a, v16 b) { return (v16)_mm_unpacklo_epi16((__m128i)a, (__m128i)b); }
OT_OP v16 zip_high(v16 a, v16 b) { return (v16)_mm_unpackhi_epi16((__m128i)a, (__m128i)b); }
OT_OP v16 pack(v32 low, v32 high) { return (v16)_mm_packs_epi32((__m128i)low, (__m128i)high); }
OT_OP v16 narrow(v32 first, v32 second) { return pack(first, second); }

OT_OP v32 load_wide(const int16_t *at)
{
    __m128i twice = _mm_loadl_epi64((const __m128i *)at);
    return (v32)_mm_srai_epi32(_mm_unpacklo_epi16(twice, twice), 16);
}

OT_OP v16 load_codes(const uint8_t *at)
{
    return (v16)_mm_unpacklo_epi8(_mm_loadl_epi64((const __m128i *)at), _mm_setzero_si128());
}

OT_OP void store_codes(uint8_t *at, v16 codes)
{
    _mm_storel_epi64((__m128i *)at, _mm_packus_epi16((__m128i)codes, (__m128i)codes));
}

OT_OP vfloat limit(vfloat value, float most)
{
    return (vfloat)_mm_max_ps(_mm_min_ps((__m128)value, _mm_set1_ps(most)), _mm_set1_ps(-most));
}

OT_OP void store_narrow(int16_t *at, v32 value)
{
    _mm_storel_epi64((__m128i *)at, (__m128i)pack(value, value));
}

OT_OP vu64 add_squares(vu64 energy, v16 x)
{
    vu64 pairs = (vu64)_mm_madd_epi16((__m128i)x, (__m128i)x); /* at most 2^31: unsigned */
    return energy + (pairs & 0xFFFFFFFFU) + (pairs >> 32);
}

OT_OP uint64_t total(vu64 energy) { return energy[0] + energy[1]; }

#include "simd_kernels.h"
#endif
