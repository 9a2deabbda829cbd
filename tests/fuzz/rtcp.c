/* ot_rtcp_parse on anything, and on what ot_rtcp_write made of arbitrary values. */
#include <string.h>

#include "engine.h"
#include "input.h"
#include "wire.h"

enum { OWN_SSRC = 0x01020304 };

static void parse_anything(const uint8_t *data, size_t octets)
{
    ot_rtcp report;
    ot_rtcp again;
    int error = ot_rtcp_parse(&report, data, octets, OWN_SSRC);

    PROMISE(ot_rtcp_parse(&again, data, octets, OWN_SSRC) == error);
    PROMISE(error || memcmp(&report, &again, sizeof(report)) == 0);
    PROMISE(error || octets % 4 == 0);
}

static ot_report take_report(input *in)
{
    static const char CNAME[OT_CNAME_OCTETS + 1] = "abcdefghijklmnop";
    uint8_t kind = take8(in);

    return (ot_report){
        .ssrc = take32(in),
        .ntp = (uint64_t)take32(in) << 32 | take32(in),
        .timestamp = take32(in),
        .packets_sent = take32(in),
        .octets_sent = take32(in),
        .remote_ssrc = take32(in),
        .highest_sequence = take32(in),
        .jitter = take32(in),
        .packets_lost = (int32_t)(take32(in) << 8) >> 8,
        .last_report = take32(in),
        .delay_since = take32(in),
        .fraction_lost = take8(in),
        .sender = kind & 1,
        .remote_ssrc_known = kind >> 1 & 1,
        .bye = kind >> 2 & 1,
        .cname = CNAME,
    };
}

static void check_block(const ot_rtcp *read, const ot_report *report)
{
    PROMISE(read->has_block == report->remote_ssrc_known);
    if (!read->has_block)
        return;
    PROMISE(read->last_report == report->last_report);
    PROMISE(read->delay_since == report->delay_since);
    PROMISE(read->jitter == report->jitter);
    PROMISE(read->packets_lost == report->packets_lost);
    PROMISE(read->fraction_lost == report->fraction_lost);
}

static void write_and_read(input *in)
{
    ot_report report = take_report(in);
    uint8_t data[OT_RTCP_MAX];
    ot_rtcp read;
    size_t octets = ot_rtcp_write(data, &report);

    PROMISE(octets <= OT_RTCP_MAX);
    PROMISE(ot_rtcp_parse(&read, data, octets, report.remote_ssrc) == 0);
    PROMISE(read.sender_ssrc == report.ssrc && read.bye == report.bye);
    PROMISE(!report.sender || read.ntp_middle == (uint32_t)(report.ntp >> 16));
    check_block(&read, &report);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};

    parse_anything(data, octets);
    write_and_read(&in);
    return 0;
}
