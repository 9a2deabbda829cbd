/* What SRTP costs beside the tick: CPU per packet, and the delay the shield adds.
 *
 * Legs speak to each other in pairs over loopback, 160 octets each 20 ms, all through one shield; a
 * thread with the engine's clock plays the tick.  Prints one line.
 *
 *   cc -D_GNU_SOURCE -std=gnu11 -O3 -Ic_ext benchmarks/engine/shield.c c_ext/shield.c \
 *      c_ext/srtp.c -lsrtp2 -lpthread -o shield && ./shield 64 AEAD_AES_128_GCM 10
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>

#include "shield.h"

enum { LEGS_MAX = 256, TICK_NS = 10000000, TICKS_PER_SECOND = 100, PACKET = 172, PRIORITY = 50 };

typedef struct {
    int rtp;
    struct sockaddr_in address;
    ot_shield_slot *slot;
} leg;

typedef struct {
    uint64_t sent;
    uint64_t heard;
    uint64_t tick_ns; /* inside the tick's own functions */
} totals;

static leg legs[LEGS_MAX];

static void check(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "%s: error %d\n", what, error);
        exit(2);
    }
}

static int64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000000000LL + now.tv_nsec;
}

static void sleep_until(int64_t time_ns)
{
    struct timespec until = {time_ns / 1000000000, time_ns % 1000000000};

    clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
}

static void bind_leg(leg *one)
{
    socklen_t octets = sizeof(one->address);

    one->rtp = socket(AF_INET, SOCK_DGRAM, 0);
    one->address = (struct sockaddr_in){.sin_family = AF_INET,
                                        .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    check(bind(one->rtp, (struct sockaddr *)&one->address, octets), "bind");
    check(getsockname(one->rtp, (struct sockaddr *)&one->address, &octets), "getsockname");
}

static ot_srtp *session(int suite, int direction, int from)
{
    uint8_t key[64] = {(uint8_t)from};
    ot_srtp *made;

    check(ot_srtp_create(&made, suite, direction, key, ot_srtp_key_octets(suite)), "session");
    return made;
}

static void join_leg(ot_shield *shield, int index, int suite)
{
    const leg *peer = &legs[index ^ 1];
    ot_shield_path path = {
        .rtp_fd = legs[index].rtp,
        .rtcp_fd = -1,
        .inbound = session(suite, OT_SRTP_IN, index ^ 1),
        .outbound = session(suite, OT_SRTP_OUT, index),
    };

    check(connect(path.rtp_fd, (const struct sockaddr *)&peer->address, sizeof(peer->address)),
          "connect");
    check(ot_shield_add(shield, &legs[index].slot, &path), "add");
}

static void speak_and_hear(int index, uint64_t tick, totals *sums)
{
    uint8_t data[OT_SRTP_PLAIN_MAX];
    uint16_t sequence = (uint16_t)(tick / 2);
    uint8_t packet[PACKET] = {0x80, 0, (uint8_t)(sequence >> 8), (uint8_t)sequence};

    while (ot_shield_receive(legs[index].slot, data, sizeof(data)) >= 0)
        sums->heard++;
    if ((tick + (uint64_t)index) % 2 == 0)
        sums->sent += (uint64_t)ot_shield_send(legs[index].slot, packet, sizeof(packet));
}

static totals run(ot_shield *shield, int count, uint64_t ticks)
{
    totals sums = {0};
    int64_t due_ns = clock_ns() + TICK_NS;

    for (uint64_t tick = 0; tick < ticks; tick++, due_ns += TICK_NS) {
        sleep_until(due_ns);
        int64_t began_ns = clock_ns();
        for (int i = 0; i < count; i++)
            speak_and_hear(i, tick, &sums);
        ot_shield_align(shield, due_ns + TICK_NS);
        sums.tick_ns += (uint64_t)(clock_ns() - began_ns);
    }
    return sums;
}

static void print(const ot_shield *shield, const totals *sums)
{
    ot_shield_stats stats;

    ot_shield_read(shield, &stats);
    printf("sent %llu heard %llu  shield %.2f us per packet in and out  tick %.0f ns per packet  "
           "send delay mean %.3f max %.3f ms  late %llu of %llu  realtime %llu\n",
           (unsigned long long)sums->sent, (unsigned long long)sums->heard,
           (double)stats.busy_ns / 1e3 / (double)sums->sent,
           (double)sums->tick_ns / (double)sums->sent,
           (double)stats.send_delay_ns / 1e6 / (double)(stats.sends ? stats.sends : 1),
           (double)stats.send_delay_max_ns / 1e6, (unsigned long long)stats.late_in,
           (unsigned long long)stats.turns / 2, (unsigned long long)stats.realtime);
}

int main(int arguments, char **argument)
{
    int count = arguments > 1 ? atoi(argument[1]) & ~1 : 64;
    int suite = ot_srtp_find(arguments > 2 ? argument[2] : "AEAD_AES_128_GCM");
    uint64_t seconds = arguments > 3 ? strtoul(argument[3], NULL, 10) : 10;
    struct sched_param priority = {.sched_priority = PRIORITY};
    ot_shield *shield;

    if (count < 2 || count > LEGS_MAX || !suite)
        return 2;
    pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority);
    check(ot_shield_create(&shield), "create");
    check(ot_shield_start(shield, 1), "start");
    for (int i = 0; i < count; i++)
        bind_leg(&legs[i]);
    for (int i = 0; i < count; i++)
        join_leg(shield, i, suite);
    totals sums = run(shield, count, seconds * TICKS_PER_SECOND);
    print(shield, &sums);
    ot_shield_destroy(shield);
    return sums.heard + (uint64_t)count >= sums.sent ? 0 : 1;
}
