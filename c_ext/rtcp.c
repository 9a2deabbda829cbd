/* RTCP: RFC 3550 section 6 and the blocks of RFC 3611 that concern a telephone. */
#include "rtcp.h"

#include <errno.h>
#include <string.h>

#include "wire.h"

enum {
    SR = 200,
    RR = 201,
    SDES = 202,
    BYE = 203,
    XR = 207,
    CNAME = 1,
    VERSION_2 = 0x80,
    PADDING_BIT = 0x20,
    COUNT_MASK = 0x1F,
    WORD = 4,
    HEADER = 8, /* with the sender's SSRC */
    SENDER_INFO = 20,
    BLOCK = 24,
    ITEM_HEADER = 2,
    /* RFC 3611: block types, and octets with their header */
    REFERENCE = 4,
    REFERENCE_OCTETS = 12,
    REPLY = 5,
    REPLY_OCTETS = 16, /* about one source */
    REPLY_SUB_BLOCK = 12,
    METRICS = 7,
    METRICS_OCTETS = 36,
    FOLLOWS_TICKS = 5000 /* ten report intervals (RFC 3550 section 8.2) */
};

/* -- reading ------------------------------------------------------------------------------- */

/* One part of a compound, without its padding. */
typedef struct {
    const uint8_t *data;
    size_t octets;
    uint32_t ours;
} part_view;

static void read_block(ot_rtcp *report, const uint8_t *block)
{
    report->has_block = 1;
    report->fraction_lost = block[4];
    report->packets_lost = (int32_t)(ot_read32(block + 4) << 8) >> 8;
    report->jitter = ot_read32(block + 12);
    report->last_report = ot_read32(block + 16);
    report->delay_since = ot_read32(block + 20);
}

static int read_report(ot_rtcp *report, const part_view *part)
{
    int sender = part->data[1] == SR;
    size_t at = sender ? HEADER + SENDER_INFO : HEADER;
    size_t blocks = part->data[0] & COUNT_MASK;

    if (part->octets < at + blocks * BLOCK)
        return EBADMSG;
    uint32_t source = ot_read32(part->data + 4);
    report->names_us |= source == part->ours;
    if (sender && source == report->sender_ssrc)
        report->ntp_middle = ot_read32(part->data + 10);
    for (size_t i = 0; i < blocks; i++, at += BLOCK)
        if (ot_read32(part->data + at) == part->ours)
            read_block(report, part->data + at);
    return 0;
}

static void keep_cname(ot_rtcp *report, const uint8_t *text, uint8_t octets)
{
    memcpy(report->cname, text, octets);
    report->cname_octets = octets;
}

/* Reads the items of one chunk; returns the octets of the chunk, 0 when it lies. */
static size_t read_chunk(ot_rtcp *report, const uint8_t *chunk, size_t left)
{
    size_t at = WORD;

    while (at < left && chunk[at] != 0) {
        if (left - at < ITEM_HEADER || left - at - ITEM_HEADER < chunk[at + 1])
            return 0;
        if (chunk[at] == CNAME && ot_read32(chunk) == report->sender_ssrc)
            keep_cname(report, chunk + at + ITEM_HEADER, chunk[at + 1]);
        at += ITEM_HEADER + (size_t)chunk[at + 1];
    }
    /* A list must end with a zero; where the part ends too, some leave it out. */
    return at < left ? (at / WORD + 1) * WORD : left;
}

static int read_descriptions(ot_rtcp *report, const part_view *part)
{
    size_t at = WORD;

    for (int chunks = part->data[0] & COUNT_MASK; chunks > 0; chunks--) {
        if (part->octets - at < 2 * WORD)
            return EBADMSG;
        report->names_us |= ot_read32(part->data + at) == part->ours;
        size_t octets = read_chunk(report, part->data + at, part->octets - at);
        if (octets == 0)
            return EBADMSG;
        at += octets;
    }
    return 0;
}

static int read_bye(ot_rtcp *report, const part_view *part)
{
    size_t count = part->data[0] & COUNT_MASK;
    size_t reason = WORD + count * WORD;

    if (part->octets < reason ||
        (part->octets > reason && part->octets - reason - 1 < part->data[reason]))
        return EBADMSG;
    for (size_t i = 0; i < count; i++) {
        uint32_t source = ot_read32(part->data + WORD + i * WORD);
        report->names_us |= source == part->ours;
        report->bye |= source == report->sender_ssrc;
        if (report->bye_count < OT_BYES_MAX)
            report->byes[report->bye_count++] = source;
    }
    return 0;
}

static void read_metrics(ot_rtcp *report, const uint8_t *block)
{
    report->has_metrics = 1;
    report->metrics = (ot_voip_metrics){
        .ssrc = ot_read32(block + 4),
        .loss_rate = block[8],
        .discard_rate = block[9],
        .burst_density = block[10],
        .gap_density = block[11],
        .burst_duration_ms = ot_read16(block + 12),
        .gap_duration_ms = ot_read16(block + 14),
        .round_trip_ms = ot_read16(block + 16),
        .end_system_delay_ms = ot_read16(block + 18),
        .signal_dbm0 = (int8_t)block[20],
        .noise_dbm0 = (int8_t)block[21],
        .echo_return_loss_db = block[22],
        .gmin = block[23],
        .r_factor = block[24],
        .external_r_factor = block[25],
        .mos_lq = block[26],
        .mos_cq = block[27],
        .receiver = block[28],
        .jitter_nominal_ms = ot_read16(block + 30),
        .jitter_maximum_ms = ot_read16(block + 32),
        .jitter_absolute_ms = ot_read16(block + 34),
    };
}

static int read_replies(ot_rtcp *report, const uint8_t *block, size_t octets, uint32_t ours)
{
    if ((octets - WORD) % REPLY_SUB_BLOCK)
        return EBADMSG;
    for (size_t at = WORD; at < octets; at += REPLY_SUB_BLOCK) {
        if (ot_read32(block + at) != ours)
            continue;
        report->has_reference_reply = 1;
        report->last_reference = ot_read32(block + at + 4);
        report->delay_reference = ot_read32(block + at + 8);
    }
    return 0;
}

static int read_extended_block(ot_rtcp *report, const part_view *part, size_t at, size_t octets)
{
    const uint8_t *block = part->data + at;

    if (block[0] == REPLY)
        return read_replies(report, block, octets, part->ours);
    if (block[0] == REFERENCE) {
        if (octets != REFERENCE_OCTETS)
            return EBADMSG;
        if (ot_read32(part->data + 4) == report->sender_ssrc)
            report->reference_middle = ot_read32(block + 6);
    }
    if (block[0] == METRICS) {
        if (octets != METRICS_OCTETS)
            return EBADMSG;
        if (ot_read32(block + 4) == part->ours)
            read_metrics(report, block);
    }
    return 0;
}

static int read_extended(ot_rtcp *report, const part_view *part)
{
    size_t at = HEADER;

    if (part->octets < HEADER)
        return EBADMSG;
    while (at < part->octets) {
        size_t octets = ((size_t)ot_read16(part->data + at + 2) + 1) * WORD;
        if (octets > part->octets - at || read_extended_block(report, part, at, octets) != 0)
            return EBADMSG;
        at += octets;
    }
    return 0;
}

static int read_part(ot_rtcp *report, const part_view *part)
{
    switch (part->data[1]) {
    case SR:
    case RR:
        return part->octets < HEADER ? EBADMSG : read_report(report, part);
    case SDES:
        return read_descriptions(report, part);
    case BYE:
        return read_bye(report, part);
    case XR:
        return read_extended(report, part);
    default:
        return 0; /* APP and feedback mean nothing to us */
    }
}

/* The octets of one part of a compound, or 0 when it lies. */
static size_t part_octets(const uint8_t *part, size_t left)
{
    if (left < WORD || (part[0] & 0xC0) != VERSION_2)
        return 0;
    size_t octets = ((size_t)ot_read16(part + 2) + 1) * WORD;
    if (octets > left)
        return 0;
    if ((part[0] & PADDING_BIT) && (octets != left || part[octets - 1] == 0 ||
                                    part[octets - 1] > octets - WORD || part[octets - 1] % WORD))
        return 0; /* only the last part may be padded */
    return octets;
}

int ot_rtcp_parse(ot_rtcp *report, const uint8_t *data, size_t octets, uint32_t ssrc)
{
    memset(report, 0, sizeof(*report));
    if (octets < HEADER || (data[1] != SR && data[1] != RR) || (data[0] & PADDING_BIT))
        return EBADMSG;
    report->sender_ssrc = ot_read32(data + 4);
    while (octets > 0) {
        size_t whole = part_octets(data, octets);
        if (whole == 0)
            return EBADMSG;
        size_t padding = data[0] & PADDING_BIT ? data[whole - 1] : 0;
        part_view part = {.data = data, .octets = whole - padding, .ours = ssrc};
        if (read_part(report, &part) != 0)
            return EBADMSG;
        data += whole;
        octets -= whole;
    }
    return 0;
}

int ot_rtcp_says_bye(const ot_rtcp *report, uint32_t ssrc)
{
    for (int i = 0; i < report->bye_count; i++)
        if (report->byes[i] == ssrc)
            return 1;
    return 0;
}

/* -- writing ------------------------------------------------------------------------------- */

static void write_header(uint8_t *part, unsigned count, unsigned type, size_t octets)
{
    part[0] = (uint8_t)(VERSION_2 | count);
    part[1] = (uint8_t)type;
    ot_write16(part + 2, (uint16_t)(octets / WORD - 1));
}

static uint8_t *write_ntp(uint8_t *at, uint64_t ntp)
{
    ot_write32(at, (uint32_t)(ntp >> 32));
    ot_write32(at + 4, (uint32_t)ntp);
    return at + 8;
}

static uint8_t *write_sender_info(uint8_t *at, const ot_report *report)
{
    at = write_ntp(at, report->ntp);
    ot_write32(at, report->timestamp);
    ot_write32(at + 4, report->packets_sent);
    ot_write32(at + 8, report->octets_sent);
    return at + 12;
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
    size_t octets = (HEADER + ITEM_HEADER + OT_CNAME_OCTETS + 1 + 3) / WORD * WORD;

    memset(part, 0, octets); /* zeros end the list of items */
    write_header(part, 1, SDES, octets);
    ot_write32(part + 4, report->ssrc);
    part[8] = CNAME;
    part[9] = OT_CNAME_OCTETS;
    memcpy(part + 10, report->cname, OT_CNAME_OCTETS);
    return part + octets;
}

/* Zeroes a block of RFC 3611 and writes its header. */
static void begin_block(uint8_t *block, uint8_t type, size_t octets)
{
    memset(block, 0, octets);
    block[0] = type;
    ot_write16(block + 2, (uint16_t)(octets / WORD - 1));
}

static uint8_t *write_reference(uint8_t *block, const ot_report *report)
{
    begin_block(block, REFERENCE, REFERENCE_OCTETS);
    write_ntp(block + 4, report->ntp);
    return block + REFERENCE_OCTETS;
}

static uint8_t *write_reply(uint8_t *block, const ot_report *report)
{
    begin_block(block, REPLY, REPLY_OCTETS);
    ot_write32(block + 4, report->remote_ssrc);
    ot_write32(block + 8, report->last_reference);
    ot_write32(block + 12, report->delay_reference);
    return block + REPLY_OCTETS;
}

static uint8_t *write_metrics(uint8_t *block, const ot_voip_metrics *metrics)
{
    begin_block(block, METRICS, METRICS_OCTETS);
    ot_write32(block + 4, metrics->ssrc);
    block[8] = metrics->loss_rate;
    block[9] = metrics->discard_rate;
    block[10] = metrics->burst_density;
    block[11] = metrics->gap_density;
    ot_write16(block + 12, metrics->burst_duration_ms);
    ot_write16(block + 14, metrics->gap_duration_ms);
    ot_write16(block + 16, metrics->round_trip_ms);
    ot_write16(block + 18, metrics->end_system_delay_ms);
    block[20] = (uint8_t)metrics->signal_dbm0;
    block[21] = (uint8_t)metrics->noise_dbm0;
    block[22] = metrics->echo_return_loss_db;
    block[23] = metrics->gmin;
    block[24] = metrics->r_factor;
    block[25] = metrics->external_r_factor;
    block[26] = metrics->mos_lq;
    block[27] = metrics->mos_cq;
    block[28] = metrics->receiver;
    ot_write16(block + 30, metrics->jitter_nominal_ms);
    ot_write16(block + 32, metrics->jitter_maximum_ms);
    ot_write16(block + 34, metrics->jitter_absolute_ms);
    return block + METRICS_OCTETS;
}

/* Writes nothing when there is nothing to say. */
static uint8_t *write_extended(uint8_t *part, const ot_report *report)
{
    uint8_t *at = part + HEADER;

    if (report->reference)
        at = write_reference(at, report);
    if (report->last_reference && report->remote_ssrc_known)
        at = write_reply(at, report);
    if (report->metrics)
        at = write_metrics(at, report->metrics);
    if (at == part + HEADER)
        return part;
    write_header(part, 0, XR, (size_t)(at - part));
    ot_write32(part + 4, report->ssrc);
    return at;
}

static uint8_t *write_bye(uint8_t *part, const ot_report *report)
{
    write_header(part, 1, BYE, HEADER);
    ot_write32(part + 4, report->ssrc);
    return part + HEADER;
}

_Static_assert(HEADER + SENDER_INFO + BLOCK + 28 /* SDES */ + HEADER + REFERENCE_OCTETS +
                       REPLY_OCTETS + METRICS_OCTETS + HEADER <= OT_RTCP_MAX,
               "everything at once has room");

size_t ot_rtcp_write(uint8_t *data, const ot_report *report)
{
    uint8_t *at = write_cname(write_report(data, report), report);

    at = write_extended(at, report);
    if (report->bye) /* last but for padding (RFC 3550 section 6.1) */
        at = write_bye(at, report);
    return (size_t)(at - data);
}

/* -- who uses our SSRC --------------------------------------------------------------------- */

int ot_collision_judge(ot_collision *collision, uint32_t ours, uint32_t source, uint64_t tick)
{
    if (source != ours)
        return OT_SOURCE_OTHER;
    int follows = collision->seen && tick - collision->seen_tick < FOLLOWS_TICKS;
    collision->seen = 1;
    collision->seen_tick = tick;
    return follows ? OT_SOURCE_LOOPS : OT_SOURCE_COLLIDES;
}
