/* What every program of this benchmark does: N streams, 160 samples each (20 ms at 8 kHz).
 *
 *     program N FRAMES
 *
 * It runs a tenth of FRAMES, and ten, to warm up, measures FRAMES, and prints the CPU time of the whole
 * process, all threads, in nanoseconds per stream and frame.
 */
#ifndef WORK_H
#define WORK_H

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

enum { FRAME_SAMPLES = 160, RATE_HZ = 8000, PTIME_MS = 20, STREAMS_MAX = 256 };

typedef struct {
    int streams;
    int frames;
} work;

static inline void give_up(const char *what)
{
    fprintf(stderr, "%s\n", what);
    exit(1);
}

static inline work read_work(int argc, char **argv)
{
    work asked = {0};

    if (argc >= 3)
        asked = (work){atoi(argv[1]), atoi(argv[2])};
    if (asked.streams < 1 || asked.streams > STREAMS_MAX || asked.frames < 1)
        give_up("usage: program N FRAMES");
    return asked;
}

static inline int warm_up_frames(work asked)
{
    return asked.frames / 10 + 10;
}

static inline double cpu_ns(void)
{
    struct timespec used;

    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &used);
    return (double)used.tv_sec * 1e9 + (double)used.tv_nsec;
}

/* Voices of -20 dBFS: where many of them meet, sums saturate now and then, as they do in rooms. */
static inline void fill_voices(int16_t *pcm, int streams)
{
    uint32_t state = 1;

    for (int i = 0; i < streams * FRAME_SAMPLES; i++) {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        pcm[i] = (int16_t)((int32_t)(state % 11000) - 5500);
    }
}

/* Everyone hears the others, in 32 bits and cut once: plain C, and what the engine must equal. */
static inline void mix_plainly(int16_t *heard, const int16_t *voices, int streams)
{
    int32_t sum[FRAME_SAMPLES] = {0};

    for (int i = 0; i < streams; i++)
        for (int k = 0; k < FRAME_SAMPLES; k++)
            sum[k] += voices[i * FRAME_SAMPLES + k];
    for (int i = 0; i < streams; i++)
        for (int k = 0; k < FRAME_SAMPLES; k++) {
            int32_t others = sum[k] - voices[i * FRAME_SAMPLES + k];
            others = others > INT16_MAX ? INT16_MAX : others;
            heard[i * FRAME_SAMPLES + k] = (int16_t)(others < INT16_MIN ? INT16_MIN : others);
        }
}

static inline void report(work asked, double used_ns)
{
    printf("%.3f\n", used_ns / asked.streams / asked.frames);
}

/* Runs `frame(context)` for every frame and reports. */
static inline void measure(work asked, void (*frame)(void *context), void *context)
{
    for (int i = 0; i < warm_up_frames(asked); i++)
        frame(context);
    double before = cpu_ns();
    for (int i = 0; i < asked.frames; i++)
        frame(context);
    report(asked, cpu_ns() - before);
}

#endif
