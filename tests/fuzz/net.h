/* A network, a clock and chance in memory, in place of the kernel's.
 *
 * run.py renames what the engine's objects call (socket, recv, clock_gettime, ...) to the net_
 * functions of net.c, so a fuzzer decides every datagram, error and random number, an input has
 * the same effect each time, and thousands of engines live and die per second.  Only datagrams on
 * IPv4 exist.  Sockets count as the process's own: net_sockets says how many are open.
 */
#ifndef NET_H
#define NET_H

#include <stddef.h>
#include <stdint.h>

enum {
    NET_LOOPBACK = 0x7F000001, /* addresses and ports here are in host order */
    NET_QUEUE = 64             /* datagrams that wait at one socket; more are dropped */
};

typedef struct {
    uint32_t from_address;
    uint32_t to_address;
    uint16_t from_port;
    uint16_t to_port;
} net_route;

/* Everything is closed and forgotten; chance begins anew from `seed`. */
void net_reset(uint64_t seed);
uint32_t net_sockets(void);
uint32_t net_mappings(void); /* from mmap, not yet unmapped */
uint32_t net_calls(void);    /* since net_reset; of those that read or write a socket */

/* Puts a datagram into the socket that the kernel would choose: the connected one first. */
void net_deliver(const net_route *route, const uint8_t *data, size_t octets);
/* Is told of everything that is sent, before it arrives anywhere. */
void net_listen(void (*sent)(const net_route *route, const uint8_t *data, size_t octets));
/* Of the calls that may fail, lets the one after the next `after` fail with `error`. */
void net_fail(uint32_t after, int error);

#endif
