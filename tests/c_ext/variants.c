/* Compares every variant of the kernels with plain C, bit for bit, on random and extreme samples.
 *
 * Needs only the files of the kernels, so that it can be built for another processor and run under
 * an emulator.  Prints the variants it ran; exit status 1 names the first difference.
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../c_ext/engine.h"
#include "../../c_ext/kernels.h"

enum { SAMPLES = 500, ROWS = 300, GUARD = 64, SEEDS = 4 };

static const ot_kernels *plain;
static const size_t LENGTHS[] = {0, 1, 7, 8, 15, 16, 17, 31, 33, 79, 80, 95, 127, 160, 161, 480, 499};
static const size_t COUNTS[] = {1, 2, 3, 4, 15, 16, 17, 63, 64, 65, 66, 127, 128, 254, 255, 256, 257, 300};

#define EACH(item, list) for (size_t item = 0; item < sizeof(list) / sizeof((list)[0]); item++)

static int16_t pcm[ROWS * SAMPLES];
static int32_t sum[SAMPLES], own32[SAMPLES];
static uint8_t code[SAMPLES];

static uint32_t next_random(void)
{
    static uint32_t state = 1;

    state ^= state << 13;
    state ^= state >> 17;
    return state ^= state << 5;
}

static int16_t any_sample(unsigned seed)
{
    static const int16_t extremes[] = {-32768, 32767, -32767, 0, -1, 1, 255, -256};

    if (seed == 0)
        return -32768;
    if (seed == 1)
        return 32767;
    if (seed == 2)
        return extremes[next_random() % 8];
    return (int16_t)next_random();
}

static void fill(unsigned seed)
{
    for (size_t i = 0; i < ROWS * SAMPLES; i++)
        pcm[i] = any_sample(seed);
    for (size_t i = 0; i < SAMPLES; i++) {
        sum[i] = any_sample(seed) * (int32_t)(next_random() % 9);
        own32[i] = any_sample(seed) * 2;
        code[i] = (uint8_t)(seed == 3 ? i : next_random());
    }
}

static void check(const char *variant, const char *kernel, size_t n, const void *expected,
                  const void *got, size_t octets)
{
    if (memcmp(expected, got, octets) == 0)
        return;
    printf("%s differs from plain C in %s of %zu\n", variant, kernel, n);
    exit(1);
}

/* Runs a kernel that writes `type` in both forms, with a guard behind what it may write. */
#define BOTH(kernel, type, count, ...)                                                            \
    do {                                                                                          \
        type expected[2 * SAMPLES + GUARD], out[2 * SAMPLES + GUARD];                             \
        memset(expected, 0x5A, sizeof(expected));                                                 \
        memset(out, 0x5A, sizeof(out));                                                           \
        run_##kernel(plain, expected, __VA_ARGS__);                                               \
        run_##kernel(k, out, __VA_ARGS__);                                                        \
        check(k->name, #kernel, count, expected, out, sizeof(out));                               \
    } while (0)

#define run_plainly(kernel, k, out, ...) (k)->kernel(out, __VA_ARGS__)
#define run_set16(k, out, n) run_plainly(set16, k, out, pcm, n)
#define run_less16(k, out, n) run_plainly(less16, k, out, sum, pcm, n)
#define run_less32(k, out, n) run_plainly(less32, k, out, sum, own32, n)
#define run_scale(k, out, from, to, n) run_plainly(scale, k, out, sum, from, to, n)
#define run_gain16(k, out, from, to, n) run_plainly(gain16, k, out, pcm, from, to, n)
#define run_interleave(k, out, n) run_plainly(interleave, k, out, pcm, pcm + SAMPLES, n)
#define run_deinterleave(k, out, n) (k)->deinterleave(out, (out) + SAMPLES, pcm, n)
#define run_saturate(k, out, n) run_plainly(saturate, k, out, sum, n)
#define run_minus_self(k, out, n) run_plainly(minus_self, k, out, sum, pcm, n)
#define run_minus_self32(k, out, n) run_plainly(minus_self32, k, out, sum, own32, n)
#define run_ulaw_encode(k, out, n) run_plainly(ulaw_encode, k, out, pcm, n)
#define run_alaw_encode(k, out, n) run_plainly(alaw_encode, k, out, pcm, n)
#define run_ulaw_decode(k, out, n) run_plainly(ulaw_decode, k, out, code, n)
#define run_alaw_decode(k, out, n) run_plainly(alaw_decode, k, out, code, n)
#define run_add16(k, out, n)                                                                      \
    (memcpy(out, sum, (n) * sizeof(*sum)), run_plainly(add16, k, out, pcm, n))
#define run_add32(k, out, n)                                                                      \
    (memcpy(out, sum, (n) * sizeof(*sum)), run_plainly(add32, k, out, own32, n))

static void compare_sums(const ot_kernels *k, size_t n)
{
    BOTH(set16, int32_t, n, n);
    BOTH(add16, int32_t, n, n);
    BOTH(add32, int32_t, n, n);
    BOTH(less16, int32_t, n, n);
    BOTH(less32, int32_t, n, n);
    BOTH(saturate, int16_t, n, n);
    BOTH(minus_self, int16_t, n, n);
    BOTH(minus_self32, int16_t, n, n);
    BOTH(scale, int32_t, n, 0.1F, 3.9F, n);
    BOTH(gain16, int16_t, n, 1.9F, 0.0F, n);
    BOTH(interleave, int16_t, n, n);
    BOTH(deinterleave, int16_t, n, n);
}

static void compare_codes(const ot_kernels *k, size_t n)
{
    BOTH(ulaw_encode, uint8_t, n, n);
    BOTH(alaw_encode, uint8_t, n, n);
    BOTH(ulaw_decode, int16_t, n, n);
    BOTH(alaw_decode, int16_t, n, n);
    uint64_t expected = plain->energy(pcm, n), energy = k->energy(pcm, n);
    check(k->name, "energy", n, &expected, &energy, sizeof(energy));
}

static void compare_mix(const ot_kernels *k, size_t count, size_t n)
{
    static int16_t expected[ROWS * SAMPLES], out[ROWS * SAMPLES];

    plain->mix(expected, pcm, count, SAMPLES, n);
    k->mix(out, pcm, count, SAMPLES, n);
    check(k->name, "mix", count, expected, out, sizeof(out));
    memcpy(out, pcm, sizeof(out));
    memcpy(expected, pcm, sizeof(expected));
    plain->mix(expected, expected, count, SAMPLES, n);
    k->mix(out, out, count, SAMPLES, n);
    check(k->name, "mix in place", count, expected, out, sizeof(out));
    memset(out, 0, sizeof(out));
    memset(expected, 0, sizeof(expected));
}

/* All 65,536 samples through both encoders. */
static void compare_every_sample(const ot_kernels *k)
{
    static uint8_t expected[65536], out[65536];

    for (size_t i = 0; i < 65536; i++)
        pcm[i] = (int16_t)(uint16_t)i;
    plain->ulaw_encode(expected, pcm, 65536);
    k->ulaw_encode(out, pcm, 65536);
    check(k->name, "ulaw_encode", 65536, expected, out, sizeof(out));
    plain->alaw_encode(expected, pcm, 65536);
    k->alaw_encode(out, pcm, 65536);
    check(k->name, "alaw_encode", 65536, expected, out, sizeof(out));
}

static void compare(const ot_kernels *k)
{
    for (unsigned seed = 0; seed < SEEDS; seed++) {
        fill(seed);
        EACH(length, LENGTHS) {
            compare_sums(k, LENGTHS[length]);
            compare_codes(k, LENGTHS[length]);
        }
        EACH(count, COUNTS)
            compare_mix(k, COUNTS[count], LENGTHS[next_random() % 17]);
        compare_mix(k, 66, 160);
        compare_mix(k, 300, 499);
    }
    compare_every_sample(k);
}

int main(void)
{
    ot_cpu_select(0);
    plain = ot_kernel;
    for (uint32_t variant = 0; ot_cpu_select(variant) == 0; variant++) {
        compare(ot_kernel);
        printf("%s ", ot_kernel->name);
    }
    printf("\n");
    return 0;
}
