/* RFC 2198: payloads of a stream sent once more in later packets. */
#ifndef OT_REDUNDANCY_H
#define OT_REDUNDANCY_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

enum {
    OT_RED_BLOCKS_MAX = 8,       /* in a packet we read, the primary included */
    OT_RED_DEPTH_MAX = 2,        /* older payloads in a packet we write */
    OT_RED_OFFSET_MAX = 0x3FFF,  /* timestamp units, 14 bits */
    OT_RED_OCTETS_MAX = 0x3FF,   /* of a redundant block, 10 bits */
    OT_RED_REACH_MS = 200,       /* older payloads would come too late to be played */
    OT_RED_OVERHEAD_MAX = 4 * OT_RED_DEPTH_MAX + 1 /* octets of headers we write */
};

typedef struct {
    uint32_t timestamp_offset; /* how much older than the packet's timestamp; 0 for the primary */
    uint16_t offset;           /* of the block's first octet in the payload */
    uint16_t octets;
    uint8_t payload_type;
} ot_red_block;

typedef struct {
    uint32_t count; /* at least 1 */
    ot_red_block blocks[OT_RED_BLOCKS_MAX]; /* as they stand: oldest first, the primary last */
} ot_red;

/* EBADMSG: a header is cut, the blocks are more than there is or than OT_RED_BLOCKS_MAX. */
int ot_red_parse(ot_red *red, const uint8_t *data, size_t octets);

typedef struct {
    const uint8_t *data;
    uint32_t timestamp;
    uint16_t octets;
    uint8_t payload_type;
} ot_red_payload;

/* Writes payloads, oldest first, the primary last; of the others it leaves out those that do not
 * fit 14 and 10 bits or the room that the primary leaves.  Returns octets; 0: not even the
 * primary fits. */
size_t ot_red_write(uint8_t *data, size_t room, const ot_red_payload *payloads, size_t count);

typedef struct {
    uint32_t timestamp;
    uint16_t octets;
    uint8_t payload_type;
    uint8_t used;
    uint8_t data[OT_RED_OCTETS_MAX];
} ot_red_kept;

/* What a sender remembers; embed it. */
typedef struct {
    uint32_t reach; /* timestamp units */
    uint8_t depth;
    uint8_t newest;
    ot_red_kept kept[OT_RED_DEPTH_MAX];
} ot_red_sender;

/* EINVAL: depth is not 1 or 2, or the clock not 8000 to 48000 Hz. */
int ot_red_sender_init(ot_red_sender *sender, uint32_t depth, uint32_t clock_hz);
/* Writes the payload of one packet and keeps what the next ones repeat; as ot_red_write. */
size_t ot_red_sender_run(ot_red_sender *sender, uint8_t *data, size_t room,
                         const ot_red_payload *primary);

/* cdef: end */

#endif
