/* The same mix in plain C for the compiler to make the best of, or, with a third argument, only the
 * copying of every stream: what no mix can beat.
 */
#include <string.h>

#include "work.h"

static int16_t voices[STREAMS_MAX * FRAME_SAMPLES] __attribute__((aligned(64)));
static int16_t heard[STREAMS_MAX * FRAME_SAMPLES] __attribute__((aligned(64)));

static void mix(void *context)
{
    const work *asked = context;

    mix_plainly(heard, voices, asked->streams);
    __asm__ volatile("" ::: "memory");
}

static void copy(void *context)
{
    const work *asked = context;

    memcpy(heard, voices, (size_t)asked->streams * FRAME_SAMPLES * sizeof(*heard));
    __asm__ volatile("" ::: "memory");
}

int main(int argc, char **argv)
{
    work asked = read_work(argc, argv);

    fill_voices(voices, asked.streams);
    measure(asked, argc > 3 ? copy : mix, &asked);
    return 0;
}
