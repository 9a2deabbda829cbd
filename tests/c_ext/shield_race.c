/* Drives a shield from a tick and several control threads, for the sanitizers.
 *
 * Two slots speak to each other over loopback through a tick's functions; meanwhile slots come,
 * change their keys and go, and statistics are read.  Succeeds when packets flowed both ways and
 * the sanitizer stayed silent.
 */
#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "shield.h"

enum { ROUNDS = 40, TICK_NS = 10000000, KEY_OCTETS = 28, ENDS = 2, PACKET = 172 };

typedef struct {
    int rtp;
    int rtcp;
    struct sockaddr_in rtp_address;
    struct sockaddr_in rtcp_address;
    ot_shield_slot *slot;
} end;

static ot_shield *shield;
static end ends[ENDS];
static int done;

static void check(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "%s: error %d\n", what, error);
        exit(2);
    }
}

static int is_done(void)
{
    return __atomic_load_n(&done, __ATOMIC_ACQUIRE);
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

static int bound(struct sockaddr_in *address)
{
    socklen_t octets = sizeof(*address);
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    memset(address, 0, sizeof(*address));
    address->sin_family = AF_INET;
    address->sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    check(bind(fd, (struct sockaddr *)address, sizeof(*address)), "bind");
    check(getsockname(fd, (struct sockaddr *)address, &octets), "getsockname");
    return fd;
}

static void open_end(end *one)
{
    one->rtp = bound(&one->rtp_address);
    one->rtcp = bound(&one->rtcp_address);
}

static void close_end(const end *one)
{
    close(one->rtp);
    close(one->rtcp);
}

static ot_srtp *session(int direction, uint8_t seed)
{
    uint8_t key[KEY_OCTETS];
    ot_srtp *made;

    memset(key, seed, sizeof(key));
    check(ot_srtp_create(&made, OT_AEAD_AES_128_GCM, direction, key, sizeof(key)), "session");
    return made;
}

static ot_shield_path path_to(const end *from, const end *to, uint8_t said, uint8_t heard)
{
    check(connect(from->rtp, (const struct sockaddr *)&to->rtp_address, sizeof(to->rtp_address)),
          "connect");
    return (ot_shield_path){
        .rtp_fd = from->rtp,
        .rtcp_fd = from->rtcp,
        .remote_address = to->rtcp_address.sin_addr.s_addr,
        .remote_rtcp_port = ntohs(to->rtcp_address.sin_port),
        .inbound = session(OT_SRTP_IN, heard),
        .outbound = session(OT_SRTP_OUT, said),
    };
}

static void say(ot_shield_slot *slot, uint16_t sequence)
{
    uint8_t packet[PACKET] = {0x80, 0, (uint8_t)(sequence >> 8), (uint8_t)sequence};
    uint8_t report[8] = {0x80, 201, 0, 1};

    ot_shield_send(slot, packet, sizeof(packet));
    if (sequence % 10 == 0)
        ot_shield_send_report(slot, report, sizeof(report));
}

static void *tick(void *heard)
{
    uint8_t data[OT_SRTP_PLAIN_MAX];
    uint64_t ntp;
    uint16_t sequence = 0;

    for (int64_t due_ns = clock_ns(); !is_done(); due_ns += TICK_NS) {
        sleep_until(due_ns);
        for (int i = 0; i < ENDS; i++) {
            while (ot_shield_receive(ends[i].slot, data, sizeof(data)) >= 0)
                ((int *)heard)[i]++;
            ot_shield_receive_report(ends[i].slot, data, sizeof(data), &ntp);
            say(ends[i].slot, sequence);
        }
        sequence++;
        ot_shield_align(shield, due_ns + TICK_NS);
    }
    return NULL;
}

static void *read_statistics(void *unused)
{
    ot_shield_stats all;
    ot_shield_slot_stats one;

    while (!is_done()) {
        ot_shield_read(shield, &all);
        ot_shield_slot_read(ends[0].slot, &one);
        sleep_until(clock_ns() + 1000000);
    }
    return unused;
}

static void *churn(void *unused)
{
    for (int round = 0; round < ROUNDS; round++) {
        end passing;
        open_end(&passing);
        ot_shield_path path = path_to(&passing, &ends[0], 9, 9);
        check(ot_shield_add(shield, &passing.slot, &path), "add");
        say(passing.slot, 1); /* nobody has its key */
        sleep_until(clock_ns() + TICK_NS);
        end moved = {.slot = passing.slot};
        open_end(&moved);
        path = path_to(&moved, &ends[1], 8, 8);
        ot_shield_change(shield, moved.slot, &path);
        close_end(&passing);
        sleep_until(clock_ns() + TICK_NS);
        say(moved.slot, 2);
        ot_shield_remove(shield, moved.slot);
        close_end(&moved);
    }
    return unused;
}

static void set_up(void)
{
    for (int i = 0; i < ENDS; i++)
        open_end(&ends[i]);
    check(ot_shield_create(&shield), "create");
    check(ot_shield_start(shield, 0), "start");
    for (int i = 0; i < ENDS; i++) {
        ot_shield_path path = path_to(&ends[i], &ends[1 - i], (uint8_t)(1 + i), (uint8_t)(2 - i));
        check(ot_shield_add(shield, &ends[i].slot, &path), "add");
    }
}

static void tear_down(void)
{
    ot_shield_remove(shield, ends[0].slot);
    ot_shield_destroy(shield);
    for (int i = 0; i < ENDS; i++)
        close_end(&ends[i]);
}

int main(void)
{
    pthread_t ticking;
    pthread_t reading;
    pthread_t churning[2];
    int heard[ENDS] = {0};

    set_up();
    pthread_create(&ticking, NULL, tick, heard);
    pthread_create(&reading, NULL, read_statistics, NULL);
    for (int i = 0; i < 2; i++)
        pthread_create(&churning[i], NULL, churn, NULL);
    for (int i = 0; i < 2; i++)
        pthread_join(churning[i], NULL);
    check(ot_shield_stop(shield), "stop");
    check(ot_shield_start(shield, 0), "start again");
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    pthread_join(ticking, NULL);
    pthread_join(reading, NULL);
    tear_down();
    printf("%d and %d packets\n", heard[0], heard[1]);
    return heard[0] > 10 && heard[1] > 10 ? 0 : 1;
}
