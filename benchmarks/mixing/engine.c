/* The engine's mix, by the processor's best kernels or by those that are named.
 *
 *     engine N FRAMES [VARIANT]
 */
#include "engine.h"

#include <string.h>

#include "work.h"

static int16_t voices[STREAMS_MAX * FRAME_SAMPLES] __attribute__((aligned(64)));
static int16_t heard[STREAMS_MAX * FRAME_SAMPLES] __attribute__((aligned(64)));

static void mix(void *context)
{
    const work *asked = context;

    ot_mix_minus_self(heard, voices, (size_t)asked->streams, FRAME_SAMPLES);
}

static void select_variant(const char *name)
{
    uint32_t variant = 0;

    while (variant < ot_cpu_variants() && strcmp(ot_cpu_name(variant), name) != 0)
        variant++;
    if (ot_cpu_select(variant) != 0)
        give_up("this processor has no such instructions");
}

/* A figure counts only for the right sound. */
static void check(int streams)
{
    static int16_t expected[STREAMS_MAX * FRAME_SAMPLES];

    mix_plainly(expected, voices, streams);
    if (memcmp(expected, heard, sizeof(expected)) != 0)
        give_up("the mix is not the sum of the others");
}

int main(int argc, char **argv)
{
    work asked = read_work(argc, argv);

    if (argc > 3)
        select_variant(argv[3]);
    fill_voices(voices, asked.streams);
    measure(asked, mix, &asked);
    check(asked.streams);
    return 0;
}
