/* Network byte order, and the writers of RTP and RTCP. */
#ifndef OT_WIRE_H
#define OT_WIRE_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"
#include "rtcp.h"

enum { OT_RTP_HEADER = 12 };

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

#endif
