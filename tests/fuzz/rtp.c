/* ot_rtp_parse: what it claims lies inside the datagram, and a header written is read back. */
#include <string.h>

#include "engine.h"
#include "input.h"
#include "wire.h"

static void check_claims(const ot_rtp *packet, const uint8_t *data, size_t octets)
{
    size_t end = (size_t)packet->payload_offset + packet->payload_octets;

    PROMISE(packet->payload_offset >= OT_RTP_HEADER);
    PROMISE(end <= octets);
    PROMISE(end == octets || data[octets - 1] == octets - end); /* the rest is padding */
    PROMISE(packet->payload_type < 128 && packet->marker <= 1);
}

static void write_and_read(const ot_rtp *packet)
{
    uint8_t header[OT_RTP_HEADER];
    ot_rtp again;

    ot_rtp_write(header, packet);
    if (header[1] >= 192 && header[1] <= 223)
        return; /* would look like RTCP (RFC 5761): the parser refuses it */
    PROMISE(ot_rtp_parse(&again, header, sizeof(header)) == 0);
    PROMISE(again.ssrc == packet->ssrc && again.timestamp == packet->timestamp);
    PROMISE(again.sequence == packet->sequence && again.marker == packet->marker);
    PROMISE(again.payload_type == packet->payload_type && again.payload_octets == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    ot_rtp packet;

    if (ot_rtp_parse(&packet, data, octets) != 0)
        return 0;
    check_claims(&packet, data, octets);
    write_and_read(&packet);
    return 0;
}
