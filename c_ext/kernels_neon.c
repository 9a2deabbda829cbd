/* The vector kernels for every 64-bit ARM. */
#include "kernels.h"

#if defined(__aarch64__)
#include <arm_neon.h>

#define OT_ISA neon
#define OT_REST base
#define OT_TARGET
#define OT_OCTETS 16
#include "simd_types.h"

enum { BLOCK_VECTORS = 5 /* 80 samples are two blocks */ };

OT_OP v16 adds(v16 a, v16 b) { return (v16)vqaddq_s16((int16x8_t)a, (int16x8_t)b); }
OT_OP v16 subs(v16 a, v16 b) { return (v16)vqsubq_s16((int16x8_t)a, (int16x8_t)b); }
OT_OP v16 zip_low(v16 a, v16 b) { return (v16)vzip1q_s16((int16x8_t)a, (int16x8_t)b); }
OT_OP v16 zip_high(v16 a, v16 b) { return (v16)vzip2q_s16((int16x8_t)a, (int16x8_t)b); }

OT_OP v16 pack(v32 low, v32 high)
{
    return (v16)vqmovn_high_s32(vqmovn_s32((int32x4_t)low), (int32x4_t)high);
}

OT_OP v16 narrow(v32 first, v32 second) { return pack(first, second); }
OT_OP v32 load_wide(const int16_t *at) { return (v32)vmovl_s16(vld1_s16(at)); }
OT_OP v16 load_codes(const uint8_t *at) { return (v16)vmovl_u8(vld1_u8(at)); }
OT_OP void store_codes(uint8_t *at, v16 codes) { vst1_u8(at, vmovn_u16((uint16x8_t)codes)); }

OT_OP vfloat limit(vfloat value, float most)
{
    float32x4_t below = vminq_f32((float32x4_t)value, vdupq_n_f32(most));
    return (vfloat)vmaxq_f32(below, vdupq_n_f32(-most));
}

OT_OP void store_narrow(int16_t *at, v32 value) { vst1_s16(at, vqmovn_s32((int32x4_t)value)); }

OT_OP vu64 add_squares(vu64 energy, v16 x)
{
    int16x8_t samples = (int16x8_t)x;
    int32x4_t low = vmull_s16(vget_low_s16(samples), vget_low_s16(samples));
    int32x4_t high = vmull_high_s16(samples, samples);
    uint64x2_t sum = vpadalq_u32((uint64x2_t)energy, vreinterpretq_u32_s32(low));
    return (vu64)vpadalq_u32(sum, vreinterpretq_u32_s32(high));
}

OT_OP uint64_t total(vu64 energy) { return energy[0] + energy[1]; }

#include "simd_kernels.h"
#endif
