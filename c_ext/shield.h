/* The shield: SRTP between the sockets of protected legs and the tick, on a thread of its own.
 *
 * libsrtp's ciphers may allocate and lock; the tick may not.  So the shield's thread reads the
 * sockets, takes the protection off and leaves plain packets in a ring for the tick; what the tick
 * leaves in another ring it protects and sends.  It wakes shortly before each tick and again when
 * the tick has ended.
 *
 * Three sides meet here.  The control side adds, changes and removes slots, from any thread; it
 * may wait for the shield's thread, which keeps its mutex for one turn.  The tick calls only the
 * functions marked so, which neither wait nor enter the kernel.  The thread runs while it is
 * started and there is a slot.
 */
#ifndef OT_SHIELD_H
#define OT_SHIELD_H

#include <stddef.h>
#include <stdint.h>

#include "srtp.h"

/* cdef: begin */

enum {
    OT_SHIELD_DATAGRAMS = 32, /* that may wait in each direction; a power of two */
    OT_SHIELD_REPORTS = 4,
    OT_SHIELD_READS = 16      /* from one socket in one turn, whatever waits */
};

typedef struct ot_srtp ot_srtp; /* srtp.h, which a reader of these parts meets later */
typedef struct ot_shield ot_shield;
typedef struct ot_shield_slot ot_shield_slot;

/* How a slot reaches its far end.  The descriptors stay the caller's: open until the slot is
 * removed or changed to others.  The sessions become the shield's when the call succeeds. */
typedef struct {
    int rtp_fd;              /* connected to the far end, so the kernel keeps strangers out */
    int rtcp_fd;             /* not connected: the shield compares addresses; -1: none */
    uint32_t remote_address; /* of the far end's RTCP; in network order, as in struct in_addr */
    uint16_t remote_rtcp_port; /* in host order */
    ot_srtp *inbound;        /* NULL when adding: whatever comes is dropped */
    ot_srtp *outbound;       /* NULL when adding: nothing is sent */
} ot_shield_path;

typedef struct {
    uint64_t received;       /* packets given to the tick */
    uint64_t sent;
    uint64_t reports_received;
    uint64_t reports_sent;
    uint64_t authentication_failures;
    uint64_t replays;
    uint64_t malformed;
    uint64_t foreign;        /* RTCP from elsewhere */
    uint64_t refused;        /* one SSRC too many, a spent key, no session */
    uint64_t overflows_in;   /* the tick did not fetch them in time */
    uint64_t overflows_out;  /* the shield did not */
    uint64_t send_errors;
    uint64_t last_errno;
} ot_shield_slot_stats;

typedef struct {
    uint64_t turns;
    uint64_t busy_ns;
    uint64_t late_in;        /* turns before a tick that ended after it was due */
    uint64_t sends;          /* turns after a tick, by the tick's time; the delays are theirs */
    uint64_t send_delay_ns;  /* sum, from the time the tick was due to the last packet out */
    uint64_t send_delay_max_ns;
    uint64_t realtime;       /* 1 when SCHED_FIFO was granted */
    uint64_t running;        /* 1 while the thread exists */
} ot_shield_stats;

int ot_shield_create(ot_shield **shield);
void ot_shield_destroy(ot_shield *shield); /* removes what is left; the tick has stopped */
int ot_shield_start(ot_shield *shield, int realtime); /* EALREADY when started */
int ot_shield_stop(ot_shield *shield);
int ot_shield_add(ot_shield *shield, ot_shield_slot **slot, const ot_shield_path *path);
/* New sockets, address and sessions; a session that is NULL stays as it is, with its ROC. */
void ot_shield_change(ot_shield *shield, ot_shield_slot *slot, const ot_shield_path *path);
/* Sends what the tick has left and frees the slot: the tick must have forgotten it. */
void ot_shield_remove(ot_shield *shield, ot_shield_slot *slot);
void ot_shield_slot_read(const ot_shield_slot *slot, ot_shield_slot_stats *stats);
void ot_shield_read(const ot_shield *shield, ot_shield_stats *stats);
/* One turn in both directions by hand; EALREADY while the thread runs. */
int ot_shield_step(ot_shield *shield);

/* -- for the tick -- */

/* The last act of a tick: what it left may be sent, and the next one is due then (by
 * CLOCK_MONOTONIC). */
void ot_shield_align(ot_shield *shield, int64_t next_due_ns);
/* Octets of the next plain packet, -1 when there is none.  One longer than `room` is cut. */
int ot_shield_receive(ot_shield_slot *slot, uint8_t *data, size_t room);
/* 1; 0 when the packet was dropped, and counted, for the ring is full or the packet too long. */
int ot_shield_send(ot_shield_slot *slot, const uint8_t *data, size_t octets);
/* The same for RTCP; *ntp is when the kernel received it, as 32.32. */
int ot_shield_receive_report(ot_shield_slot *slot, uint8_t *data, size_t room, uint64_t *ntp);
int ot_shield_send_report(ot_shield_slot *slot, const uint8_t *data, size_t octets);

/* cdef: end */

#endif
