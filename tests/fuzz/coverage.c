/* Tells libFuzzer which blocks were run, for code compiled with -fsanitize-coverage=trace-pc.
 *
 * libFuzzer wants a counter per block, from a compiler that lays counters out (clang).  gcc only
 * calls a function per block; run.py renames that call to ot_fuzz_block, which hands out the
 * counters as blocks are first seen.  So the fuzzer needs three megabytes of clang, not seventy.
 */
#include <stddef.h>
#include <stdint.h>

enum { BLOCKS = 1 << 15, BLOCKS_BITS = 15 };

typedef struct {
    uintptr_t address;
    uintptr_t flags;
} block;

static uint8_t counters[BLOCKS];
static block blocks[BLOCKS];

void __sanitizer_cov_8bit_counters_init(uint8_t *first, uint8_t *end);
void __sanitizer_cov_pcs_init(const uintptr_t *first, const uintptr_t *end);
void __sanitizer_cov_trace_cmpf(float a, float b);
void __sanitizer_cov_trace_cmpd(double a, double b);
void ot_fuzz_block(void);

__attribute__((constructor)) static void announce(void)
{
    __sanitizer_cov_8bit_counters_init(counters, counters + BLOCKS);
    __sanitizer_cov_pcs_init(&blocks[0].address, &blocks[0].address + 2 * BLOCKS);
}

void ot_fuzz_block(void)
{
    uintptr_t address = (uintptr_t)__builtin_return_address(0);
    size_t at = (size_t)(address * 0x9E3779B97F4A7C15ULL >> (64 - BLOCKS_BITS));

    while (blocks[at].address != address && blocks[at].address != 0)
        at = (at + 1) % BLOCKS;
    blocks[at].address = address;
    counters[at]++;
}

/* gcc also tells of floats that are compared; libFuzzer has no ear for those. */
void __sanitizer_cov_trace_cmpf(float a, float b)
{
    (void)a;
    (void)b;
}

void __sanitizer_cov_trace_cmpd(double a, double b)
{
    (void)a;
    (void)b;
}
