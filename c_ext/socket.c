/* UDP sockets of the engine.  All are made by the control side and never wait.
 *
 * A leg owns two sockets on its RTP port.  `door` is unconnected and holds the port from the
 * beginning; `voice` is connected to the far end, so the kernel delivers only the far end's
 * packets to it and sends without looking for a route.  Everyone else's packets fall to the door,
 * where they are counted.  The door lets the port be shared only for the instant in which the
 * other socket is bound: nobody else can join it.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/ip.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "state.h"

enum { EXPEDITED_FORWARDING = 0xB8, DOOR_OCTETS = 16384 };

int ot_address(struct sockaddr_in *out, const char *dotted, uint16_t port)
{
    memset(out, 0, sizeof(*out));
    out->sin_family = AF_INET;
    out->sin_port = htons(port);
    return dotted != NULL && inet_pton(AF_INET, dotted, &out->sin_addr) == 1 ? 0 : EINVAL;
}

static int option(int fd, int level, int name, int value)
{
    return setsockopt(fd, level, name, &value, sizeof(value)) == 0 ? 0 : errno;
}

static int open_socket(int *fd)
{
    *fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0)
        return errno;
    option(*fd, IPPROTO_IP, IP_TOS, EXPEDITED_FORWARDING);
    return 0;
}

void ot_socket_close(int fd)
{
    if (fd >= 0)
        close(fd);
}

static int open_bound(int *fd, const struct sockaddr_in *local, int share)
{
    int error = open_socket(fd);

    if (error)
        return error;
    if (share)
        error = option(*fd, SOL_SOCKET, SO_REUSEADDR, 1);
    if (!error && bind(*fd, (const struct sockaddr *)local, sizeof(*local)) != 0)
        error = errno;
    if (error) {
        ot_socket_close(*fd);
        *fd = -1;
    }
    return error;
}

int ot_socket_pair(int *rtp, int *rtcp, const char *address, uint16_t rtp_port)
{
    struct sockaddr_in local;
    int error = ot_address(&local, address, rtp_port);

    if (error || rtp_port == 0 || rtp_port % 2)
        return EINVAL;
    error = open_bound(rtp, &local, 0);
    if (error)
        return error;
    option(*rtp, SOL_SOCKET, SO_RCVBUF, DOOR_OCTETS);
    local.sin_port = htons((uint16_t)(rtp_port + 1));
    error = open_bound(rtcp, &local, 0);
    if (error) {
        ot_socket_close(*rtp);
        *rtp = -1;
        return error;
    }
    option(*rtcp, SOL_SOCKET, SO_RCVBUF, DOOR_OCTETS);
    option(*rtcp, SOL_SOCKET, SO_TIMESTAMPNS, 1);
    return 0;
}

int ot_socket_connect(int fd, const struct sockaddr_in *remote)
{
    return connect(fd, (const struct sockaddr *)remote, sizeof(*remote)) == 0 ? 0 : errno;
}

int ot_socket_beside(int *voice, int door, const struct in_addr *local, uint16_t port,
                     const struct sockaddr_in *remote)
{
    struct sockaddr_in here = {.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = *local};

    option(door, SOL_SOCKET, SO_REUSEADDR, 1);
    int error = open_bound(voice, &here, 1);
    option(door, SOL_SOCKET, SO_REUSEADDR, 0);
    if (error)
        return error;
    error = ot_socket_connect(*voice, remote);
    if (error) {
        ot_socket_close(*voice);
        *voice = -1;
    }
    return error;
}

static int refused(int error)
{
    return error == ECONNREFUSED || error == EHOSTUNREACH || error == ENETUNREACH;
}

int ot_socket_send(int fd, const uint8_t *data, size_t octets, uint64_t *errors,
                   uint64_t *last_errno)
{
    for (int attempt = 0; attempt < 2; attempt++) {
        if (send(fd, data, octets, MSG_DONTWAIT | MSG_NOSIGNAL) >= 0)
            return 1;
        OT_ADD(*errors, 1);
        OT_SET(*last_errno, errno);
        if (!refused(errno))
            return 0;
    }
    return 0;
}
