#include "net.h"

#include <arpa/inet.h>
#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum {
    FIRST = 1 << 20, /* descriptors that the kernel has never heard of */
    SOCKETS = 1024,
    PAUSE_NS = 20000, /* what a thread that sleeps really waits */
    SECOND_NS = 1000000000
};

typedef struct {
    uint8_t *data;
    size_t octets;
    struct sockaddr_in from;
} datagram;

typedef struct {
    uint8_t used;
    uint8_t shares;
    uint8_t bound;
    uint8_t connected;
    uint8_t stamps;
    uint8_t watched;
    struct sockaddr_in local;
    struct sockaddr_in remote;
    epoll_data_t watcher;
    uint32_t first;
    uint32_t count;
    datagram queue[NET_QUEUE];
} endpoint;

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static endpoint endpoints[SOCKETS];
static uint32_t highest; /* one past the last that was used since the reset */
static uint32_t sockets;
static uint32_t mappings;
static uint32_t calls;
static uint32_t fail_after;
static int fail_error;
static uint64_t chance;
static int64_t now_ns;
static void (*listener)(const net_route *, const uint8_t *, size_t);

static void enter(void)
{
    pthread_mutex_lock(&mutex);
}

static int leave(int result, int error)
{
    pthread_mutex_unlock(&mutex);
    if (error)
        errno = error;
    return error ? -1 : result;
}

/* -- the fuzzer's side ----------------------------------------------------------------------- */

static void drop_first(endpoint *end)
{
    free(end->queue[end->first].data);
    end->first = (end->first + 1) % NET_QUEUE;
    end->count--;
}

static void forget(endpoint *end)
{
    while (end->count)
        drop_first(end);
    memset(end, 0, offsetof(endpoint, queue));
}

void net_reset(uint64_t seed)
{
    enter();
    for (uint32_t i = 0; i < highest; i++)
        forget(&endpoints[i]);
    highest = sockets = mappings = calls = fail_after = 0;
    fail_error = 0;
    chance = seed | 1;
    now_ns = SECOND_NS;
    listener = NULL;
    leave(0, 0);
}

static uint32_t read_count(const uint32_t *count)
{
    enter();
    uint32_t value = *count;
    leave(0, 0);
    return value;
}

uint32_t net_sockets(void)
{
    return read_count(&sockets);
}

uint32_t net_mappings(void)
{
    return read_count(&mappings);
}

uint32_t net_calls(void)
{
    return read_count(&calls);
}

void net_fail(uint32_t after, int error)
{
    enter();
    fail_after = after;
    fail_error = error;
    leave(0, 0);
}

void net_listen(void (*sent)(const net_route *route, const uint8_t *data, size_t octets))
{
    enter();
    listener = sent;
    leave(0, 0);
}

/* The error that this call was chosen to meet, or 0. */
static int misfortune(void)
{
    if (fail_error == 0 || fail_after-- > 0)
        return 0;
    int error = fail_error;
    fail_error = 0;
    return error;
}

/* -- delivery -------------------------------------------------------------------------------- */

static int accepts(const endpoint *end, const net_route *route)
{
    uint32_t local = ntohl(end->local.sin_addr.s_addr);

    return end->used && end->bound && ntohs(end->local.sin_port) == route->to_port &&
           (local == INADDR_ANY || local == route->to_address);
}

static int is_peer(const endpoint *end, const net_route *route)
{
    return end->connected && ntohs(end->remote.sin_port) == route->from_port &&
           ntohl(end->remote.sin_addr.s_addr) == route->from_address;
}

static endpoint *choose(const net_route *route)
{
    endpoint *open = NULL;

    for (uint32_t i = 0; i < highest; i++) {
        if (!accepts(&endpoints[i], route))
            continue;
        if (is_peer(&endpoints[i], route))
            return &endpoints[i];
        if (!endpoints[i].connected)
            open = &endpoints[i];
    }
    return open;
}

static void enqueue(endpoint *end, const net_route *route, const uint8_t *data, size_t octets)
{
    if (end == NULL || end->count == NET_QUEUE)
        return;
    datagram *last = &end->queue[(end->first + end->count++) % NET_QUEUE];
    last->data = malloc(octets ? octets : 1);
    last->octets = octets;
    if (octets)
        memcpy(last->data, data, octets);
    last->from = (struct sockaddr_in){.sin_family = AF_INET,
                                      .sin_port = htons(route->from_port),
                                      .sin_addr = {htonl(route->from_address)}};
}

void net_deliver(const net_route *route, const uint8_t *data, size_t octets)
{
    enter();
    enqueue(choose(route), route, data, octets);
    leave(0, 0);
}

/* -- what the engine calls ------------------------------------------------------------------- */

static endpoint *at(int fd)
{
    if (fd < FIRST || fd >= FIRST + SOCKETS || !endpoints[fd - FIRST].used)
        return NULL;
    return &endpoints[fd - FIRST];
}

static int claim(void)
{
    for (uint32_t i = 0; i < SOCKETS; i++) {
        if (endpoints[i].used)
            continue;
        forget(&endpoints[i]);
        endpoints[i].used = 1;
        sockets++;
        highest = i >= highest ? i + 1 : highest;
        return FIRST + (int)i;
    }
    return -1;
}

static int open_endpoint(void)
{
    enter();
    int error = misfortune();
    int fd = error ? -1 : claim();
    return leave(fd, error ? error : fd < 0 ? EMFILE : 0);
}

int net_socket(int family, int type, int protocol)
{
    (void)type;
    (void)protocol;
    if (family != AF_INET)
        abort();
    return open_endpoint();
}

int net_epoll_create1(int flags)
{
    (void)flags;
    return open_endpoint();
}

int net_close(int fd)
{
    enter();
    endpoint *end = at(fd);
    if (end == NULL)
        abort(); /* closed twice, or never open */
    forget(end);
    sockets--;
    return leave(0, 0);
}

int net_setsockopt(int fd, int level, int name, const void *value, socklen_t octets)
{
    enter();
    endpoint *end = at(fd);
    int on = 0;
    if (octets >= sizeof(on))
        memcpy(&on, value, sizeof(on));
    if (end && level == SOL_SOCKET && name == SO_REUSEADDR)
        end->shares = on != 0;
    if (end && level == SOL_SOCKET && name == SO_TIMESTAMPNS)
        end->stamps = on != 0;
    return leave(0, end ? 0 : EBADF);
}

static int is_taken(const endpoint *end, const struct sockaddr_in *local)
{
    for (uint32_t i = 0; i < highest; i++) {
        const endpoint *other = &endpoints[i];
        if (other != end && other->used && other->bound &&
            other->local.sin_port == local->sin_port &&
            (other->local.sin_addr.s_addr == local->sin_addr.s_addr ||
             other->local.sin_addr.s_addr == INADDR_ANY || local->sin_addr.s_addr == INADDR_ANY) &&
            !(other->shares && end->shares))
            return 1;
    }
    return 0;
}

static int bind_error(const endpoint *end, const struct sockaddr_in *local)
{
    uint32_t address = ntohl(local->sin_addr.s_addr);

    if (end == NULL)
        return EBADF;
    if (address != INADDR_ANY && address >> 24 != 127)
        return EADDRNOTAVAIL;
    return is_taken(end, local) ? EADDRINUSE : misfortune();
}

int net_bind(int fd, const struct sockaddr *address, socklen_t octets)
{
    const struct sockaddr_in *local = (const struct sockaddr_in *)(const void *)address;
    (void)octets;
    enter();
    endpoint *end = at(fd);
    int error = bind_error(end, local);
    if (!error) {
        end->local = *local;
        end->bound = 1;
    }
    return leave(0, error);
}

int net_connect(int fd, const struct sockaddr *address, socklen_t octets)
{
    (void)octets;
    enter();
    endpoint *end = at(fd);
    int error = end ? misfortune() : EBADF;
    if (!error) {
        end->remote = *(const struct sockaddr_in *)(const void *)address;
        end->connected = 1;
    }
    return leave(0, error);
}

static ssize_t transmit(int fd, const uint8_t *data, size_t octets, const struct sockaddr_in *to)
{
    enter();
    calls++;
    endpoint *end = at(fd);
    if (end == NULL)
        return leave(0, EBADF);
    const struct sockaddr_in *remote = to ? to : end->connected ? &end->remote : NULL;
    int error = remote ? misfortune() : EDESTADDRREQ;
    if (error)
        return leave(0, error);
    uint32_t own = ntohl(end->local.sin_addr.s_addr);
    net_route route = {own ? own : NET_LOOPBACK, ntohl(remote->sin_addr.s_addr),
                       ntohs(end->local.sin_port), ntohs(remote->sin_port)};
    if (listener)
        listener(&route, data, octets);
    enqueue(choose(&route), &route, data, octets);
    return leave((int)octets, 0);
}

ssize_t net_send(int fd, const void *data, size_t octets, int flags)
{
    (void)flags;
    return transmit(fd, data, octets, NULL);
}

ssize_t net_sendto(int fd, const void *data, size_t octets, int flags, const struct sockaddr *to,
                   socklen_t to_octets)
{
    (void)flags;
    (void)to_octets;
    return transmit(fd, data, octets, (const struct sockaddr_in *)(const void *)to);
}

static size_t scatter(const datagram *first, const struct msghdr *message)
{
    size_t done = 0;

    for (size_t i = 0; i < message->msg_iovlen && done < first->octets; i++) {
        size_t left = first->octets - done;
        size_t part = message->msg_iov[i].iov_len < left ? message->msg_iov[i].iov_len : left;
        if (part)
            memcpy(message->msg_iov[i].iov_base, first->data + done, part);
        done += part;
    }
    return done;
}

static void stamp(struct msghdr *message)
{
    struct cmsghdr *part = CMSG_FIRSTHDR(message);
    struct timespec time = {now_ns / SECOND_NS, now_ns % SECOND_NS};

    if (part == NULL || message->msg_controllen < CMSG_SPACE(sizeof(time)))
        return;
    part->cmsg_level = SOL_SOCKET;
    part->cmsg_type = SCM_TIMESTAMPNS;
    part->cmsg_len = CMSG_LEN(sizeof(time));
    memcpy(CMSG_DATA(part), &time, sizeof(time));
    message->msg_controllen = CMSG_SPACE(sizeof(time));
}

ssize_t net_recvmsg(int fd, struct msghdr *message, int flags)
{
    enter();
    calls++;
    endpoint *end = at(fd);
    int error = end == NULL ? EBADF : misfortune();
    if (error || end->count == 0)
        return leave(0, error ? error : EAGAIN);
    const datagram *first = &end->queue[end->first];
    size_t octets = first->octets;
    size_t copied = scatter(first, message);
    if (message->msg_name && message->msg_namelen >= sizeof(first->from))
        memcpy(message->msg_name, &first->from, sizeof(first->from));
    message->msg_namelen = sizeof(first->from);
    message->msg_flags = copied < octets ? MSG_TRUNC : 0;
    if (end->stamps)
        stamp(message);
    else
        message->msg_controllen = 0;
    drop_first(end);
    return leave((int)(flags & MSG_TRUNC ? octets : copied), 0);
}

ssize_t net_recvfrom(int fd, void *data, size_t room, int flags, struct sockaddr *from,
                     socklen_t *from_octets)
{
    struct iovec part = {data, room};
    struct msghdr message = {.msg_name = from,
                             .msg_namelen = from_octets ? *from_octets : 0,
                             .msg_iov = &part,
                             .msg_iovlen = 1};
    ssize_t got = net_recvmsg(fd, &message, flags);

    if (from_octets)
        *from_octets = message.msg_namelen;
    return got;
}

ssize_t net_recv(int fd, void *data, size_t room, int flags)
{
    return net_recvfrom(fd, data, room, flags, NULL, NULL);
}

int net_epoll_ctl(int epoll, int operation, int fd, struct epoll_event *event)
{
    enter();
    endpoint *end = at(fd);
    int error = end == NULL || at(epoll) == NULL ? EBADF : misfortune();
    if (!error)
        end->watched = operation != EPOLL_CTL_DEL;
    if (!error && event)
        end->watcher = event->data;
    return leave(0, error);
}

int net_epoll_wait(int epoll, struct epoll_event *events, int room, int timeout_ms)
{
    int count = 0;

    enter();
    calls++;
    if (at(epoll) == NULL || timeout_ms != 0)
        abort(); /* the tick never waits */
    for (uint32_t i = 0; i < highest && count < room; i++)
        if (endpoints[i].used && endpoints[i].watched && endpoints[i].count) {
            events[count].events = EPOLLIN;
            events[count++].data = endpoints[i].watcher;
        }
    return leave(count, 0);
}

ssize_t net_getrandom(void *data, size_t octets, unsigned flags)
{
    (void)flags;
    enter();
    int error = misfortune();
    for (size_t i = 0; !error && i < octets; i++) {
        chance = chance * 6364136223846793005ULL + 1442695040888963407ULL;
        ((uint8_t *)data)[i] = (uint8_t)(chance >> 56);
    }
    return leave((int)octets, error);
}

int net_clock_gettime(clockid_t clock, struct timespec *time)
{
    (void)clock;
    enter();
    *time = (struct timespec){now_ns / SECOND_NS, now_ns % SECOND_NS};
    return leave(0, 0);
}

/* Whoever sleeps moves the clock, and really pauses for a moment so that others get on. */
static int sleep_for(int64_t until_ns)
{
    struct timespec pause = {0, PAUSE_NS};

    enter();
    now_ns = until_ns > now_ns ? until_ns : now_ns;
    leave(0, 0);
    return nanosleep(&pause, NULL);
}

int net_nanosleep(const struct timespec *time, struct timespec *left)
{
    (void)left;
    enter();
    int64_t until_ns = now_ns + time->tv_sec * SECOND_NS + time->tv_nsec;
    leave(0, 0);
    return sleep_for(until_ns);
}

int net_clock_nanosleep(clockid_t clock, int flags, const struct timespec *time,
                        struct timespec *left)
{
    (void)clock;
    if (!(flags & TIMER_ABSTIME))
        return net_nanosleep(time, left);
    return sleep_for(time->tv_sec * SECOND_NS + time->tv_nsec);
}

/* -- memory: as always, unless chosen to fail -------------------------------------------------- */

static int memory_is_short(void)
{
    enter();
    int error = misfortune();
    leave(0, error);
    return error != 0;
}

void *net_malloc(size_t octets)
{
    return memory_is_short() ? NULL : malloc(octets);
}

void *net_calloc(size_t count, size_t octets)
{
    return memory_is_short() ? NULL : calloc(count, octets);
}

void *net_mmap(void *where, size_t octets, int protection, int flags, int fd, off_t offset)
{
    void *memory = memory_is_short() ? MAP_FAILED : mmap(where, octets, protection, flags, fd,
                                                         offset);
    enter();
    mappings += memory != MAP_FAILED;
    leave(0, 0);
    return memory;
}

int net_munmap(void *memory, size_t octets)
{
    enter();
    mappings--;
    leave(0, 0);
    return munmap(memory, octets);
}
