/* RTP headers, RFC 3550 section 5.1: nothing a packet says of itself is believed unchecked. */
#include <errno.h>
#include <string.h>

#include "engine.h"
#include "wire.h"

enum {
    VERSION_MASK = 0xC0,
    VERSION_2 = 0x80,
    PADDING_BIT = 0x20,
    EXTENSION_BIT = 0x10,
    CSRC_COUNT_MASK = 0x0F,
    MARKER_BIT = 0x80,
    WORD_OCTETS = 4
};

/* RFC 5761: with the marker bit, these second octets are RTCP packet types 192 to 223. */
static int is_rtcp(uint8_t second_octet)
{
    return second_octet >= 192 && second_octet <= 223;
}

/* The octets of the header with CSRC list and extension, or 0 when they do not fit. */
static size_t header_octets(const uint8_t *data, size_t octets)
{
    size_t header = OT_RTP_HEADER + (size_t)(data[0] & CSRC_COUNT_MASK) * WORD_OCTETS;

    if (data[0] & EXTENSION_BIT) {
        if (octets < header + WORD_OCTETS)
            return 0;
        header += WORD_OCTETS + (size_t)ot_read16(data + header + 2) * WORD_OCTETS;
    }
    return header <= octets ? header : 0;
}

int ot_rtp_parse(ot_rtp *packet, const uint8_t *data, size_t octets)
{
    if (octets < OT_RTP_HEADER || octets > UINT16_MAX)
        return EBADMSG;
    if ((data[0] & VERSION_MASK) != VERSION_2 || is_rtcp(data[1]))
        return EBADMSG;
    size_t header = header_octets(data, octets);
    if (header == 0)
        return EBADMSG;
    size_t payload = octets - header;
    if (data[0] & PADDING_BIT) {
        if (payload == 0 || data[octets - 1] == 0 || data[octets - 1] > payload)
            return EBADMSG;
        payload -= data[octets - 1];
    }
    packet->payload_type = data[1] & (MARKER_BIT - 1);
    packet->marker = data[1] >> 7;
    packet->sequence = ot_read16(data + 2);
    packet->timestamp = ot_read32(data + 4);
    packet->ssrc = ot_read32(data + 8);
    packet->payload_offset = (uint16_t)header;
    packet->payload_octets = (uint16_t)payload;
    return 0;
}

void ot_rtp_write(uint8_t *header, const ot_rtp *packet)
{
    header[0] = VERSION_2;
    header[1] = (uint8_t)(packet->payload_type | (packet->marker ? MARKER_BIT : 0));
    ot_write16(header + 2, packet->sequence);
    ot_write32(header + 4, packet->timestamp);
    ot_write32(header + 8, packet->ssrc);
}
