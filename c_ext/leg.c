/* An RTP leg in the tick: what came in, what it says, what goes out. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "kernels.h"
#include "state.h"

enum {
    READS_MAX = 32,       /* packets read from one leg in one tick, whatever waits */
    FULL_DRAIN_EVERY = 16, /* polls; else reading stops when enough is buffered */
    PACKET_SAMPLES = 160
};

/* -- in ------------------------------------------------------------------------------------ */

static void note_gap(struct ot_leg *leg, int64_t now_ns)
{
    uint64_t gap = leg->last_receive_ns ? (uint64_t)(now_ns - leg->last_receive_ns) : 0;

    if (gap > leg->stats.receive_gap_max_ns)
        OT_SET(leg->stats.receive_gap_max_ns, gap);
    leg->last_receive_ns = now_ns;
}

/* RFC 3550 section 6.4.1, in sixteenths of a sample. */
static void note_jitter(struct ot_leg *leg, const ot_rtp *packet, int64_t now_ns)
{
    uint32_t arrival = (uint32_t)(now_ns / (1000000000 / OT_RATE_HZ));
    uint32_t transit = arrival - packet->timestamp;
    int32_t change = (int32_t)(transit - leg->last_transit);

    leg->last_transit = transit;
    if (!leg->transit_known) {
        leg->transit_known = 1;
        return;
    }
    uint32_t size = change < 0 ? 0U - (uint32_t)change : (uint32_t)change;
    size = size > OT_RATE_HZ ? OT_RATE_HZ : size;
    leg->jitter_q4 += size - ((leg->jitter_q4 + 8) >> 4);
    OT_SET(leg->stats.jitter_us, (uint64_t)leg->jitter_q4 * 125 / 16);
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
    }
}

static void take_packet(ot_engine *engine, struct ot_leg *leg, size_t octets)
{
    ot_rtp packet;

    if (octets > OT_DATAGRAM_MAX || ot_rtp_parse(&packet, engine->datagram, octets) != 0 ||
        packet.payload_octets > OT_PAYLOAD_MAX) {
        OT_ADD(leg->stats.packets_malformed, 1);
        return;
    }
    if (packet.payload_type != leg->payload_type || !leg->receive) {
        OT_ADD(leg->stats.packets_other, 1);
        packet.payload_octets = 0; /* its sequence counts, its sound is not ours to play */
    }
    const uint8_t *payload = engine->datagram + packet.payload_offset;
    ot_put put = (ot_put)ot_jitter_put(&leg->jitter, &packet, payload);
    count_put(leg, put);
    OT_SET(leg->stats.packets_expected, ot_jitter_expected(&leg->jitter));
    if (put == OT_PUT_DUPLICATE)
        return;
    OT_ADD(leg->stats.packets_received, 1);
    OT_ADD(leg->stats.octets_received, packet.payload_octets);
    note_gap(leg, engine->now_ns);
    if (packet.payload_octets && put != OT_PUT_PROBATION)
        note_jitter(leg, &packet, engine->now_ns);
}

static int same_source(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_addr.s_addr == b->sin_addr.s_addr && a->sin_port == b->sin_port;
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

/* Returns 1 when the socket may hold more. */
static int receive_one(ot_engine *engine, struct ot_leg *leg)
{
    int foreign = 0;
    ssize_t got = leg->verify_left
                      ? receive_verified(engine, leg, &foreign)
                      : recv(leg->voice, engine->datagram, OT_DATAGRAM_MAX,
                             MSG_DONTWAIT | MSG_TRUNC);

    if (got < 0)
        return errno != EAGAIN && errno != EWOULDBLOCK; /* an ICMP error was fetched */
    if (foreign)
        OT_ADD(leg->stats.packets_foreign, 1);
    else
        take_packet(engine, leg, (size_t)got);
    return 1;
}

void ot_leg_receive(ot_engine *engine, struct ot_leg *leg)
{
    if (!leg->connected || (leg->receive && !ot_jitter_wants(&leg->jitter)))
        return;
    int drain = ++leg->polls % FULL_DRAIN_EVERY == 0 || !leg->receive;
    for (int reads = 0; reads < READS_MAX && receive_one(engine, leg); reads++) {
        uint32_t buffered = ot_jitter_buffered(&leg->jitter);
        if (!drain && leg->jitter.playing && buffered + PACKET_SAMPLES >= leg->jitter.target)
            break;
    }
}

void ot_leg_speak(ot_engine *engine, struct ot_leg *leg, uint32_t port)
{
    ot_get got = OT_GET_SILENCE;

    engine->said[port] = NULL;
    if (leg->connected && leg->receive) {
        const int16_t *pcm = ot_jitter_frame(&leg->jitter, &got);
        if (got != OT_GET_SILENCE)
            engine->said[port] = pcm;
    }
    if (got == OT_GET_CONCEALED)
        OT_ADD(leg->stats.concealed_frames, 1);
    OT_SET(leg->stats.buffered_samples, ot_jitter_buffered(&leg->jitter));
    uint64_t energy =
        engine->said[port] ? ot_kernel->energy(engine->said[port], OT_TICK_SAMPLES) : 0;
    OT_SET(leg->stats.receive_energy, ot_smoothed(leg->stats.receive_energy, energy));
}

/* -- out ----------------------------------------------------------------------------------- */

static void note_sent(struct ot_leg *leg, int64_t now_ns)
{
    uint64_t gap = leg->last_send_ns ? (uint64_t)(now_ns - leg->last_send_ns) : 0;

    if (gap > leg->stats.send_gap_max_ns)
        OT_SET(leg->stats.send_gap_max_ns, gap);
    leg->last_send_ns = now_ns;
    OT_ADD(leg->stats.packets_sent, 1);
    OT_ADD(leg->stats.octets_sent, leg->stream.samples);
}

static void write_header(struct ot_leg *leg)
{
    ot_stream *stream = &leg->stream;
    ot_rtp packet = {
        .ssrc = stream->ssrc,
        .timestamp = stream->first_timestamp,
        .sequence = stream->sequence++,
        .payload_type = leg->payload_type,
        .marker = leg->stats.packets_sent == 0,
    };

    ot_rtp_write(stream->packet, &packet);
}

void ot_leg_send(ot_engine *engine, struct ot_leg *leg)
{
    ot_stream *stream = &leg->stream;

    if (stream->full &&
        ot_socket_send(leg->voice, stream->packet, OT_RTP_HEADER + (size_t)stream->samples,
                       &leg->stats.send_errors, &leg->stats.last_errno))
        note_sent(leg, engine->now_ns);
    stream->full = 0;
    if (leg->connected && engine->tick >= leg->reports.due_tick)
        ot_leg_report(engine, leg, 0);
}

void ot_leg_compose(ot_engine *engine, struct ot_leg *leg, uint32_t port)
{
    const int16_t *pcm = NULL;
    uint64_t energy = 0;

    if (!leg->connected)
        return;
    if (engine->heard_any[port]) {
        ot_kernel->saturate(engine->out, engine->heard[port], OT_TICK_SAMPLES);
        energy = ot_kernel->energy(engine->out, OT_TICK_SAMPLES);
        pcm = engine->out;
    }
    OT_SET(leg->stats.transmit_energy, ot_smoothed(leg->stats.transmit_energy, energy));
    if (leg->send && ot_stream_fill(&leg->stream, engine->tick, pcm))
        write_header(leg);
}
