/* The kernels over vectors, written once; simd_types.h says how a file makes them its own.
 *
 * Whole vectors are done here; the samples left over go to the next narrower kernels, OT_REST.
 */
#define OT_JOIN_(name, suffix) ot_k_##name##_##suffix
#define OT_JOIN(name, suffix) OT_JOIN_(name, suffix)
#define OT_KERNEL(name) OT_JOIN(name, OT_ISA)
#define OT_LEFT_OVER(name) OT_JOIN(name, OT_REST)

/* -- mixing -------------------------------------------------------------------------------- */

enum { GROUP_ROWS = 255 /* the sums of so many upper and lower octets fit in 16 bits */ };

/* The sum S of a column in two 16-bit parts: first = sat(S), second = sat(S - first).  For every
 * 16-bit x, adds(subs(first, x), second) = sat(S - x).  Where S fits, second is 0 and subs does it
 * all.  Where S is above, first is the largest sample: subs saturates only upwards, where S - x is
 * too, and else second adds what S has beyond first.  Below it is the same upside down. */
typedef struct {
    v16 first;
    v16 second;
} split_sum;

/* A sum of 16-bit samples that needs no wider lanes: `low` is the sum modulo 2^16, `high` the sum
 * of the upper octets.  Half the instructions of widening every sample, and half the registers. */
typedef struct {
    vu16 low;
    v16 high;
} octet_sum;

typedef struct {
    v32 low;
    v32 high;
} wide_sum;

/* S = 256 high + lower octets, and low = S modulo 2^16: low below 256 high means a carry. */
OT_OP wide_sum widen(octet_sum sum)
{
    vu16 from_upper = (vu16)sum.high << 8;
    v16 carry = (v16)(sum.low < from_upper); /* 0 or -1 */
    v16 upper = (sum.high >> 8) - carry;
    v16 lower = (v16)sum.low;

    return (wide_sum){(v32)zip_low(lower, upper), (v32)zip_high(lower, upper)};
}

OT_OP split_sum split(wide_sum sum)
{
    v16 first = pack(sum.low, sum.high);
    v16 sign = first >> 15;

    sum.low -= (v32)zip_low(first, sign);
    sum.high -= (v32)zip_high(first, sign);
    return (split_sum){first, pack(sum.low, sum.high)};
}

OT_OP void add_rows(octet_sum *sum, const int16_t *row, size_t rows, size_t stride,
                    const int vectors)
{
#pragma GCC unroll 8
    for (int i = 0; i < vectors; i++)
        sum[i] = (octet_sum){{0}, {0}};
    for (size_t left = rows; left != 0; left--, row += stride) {
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) {
            v16 x = load16(row + i * LANES);
            sum[i].low += (vu16)x;
            sum[i].high += x >> 8;
        }
    }
}

/* More rows than 16 bits can count are added group by group. */
OT_OP void split_rows(split_sum *all, const int16_t *sources, size_t count, size_t stride,
                      const int vectors)
{
    wide_sum wide[BLOCK_VECTORS] = {{{0}, {0}}};

    while (count != 0) {
        octet_sum group[BLOCK_VECTORS];
        size_t rows = count < GROUP_ROWS ? count : GROUP_ROWS;
        add_rows(group, sources, rows, stride, vectors);
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++) {
            wide_sum more = widen(group[i]);
            wide[i].low += more.low;
            wide[i].high += more.high;
        }
        sources += rows * stride;
        count -= rows;
    }
#pragma GCC unroll 8
    for (int i = 0; i < vectors; i++)
        all[i] = split(wide[i]);
}

OT_OP void mix_block(int16_t *out, const int16_t *sources, size_t count, size_t stride,
                     const int vectors)
{
    split_sum all[BLOCK_VECTORS];

    split_rows(all, sources, count, stride, vectors);
    for (; count != 0; count--, sources += stride, out += stride) {
        v16 x[BLOCK_VECTORS]; /* all before the first store: out may be the sources */
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++)
            x[i] = adds(subs(all[i].first, load16(sources + i * LANES)), all[i].second);
#pragma GCC unroll 8
        for (int i = 0; i < vectors; i++)
            store16(out + i * LANES, x[i]);
    }
}

OT_TARGET void OT_KERNEL(mix)(int16_t *out, const int16_t *sources, size_t count, size_t stride,
                              size_t n)
{
    size_t i = 0;

    for (; i + BLOCK_VECTORS * LANES <= n; i += BLOCK_VECTORS * LANES)
        mix_block(out + i, sources + i, count, stride, BLOCK_VECTORS);
    for (; i + LANES <= n; i += LANES)
        mix_block(out + i, sources + i, count, stride, 1);
    if (i < n)
        OT_LEFT_OVER(mix)(out + i, sources + i, count, stride, n - i);
}

OT_TARGET void OT_KERNEL(saturate)(int16_t *out, const int32_t *in, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        store16(out + i, narrow(load32(in + i), load32(in + i + HALF)));
    if (i < n)
        OT_LEFT_OVER(saturate)(out + i, in + i, n - i);
}

OT_TARGET void OT_KERNEL(minus_self)(int16_t *out, const int32_t *sum, const int16_t *own, size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        store16(out + i, narrow(load32(sum + i) - load_wide(own + i),
                                load32(sum + i + HALF) - load_wide(own + i + HALF)));
    if (i < n)
        OT_LEFT_OVER(minus_self)(out + i, sum + i, own + i, n - i);
}

OT_TARGET void OT_KERNEL(minus_self32)(int16_t *out, const int32_t *sum, const int32_t *own,
                                       size_t n)
{
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        store16(out + i, narrow(load32(sum + i) - load32(own + i),
                                load32(sum + i + HALF) - load32(own + i + HALF)));
    if (i < n)
        OT_LEFT_OVER(minus_self32)(out + i, sum + i, own + i, n - i);
}

/* -- gain ---------------------------------------------------------------------------------- */

OT_OP v32 scaled(v32 sample, vfloat gain)
{
    vfloat value = limit(__builtin_convertvector(sample, vfloat) * gain, OT_SCALED_MAX);
    v32 half = (v32)((vfloat){0} + 0.5F);
    v32 sign = (v32)value & INT32_MIN;

    return __builtin_convertvector(value + (vfloat)(half | sign), v32);
}

OT_OP v32 first_positions(void)
{
    v32 positions;

    for (int i = 0; i < HALF; i++)
        positions[i] = i + 1;
    return positions;
}

OT_OP vfloat gains(float first, float step, v32 positions)
{
    return first + step * __builtin_convertvector(positions, vfloat);
}

OT_TARGET void OT_KERNEL(scale)(int32_t *out, const int32_t *in, float first, float last, size_t n)
{
    float step = ot_gain_step(first, last, n);
    v32 positions = first_positions();
    size_t i = 0;

    for (; i + HALF <= n; i += HALF, positions += HALF)
        store32(out + i, scaled(load32(in + i), gains(first, step, positions)));
    for (; i < n; i++)
        out[i] = ot_scaled(in[i], ot_gain_at(first, step, i));
}

OT_TARGET void OT_KERNEL(gain16)(int16_t *out, const int16_t *in, float first, float last, size_t n)
{
    float step = ot_gain_step(first, last, n);
    v32 positions = first_positions();
    size_t i = 0;

    for (; i + HALF <= n; i += HALF, positions += HALF)
        store_narrow(out + i, scaled(load_wide(in + i), gains(first, step, positions)));
    for (; i < n; i++)
        out[i] = ot_saturated(ot_scaled(in[i], ot_gain_at(first, step, i)));
}

/* -- energy -------------------------------------------------------------------------------- */

#ifndef OT_OWN_ENERGY
OT_TARGET uint64_t OT_KERNEL(energy)(const int16_t *pcm, size_t n)
{
    vu64 energy = {0};
    size_t i = 0;

    for (; i + LANES <= n; i += LANES)
        energy = add_squares(energy, load16(pcm + i));
    return total(energy) + (i < n ? OT_LEFT_OVER(energy)(pcm + i, n - i) : 0);
}
#endif

/* -- G.711 (g711.c explains the float) ------------------------------------------------------ */

enum {
    BIAS = 127,
    CODE_SHIFT = 19,    /* below exponent and four bits of a float's mantissa */
    ULAW_OFFSET = 33 * 4,
    MIDDLE = 4          /* half a step of the mantissa, in the upper half of a float's bits */
};

/* Exponent and four bits of mantissa of each magnitude as a float. */
OT_OP v16 curve(v16 magnitude)
{
    v16 zero = {0};
    vfloat low = __builtin_convertvector((v32)zip_low(magnitude, zero), vfloat);
    vfloat high = __builtin_convertvector((v32)zip_high(magnitude, zero), vfloat);

    return pack((v32)low >> CODE_SHIFT, (v32)high >> CODE_SHIFT);
}

/* The magnitudes of floats whose upper halves these are. */
OT_OP v16 uncurve(v16 upper)
{
    v16 zero = {0};
    v32 low = __builtin_convertvector((vfloat)zip_low(zero, upper), v32);
    v32 high = __builtin_convertvector((vfloat)zip_high(zero, upper), v32);

    return pack(low, high);
}

/* The two bits that the law does not look at are below those of the mantissa: left in. */
OT_OP v16 ulaw_code(v16 x)
{
    v16 sign = x >> 15;
    v16 most = (v16){0} + ULAW_OFFSET;
    v16 positive = curve(adds(x ^ sign, most)) - ((BIAS + 7) << 4);

    return ~(positive | (sign & 0x80)) & 0xFF;
}

/* Below 256 the law is a line: there the code is the magnitude itself, a step of 16 each. */
OT_OP v16 alaw_code(v16 x)
{
    v16 sign = x >> 15;
    v16 magnitude = x ^ sign;
    v16 curved = curve(magnitude) - ((BIAS + 7) << 4);
    v16 line = magnitude >> 4;
    v16 is_line = line < 16;

    return (((line & is_line) | (curved & ~is_line)) | (~sign & 0x80)) ^ 0x55;
}

OT_OP v16 ulaw_value(v16 code)
{
    v16 plain = ~code;
    v16 upper = ((plain & 0x7F) << 3) + (((BIAS + 7) << 7) | MIDDLE);
    v16 sign = (v16)((vu16)plain << 8) >> 15;

    return ((uncurve(upper) - ULAW_OFFSET) ^ sign) - sign;
}

OT_OP v16 alaw_value(v16 code)
{
    v16 plain = code ^ 0x55;
    v16 positive = plain & 0x7F;
    v16 curved = uncurve((positive << 3) + (((BIAS + 7) << 7) | MIDDLE));
    v16 line = (positive << 4) + 8;
    v16 is_line = positive < 16;
    v16 sign = ~((v16)((vu16)plain << 8) >> 15);

    return (((line & is_line) | (curved & ~is_line)) ^ sign) - sign;
}

#define OT_LAW(law)                                                                               \
    OT_TARGET void OT_KERNEL(law##_encode)(uint8_t *code, const int16_t *pcm, size_t n)           \
    {                                                                                             \
        size_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES)                                                        \
            store_codes(code + i, law##_code(load16(pcm + i)));                                   \
        if (i < n)                                                                                \
            OT_LEFT_OVER(law##_encode)(code + i, pcm + i, n - i);                                 \
    }                                                                                             \
    OT_TARGET void OT_KERNEL(law##_decode)(int16_t *pcm, const uint8_t *code, size_t n)           \
    {                                                                                             \
        size_t i = 0;                                                                             \
        for (; i + LANES <= n; i += LANES)                                                        \
            store16(pcm + i, law##_value(load_codes(code + i)));                                  \
        if (i < n)                                                                                \
            OT_LEFT_OVER(law##_decode)(pcm + i, code + i, n - i);                                 \
    }

OT_LAW(ulaw)
OT_LAW(alaw)
