/* SRTP and SRTCP of one direction of one leg: RFC 3711, with AES-GCM by RFC 7714.
 *
 * A face over libsrtp2.  Its ciphers may allocate and lock for every packet, so nothing here
 * belongs in the tick: shield.h runs it on a thread of its own.  A session is used by one thread
 * at a time; different sessions are independent.
 */
#ifndef OT_SRTP_H
#define OT_SRTP_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

/* Numbered as the protection profiles of RFC 5764 and RFC 7714; the best first. */
typedef enum {
    OT_AEAD_AES_256_GCM = 8,
    OT_AEAD_AES_128_GCM = 7,
    OT_AES_CM_128_HMAC_SHA1_80 = 1,
    OT_AES_CM_128_HMAC_SHA1_32 = 2
} ot_srtp_suite;

typedef enum { OT_SRTP_IN, OT_SRTP_OUT } ot_srtp_direction;

enum {
    OT_SRTP_PLAIN_MAX = 2000, /* 20 ms of L16 at 48 kHz are 1932 */
    OT_SRTP_ROOM = 2152,      /* and what may be written behind it: tag, index, key identifier */
    OT_SRTP_SOURCES_MAX = 32, /* SSRCs that one inbound session remembers */
    OT_SRTP_WINDOW = 1024     /* packets that replay protection looks back */
};

typedef struct ot_srtp ot_srtp;

/* A packet that is protected or unprotected where it lies. */
typedef struct {
    uint32_t octets;
    uint8_t data[OT_SRTP_ROOM];
} ot_srtp_packet;

int ot_srtp_find(const char *name);     /* by its name in SDES (RFC 4568); 0: unknown */
uint32_t ot_srtp_key_octets(int suite); /* master key and salt together; 0: unknown */

/* `key` is master key then master salt, as SDES carries them, and is copied.  EINVAL: no such suite
 * or direction, or a key of the wrong length.  Inbound, any SSRC is accepted that authenticates. */
int ot_srtp_create(ot_srtp **session, int suite, int direction, const uint8_t *key, size_t octets);
void ot_srtp_destroy(ot_srtp *session); /* NULL is allowed */

/* EBADMSG      not a packet of its kind, or too short to be protected
 * EMSGSIZE     its plain form is longer than OT_SRTP_PLAIN_MAX
 * EACCES       authentication failed
 * EALREADY     a replay, or too old to tell
 * ENOSPC       one SSRC more than OT_SRTP_SOURCES_MAX
 * EKEYEXPIRED  the master key has protected all it may
 * EPERM        the session is of the other direction
 * EIO          anything else the library says
 * After an error the packet's contents are undefined. */
int ot_srtp_protect(ot_srtp *session, ot_srtp_packet *packet);
int ot_srtp_unprotect(ot_srtp *session, ot_srtp_packet *packet);
int ot_srtp_protect_report(ot_srtp *session, ot_srtp_packet *packet);
int ot_srtp_unprotect_report(ot_srtp *session, ot_srtp_packet *packet);

/* cdef: end */

#endif
