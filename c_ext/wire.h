/* Network byte order, and what the RTP and RTCP writers need of the tick. */
#ifndef OT_WIRE_H
#define OT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"

enum { OT_RTP_HEADER = 12, OT_RTCP_MAX = 128, OT_CNAME_OCTETS = 16 };

static inline uint16_t ot_read16(const uint8_t *data)
{
    return (uint16_t)(data[0] << 8 | data[1]);
}

static inline uint32_t ot_read32(const uint8_t *data)
{
    return (uint32_t)ot_read16(data) << 16 | ot_read16(data + 2);
}

static inline void ot_write16(uint8_t *data, uint16_t value)
{
    data[0] = (uint8_t)(value >> 8);
    data[1] = (uint8_t)value;
}

static inline void ot_write32(uint8_t *data, uint32_t value)
{
    ot_write16(data, (uint16_t)(value >> 16));
    ot_write16(data + 2, (uint16_t)value);
}

void ot_rtp_write(uint8_t *header, const ot_rtp *packet); /* OT_RTP_HEADER octets */

/* What a report says; blocks about the far end are written when remote_ssrc_known. */
typedef struct {
    uint32_t ssrc;
    uint64_t ntp; /* of this report, 32.32 */
    uint32_t timestamp;
    uint32_t packets_sent;
    uint32_t octets_sent;
    uint32_t remote_ssrc;
    uint32_t highest_sequence;
    uint32_t jitter;
    int32_t packets_lost;
    uint32_t last_report;
    uint32_t delay_since;
    uint8_t fraction_lost;
    uint8_t sender;            /* SR, else RR */
    uint8_t remote_ssrc_known;
    uint8_t bye;
    const char *cname; /* OT_CNAME_OCTETS long */
} ot_report;

size_t ot_rtcp_write(uint8_t *data, const ot_report *report); /* at most OT_RTCP_MAX */

#endif
