/* RFC 2198: what a parser claims lies inside the payload, and a sender's packets are read back. */
#include <string.h>

#include "input.h"
#include "redundancy.h"

enum { PACKETS_MAX = 40, ROOM_STEP = 6, ROOM = UINT8_MAX * ROOM_STEP };

static void check_claims(const ot_red *red, size_t octets)
{
    size_t end = 0;

    PROMISE(red->count >= 1 && red->count <= OT_RED_BLOCKS_MAX);
    for (uint32_t i = 0; i < red->count; i++) {
        const ot_red_block *block = &red->blocks[i];
        PROMISE(i == 0 || block->offset == end); /* one behind the other */
        end = (size_t)block->offset + block->octets;
        PROMISE(end <= octets);
        PROMISE(block->payload_type < 128 && block->timestamp_offset <= OT_RED_OFFSET_MAX);
    }
    PROMISE(end == octets);
    PROMISE(red->blocks[red->count - 1].timestamp_offset == 0);
}

/* The primary is what was given; the octets of all blocks were given at some time. */
static void send_one(ot_red_sender *sender, input *in, uint32_t *timestamp)
{
    static uint8_t data[ROOM];
    size_t octets = (size_t)take8(in) * 5;
    *timestamp += (uint32_t)(int8_t)take8(in) * 40;
    uint8_t type = take8(in);
    size_t room = (size_t)take8(in) * ROOM_STEP;
    ot_red red;
    const uint8_t *payload = take(in, &octets);
    const ot_red_payload primary = {payload, *timestamp, (uint16_t)octets, type & 127};
    size_t written = ot_red_sender_run(sender, data, room, &primary);

    PROMISE(written <= room);
    if (written == 0)
        return;
    PROMISE(ot_red_parse(&red, data, written) == 0);
    check_claims(&red, written);
    const ot_red_block *last = &red.blocks[red.count - 1];
    PROMISE(last->octets == octets && last->payload_type == primary.payload_type);
    PROMISE(octets == 0 || memcmp(data + last->offset, payload, octets) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};
    ot_red red;
    ot_red_sender sender;
    uint32_t timestamp = take32(&in);

    if (ot_red_parse(&red, data, octets) == 0)
        check_claims(&red, octets);
    if (ot_red_sender_init(&sender, take8(&in) & 3, 8000) != 0)
        return 0;
    for (int i = 0; i < PACKETS_MAX && in.left; i++)
        send_one(&sender, &in, &timestamp);
    return 0;
}
