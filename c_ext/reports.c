/* RTCP in the tick: reports about every five seconds, and what the far end reports of us. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>

#include "state.h"

enum {
    REPORT_TICKS = 500,      /* 5 s, drawn from 0.5 to 1.5 of it (RFC 3550 section 6.3.1) */
    FIRST_REPORT_TICKS = 50, /* unicast may be early (section 6.2) */
    EVENTS_MAX = 32,
    STRANGERS_PER_TICK = 16, /* read from one door in one tick */
    DEVICE_MS = 80 /* both rings of a device, half full */
};

static const uint64_t UNIX_EPOCH_NTP = 2208988800ULL;

static uint64_t ntp_from(const struct timespec *time)
{
    uint64_t fraction = ((uint64_t)time->tv_nsec << 32) / 1000000000ULL;
    return ((uint64_t)time->tv_sec + UNIX_EPOCH_NTP) << 32 | fraction;
}

uint64_t ot_ntp_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return ntp_from(&now);
}

/* -- out ----------------------------------------------------------------------------------- */

void ot_reports_schedule_first(ot_engine *engine, ot_reports *reports)
{
    reports->due_tick = engine->tick + FIRST_REPORT_TICKS / 2 +
                        ot_random(engine) % FIRST_REPORT_TICKS;
}

static void schedule_next(ot_engine *engine, ot_reports *reports)
{
    reports->due_tick = engine->tick + REPORT_TICKS / 2 + ot_random(engine) % REPORT_TICKS;
}

static int send_report(const ot_reports *reports, ot_shield_slot *shield, const ot_report *report)
{
    uint8_t data[OT_RTCP_MAX];
    size_t octets = ot_rtcp_write(data, report);

    if (shield)
        return ot_shield_send_report(shield, data, octets);
    return sendto(reports->fd, data, octets, MSG_DONTWAIT | MSG_NOSIGNAL,
                  (const struct sockaddr *)&reports->remote, sizeof(reports->remote)) >= 0;
}

static void fill_delay(ot_report *report, const ot_reports *reports)
{
    if (reports->last_report == 0)
        return;
    report->last_report = reports->last_report;
    report->delay_since = (uint32_t)((report->ntp - reports->last_report_ntp) >> 16);
}

/* RFC 3550 appendix A.3. */
static void fill_loss(ot_report *report, struct ot_leg *leg)
{
    uint64_t expected = leg->stats.packets_expected;
    uint64_t received = leg->stats.packets_received;
    int64_t expected_now = (int64_t)(expected - leg->reports.expected_prior);
    int64_t lost_now = expected_now - (int64_t)(received - leg->reports.received_prior);
    int64_t lost = (int64_t)(expected - received);

    leg->reports.expected_prior = expected;
    leg->reports.received_prior = received;
    if (expected_now > 0 && lost_now > 0)
        report->fraction_lost = (uint8_t)(lost_now >= expected_now ? 255
                                                                   : (lost_now << 8) / expected_now);
    report->packets_lost = (int32_t)(lost > 0x7FFFFF ? 0x7FFFFF : lost < 0 ? 0 : lost);
}

static void fill_reception(ot_report *report, struct ot_leg *leg)
{
    if (!leg->jitter.started)
        return;
    report->remote_ssrc_known = 1;
    report->remote_ssrc = leg->jitter.ssrc;
    report->highest_sequence = ot_jitter_highest(&leg->jitter);
    report->jitter = leg->jitter_q4 >> 4;
    fill_loss(report, leg);
    fill_delay(report, &leg->reports);
    report->last_reference = leg->reports.last_reference;
    if (report->last_reference)
        report->delay_reference =
            (uint32_t)((report->ntp - leg->reports.last_reference_ntp) >> 16);
}

/* RFC 3611 section 4.7, and how it will have sounded. */
static void fill_metrics(ot_report *report, struct ot_leg *leg, ot_voip_metrics *metrics)
{
    uint64_t trip_ms = leg->stats.round_trip_us / 1000;
    uint32_t packet_ms = leg->stream.ptime_ticks * OT_TICK_MS;
    uint32_t target_ms = (uint32_t)leg->stats.delay_target_ms;
    ot_quality_setup setup = {
        .codec = leg->codec,
        .ssrc = leg->jitter.ssrc,
        .packet_ms = (uint16_t)packet_ms,
        .round_trip_ms = (uint16_t)(trip_ms > UINT16_MAX ? UINT16_MAX : trip_ms),
        .end_system_delay_ms = (uint16_t)(target_ms + packet_ms + DEVICE_MS),
        .jitter_nominal_ms = (uint16_t)target_ms,
        .jitter_maximum_ms = (uint16_t)target_ms,
        .jitter_absolute_ms = OT_JITTER_MAX_MS,
        .echo_return_loss_db = OT_METRIC_UNKNOWN,
        .receiver = OT_PLC_STANDARD | OT_JITTER_ADAPTIVE,
    };

    if (!report->remote_ssrc_known)
        return;
    ot_quality_report(&leg->quality, &setup, metrics);
    report->metrics = metrics;
    OT_SET(leg->stats.mos_q8, metrics->mos_lq == OT_METRIC_UNKNOWN ? 0 : metrics->mos_lq * 256U / 10);
}

/* Who has sent nothing for two reports says what it receives, no more (RFC 3550 section 6.4). */
static uint8_t is_sender(ot_reports *reports, uint64_t sent)
{
    uint8_t sender = sent != reports->sent_prior[1];

    reports->sent_prior[1] = reports->sent_prior[0];
    reports->sent_prior[0] = sent;
    return sender;
}

void ot_leg_report(ot_engine *engine, struct ot_leg *leg, int bye)
{
    ot_report report = {
        .ssrc = leg->stream.ssrc,
        .ntp = ot_ntp_now(),
        .timestamp = ot_stream_timestamp(&leg->stream, engine->tick),
        .packets_sent = (uint32_t)(leg->stats.packets_sent - leg->reports.packets_before),
        .octets_sent = (uint32_t)(leg->stats.octets_sent - leg->reports.octets_before),
        .sender = is_sender(&leg->reports, leg->stats.packets_sent),
        .bye = (uint8_t)bye,
        .cname = engine->cname,
    };

    ot_voip_metrics metrics;

    fill_reception(&report, leg);
    fill_metrics(&report, leg, &metrics);
    report.reference = !report.sender;
    if (send_report(&leg->reports, leg->shield, &report))
        OT_ADD(leg->stats.reports_sent, 1);
    schedule_next(engine, &leg->reports);
}

/* Our SSRC is somebody else's too: say goodbye to it and take another. */
void ot_leg_collide(ot_engine *engine, struct ot_leg *leg)
{
    ot_leg_report(engine, leg, 1);
    leg->stream.ssrc = ot_random(engine);
    leg->stream.sequence = ot_random(engine) & 0x7FFF;
    leg->stream.timestamp_base = ot_random(engine);
    leg->reports.packets_before = leg->stats.packets_sent;
    leg->reports.octets_before = leg->stats.octets_sent;
    leg->marked = 1;
    OT_SET(leg->stats.ssrc, leg->stream.ssrc);
    OT_ADD(leg->stats.collisions, 1);
}

void ot_fork_report(ot_engine *engine, struct ot_recording *recording, ot_fork *fork, int bye)
{
    ot_report report = {
        .ssrc = recording->stream.ssrc,
        .ntp = ot_ntp_now(),
        .timestamp = ot_stream_timestamp(&recording->stream, engine->tick),
        .packets_sent = (uint32_t)fork->stats.packets_sent,
        .octets_sent = (uint32_t)fork->stats.octets_sent,
        .sender = 1,
        .bye = (uint8_t)bye,
        .cname = engine->cname,
    };

    send_report(&fork->reports, NULL, &report);
    schedule_next(engine, &fork->reports);
}

/* -- in ------------------------------------------------------------------------------------ */

static uint64_t arrival_ntp(struct msghdr *message)
{
    for (struct cmsghdr *part = CMSG_FIRSTHDR(message); part; part = CMSG_NXTHDR(message, part)) {
        struct timespec time;
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_TIMESTAMPNS)
            continue;
        memcpy(&time, CMSG_DATA(part), sizeof(time));
        return ntp_from(&time);
    }
    return ot_ntp_now();
}

static uint64_t trip_us(uint32_t last, uint32_t delay, uint64_t ntp)
{
    uint32_t trip = (uint32_t)(ntp >> 16) - last - delay;

    if (last == 0 || trip & 0x80000000U)
        return 0; /* never had a report of ours, or clocks that moved */
    uint64_t micros = (uint64_t)trip * 1000000 >> 16;
    return micros ? micros : 1;
}

static void remember_sender(ot_reports *reports, const ot_rtcp *report, uint64_t ntp)
{
    if (report->ntp_middle) {
        reports->last_report = report->ntp_middle;
        reports->last_report_ntp = ntp;
    }
    if (report->reference_middle) {
        reports->last_reference = report->reference_middle;
        reports->last_reference_ntp = ntp;
    }
}

static void take_block(ot_leg_stats *stats, const ot_rtcp *report, uint64_t ntp)
{
    OT_SET(stats->remote_fraction_lost, report->fraction_lost);
    OT_SET(stats->remote_packets_lost, report->packets_lost < 0 ? 0 : report->packets_lost);
    OT_SET(stats->remote_jitter, report->jitter);
    uint64_t trip = trip_us(report->last_report, report->delay_since, ntp);
    if (trip)
        OT_SET(stats->round_trip_us, trip);
}

static void take_leg_report(struct ot_leg *leg, const ot_rtcp *report, uint64_t ntp)
{
    ot_leg_stats *stats = &leg->stats;

    OT_ADD(stats->reports_received, 1);
    OT_SET(stats->remote_ssrc, report->sender_ssrc);
    if (report->bye)
        OT_SET(stats->bye_received, 1);
    remember_sender(&leg->reports, report, ntp);
    if (report->has_block)
        take_block(stats, report, ntp);
    else if (report->has_reference_reply) {
        uint64_t trip = trip_us(report->last_reference, report->delay_reference, ntp);
        if (trip)
            OT_SET(stats->round_trip_us, trip);
    }
    if (report->has_metrics && report->metrics.mos_lq != OT_METRIC_UNKNOWN)
        OT_SET(stats->remote_mos_q8, report->metrics.mos_lq * 256U / 10);
}

static void take_fork_report(ot_fork *fork, const ot_rtcp *report, uint64_t ntp)
{
    OT_ADD(fork->stats.reports_received, 1);
    if (!report->has_block)
        return;
    OT_SET(fork->stats.remote_fraction_lost, report->fraction_lost);
    uint64_t trip = trip_us(report->last_report, report->delay_since, ntp);
    if (trip)
        OT_SET(fork->stats.round_trip_us, trip);
}

typedef struct {
    struct sockaddr_in from;
    uint64_t ntp;
    size_t octets;
} arrival;

/* Returns 0 when nothing waits. */
static int fetch(ot_engine *engine, int fd, arrival *came)
{
    _Alignas(struct cmsghdr) char control[CMSG_SPACE(sizeof(struct timespec))];
    struct iovec data = {engine->datagram, OT_DATAGRAM_MAX};
    struct msghdr message = {
        .msg_name = &came->from,
        .msg_namelen = sizeof(came->from),
        .msg_iov = &data,
        .msg_iovlen = 1,
        .msg_control = control,
        .msg_controllen = sizeof(control),
    };
    ssize_t got = recvmsg(fd, &message, MSG_DONTWAIT);

    if (got < 0)
        return 0;
    came->octets = (size_t)got;
    came->ntp = arrival_ntp(&message);
    return 1;
}

static int is_from(const arrival *came, const struct sockaddr_in *remote)
{
    return came->from.sin_addr.s_addr == remote->sin_addr.s_addr &&
           came->from.sin_port == remote->sin_port;
}

static void take_leg_datagram(ot_engine *engine, struct ot_leg *leg, size_t octets, uint64_t ntp)
{
    ot_rtcp report;

    if (ot_rtcp_parse(&report, engine->datagram, octets, leg->stream.ssrc) != 0) {
        OT_ADD(leg->stats.packets_malformed, 1);
        return;
    }
    if (report.names_us && ot_collision_judge(&leg->collision, leg->stream.ssrc, leg->stream.ssrc,
                                              engine->tick) == OT_SOURCE_COLLIDES)
        ot_leg_collide(engine, leg);
    take_leg_report(leg, &report, ntp);
}

static void poll_leg_reports(ot_engine *engine, struct ot_leg *leg)
{
    arrival came;

    for (int i = 0; i < STRANGERS_PER_TICK && fetch(engine, leg->reports.fd, &came); i++) {
        if (!leg->connected || !is_from(&came, &leg->reports.remote))
            OT_ADD(leg->stats.packets_foreign, 1);
        else
            take_leg_datagram(engine, leg, came.octets, came.ntp);
    }
}

/* Of a protected leg the shield reads the socket, and has compared the source. */
static void poll_shield(ot_engine *engine, struct ot_leg *leg)
{
    ot_shield_slot_stats stats;
    uint64_t ntp;
    int octets;

    while ((octets = ot_shield_receive_report(leg->shield, engine->datagram, OT_DATAGRAM_MAX,
                                              &ntp)) >= 0)
        take_leg_datagram(engine, leg, (size_t)octets, ntp);
    ot_shield_slot_read(leg->shield, &stats);
    OT_SET(leg->stats.packets_unauthentic, stats.authentication_failures + stats.replays);
}

static void poll_fork_reports(ot_engine *engine, uint32_t index)
{
    struct ot_recording *recording = &engine->recordings[index / OT_FORKS];
    ot_fork *fork = &recording->forks[index % OT_FORKS];
    arrival came;
    ot_rtcp report;

    if (!fork->active)
        return;
    for (int i = 0; i < STRANGERS_PER_TICK && fetch(engine, fork->reports.fd, &came); i++)
        if (is_from(&came, &fork->reports.remote) &&
            ot_rtcp_parse(&report, engine->datagram, came.octets, recording->stream.ssrc) == 0)
            take_fork_report(fork, &report, came.ntp);
}

static void poll_door(struct ot_leg *leg)
{
    for (int i = 0; i < STRANGERS_PER_TICK; i++) {
        if (recv(leg->door, NULL, 0, MSG_DONTWAIT | MSG_TRUNC) < 0)
            return;
        OT_ADD(leg->stats.packets_foreign, 1);
    }
}

static void take_event(ot_engine *engine, const struct epoll_event *event)
{
    uint32_t index = (uint32_t)event->data.u64;
    ot_event_kind kind = (ot_event_kind)(event->data.u64 >> 32);

    if (kind == OT_EVENT_FORK_REPORT)
        poll_fork_reports(engine, index);
    else if (!engine->legs[index].active)
        return;
    else if (kind == OT_EVENT_DOOR)
        poll_door(&engine->legs[index]);
    else if (engine->legs[index].shield == NULL)
        poll_leg_reports(engine, &engine->legs[index]);
}

void ot_reports_poll(ot_engine *engine)
{
    struct epoll_event events[EVENTS_MAX];

    if (engine->legs_active.count == 0 && engine->forks_active == 0)
        return;
    int count = epoll_wait(engine->epoll, events, EVENTS_MAX, 0);
    for (int i = 0; i < count; i++)
        take_event(engine, &events[i]);
    for (uint32_t i = 0; i < engine->legs_active.count; i++) {
        struct ot_leg *leg = &engine->legs[engine->legs_active.slots[i]];
        if (leg->shield)
            poll_shield(engine, leg);
    }
}
