/* ITU-T G.711, both laws, as arithmetic that a compiler can run eight samples at a time.
 *
 * A law is a float in disguise: segment = exponent, four bits = mantissa.  Converting the
 * magnitude to float puts both where a shift finds them, exactly, since magnitudes are < 2^24.
 * The encoders follow the ITU-T software tool library: negatives by one's complement, u-law from
 * the upper 14 bits, A-law from the upper 12 (in place of 13 with the sign).
 */
#include <string.h>

#include "engine.h"
#include "kernels.h"

enum { EXPONENT_BIAS = 127, CODE_SHIFT = 19 /* exponent and four bits of a float's mantissa */ };

OT_BODY int32_t float_bits(int32_t value)
{
    float as_float = (float)value;
    int32_t bits;

    memcpy(&bits, &as_float, sizeof(bits));
    return bits;
}

OT_BODY int32_t bits_value(int32_t bits)
{
    float as_float;

    memcpy(&as_float, &bits, sizeof(as_float));
    return (int32_t)as_float;
}

OT_BODY uint8_t ulaw_code(int16_t sample)
{
    int32_t sign = sample >> 15; /* 0 or -1 */
    int32_t magnitude = ((sample ^ sign) >> 2) + 33;

    magnitude = magnitude > 0x1FFF ? 0x1FFF : magnitude;
    int32_t positive = (float_bits(magnitude) >> CODE_SHIFT) - ((EXPONENT_BIAS + 5) << 4);
    return (uint8_t)~(positive | (sign & 0x80));
}

OT_BODY int16_t ulaw_value(uint8_t code)
{
    int32_t plain = ~code;
    int32_t bits = (((plain & 0x7F) + ((EXPONENT_BIAS + 5) << 4)) << CODE_SHIFT) | (1 << 18);
    int32_t magnitude = (bits_value(bits) - 33) << 2;
    int32_t sign = -((plain >> 7) & 1);

    return (int16_t)((magnitude ^ sign) - sign);
}

OT_BODY uint8_t alaw_code(int16_t sample)
{
    int32_t sign = sample >> 15;
    int32_t magnitude = (sample ^ sign) >> 4;
    int32_t curved = (float_bits(magnitude) >> CODE_SHIFT) - ((EXPONENT_BIAS + 3) << 4);
    int32_t positive = magnitude < 16 ? magnitude : curved;

    return (uint8_t)((positive | (~sign & 0x80)) ^ 0x55);
}

OT_BODY int16_t alaw_value(uint8_t code)
{
    int32_t plain = code ^ 0x55;
    int32_t positive = plain & 0x7F;
    int32_t bits = ((positive + ((EXPONENT_BIAS + 4) << 4)) << CODE_SHIFT) | (1 << 18);
    int32_t magnitude = positive < 16 ? 2 * positive + 1 : bits_value(bits);
    int32_t sign = ((plain >> 7) & 1) - 1; /* a set bit is positive */

    return (int16_t)(((magnitude << 3) ^ sign) - sign);
}

/* The plain kernels of one law; simd_kernels.h does the same with vectors. */
#define LAW(law)                                                                                  \
    void ot_k_##law##_encode_base(uint8_t *code, const int16_t *pcm, size_t n)                    \
    {                                                                                             \
        for (size_t i = 0; i < n; i++)                                                            \
            code[i] = law##_code(pcm[i]);                                                         \
    }                                                                                             \
    void ot_k_##law##_decode_base(int16_t *pcm, const uint8_t *code, size_t n)                    \
    {                                                                                             \
        for (size_t i = 0; i < n; i++)                                                            \
            pcm[i] = law##_value(code[i]);                                                        \
    }                                                                                             \
    void ot_##law##_encode(uint8_t *code, const int16_t *pcm, size_t samples)                     \
    {                                                                                             \
        ot_kernel->law##_encode(code, pcm, samples);                                              \
    }                                                                                             \
    void ot_##law##_decode(int16_t *pcm, const uint8_t *code, size_t samples)                     \
    {                                                                                             \
        ot_kernel->law##_decode(pcm, code, samples);                                              \
    }

LAW(ulaw)
LAW(alaw)
