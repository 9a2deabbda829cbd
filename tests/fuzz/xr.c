/* RFC 3611: VoIP metrics of any values are written and read back; collisions are judged. */
#include <string.h>

#include "input.h"
#include "rtcp.h"

enum { OWN_SSRC = 0x01020304 };

static ot_voip_metrics take_metrics(input *in)
{
    return (ot_voip_metrics){
        .ssrc = OWN_SSRC,
        .loss_rate = take8(in),
        .discard_rate = take8(in),
        .burst_density = take8(in),
        .gap_density = take8(in),
        .burst_duration_ms = take16(in),
        .gap_duration_ms = take16(in),
        .round_trip_ms = take16(in),
        .end_system_delay_ms = take16(in),
        .signal_dbm0 = (int8_t)take8(in),
        .noise_dbm0 = (int8_t)take8(in),
        .echo_return_loss_db = take8(in),
        .gmin = take8(in),
        .r_factor = take8(in),
        .external_r_factor = take8(in),
        .mos_lq = take8(in),
        .mos_cq = take8(in),
        .receiver = take8(in),
        .jitter_nominal_ms = take16(in),
        .jitter_maximum_ms = take16(in),
        .jitter_absolute_ms = take16(in),
    };
}

static void write_and_read(input *in)
{
    static const char CNAME[OT_CNAME_OCTETS + 1] = "abcdefghijklmnop";
    ot_voip_metrics metrics = take_metrics(in);
    uint8_t kind = take8(in);
    ot_report report = {.ssrc = take32(in),
                        .ntp = (uint64_t)take32(in) << 32 | take32(in),
                        .remote_ssrc = OWN_SSRC,
                        .remote_ssrc_known = 1,
                        .sender = kind & 1,
                        .bye = kind >> 1 & 1,
                        .reference = kind >> 2 & 1,
                        .last_reference = kind & 8 ? take32(in) : 0,
                        .delay_reference = take32(in),
                        .metrics = &metrics,
                        .cname = CNAME};
    uint8_t data[OT_RTCP_MAX];
    uint8_t again[OT_RTCP_MAX];
    ot_rtcp read;
    size_t octets = ot_rtcp_write(data, &report);

    PROMISE(octets <= OT_RTCP_MAX);
    PROMISE(ot_rtcp_parse(&read, data, octets, OWN_SSRC) == 0);
    PROMISE(read.has_metrics);
    report.metrics = &read.metrics;
    PROMISE(ot_rtcp_write(again, &report) == octets && memcmp(again, data, octets) == 0);
    PROMISE(read.cname_octets == OT_CNAME_OCTETS && read.bye == report.bye);
    PROMISE(memcmp(read.cname, CNAME, OT_CNAME_OCTETS) == 0);
}

static void judge(input *in)
{
    ot_collision collision = {0};
    uint64_t tick = 0;

    while (in->left) {
        uint8_t what = take8(in);
        tick += what;
        int judged = ot_collision_judge(&collision, what & 3, take8(in) & 3, tick);
        PROMISE(judged == OT_SOURCE_OTHER || judged == OT_SOURCE_COLLIDES ||
                judged == OT_SOURCE_LOOPS);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};

    write_and_read(&in);
    judge(&in);
    return 0;
}
