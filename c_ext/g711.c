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

OT_BODY void ot_k_ulaw_encode_body(uint8_t *code, const int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sign = pcm[i] >> 15; /* 0 or -1 */
        int32_t magnitude = ((pcm[i] ^ sign) >> 2) + 33;
        magnitude = magnitude > 0x1FFF ? 0x1FFF : magnitude;
        int32_t positive = (float_bits(magnitude) >> CODE_SHIFT) - ((EXPONENT_BIAS + 5) << 4);
        code[i] = (uint8_t)~(positive | (sign & 0x80));
    }
}

OT_BODY void ot_k_ulaw_decode_body(int16_t *pcm, const uint8_t *code, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t plain = ~code[i];
        int32_t bits = (((plain & 0x7F) + ((EXPONENT_BIAS + 5) << 4)) << CODE_SHIFT) | (1 << 18);
        int32_t magnitude = (bits_value(bits) - 33) << 2;
        int32_t sign = -((plain >> 7) & 1);
        pcm[i] = (int16_t)((magnitude ^ sign) - sign);
    }
}

OT_BODY void ot_k_alaw_encode_body(uint8_t *code, const int16_t *pcm, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t sign = pcm[i] >> 15;
        int32_t magnitude = (pcm[i] ^ sign) >> 4;
        int32_t curved = (float_bits(magnitude) >> CODE_SHIFT) - ((EXPONENT_BIAS + 3) << 4);
        int32_t positive = magnitude < 16 ? magnitude : curved;
        code[i] = (uint8_t)((positive | (~sign & 0x80)) ^ 0x55);
    }
}

OT_BODY void ot_k_alaw_decode_body(int16_t *pcm, const uint8_t *code, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        int32_t plain = code[i] ^ 0x55;
        int32_t positive = plain & 0x7F;
        int32_t bits = ((positive + ((EXPONENT_BIAS + 4) << 4)) << CODE_SHIFT) | (1 << 18);
        int32_t magnitude = positive < 16 ? 2 * positive + 1 : bits_value(bits);
        int32_t sign = ((plain >> 7) & 1) - 1; /* a set bit is positive */
        pcm[i] = (int16_t)(((magnitude << 3) ^ sign) - sign);
    }
}

OT_VARIANTS(void, ot_k_ulaw_encode, (uint8_t * code, const int16_t *pcm, size_t n), (code, pcm, n))
OT_VARIANTS(void, ot_k_ulaw_decode, (int16_t * pcm, const uint8_t *code, size_t n), (pcm, code, n))
OT_VARIANTS(void, ot_k_alaw_encode, (uint8_t * code, const int16_t *pcm, size_t n), (code, pcm, n))
OT_VARIANTS(void, ot_k_alaw_decode, (int16_t * pcm, const uint8_t *code, size_t n), (pcm, code, n))

void ot_ulaw_encode(uint8_t *code, const int16_t *pcm, size_t samples)
{
    ot_kernel->ulaw_encode(code, pcm, samples);
}

void ot_ulaw_decode(int16_t *pcm, const uint8_t *code, size_t samples)
{
    ot_kernel->ulaw_decode(pcm, code, samples);
}

void ot_alaw_encode(uint8_t *code, const int16_t *pcm, size_t samples)
{
    ot_kernel->alaw_encode(code, pcm, samples);
}

void ot_alaw_decode(int16_t *pcm, const uint8_t *code, size_t samples)
{
    ot_kernel->alaw_decode(pcm, code, samples);
}
