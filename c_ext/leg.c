/* An RTP leg in the tick: what came in and what it says. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "kernels.h"
#include "state.h"

enum { READS_MAX = 32 /* packets read from one leg in one tick, whatever waits */ };

/* -- what came --------------------------------------------------------------------------------- */

static void note_gap(struct ot_leg *leg, int64_t now_ns)
{
    uint64_t gap = leg->last_receive_ns ? (uint64_t)(now_ns - leg->last_receive_ns) : 0;

    if (gap > leg->stats.receive_gap_max_ns)
        OT_SET(leg->stats.receive_gap_max_ns, gap);
    leg->last_receive_ns = now_ns;
}

/* RFC 3550 section 6.4.1, in sixteenths of a unit of the RTP clock. */
static void note_jitter(struct ot_leg *leg, const ot_rtp *packet, int64_t now_ns)
{
    uint32_t clock_hz = leg->stream.tick_clock * 100U;
    uint32_t arrival = (uint32_t)((uint64_t)now_ns / 1000 * (clock_hz / 1000) / 1000);
    uint32_t transit = arrival - packet->timestamp;
    int32_t change = (int32_t)(transit - leg->last_transit);

    leg->last_transit = transit;
    if (!leg->transit_known) {
        leg->transit_known = 1;
        return;
    }
    uint32_t size = change < 0 ? 0U - (uint32_t)change : (uint32_t)change;
    size = size > clock_hz ? clock_hz : size;
    leg->jitter_q4 += size - ((leg->jitter_q4 + 8) >> 4);
    OT_SET(leg->stats.jitter_us, (uint64_t)leg->jitter_q4 * 1000 / (clock_hz / 1000) / 16);
}

static void count_put(struct ot_leg *leg, ot_put put)
{
    if (put == OT_PUT_DUPLICATE)
        OT_ADD(leg->stats.packets_duplicate, 1);
    else if (put == OT_PUT_LATE)
        OT_ADD(leg->stats.packets_late, 1);
    else if (put == OT_PUT_REORDERED)
        OT_ADD(leg->stats.packets_reordered, 1);
    else if (put == OT_PUT_RESET) {
        OT_ADD(leg->stats.resets, 1);
        leg->transit_known = 0;
        ot_quality_init(&leg->quality);
    }
}

/* A packet of the stream, whatever it carries; returns what the buffer made of it. */
static ot_put count_packet(ot_engine *engine, struct ot_leg *leg, const ot_rtp *packet,
                           const uint8_t *payload, uint32_t flags)
{
    ot_put put = (ot_put)ot_jitter_put(&leg->jitter, packet, payload, flags);

    count_put(leg, put);
    OT_SET(leg->stats.packets_expected, ot_jitter_expected(&leg->jitter));
    if (put == OT_PUT_DUPLICATE)
        return put;
    OT_ADD(leg->stats.packets_received, 1);
    OT_ADD(leg->stats.octets_received, packet->payload_octets);
    note_gap(leg, engine->now_ns);
    note_jitter(leg, packet, engine->now_ns);
    return put;
}

/* -- what it carries --------------------------------------------------------------------------- */

static void tell_digits(ot_engine *engine, struct ot_leg *leg, uint32_t port,
                        const ot_dtmf_told *told)
{
    for (uint32_t i = 0; i < told->count; i++) {
        const ot_dtmf_notice *notice = &told->notices[i];
        int began = notice->kind == OT_DTMF_START;
        if (began)
            OT_ADD(leg->stats.digits_received, 1);
        ot_tell(engine, began ? OT_DIGIT_BEGAN : OT_DIGIT_ENDED, port, notice->event,
                notice->duration_ms);
    }
}

static void take_event(ot_engine *engine, struct ot_leg *leg, uint32_t port, const ot_rtp *packet,
                       const uint8_t *payload)
{
    ot_dtmf_told told;

    ot_dtmf_receiver_put(&leg->parts->dialled, packet, payload, &told);
    tell_digits(engine, leg, port, &told);
}

/* Older payloads of a redundant packet fill the holes that lost packets left (RFC 2198). */
static void take_older(struct ot_leg *leg, const ot_rtp *packet, const uint8_t *payload,
                       const ot_red *red)
{
    for (uint32_t i = 0; i + 1 < red->count; i++) {
        const ot_red_block *block = &red->blocks[i];
        ot_rtp older = *packet;
        older.timestamp -= block->timestamp_offset;
        older.sequence = (uint16_t)(packet->sequence - (red->count - 1 - i));
        older.payload_octets = block->octets;
        if (block->payload_type != leg->payload_type || block->octets == 0)
            continue;
        if (ot_jitter_put(&leg->jitter, &older, payload + block->offset, OT_PUT_AS_REDUNDANT) ==
            OT_PUT_STORED)
            OT_ADD(leg->stats.packets_recovered, 1);
    }
}

static uint32_t payload_flags(const struct ot_leg *leg, uint8_t payload_type)
{
    return leg->parts && leg->parts->noise_type && payload_type == leg->parts->noise_type
               ? OT_PUT_AS_NOISE
               : 0;
}

static int is_sound(const struct ot_leg *leg, uint8_t payload_type)
{
    return leg->receive && (payload_type == leg->payload_type || payload_flags(leg, payload_type));
}

static int is_events(const struct ot_leg *leg, uint8_t payload_type)
{
    return leg->parts && leg->parts->event_type && payload_type == leg->parts->event_type;
}

static void take_payload(ot_engine *engine, struct ot_leg *leg, uint32_t port, ot_rtp *packet,
                         const uint8_t *payload, uint32_t flags)
{
    int events = is_events(leg, packet->payload_type);

    if (is_sound(leg, packet->payload_type)) {
        count_packet(engine, leg, packet, payload,
                     flags | payload_flags(leg, packet->payload_type));
        return;
    }
    if (events && leg->receive)
        take_event(engine, leg, port, packet, payload);
    else
        OT_ADD(leg->stats.packets_other, 1);
    packet->payload_octets = 0; /* its sequence counts, its sound is not ours to play */
    count_packet(engine, leg, packet, payload, flags);
}

static void take_redundant(ot_engine *engine, struct ot_leg *leg, uint32_t port,
                           const ot_rtp *packet, const uint8_t *payload, uint32_t flags)
{
    ot_red red;
    ot_rtp newest = *packet;

    if (ot_red_parse(&red, payload, packet->payload_octets) != 0) {
        OT_ADD(leg->stats.packets_malformed, 1);
        return;
    }
    const ot_red_block *primary = &red.blocks[red.count - 1];
    newest.payload_type = primary->payload_type;
    newest.payload_octets = primary->octets;
    take_payload(engine, leg, port, &newest, payload + primary->offset, flags);
    if (leg->receive) /* after it: what it shows to be missing can be filled */
        take_older(leg, packet, payload, &red);
}

/* Somebody uses our SSRC: we take another, once (RFC 3550 section 8.2).  A far end that follows us
 * to the new one echoes what we send, as test equipment does.  A leg never hears itself and hears
 * nobody but its far end, so such a loop feeds nothing back: it is heard. */
static void judge_source(ot_engine *engine, struct ot_leg *leg, uint32_t ssrc)
{
    if (ot_collision_judge(&leg->collision, leg->stream.ssrc, ssrc, engine->tick) ==
        OT_SOURCE_COLLIDES)
        ot_leg_collide(engine, leg);
}

static void take_packet(ot_engine *engine, struct ot_leg *leg, uint32_t port, size_t octets,
                        uint32_t flags)
{
    ot_rtp packet;

    if (octets > OT_DATAGRAM_MAX || ot_rtp_parse(&packet, engine->datagram, octets) != 0 ||
        packet.payload_octets > OT_PAYLOAD_MAX) {
        OT_ADD(leg->stats.packets_malformed, 1);
        return;
    }
    const uint8_t *payload = engine->datagram + packet.payload_offset;
    if (packet.ssrc == leg->stream.ssrc)
        judge_source(engine, leg, packet.ssrc);
    if (leg->parts && leg->parts->redundant_type &&
        packet.payload_type == leg->parts->redundant_type)
        take_redundant(engine, leg, port, &packet, payload, flags);
    else
        take_payload(engine, leg, port, &packet, payload, flags);
}

/* -- reading ----------------------------------------------------------------------------------- */

static int same_source(const struct sockaddr_in *from, const struct sockaddr_in *remote)
{
    return from->sin_addr.s_addr == remote->sin_addr.s_addr && from->sin_port == remote->sin_port;
}

/* While packets from before the socket was connected may still wait, sources are compared. */
static ssize_t receive_verified(ot_engine *engine, struct ot_leg *leg, int *foreign)
{
    struct sockaddr_in from = {0};
    socklen_t octets = sizeof(from);
    ssize_t got = recvfrom(leg->voice, engine->datagram, OT_DATAGRAM_MAX, MSG_DONTWAIT | MSG_TRUNC,
                           (struct sockaddr *)&from, &octets);

    *foreign = got >= 0 && !same_source(&from, &leg->remote);
    if (got >= 0)
        leg->verify_left--;
    return got;
}

static ssize_t receive_plain(ot_engine *engine, struct ot_leg *leg, int *foreign)
{
    if (leg->shield)
        return ot_shield_receive(leg->shield, engine->datagram, OT_DATAGRAM_MAX);
    if (leg->verify_left)
        return receive_verified(engine, leg, foreign);
    return recv(leg->voice, engine->datagram, OT_DATAGRAM_MAX, MSG_DONTWAIT | MSG_TRUNC);
}

/* Returns 1 when the socket may hold more. */
static int receive_one(ot_engine *engine, struct ot_leg *leg, uint32_t port, uint32_t flags)
{
    int foreign = 0;
    ssize_t got = receive_plain(engine, leg, &foreign);

    if (got < 0) /* an ICMP error that was fetched is not the end */
        return leg->shield == NULL && errno != EAGAIN && errno != EWOULDBLOCK;
    if (foreign)
        OT_ADD(leg->stats.packets_foreign, 1);
    else
        take_packet(engine, leg, port, (size_t)got, flags);
    return 1;
}

void ot_leg_receive(ot_engine *engine, struct ot_leg *leg, uint32_t port)
{
    int more = leg->connected;

    for (int reads = 0; more && reads < READS_MAX; reads++) {
        int reading = leg->receive ? ot_jitter_reading(&leg->jitter) : OT_READ_ALL;
        more = reading != OT_READ_NONE &&
               receive_one(engine, leg, port,
                           reading == OT_READ_ENOUGH ? OT_PUT_AS_UNTIMED : 0);
    }
}

/* -- what it says ------------------------------------------------------------------------------ */

/* Where sound begins anew after another codec, and where it is cut. */
static const int16_t *blend(struct ot_leg *leg, const int16_t *pcm)
{
    uint32_t samples = ot_rate_samples(leg->rate);

    memcpy(leg->edge, pcm ? pcm : ot_silence, samples * sizeof(*leg->edge));
    if (pcm)
        ot_rise(leg->edge, leg->rate);
    ot_fall(leg->edge, &leg->last_said, leg->rate);
    leg->fresh = pcm ? 0 : leg->fresh;
    leg->last_said = pcm ? pcm[samples - 1] : 0;
    return leg->edge;
}

static const int16_t *play(struct ot_leg *leg)
{
    ot_get got = OT_GET_SILENCE;
    const int16_t *pcm = NULL;

    if (leg->connected && leg->receive)
        pcm = ot_jitter_frame(&leg->jitter, &got);
    if (got == OT_GET_CONCEALED)
        OT_ADD(leg->stats.concealed_frames, 1);
    if (got == OT_GET_NOISE)
        OT_ADD(leg->stats.noise_frames, 1);
    if (got == OT_GET_SILENCE && leg->last_said == 0)
        return NULL;
    if (got != OT_GET_SILENCE && !leg->fresh) {
        leg->last_said = pcm[ot_rate_samples(leg->rate) - 1];
        return pcm;
    }
    return blend(leg, got == OT_GET_SILENCE ? NULL : pcm);
}

static void find_digits(ot_engine *engine, struct ot_leg *leg, uint32_t port, const int16_t *pcm)
{
    ot_leg_parts *parts = leg->parts;
    char digit;

    if (parts->inband_rate)
        ot_rate_run(parts->inband_rate, parts->narrow, pcm ? pcm : ot_silence);
    const int16_t *narrow = parts->inband_rate ? parts->narrow : pcm ? pcm : ot_silence;
    if (ot_inband_run(parts->inband, narrow, OT_TICK_SAMPLES, &digit))
        ot_tell(engine, OT_DIGIT_HEARD, port, (uint8_t)digit, 0);
}

static void look_into(ot_engine *engine, struct ot_leg *leg, uint32_t port, const int16_t *pcm)
{
    ot_dtmf_told told;

    if (leg->parts->event_type) {
        ot_dtmf_receiver_tick(&leg->parts->dialled, &told);
        tell_digits(engine, leg, port, &told);
    }
    if (leg->parts->inband)
        find_digits(engine, leg, port, pcm);
}

enum { JUDGED_EVERY = 32 /* ticks: fewer packets than the buffer remembers the fate of */ };

/* What became of the packets, for the report on how it sounded (RFC 3611). */
static void judge(struct ot_leg *leg)
{
    uint64_t lost = 0;
    uint32_t count = ot_jitter_outcomes(&leg->jitter, &lost);
    ot_jitter_stats stats;

    ot_quality_feed(&leg->quality, lost, 0, count);
    ot_jitter_read(&leg->jitter, &stats);
    OT_SET(leg->stats.delay_target_ms, stats.target_ms);
}

void ot_leg_speak(ot_engine *engine, struct ot_leg *leg, uint32_t port)
{
    engine->said[port] = play(leg);
    if (leg->parts)
        look_into(engine, leg, port, engine->said[port]);
    if ((engine->tick + port) % JUDGED_EVERY == 0)
        judge(leg);
}

/* Apart from decoding: what was just written is not read back before it has left the core. */
void ot_leg_meter(ot_engine *engine, struct ot_leg *leg, uint32_t port)
{
    const int16_t *pcm = engine->said[port];
    uint32_t samples = ot_rate_samples(leg->rate);
    uint64_t energy = pcm ? ot_kernel->energy(pcm, samples) : 0;

    engine->speaking[port] = (uint8_t)ot_activity_run(&leg->receive_activity, energy, samples);
    engine->loudness[port] =
        ot_smoothed(engine->loudness[port], ot_rate_energy(energy, leg->rate));
    if (pcm)
        ot_quality_hear(&leg->quality, energy, samples);
    OT_SET(leg->stats.receive_energy, engine->loudness[port]);
    OT_SET(leg->stats.receive_active, engine->speaking[port]);
    OT_SET(leg->stats.buffered_samples, ot_jitter_buffered(&leg->jitter));
}
