#include "shield.h"

#include <errno.h>
#include <netinet/in.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <time.h>

enum {
    CACHE_LINE = 64,
    TICK_NS = 10000000,
    BEFORE_NS = 1000000,   /* how long before a tick its packets are made ready */
    AFTER_NS = 200000,     /* how long after a tick was due it may first have ended */
    LATEST_NS = 8000000,   /* a tick that runs longer is not waited for */
    ALONE_NS = 5000000,    /* between turns while no tick runs */
    REPORT_TURNS = 8,      /* between looks at an RTCP socket: the kernel notes when they came */
    REALTIME_PRIORITY = 45, /* below the tick's: it never waits for a cipher */
    TIMER_SLACK_NS = 1
};

static const int64_t SECOND_NS = 1000000000;
static const uint64_t UNIX_EPOCH_NTP = 2208988800ULL;

#define ALIGNED __attribute__((aligned(CACHE_LINE)))

/* A statistic has one writer; others may read it meanwhile. */
static uint64_t peek(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_RELAXED);
}

static void set(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELAXED);
}

static void add(uint64_t *word, uint64_t value)
{
    set(word, *word + value);
}

/* -- rings of datagrams between the tick and the shield ------------------------------------ */

typedef struct {
    uint64_t ntp;
    uint32_t octets;
    uint8_t data[OT_SRTP_PLAIN_MAX];
} datagram;

typedef struct {
    datagram *items;
    uint32_t capacity;
    uint32_t head ALIGNED; /* by who writes */
    uint32_t tail ALIGNED; /* by who reads */
} ring;

static int ring_init(ring *fifo, uint32_t capacity)
{
    fifo->items = calloc(capacity, sizeof(datagram));
    fifo->capacity = capacity;
    return fifo->items ? 0 : ENOMEM;
}

/* The place for the next datagram, NULL when the ring is full; ring_push makes it visible. */
static datagram *ring_room(const ring *fifo)
{
    if (fifo->head - __atomic_load_n(&fifo->tail, __ATOMIC_ACQUIRE) == fifo->capacity)
        return NULL;
    return &fifo->items[fifo->head & (fifo->capacity - 1)];
}

static void ring_push(ring *fifo)
{
    __atomic_store_n(&fifo->head, fifo->head + 1, __ATOMIC_RELEASE);
}

static const datagram *ring_next(const ring *fifo)
{
    if (fifo->tail == __atomic_load_n(&fifo->head, __ATOMIC_ACQUIRE))
        return NULL;
    return &fifo->items[fifo->tail & (fifo->capacity - 1)];
}

static void ring_pop(ring *fifo)
{
    __atomic_store_n(&fifo->tail, fifo->tail + 1, __ATOMIC_RELEASE);
}

static int ring_put(ring *fifo, const uint8_t *data, size_t octets, uint64_t ntp)
{
    datagram *room = ring_room(fifo);

    if (!room || octets > sizeof(room->data))
        return 0;
    memcpy(room->data, data, octets);
    room->octets = (uint32_t)octets;
    room->ntp = ntp;
    ring_push(fifo);
    return 1;
}

/* -- what the shield remembers ------------------------------------------------------------- */

struct ot_shield_slot {
    ot_shield_slot *next;
    int rtp_fd;
    int rtcp_fd;
    struct sockaddr_in remote;
    ot_srtp *inbound;
    ot_srtp *outbound;
    uint32_t turns; /* towards the next look at the RTCP socket */
    ot_shield_slot_stats stats;
    uint64_t overflows_out ALIGNED; /* by the tick */
    ring heard; /* shield to tick */
    ring said;  /* tick to shield */
    ring reports_heard;
    ring reports_said;
};

struct ot_shield {
    pthread_mutex_t control; /* of callers among themselves; kept while the thread is awaited */
    pthread_mutex_t turn;    /* of the thread's turn and of who changes slots */
    ot_shield_slot *first;
    pthread_t thread;
    uint8_t started;
    uint8_t realtime_wanted;
    uint32_t stopping;
    uint32_t added; /* slots so far: they look at their RTCP sockets in different turns */
    ot_shield_stats stats;
    int64_t due_ns ALIGNED; /* of the next tick, by the last; 0: no tick has run */
    ot_srtp_packet packet ALIGNED;
};

static int64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static uint64_t ntp_from(const struct timespec *time)
{
    uint64_t fraction = ((uint64_t)time->tv_nsec << 32) / (uint64_t)SECOND_NS;
    return ((uint64_t)time->tv_sec + UNIX_EPOCH_NTP) << 32 | fraction;
}

/* -- in ------------------------------------------------------------------------------------ */

static void count_refusal(ot_shield_slot_stats *stats, int error)
{
    if (error == EACCES)
        add(&stats->authentication_failures, 1);
    else if (error == EALREADY)
        add(&stats->replays, 1);
    else if (error == EBADMSG || error == EMSGSIZE)
        add(&stats->malformed, 1);
    else
        add(&stats->refused, 1);
}

static void take_packet(ot_shield_slot *slot, ot_srtp_packet *packet)
{
    int error = slot->inbound ? ot_srtp_unprotect(slot->inbound, packet) : ENOENT;

    if (error)
        count_refusal(&slot->stats, error);
    else if (ring_put(&slot->heard, packet->data, packet->octets, 0))
        add(&slot->stats.received, 1);
    else
        add(&slot->stats.overflows_in, 1);
}

static void note_error(ot_shield_slot *slot, int error)
{
    add(&slot->stats.send_errors, 1);
    set(&slot->stats.last_errno, (uint64_t)error);
}

static int is_empty(int error)
{
    return error == EAGAIN || error == EWOULDBLOCK;
}

/* Packets are taken even when the ring is full: else the rollover counter might lose its way. */
static void receive_packets(ot_shield_slot *slot, ot_srtp_packet *packet)
{
    for (int reads = 0; reads < OT_SHIELD_READS; reads++) {
        ssize_t got = recv(slot->rtp_fd, packet->data, sizeof(packet->data),
                           MSG_DONTWAIT | MSG_TRUNC);
        if (got < 0 && is_empty(errno))
            return;
        if (got < 0) { /* what an ICMP message said of a packet sent */
            note_error(slot, errno);
            continue;
        }
        packet->octets = (uint32_t)got;
        take_packet(slot, packet);
    }
}

static uint64_t arrival_ntp(struct msghdr *message)
{
    struct timespec time;

    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&time, CMSG_DATA(part), sizeof(time));
        return ntp_from(&time);
    }
    clock_gettime(CLOCK_REALTIME, &time);
    return ntp_from(&time);
}

typedef struct {
    struct sockaddr_in from;
    uint64_t ntp;
} arrival;

static ssize_t fetch_report(int fd, ot_srtp_packet *packet, arrival *came)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec data = {packet->data, sizeof(packet->data)};
    struct msghdr message = {
        .msg_name = &came->from,
        .msg_namelen = sizeof(came->from),
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT | MSG_TRUNC);

    if (got >= 0)
        came->ntp = arrival_ntp(&message);
    return got;
}

static void take_report(ot_shield_slot *slot, ot_srtp_packet *packet, const arrival *came)
{
    if (came->from.sin_addr.s_addr != slot->remote.sin_addr.s_addr ||
        came->from.sin_port != slot->remote.sin_port) {
        add(&slot->stats.foreign, 1);
        return;
    }
    int error = slot->inbound ? ot_srtp_unprotect_report(slot->inbound, packet) : ENOENT;
    if (error)
        count_refusal(&slot->stats, error);
    else if (ring_put(&slot->reports_heard, packet->data, packet->octets, came->ntp))
        add(&slot->stats.reports_received, 1);
    else
        add(&slot->stats.overflows_in, 1);
}

static void receive_reports(ot_shield_slot *slot, ot_srtp_packet *packet)
{
    arrival came;

    for (int reads = 0; slot->rtcp_fd >= 0 && reads < OT_SHIELD_READS; reads++) {
        ssize_t got = fetch_report(slot->rtcp_fd, packet, &came);
        if (got < 0 && is_empty(errno))
            return;
        if (got < 0)
            continue;
        packet->octets = (uint32_t)got;
        take_report(slot, packet, &came);
    }
}

/* -- out ----------------------------------------------------------------------------------- */

static int refused(int error)
{
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH;
}

/* Sends now or not at all; what an ICMP message said of an earlier packet is not this one's. */
static int transmit(ot_shield_slot *slot, int fd, const ot_srtp_packet *packet,
                    const struct sockaddr_in *to)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (sendto(fd, packet->data, packet->octets, MSG_DONTWAIT | MSG_NOSIGNAL,
                   (const struct sockaddr *)to, to ? sizeof(*to) : 0) >= 0)
            return 1;
        int error = errno;
        note_error(slot, error);
        if (!refused(error))
            return 0;
    }
    return 0;
}

static void load(ot_srtp_packet *packet, ring *fifo, const datagram *next)
{
    packet->octets = next->octets;
    memcpy(packet->data, next->data, next->octets);
    ring_pop(fifo);
}

/* Returns how many were sent. */
static uint32_t send_packets(ot_shield_slot *slot, ot_srtp_packet *packet)
{
    const datagram *next;
    uint32_t count = 0;

    for (int sends = 0; sends < OT_SHIELD_DATAGRAMS && (next = ring_next(&slot->said)); sends++) {
        load(packet, &slot->said, next);
        int error = slot->outbound ? ot_srtp_protect(slot->outbound, packet) : ENOENT;
        if (error)
            add(&slot->stats.refused, 1);
        else
            count += (uint32_t)transmit(slot, slot->rtp_fd, packet, NULL);
    }
    add(&slot->stats.sent, count);
    return count;
}

static void send_reports(ot_shield_slot *slot, ot_srtp_packet *packet)
{
    const datagram *next;

    for (int sends = 0; sends < OT_SHIELD_REPORTS && (next = ring_next(&slot->reports_said));
         sends++) {
        load(packet, &slot->reports_said, next);
        int able = slot->outbound && slot->rtcp_fd >= 0;
        int error = able ? ot_srtp_protect_report(slot->outbound, packet) : ENOENT;
        if (error)
            add(&slot->stats.refused, 1);
        else if (transmit(slot, slot->rtcp_fd, packet, &slot->remote))
            add(&slot->stats.reports_sent, 1);
    }
}

/* -- turns, with the mutex of that name ---------------------------------------------------- */

static void turn_in(ot_shield *shield, int every_report)
{
    for (ot_shield_slot *slot = shield->first; slot; slot = slot->next) {
        receive_packets(slot, &shield->packet);
        if (every_report || ++slot->turns % REPORT_TURNS == 0)
            receive_reports(slot, &shield->packet);
    }
}

static uint32_t turn_out(ot_shield *shield)
{
    uint32_t count = 0;

    for (ot_shield_slot *slot = shield->first; slot; slot = slot->next) {
        count += send_packets(slot, &shield->packet);
        send_reports(slot, &shield->packet);
    }
    return count;
}

static void note_turn(ot_shield *shield, int64_t began_ns, int64_t ended_ns)
{
    add(&shield->stats.turns, 1);
    add(&shield->stats.busy_ns, (uint64_t)(ended_ns - began_ns));
}

static int64_t receive_turn(ot_shield *shield)
{
    pthread_mutex_lock(&shield->turn);
    int64_t began_ns = clock_ns();
    turn_in(shield, 0);
    int64_t ended_ns = clock_ns();
    note_turn(shield, began_ns, ended_ns);
    pthread_mutex_unlock(&shield->turn);
    return ended_ns;
}

static void note_delay(ot_shield *shield, uint64_t delay_ns)
{
    add(&shield->stats.sends, 1);
    add(&shield->stats.send_delay_ns, delay_ns);
    if (delay_ns > shield->stats.send_delay_max_ns)
        set(&shield->stats.send_delay_max_ns, delay_ns);
}

/* `due_ns` is when the tick began whose packets go out; 0: unknown. */
static void send_turn(ot_shield *shield, int64_t due_ns)
{
    pthread_mutex_lock(&shield->turn);
    int64_t began_ns = clock_ns();
    uint32_t count = turn_out(shield);
    int64_t ended_ns = clock_ns();
    note_turn(shield, began_ns, ended_ns);
    if (count && due_ns && ended_ns > due_ns)
        note_delay(shield, (uint64_t)(ended_ns - due_ns));
    pthread_mutex_unlock(&shield->turn);
}

/* -- the thread ---------------------------------------------------------------------------- */

static int is_stopping(const ot_shield *shield)
{
    return (int)__atomic_load_n(&shield->stopping, __ATOMIC_ACQUIRE);
}

static int64_t next_due(const ot_shield *shield)
{
    return __atomic_load_n(&shield->due_ns, __ATOMIC_ACQUIRE);
}

static void sleep_until(int64_t time_ns)
{
    struct timespec until = {time_ns / SECOND_NS, time_ns % SECOND_NS};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

/* The tick cannot knock, for that is a system call: it is looked at until it has ended. */
static void await_end_of_tick(const ot_shield *shield, int64_t due_ns)
{
    for (int64_t at = due_ns + AFTER_NS; at < due_ns + LATEST_NS; at += AFTER_NS) {
        sleep_until(at);
        if (next_due(shield) != due_ns)
            return;
    }
}

static void accompany(ot_shield *shield, int64_t due_ns)
{
    sleep_until(due_ns - BEFORE_NS);
    if (receive_turn(shield) > due_ns)
        add(&shield->stats.late_in, 1);
    await_end_of_tick(shield, due_ns);
    send_turn(shield, due_ns);
}

static void go_alone(ot_shield *shield)
{
    sleep_until(clock_ns() + ALONE_NS);
    receive_turn(shield);
    send_turn(shield, 0);
}

static void set_thread_up(ot_shield *shield)
{
    struct sched_param priority = {.sched_priority = REALTIME_PRIORITY};
    sigset_t every;

    sigfillset(&every); /* the process's handlers run on other threads */
    pthread_sigmask(SIG_BLOCK, &every, NULL);
    pthread_setname_np(pthread_self(), "ot-shield");
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    if (shield->realtime_wanted &&
        pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0)
        set(&shield->stats.realtime, 1);
}

static void *run(void *argument)
{
    ot_shield *shield = argument;
    int64_t done_ns = 0; /* the tick already accompanied: one that stopped is not awaited twice */

    set_thread_up(shield);
    while (!is_stopping(shield)) {
        int64_t due_ns = next_due(shield);
        int64_t ahead_ns = due_ns - clock_ns();
        if (due_ns == done_ns || ahead_ns > 2 * TICK_NS || ahead_ns < -TICK_NS) {
            go_alone(shield);
            continue;
        }
        accompany(shield, due_ns);
        done_ns = due_ns;
    }
    return NULL;
}

/* With the control mutex. */
static int begin_thread(ot_shield *shield)
{
    if (!shield->started || !shield->first || shield->stats.running)
        return 0;
    shield->stopping = 0;
    int error = pthread_create(&shield->thread, NULL, run, shield);
    if (!error)
        set(&shield->stats.running, 1);
    return error;
}

static void end_thread(ot_shield *shield)
{
    if (!shield->stats.running)
        return;
    __atomic_store_n(&shield->stopping, 1, __ATOMIC_RELEASE);
    pthread_join(shield->thread, NULL);
    set(&shield->stats.running, 0);
    set(&shield->stats.realtime, 0);
}

/* -- the control side ---------------------------------------------------------------------- */

/* Who holds it inherits the priority of the thread that waits: a slow caller delays no voice. */
static int init_turn_mutex(pthread_mutex_t *mutex)
{
    pthread_mutexattr_t attributes;
    int error = pthread_mutexattr_init(&attributes);

    if (error)
        return error;
    pthread_mutexattr_setprotocol(&attributes, PTHREAD_PRIO_INHERIT);
    error = pthread_mutex_init(mutex, &attributes);
    pthread_mutexattr_destroy(&attributes);
    return error;
}

static void *allocate(size_t octets)
{
    void *memory = aligned_alloc(CACHE_LINE, (octets + CACHE_LINE - 1) / CACHE_LINE * CACHE_LINE);

    if (memory)
        memset(memory, 0, octets);
    return memory;
}

int ot_shield_create(ot_shield **shield)
{
    *shield = NULL;
    ot_shield *made = allocate(sizeof(*made));
    if (!made)
        return ENOMEM;
    int error = init_turn_mutex(&made->turn);
    if (!error && (error = pthread_mutex_init(&made->control, NULL)))
        pthread_mutex_destroy(&made->turn);
    if (error)
        free(made);
    else
        *shield = made;
    return error;
}

int ot_shield_start(ot_shield *shield, int realtime)
{
    pthread_mutex_lock(&shield->control);
    int error = shield->started ? EALREADY : 0;
    if (!error) {
        shield->started = 1;
        shield->realtime_wanted = realtime != 0;
        error = begin_thread(shield);
        shield->started = !error;
    }
    pthread_mutex_unlock(&shield->control);
    return error;
}

int ot_shield_stop(ot_shield *shield)
{
    pthread_mutex_lock(&shield->control);
    end_thread(shield);
    shield->started = 0;
    pthread_mutex_unlock(&shield->control);
    return 0;
}

static void free_slot(ot_shield_slot *slot)
{
    ot_srtp_destroy(slot->inbound);
    ot_srtp_destroy(slot->outbound);
    free(slot->heard.items);
    free(slot->said.items);
    free(slot->reports_heard.items);
    free(slot->reports_said.items);
    free(slot);
}

static int create_slot(ot_shield_slot **slot)
{
    ot_shield_slot *made = allocate(sizeof(*made));

    if (!made)
        return ENOMEM;
    int error = ring_init(&made->heard, OT_SHIELD_DATAGRAMS);
    error = error ? error : ring_init(&made->said, OT_SHIELD_DATAGRAMS);
    error = error ? error : ring_init(&made->reports_heard, OT_SHIELD_REPORTS);
    error = error ? error : ring_init(&made->reports_said, OT_SHIELD_REPORTS);
    if (error)
        free_slot(made);
    else
        *slot = made;
    return error;
}

/* Returns through `old_in` and `old_out` what is to be destroyed outside the turn. */
static void follow(ot_shield_slot *slot, const ot_shield_path *path, ot_srtp **old_in,
                   ot_srtp **old_out)
{
    slot->rtp_fd = path->rtp_fd;
    slot->rtcp_fd = path->rtcp_fd;
    slot->remote = (struct sockaddr_in){
        .sin_family = AF_INET,
        .sin_port = htons(path->remote_rtcp_port),
        .sin_addr.s_addr = path->remote_address,
    };
    *old_in = path->inbound ? slot->inbound : NULL;
    *old_out = path->outbound ? slot->outbound : NULL;
    slot->inbound = path->inbound ? path->inbound : slot->inbound;
    slot->outbound = path->outbound ? path->outbound : slot->outbound;
}

static void link_slot(ot_shield *shield, ot_shield_slot *slot)
{
    slot->turns = shield->added++;
    pthread_mutex_lock(&shield->turn);
    slot->next = shield->first;
    shield->first = slot;
    pthread_mutex_unlock(&shield->turn);
}

static void unlink_slot(ot_shield *shield, const ot_shield_slot *slot)
{
    ot_shield_slot **link = &shield->first;

    while (*link && *link != slot)
        link = &(*link)->next;
    if (*link)
        *link = slot->next;
}

int ot_shield_add(ot_shield *shield, ot_shield_slot **slot, const ot_shield_path *path)
{
    ot_srtp *none;
    ot_shield_slot *made;
    int error = create_slot(&made);

    *slot = NULL;
    if (error)
        return error;
    follow(made, path, &none, &none);
    pthread_mutex_lock(&shield->control);
    link_slot(shield, made);
    error = begin_thread(shield);
    if (error)
        unlink_slot(shield, made); /* there is no thread to see it */
    pthread_mutex_unlock(&shield->control);
    if (error) {
        made->inbound = made->outbound = NULL; /* still the caller's */
        free_slot(made);
        return error;
    }
    *slot = made;
    return 0;
}

/* What waits was said under the old sessions and to the old address. */
void ot_shield_change(ot_shield *shield, ot_shield_slot *slot, const ot_shield_path *path)
{
    ot_srtp *old_in;
    ot_srtp *old_out;

    pthread_mutex_lock(&shield->turn);
    send_packets(slot, &shield->packet);
    send_reports(slot, &shield->packet);
    follow(slot, path, &old_in, &old_out);
    pthread_mutex_unlock(&shield->turn);
    ot_srtp_destroy(old_in);
    ot_srtp_destroy(old_out);
}

void ot_shield_remove(ot_shield *shield, ot_shield_slot *slot)
{
    pthread_mutex_lock(&shield->control);
    pthread_mutex_lock(&shield->turn);
    send_packets(slot, &shield->packet);
    send_reports(slot, &shield->packet);
    unlink_slot(shield, slot);
    pthread_mutex_unlock(&shield->turn);
    if (!shield->first)
        end_thread(shield);
    pthread_mutex_unlock(&shield->control);
    free_slot(slot);
}

void ot_shield_destroy(ot_shield *shield)
{
    if (!shield)
        return;
    ot_shield_stop(shield);
    while (shield->first)
        ot_shield_remove(shield, shield->first);
    pthread_mutex_destroy(&shield->control);
    pthread_mutex_destroy(&shield->turn);
    free(shield);
}

int ot_shield_step(ot_shield *shield)
{
    pthread_mutex_lock(&shield->control);
    int error = shield->stats.running ? EALREADY : 0;
    if (!error) {
        pthread_mutex_lock(&shield->turn);
        turn_in(shield, 1);
        turn_out(shield);
        pthread_mutex_unlock(&shield->turn);
    }
    pthread_mutex_unlock(&shield->control);
    return error;
}

/* Both structures are nothing but 64-bit words. */
static void copy_words(void *out, const void *in, size_t octets)
{
    uint64_t *to = out;
    const uint64_t *from = in;

    for (size_t i = 0; i < octets / sizeof(*to); i++)
        to[i] = peek(from + i);
}

void ot_shield_slot_read(const ot_shield_slot *slot, ot_shield_slot_stats *stats)
{
    copy_words(stats, &slot->stats, sizeof(*stats));
    stats->overflows_out = peek(&slot->overflows_out);
}

void ot_shield_read(const ot_shield *shield, ot_shield_stats *stats)
{
    copy_words(stats, &shield->stats, sizeof(*stats));
}

/* -- for the tick -------------------------------------------------------------------------- */

void ot_shield_align(ot_shield *shield, int64_t next_due_ns)
{
    __atomic_store_n(&shield->due_ns, next_due_ns, __ATOMIC_RELEASE);
}

static int take(ring *fifo, uint8_t *data, size_t room, uint64_t *ntp)
{
    const datagram *next = ring_next(fifo);

    if (!next)
        return -1;
    size_t octets = next->octets < room ? next->octets : room;
    memcpy(data, next->data, octets);
    if (ntp)
        *ntp = next->ntp;
    ring_pop(fifo);
    return (int)octets;
}

static int leave(ot_shield_slot *slot, ring *fifo, const uint8_t *data, size_t octets)
{
    int left = ring_put(fifo, data, octets, 0);

    if (!left)
        add(&slot->overflows_out, 1);
    return left;
}

int ot_shield_receive(ot_shield_slot *slot, uint8_t *data, size_t room)
{
    return take(&slot->heard, data, room, NULL);
}

int ot_shield_send(ot_shield_slot *slot, const uint8_t *data, size_t octets)
{
    return leave(slot, &slot->said, data, octets);
}

int ot_shield_receive_report(ot_shield_slot *slot, uint8_t *data, size_t room, uint64_t *ntp)
{
    return take(&slot->reports_heard, data, room, ntp);
}

int ot_shield_send_report(ot_shield_slot *slot, const uint8_t *data, size_t octets)
{
    return leave(slot, &slot->reports_said, data, octets);
}
