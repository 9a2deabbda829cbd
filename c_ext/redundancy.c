/* RFC 2198 section 3: every block's header stands in front, then every block's data.
 *
 *     F=1 | payload type 7 | timestamp offset 14 | octets 10      a redundant block
 *     F=0 | payload type 7                                        the primary, the rest is its data
 */
#include "redundancy.h"

#include <errno.h>
#include <string.h>

#include "wire.h"

enum {
    MORE_BIT = 0x80,
    TYPE_MASK = 0x7F,
    REDUNDANT_HEADER = 4,
    PRIMARY_HEADER = 1,
    LENGTH_BITS = 10,
    CLOCK_MIN_HZ = 8000,
    CLOCK_MAX_HZ = 48000
};

/* -- reading ------------------------------------------------------------------------------- */

/* Reads the headers; returns the octets they take, 0 when they are cut or too many. */
static size_t read_headers(ot_red *red, const uint8_t *data, size_t octets)
{
    size_t at = 0;

    for (red->count = 0; red->count < OT_RED_BLOCKS_MAX; red->count++) {
        ot_red_block *block = &red->blocks[red->count];
        size_t left = octets - at;
        if (left < PRIMARY_HEADER)
            return 0;
        block->payload_type = data[at] & TYPE_MASK;
        block->timestamp_offset = 0;
        if (!(data[at] & MORE_BIT)) {
            red->count++;
            return at + PRIMARY_HEADER;
        }
        if (left < REDUNDANT_HEADER)
            return 0;
        uint32_t word = ot_read32(data + at);
        block->timestamp_offset = word >> LENGTH_BITS & OT_RED_OFFSET_MAX;
        block->octets = (uint16_t)(word & OT_RED_OCTETS_MAX);
        at += REDUNDANT_HEADER;
    }
    return 0;
}

int ot_red_parse(ot_red *red, const uint8_t *data, size_t octets)
{
    size_t at = octets <= UINT16_MAX ? read_headers(red, data, octets) : 0;

    if (at == 0)
        return EBADMSG;
    ot_red_block *primary = &red->blocks[red->count - 1];
    for (ot_red_block *block = red->blocks; block < primary; block++) {
        if (block->octets > octets - at)
            return EBADMSG;
        block->offset = (uint16_t)at;
        at += block->octets;
    }
    primary->offset = (uint16_t)at;
    primary->octets = (uint16_t)(octets - at);
    return 0;
}

/* -- writing ------------------------------------------------------------------------------- */

static int fits(const ot_red_payload *older, const ot_red_payload *primary, size_t left)
{
    return older->octets > 0 && older->octets <= OT_RED_OCTETS_MAX &&
           primary->timestamp - older->timestamp <= OT_RED_OFFSET_MAX &&
           (size_t)older->octets + REDUNDANT_HEADER <= left;
}

static void write_header(uint8_t *data, const ot_red_payload *older, uint32_t timestamp)
{
    uint32_t kind = (uint32_t)(MORE_BIT | (older->payload_type & TYPE_MASK)) << 24;

    ot_write32(data, kind | (timestamp - older->timestamp) << LENGTH_BITS | older->octets);
}

static size_t write_data(uint8_t *data, const ot_red_payload *payload)
{
    if (payload->octets)
        memcpy(data, payload->data, payload->octets);
    return payload->octets;
}

size_t ot_red_write(uint8_t *data, size_t room, const ot_red_payload *payloads, size_t count)
{
    const ot_red_payload *chosen[OT_RED_BLOCKS_MAX];
    uint32_t taken = 0;
    size_t at = 0;

    if (count == 0)
        return 0;
    const ot_red_payload *primary = payloads + count - 1;
    if ((size_t)primary->octets + PRIMARY_HEADER > room)
        return 0;
    size_t left = room - primary->octets - PRIMARY_HEADER;
    for (const ot_red_payload *next = primary; next-- > payloads;) /* newest first */
        if (taken < OT_RED_BLOCKS_MAX - 1 && fits(next, primary, left)) {
            chosen[taken++] = next;
            left -= (size_t)next->octets + REDUNDANT_HEADER;
        }
    for (uint32_t i = taken; i-- > 0; at += REDUNDANT_HEADER)
        write_header(data + at, chosen[i], primary->timestamp);
    data[at++] = primary->payload_type & TYPE_MASK;
    for (uint32_t i = taken; i-- > 0;)
        at += write_data(data + at, chosen[i]);
    return at + write_data(data + at, primary);
}

/* -- sending ------------------------------------------------------------------------------- */

int ot_red_sender_init(ot_red_sender *sender, uint32_t depth, uint32_t clock_hz)
{
    if (depth < 1 || depth > OT_RED_DEPTH_MAX || clock_hz < CLOCK_MIN_HZ ||
        clock_hz > CLOCK_MAX_HZ)
        return EINVAL;
    memset(sender, 0, sizeof(*sender));
    sender->depth = (uint8_t)depth;
    sender->reach = clock_hz / 1000 * OT_RED_REACH_MS;
    return 0;
}

static void keep(ot_red_sender *sender, const ot_red_payload *payload)
{
    sender->newest = (uint8_t)((sender->newest + 1) % OT_RED_DEPTH_MAX);
    ot_red_kept *kept = &sender->kept[sender->newest];

    kept->used = payload->octets > 0 && payload->octets <= OT_RED_OCTETS_MAX;
    if (!kept->used)
        return;
    kept->timestamp = payload->timestamp;
    kept->octets = payload->octets;
    kept->payload_type = payload->payload_type;
    memcpy(kept->data, payload->data, payload->octets);
}

size_t ot_red_sender_run(ot_red_sender *sender, uint8_t *data, size_t room,
                         const ot_red_payload *primary)
{
    ot_red_payload payloads[OT_RED_DEPTH_MAX + 1];
    size_t count = 0;

    for (uint32_t back = sender->depth; back-- > 0;) {
        const ot_red_kept *kept =
            &sender->kept[(sender->newest + OT_RED_DEPTH_MAX - back) % OT_RED_DEPTH_MAX];
        if (kept->used && primary->timestamp - kept->timestamp <= sender->reach)
            payloads[count++] = (ot_red_payload){.data = kept->data,
                                                 .timestamp = kept->timestamp,
                                                 .octets = kept->octets,
                                                 .payload_type = kept->payload_type};
    }
    payloads[count++] = *primary;
    size_t octets = ot_red_write(data, room, payloads, count);
    keep(sender, primary);
    return octets;
}
