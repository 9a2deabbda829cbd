/* RTCP sender and receiver reports, RFC 3550 section 6; compound packets only. */
#include <errno.h>
#include <string.h>

#include "engine.h"
#include "wire.h"

enum {
    SR = 200,
    RR = 201,
    SDES = 202,
    BYE = 203,
    CNAME = 1,
    VERSION_2 = 0x80,
    PADDING_BIT = 0x20,
    COUNT_MASK = 0x1F,
    HEADER = 8, /* with the sender's SSRC */
    SENDER_INFO = 20,
    BLOCK = 24
};

/* -- reading ------------------------------------------------------------------------------- */

static void read_block(ot_rtcp *report, const uint8_t *block)
{
    report->has_block = 1;
    report->fraction_lost = block[4];
    report->packets_lost = (int32_t)(ot_read32(block + 4) << 8) >> 8;
    report->jitter = ot_read32(block + 12);
    report->last_report = ot_read32(block + 16);
    report->delay_since = ot_read32(block + 20);
}

static int read_report(ot_rtcp *report, const uint8_t *part, size_t octets, uint32_t ssrc)
{
    size_t at = part[1] == SR ? HEADER + SENDER_INFO : HEADER;
    size_t blocks = part[0] & COUNT_MASK;

    if (octets < at + blocks * BLOCK)
        return EBADMSG;
    report->sender_ssrc = ot_read32(part + 4);
    if (part[1] == SR)
        report->ntp_middle = ot_read32(part + 10);
    for (size_t i = 0; i < blocks; i++, at += BLOCK)
        if (ot_read32(part + at) == ssrc)
            read_block(report, part + at);
    return 0;
}

/* The octets of one part of a compound, or 0 when it lies. */
static size_t part_octets(const uint8_t *part, size_t left)
{
    if (left < 4 || (part[0] & 0xC0) != VERSION_2)
        return 0;
    size_t octets = ((size_t)ot_read16(part + 2) + 1) * 4;
    if (octets > left)
        return 0;
    if ((part[0] & PADDING_BIT) && (octets != left || part[octets - 1] == 0 ||
                                    part[octets - 1] > octets - 4 || part[octets - 1] % 4))
        return 0; /* only the last part may be padded */
    return octets;
}

static int read_part(ot_rtcp *report, const uint8_t *part, size_t octets, uint32_t ssrc)
{
    if (part[1] == BYE)
        report->bye = 1;
    if (part[1] != SR && part[1] != RR)
        return 0;
    if (octets < HEADER)
        return EBADMSG;
    return read_report(report, part, octets, ssrc);
}

int ot_rtcp_parse(ot_rtcp *report, const uint8_t *data, size_t octets, uint32_t ssrc)
{
    memset(report, 0, sizeof(*report));
    if (octets < HEADER || (data[1] != SR && data[1] != RR) || (data[0] & PADDING_BIT))
        return EBADMSG;
    while (octets > 0) {
        size_t part = part_octets(data, octets);
        if (part == 0 || read_part(report, data, part, ssrc) != 0)
            return EBADMSG;
        data += part;
        octets -= part;
    }
    return 0;
}

/* -- writing ------------------------------------------------------------------------------- */

static void write_header(uint8_t *part, unsigned count, unsigned type, size_t octets)
{
    part[0] = (uint8_t)(VERSION_2 | count);
    part[1] = (uint8_t)type;
    ot_write16(part + 2, (uint16_t)(octets / 4 - 1));
}

static uint8_t *write_sender_info(uint8_t *at, const ot_report *report)
{
    ot_write32(at, (uint32_t)(report->ntp >> 32));
    ot_write32(at + 4, (uint32_t)report->ntp);
    ot_write32(at + 8, report->timestamp);
    ot_write32(at + 12, report->packets_sent);
    ot_write32(at + 16, report->octets_sent);
    return at + SENDER_INFO;
}

static uint8_t *write_block(uint8_t *at, const ot_report *report)
{
    ot_write32(at, report->remote_ssrc);
    ot_write32(at + 4, (uint32_t)report->packets_lost & 0xFFFFFF);
    at[4] = report->fraction_lost;
    ot_write32(at + 8, report->highest_sequence);
    ot_write32(at + 12, report->jitter);
    ot_write32(at + 16, report->last_report);
    ot_write32(at + 20, report->delay_since);
    return at + BLOCK;
}

static uint8_t *write_report(uint8_t *part, const ot_report *report)
{
    uint8_t *at = part + HEADER;

    ot_write32(part + 4, report->ssrc);
    if (report->sender)
        at = write_sender_info(at, report);
    if (report->remote_ssrc_known)
        at = write_block(at, report);
    write_header(part, report->remote_ssrc_known ? 1 : 0, report->sender ? SR : RR,
                 (size_t)(at - part));
    return at;
}

static uint8_t *write_cname(uint8_t *part, const ot_report *report)
{
    size_t octets = (HEADER + 2 + OT_CNAME_OCTETS + 1 + 3) / 4 * 4;

    memset(part, 0, octets); /* zeros end the list of items */
    write_header(part, 1, SDES, octets);
    ot_write32(part + 4, report->ssrc);
    part[8] = CNAME;
    part[9] = OT_CNAME_OCTETS;
    memcpy(part + 10, report->cname, OT_CNAME_OCTETS);
    return part + octets;
}

size_t ot_rtcp_write(uint8_t *data, const ot_report *report)
{
    uint8_t *at = write_cname(write_report(data, report), report);

    if (report->bye) {
        write_header(at, 1, BYE, HEADER);
        ot_write32(at + 4, report->ssrc);
        at += HEADER;
    }
    return (size_t)(at - data);
}
