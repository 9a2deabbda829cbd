/* Drives a running engine from several threads, for ThreadSanitizer and LeakSanitizer.
 *
 * Two legs talk to each other over loopback while one thread opens, joins and closes things, one
 * reads statistics, and one carries a device's samples.  Succeeds when packets flowed and the
 * sanitizer stayed silent.  The one argument is an even port; it and the next 7 must be free.
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "engine.h"

enum { ROUNDS = 60 };

static ot_engine *engine;
static ot_leg *legs[2];
static ot_device *device;
static uint16_t first_port;
static int done;

static void check(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "%s: error %d\n", what, error);
        exit(2);
    }
}

static void pause_ms(long milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static int is_done(void)
{
    return __atomic_load_n(&done, __ATOMIC_ACQUIRE);
}

static void *read_statistics(void *unused)
{
    ot_leg_stats leg;
    ot_tick_stats ticks;
    ot_device_stats rings;

    while (!is_done()) {
        check(ot_leg_read(legs[0], &leg), "read a leg");
        check(ot_engine_read_ticks(engine, &ticks), "read the ticks");
        check(ot_device_stats_read(device, &rings), "read a device");
        pause_ms(1);
    }
    return unused;
}

static void *carry_samples(void *unused)
{
    int16_t pcm[OT_TICK_SAMPLES] = {1000};

    while (!is_done()) {
        ot_device_write(device, pcm, OT_TICK_SAMPLES);
        ot_device_read(device, pcm, OT_TICK_SAMPLES);
        pause_ms(5);
    }
    return unused;
}

static void connect_leg(ot_leg *leg, uint16_t port)
{
    ot_leg_remote remote = {
        .address = "127.0.0.1", .rtp_port = port, .ptime_ms = 20, .send = 1, .receive = 1};
    check(ot_leg_connect(leg, &remote), "connect a leg");
}

static void one_round(ot_bus *bus, ot_recording *recording, int round)
{
    ot_bus *other;
    ot_leg *passing;

    check(ot_bus_open(&other, engine), "open a bus");
    check(ot_recording_tap(recording, other), "tap");
    check(ot_bus_join(other, ot_leg_port(legs[0]), 0, -3), "join");
    check(ot_leg_open(&passing, engine, "127.0.0.1", (uint16_t)(first_port + 4), OT_PCMU, 20),
          "open a leg");
    connect_leg(passing, first_port);
    check(ot_bus_join(bus, ot_leg_port(passing), -6, 0), "join");
    check(ot_recording_fork(recording, 0, "127.0.0.1", (uint16_t)(first_port + 6), "127.0.0.1",
                            (uint16_t)(40000 + 2 * round), 0),
          "fork");
    pause_ms(5);
    check(ot_leg_close(passing), "close a leg");
    check(ot_bus_close(other), "close a bus");
    check(ot_recording_unfork(recording, 0), "stop a fork");
    pause_ms(20);
}

static void churn(void)
{
    ot_bus *bus;
    ot_recording *recording;

    check(ot_bus_open(&bus, engine), "open a bus");
    check(ot_recording_open(&recording, engine, OT_PCMA, 20), "open a recording");
    check(ot_bus_join(bus, ot_leg_port(legs[0]), 0, 0), "join");
    check(ot_bus_join(bus, ot_device_port(device), 0, 0), "join");
    for (int round = 0; round < ROUNDS; round++)
        one_round(bus, recording, round);
    check(ot_engine_stop(engine), "stop");
    check(ot_engine_start(engine, 0), "start again");
    check(ot_recording_close(recording), "close a recording");
}

static void set_up(void)
{
    check(ot_engine_create(&engine), "create");
    check(ot_engine_start(engine, 0), "start");
    for (int i = 0; i < 2; i++)
        check(ot_leg_open(&legs[i], engine, "127.0.0.1", (uint16_t)(first_port + 2 * i), OT_PCMU,
                          20),
              "open a leg");
    connect_leg(legs[0], (uint16_t)(first_port + 2));
    connect_leg(legs[1], first_port);
    check(ot_device_open(&device, engine, 60, 60), "open a device");
}

int main(int count, char **arguments)
{
    pthread_t helpers[2];
    ot_leg_stats stats;

    first_port = (uint16_t)(count > 1 ? atoi(arguments[1]) : 0);
    set_up();
    pthread_create(&helpers[0], NULL, read_statistics, NULL);
    pthread_create(&helpers[1], NULL, carry_samples, NULL);
    churn();
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < 2; i++)
        pthread_join(helpers[i], NULL);
    check(ot_leg_read(legs[1], &stats), "read a leg");
    ot_engine_destroy(engine);
    printf("%llu packets\n", (unsigned long long)stats.packets_received);
    return stats.packets_received > 10 ? 0 : 1;
}
