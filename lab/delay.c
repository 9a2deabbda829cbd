/* Carries Ethernet frames between two interfaces, late and not all of them: `lab/delay.py` runs it.
 *
 *     delay NEAR FAR FRAME_BYTES QUEUE_BYTES SEED THERE_US THERE_LOSS BACK_US BACK_LOSS
 *
 * It moves into a network namespace of its own and says "apart"; the one who started it puts both
 * interfaces there and writes a line; it says "carrying".  It ends when its standard input does,
 * saying what it did: frames carried, lost by chance and lost to a full queue, for each direction.
 * The interfaces end with the namespace.
 *
 * Losses are per million frames.  A queue holds frames in the order in which they came, so nothing
 * is ever reordered.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { RING_BYTES = 16 << 20, BLOCK_BYTES = 1 << 18, BATCH = 256, MILLION = 1000000 };

/* One interface: an AF_PACKET socket with its ring of received frames. */
struct port {
    int fd;
    uint8_t *ring;
    unsigned slot_bytes, slots, next;
};

/* A frame that waits for its time. */
struct frame {
    struct frame *next;
    int64_t due_ns;
    size_t length;
    uint8_t bytes[];
};

/* Everything that goes one way. */
struct way {
    struct port *from, *to;
    struct frame *first, *last;
    size_t queued_bytes, most_bytes;
    int64_t delay_ns;
    uint64_t random;
    uint32_t loss;
    unsigned long carried, lost, overflowed;
};

static void fail(const char *what)
{
    fprintf(stderr, "%s: %s\n", what, strerror(errno));
    exit(1);
}

static int64_t now_ns(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000000000) + now.tv_nsec;
}

/* splitmix64 (Steele, Lea and Flood, 2014): a few instructions and no bad seeds. */
static uint64_t next_random(uint64_t *state)
{
    uint64_t z = *state += UINT64_C(0x9e3779b97f4a7c15);
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static void bring_up(int fd, const char *name)
{
    struct ifreq request = {0};
    strncpy(request.ifr_name, name, IFNAMSIZ - 1);
    request.ifr_flags = IFF_UP | IFF_PROMISC | IFF_NOARP;
    if (ioctl(fd, SIOCSIFFLAGS, &request))
        fail(name);
}

/* The ring is memory of this process, so that no limit of the host's bounds a burst. */
static void map_ring(struct port *port, unsigned frame_bytes)
{
    int version = TPACKET_V2;
    struct tpacket_req request = {.tp_block_size = BLOCK_BYTES,
                                  .tp_block_nr = RING_BYTES / BLOCK_BYTES};
    port->slot_bytes = 2048;
    while (port->slot_bytes < frame_bytes + 128)
        port->slot_bytes *= 2;
    port->slots = RING_BYTES / port->slot_bytes;
    request.tp_frame_size = port->slot_bytes;
    request.tp_frame_nr = port->slots;
    if (setsockopt(port->fd, SOL_PACKET, PACKET_VERSION, &version, sizeof version) ||
        setsockopt(port->fd, SOL_PACKET, PACKET_RX_RING, &request, sizeof request))
        fail("the ring of received frames");
    port->ring = mmap(NULL, RING_BYTES, PROT_READ | PROT_WRITE, MAP_SHARED, port->fd, 0);
    if (port->ring == MAP_FAILED)
        fail("the ring of received frames");
}

static void open_port(struct port *port, const char *name, unsigned frame_bytes)
{
    int yes = 1;
    struct sockaddr_ll where = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL)};
    port->fd = socket(AF_PACKET, SOCK_RAW | SOCK_NONBLOCK, 0); /* hears nothing yet */
    where.sll_ifindex = (int)if_nametoindex(name);
    if (port->fd < 0 || !where.sll_ifindex)
        fail(name);
    map_ring(port, frame_bytes);
    if (setsockopt(port->fd, SOL_PACKET, PACKET_IGNORE_OUTGOING, &yes, sizeof yes) ||
        setsockopt(port->fd, SOL_PACKET, PACKET_QDISC_BYPASS, &yes, sizeof yes))
        fail("the options of the socket");
    bring_up(port->fd, name);
    if (bind(port->fd, (struct sockaddr *)&where, sizeof where))
        fail(name);
}

static void append(struct way *way, const uint8_t *bytes, size_t length, int64_t due_ns)
{
    struct frame *frame = malloc(sizeof *frame + length);
    if (!frame)
        fail("a frame");
    frame->next = NULL;
    frame->due_ns = due_ns;
    frame->length = length;
    memcpy(frame->bytes, bytes, length);
    if (way->first)
        way->last->next = frame;
    else
        way->first = frame;
    way->last = frame;
    way->queued_bytes += length;
}

static void take(struct way *way, const uint8_t *bytes, size_t length, int64_t now)
{
    if (next_random(&way->random) % MILLION < way->loss)
        way->lost++;
    else if (way->queued_bytes + length > way->most_bytes)
        way->overflowed++;
    else
        append(way, bytes, length, now + way->delay_ns);
}

/* Takes what has come in, at most a batch, so that the other direction gets its turn. */
static void receive(struct way *way, int64_t now)
{
    struct port *port = way->from;
    for (int i = 0; i < BATCH; i++) {
        uint8_t *slot = port->ring + (size_t)port->next * port->slot_bytes;
        struct tpacket2_hdr *head = (struct tpacket2_hdr *)slot;
        if (!(__atomic_load_n(&head->tp_status, __ATOMIC_ACQUIRE) & TP_STATUS_USER))
            return;
        if (head->tp_snaplen == head->tp_len)
            take(way, slot + head->tp_mac, head->tp_len, now);
        else
            way->overflowed++;
        __atomic_store_n(&head->tp_status, TP_STATUS_KERNEL, __ATOMIC_RELEASE);
        port->next = (port->next + 1) % port->slots;
    }
}

/* Sends what is due; returns when the next frame is, INT64_MAX when there is none. */
static int64_t deliver(struct way *way, int64_t now)
{
    struct frame *frame;
    while ((frame = way->first) && frame->due_ns <= now) {
        if (send(way->to->fd, frame->bytes, frame->length, 0) < 0)
            way->overflowed++;
        else
            way->carried++;
        way->queued_bytes -= frame->length;
        way->first = frame->next;
        free(frame);
    }
    return frame ? frame->due_ns : INT64_MAX;
}

/* Waits for a frame, for the moment at which one is due, or for the end of the input. */
static int ended(struct port ports[2], int64_t due_ns)
{
    struct pollfd ready[3] = {{.fd = ports[0].fd, .events = POLLIN},
                              {.fd = ports[1].fd, .events = POLLIN},
                              {.fd = STDIN_FILENO, .events = POLLIN}};
    int64_t left_ns = due_ns == INT64_MAX ? 0 : due_ns - now_ns();
    struct timespec limit = {0};
    char byte;
    if (left_ns > 0)
        limit = (struct timespec){.tv_sec = left_ns / 1000000000, .tv_nsec = left_ns % 1000000000};
    if (ppoll(ready, 3, due_ns == INT64_MAX ? NULL : &limit, NULL) < 0 && errno != EINTR)
        fail("waiting");
    return ready[2].revents && read(STDIN_FILENO, &byte, 1) <= 0;
}

static void carry(struct port ports[2], struct way ways[2])
{
    int64_t due_ns = INT64_MAX;
    while (!ended(ports, due_ns)) {
        due_ns = INT64_MAX;
        for (int i = 0; i < 2; i++) {
            int64_t now = now_ns();
            receive(&ways[i], now);
            int64_t next_ns = deliver(&ways[i], now);
            due_ns = next_ns < due_ns ? next_ns : due_ns;
        }
    }
    for (int i = 0; i < 2; i++)
        printf("%lu %lu %lu\n", ways[i].carried, ways[i].lost, ways[i].overflowed);
}

static void say(const char *word)
{
    puts(word);
    fflush(stdout);
}

int main(int argc, char **argv)
{
    struct port ports[2] = {0};
    struct way ways[2] = {0};
    if (argc != 10) {
        fprintf(stderr, "see delay.c for the nine arguments\n");
        return 2;
    }
    if (unshare(CLONE_NEWNET))
        fail("a network namespace");
    say("apart");
    if (getchar() != '\n')
        return 0;
    for (int i = 0; i < 2; i++) {
        open_port(&ports[i], argv[1 + i], (unsigned)atoi(argv[3]));
        ways[i].from = &ports[i];
        ways[i].to = &ports[1 - i];
        ways[i].most_bytes = (size_t)atoll(argv[4]);
        ways[i].random = (uint64_t)atoll(argv[5]) * 2 + (uint64_t)i;
        ways[i].delay_ns = atoll(argv[6 + 2 * i]) * 1000;
        ways[i].loss = (uint32_t)atoi(argv[7 + 2 * i]);
    }
    say("carrying");
    carry(ports, ways);
    return 0;
}
