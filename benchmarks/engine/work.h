/* The work that every device under test does: the same packets in and out at the same pace.
 *
 * 66 legs unless told otherwise (2 handsets, 64 speakers), PCMU, 20 ms.  The handsets share one
 * recording, the speakers three to one, and each recording goes to two recorders.  Even legs have
 * their turn on even ticks of 10 ms, odd ones on odd ticks.  The load speaks a pattern of 10 ms
 * over and over, one per leg, so that what must be heard is known at every tick.  A device's ticks
 * begin at whole multiples of 10 ms; the load speaks every millisecond, a tenth of the legs at a
 * time, half a millisecond beside them: were both at work at once, each would slow the other, and
 * by how much would be chance.
 */
#ifndef BENCH_WORK_H
#define BENCH_WORK_H

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    LEGS = 66,
    LEGS_MAX = 256,
    HANDSETS = 2,
    RECORDINGS_MAX = 1 + (LEGS_MAX - HANDSETS + 2) / 3,
    FORKS_MAX = 2 * RECORDINGS_MAX,
    TICK_NS = 10000000,
    TICK_SAMPLES = 80,
    PACKET = 12 + 2 * TICK_SAMPLES,
    LEG_PORT = 12000, /* each range: two ports for each leg or fork */
    FORK_PORT = 12600,
    FAR_PORT = 13000,
    RECORDER_PORT = 13600
};

static inline int recording_of(int leg)
{
    return leg < HANDSETS ? 0 : 1 + (leg - HANDSETS) / 3;
}

static inline int recordings_of(int legs)
{
    return 1 + (legs - HANDSETS + 2) / 3;
}

static inline int forks_of(int legs)
{
    return 2 * recordings_of(legs);
}

/* Leg `leg` says this for 10 ms, again and again; the sum of all of them saturates at times. */
static inline void pattern(int leg, int16_t *pcm)
{
    uint32_t state = 0x9E3779B9U * (uint32_t)(leg + 1);

    for (int i = 0; i < TICK_SAMPLES; i++) {
        state = state * 1664525U + 1013904223U;
        pcm[i] = (int16_t)((int32_t)(state >> 16) - 32768) / 4;
    }
}

static inline void fail(const char *what)
{
    perror(what);
    exit(2);
}

/* The number that argument `index` is, within bounds; `otherwise` when it is not given. */
static inline int argument(int count, char **arguments, int index, int least, int most,
                           int otherwise)
{
    if (index >= count)
        return otherwise;
    char *end;
    long value = strtol(arguments[index], &end, 10);
    if (*end || value < least || value > most) {
        errno = EINVAL;
        fail(arguments[index]);
    }
    return (int)value;
}

static inline struct sockaddr_in loopback(int port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

/* A socket bound to one port and connected to another, as cheap as UDP gets. */
static inline int wired(int port, int to)
{
    struct sockaddr_in here = loopback(port);
    struct sockaddr_in there = loopback(to);
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    if (fd < 0 || bind(fd, (struct sockaddr *)&here, sizeof(here)) != 0 ||
        connect(fd, (struct sockaddr *)&there, sizeof(there)) != 0)
        fail("socket");
    return fd;
}

static inline void write_header(uint8_t *packet, uint16_t sequence, uint32_t timestamp,
                                uint32_t ssrc)
{
    uint32_t words[2] = {htonl(timestamp), htonl(ssrc)};

    packet[0] = 0x80;
    packet[1] = 0;
    packet[2] = (uint8_t)(sequence >> 8);
    packet[3] = (uint8_t)sequence;
    memcpy(packet + 4, words, sizeof(words));
}

static inline int64_t clock_ns(clockid_t clock)
{
    struct timespec now;

    clock_gettime(clock, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

static inline void sleep_until(int64_t time_ns)
{
    struct timespec until = {time_ns / 1000000000, time_ns % 1000000000};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* The beginning of the next tick of every device under test. */
static inline int64_t next_boundary(void)
{
    return (clock_ns(CLOCK_MONOTONIC) / TICK_NS + 1) * TICK_NS;
}

/* What a device under test says at the end: CPU per tick, and whether it lost anything. */
static inline void say_result(int64_t cpu_ns, int64_t ticks, int64_t lost)
{
    printf("{\"cpu_ns\": %lld, \"ticks\": %lld, \"lost\": %lld}\n", (long long)cpu_ns,
           (long long)ticks, (long long)lost);
}

#endif
