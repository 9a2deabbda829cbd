/* Runs all that the tick runs at devices and in generators while allocation, locks and output are
 * intercepted.  Succeeds when none of them was called between preparation and clean-up. */
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "activity.h"
#include "device.h"
#include "drift.h"
#include "duck.h"
#include "echo.h"
#include "rate.h"
#include "tone.h"

enum { TICKS = 1500 };

static int watching;
static int calls;

void *__libc_malloc(size_t octets);
void *__libc_calloc(size_t count, size_t octets);
void *__libc_realloc(void *memory, size_t octets);
void __libc_free(void *memory);

void *malloc(size_t octets)
{
    calls += watching;
    return __libc_malloc(octets);
}

void *calloc(size_t count, size_t octets)
{
    calls += watching;
    return __libc_calloc(count, octets);
}

void *realloc(void *memory, size_t octets)
{
    calls += watching;
    return __libc_realloc(memory, octets);
}

void free(void *memory)
{
    calls += watching;
    __libc_free(memory);
}

int __fprintf_chk(FILE *file, int flag, const char *format, ...)
{
    (void)file, (void)flag, (void)format;
    calls += watching;
    return 0;
}

int pthread_mutex_lock(pthread_mutex_t *mutex)
{
    (void)mutex;
    calls += watching;
    return 0;
}

static uint32_t seed = 1;

static void hiss(int16_t *pcm, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) {
        seed = seed * 1664525U + 1013904223U;
        pcm[i] = (int16_t)((int32_t)seed >> 18);
    }
}

static void check(int failed, const char *what)
{
    if (failed) {
        fprintf(stdout, "%s\n", what);
        exit(2);
    }
}

/* Every hundred ticks a block comes twice and another never, so that rings run dry and over. */
static void run_device(uint32_t rate_hz)
{
    static int16_t pcm[OT_RATE_TICK_MAX];
    ot_echo_options options = {.delay_ms = 20, .cancel_echo = 1, .suppress_noise_db = 15, .agc = 1};
    ot_device *device;
    ot_echo *echo;

    check(ot_device_create(&device, rate_hz, 60, 60), "create a device");
    check(ot_echo_create(&echo, rate_hz, 60, &options), "create a canceller");
    ot_device_set_echo(device, echo);
    ot_device_set_sidetone(device, 0.1F);
    watching = 1;
    for (int tick = 0; tick < TICKS; tick++) {
        hiss(pcm, rate_hz / 100);
        for (int i = 0; i < (tick % 100 == 7 ? 2 : tick % 100 != 50); i++) {
            ot_device_write(device, pcm, rate_hz / 100);
            ot_device_read(device, pcm, rate_hz / 100);
        }
        ot_device_set_microphone(device, tick % 300 < 290);
        ot_device_capture(device, ot_device_played(device));
        ot_device_play(device, tick % 200 < 100 ? pcm : NULL, 1.0F, 0.5F);
    }
    watching = 0;
    ot_device_destroy(device);
}

/* A clock that wanders, so that the ratio changes all the time. */
static void run_drift(void)
{
    static int16_t pcm[OT_RATE_TICK_MAX];
    ot_sample_ring *ring;
    ot_drift drift;

    check(ot_sample_ring_create(&ring, 8000, 100), "create a ring");
    ot_drift_init(&drift, 8000, ot_sample_ring_target(ring));
    watching = 1;
    for (uint32_t tick = 0; tick < 20 * TICKS; tick++) {
        hiss(pcm, 82);
        ot_sample_ring_write(ring, pcm, tick / 5000 % 2 ? 80 : 80 + (tick % 40 == 0));
        ot_drift_read(&drift, ring, pcm);
    }
    watching = 0;
    check(!drift.following, "the clock was not followed");
    ot_sample_ring_destroy(ring);
}

static void run_rate(uint32_t from_hz, uint32_t to_hz)
{
    static int16_t in[OT_RATE_TICK_MAX], out[OT_RATE_TICK_MAX];
    ot_rate *rate;

    check(ot_rate_create(&rate, from_hz, to_hz), "create a converter");
    watching = 1;
    for (int tick = 0; tick < 100; tick++) {
        hiss(in, from_hz / 100);
        ot_rate_run(rate, out, in);
    }
    watching = 0;
    ot_rate_destroy(rate);
}

static void run_generators(void)
{
    static int16_t pcm[OT_RATE_TICK_MAX];
    ot_duck_settings settings = {20.0F, 20, 300, 200};
    ot_activity activity;
    ot_duck duck = {0};
    ot_tone tone;

    check(ot_tone_init(&tone, 48000, ot_tone_find("gb", "ringback")), "make a tone");
    check(ot_duck_set(&duck, &settings), "set the ducking");
    ot_activity_init(&activity);
    watching = 1;
    for (int tick = 0; tick < TICKS; tick++) {
        ot_tone_make(&tone, pcm);
        ot_duck_run(&duck, ot_activity_run(&activity, (uint64_t)tick << 20, 480));
    }
    ot_tone_stop(&tone);
    ot_tone_make(&tone, pcm);
    watching = 0;
}

int main(void)
{
    static const uint32_t RATES[] = {8000, 16000, 48000};

    for (int i = 0; i < 3; i++) {
        run_device(RATES[i]);
        for (int j = 0; j < 3; j++)
            run_rate(RATES[i], RATES[j]);
    }
    run_drift();
    run_generators();
    free(malloc(1)); /* the trap works */
    watching = 1;
    free(malloc(1));
    watching = 0;
    printf("%d calls\n", calls - 2);
    return calls == 2 ? 0 : 1;
}
