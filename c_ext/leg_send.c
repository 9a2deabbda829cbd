/* What a leg sends: sound, or a description of its silence, or the digits that are dialled. */
#include <string.h>

#include "kernels.h"
#include "state.h"

/* -- packets ----------------------------------------------------------------------------------- */

static void note_sent(struct ot_leg *leg, int64_t now_ns, size_t octets)
{
    uint64_t gap = leg->last_send_ns ? (uint64_t)(now_ns - leg->last_send_ns) : 0;

    if (gap > leg->stats.send_gap_max_ns)
        OT_SET(leg->stats.send_gap_max_ns, gap);
    leg->last_send_ns = now_ns;
    OT_ADD(leg->stats.packets_sent, 1);
    OT_ADD(leg->stats.octets_sent, octets);
}

static int transmit(struct ot_leg *leg, const uint8_t *packet, size_t octets)
{
    if (leg->shield)
        return ot_shield_send(leg->shield, packet, octets);
    return ot_socket_send(leg->voice, packet, octets, &leg->stats.send_errors,
                          &leg->stats.last_errno);
}

/* Writes the header into the packet's first OT_RTP_HEADER octets. */
static void send_packet(ot_engine *engine, struct ot_leg *leg, uint8_t *packet, size_t octets,
                        ot_rtp header)
{
    header.ssrc = leg->stream.ssrc;
    header.sequence = (uint16_t)leg->stream.sequence++;
    ot_rtp_write(packet, &header);
    if (transmit(leg, packet, OT_RTP_HEADER + octets))
        note_sent(leg, engine->now_ns, octets);
}

static ot_rtp voice_header(struct ot_leg *leg)
{
    ot_rtp header = {
        .timestamp = leg->stream.first_timestamp,
        .payload_type = leg->payload_type,
        .marker = leg->marked,
    };

    leg->marked = 0;
    return header;
}

/* Voice, with what earlier packets carried when that was negotiated (RFC 2198). */
static void send_voice(ot_engine *engine, struct ot_leg *leg)
{
    ot_stream *stream = &leg->stream;
    ot_rtp header = voice_header(leg);

    if (!leg->parts || !leg->parts->redundancy) {
        send_packet(engine, leg, stream->packet, stream->octets, header);
        return;
    }
    uint8_t packet[OT_RTP_HEADER + OT_PAYLOAD_MAX];
    ot_red_payload primary = {stream->packet + OT_RTP_HEADER, stream->first_timestamp,
                              stream->octets, leg->payload_type};
    size_t octets = ot_red_sender_run(&leg->parts->older, packet + OT_RTP_HEADER, OT_PAYLOAD_MAX,
                                      &primary);
    header.payload_type = leg->parts->redundant_type;
    if (octets)
        send_packet(engine, leg, packet, octets, header);
}

/* -- instead of voice -------------------------------------------------------------------------- */

/* What was sent before does not belong to what comes after a pause or a digit. */
static void break_voice(struct ot_leg *leg)
{
    leg->marked = 1;
    if (leg->parts->redundancy)
        ot_red_sender_init(&leg->parts->older, leg->parts->redundancy,
                           leg->stream.tick_clock * 100U);
}

static int send_digit(ot_engine *engine, struct ot_leg *leg)
{
    uint8_t packet[OT_RTP_HEADER + OT_DTMF_OCTETS];
    const ot_stream *stream = &leg->stream;
    ot_dtmf_packet digit;

    if (!leg->parts->event_type ||
        !ot_dtmf_sender_next(&leg->parts->dialling, stream->first_timestamp,
                             (uint32_t)stream->tick_clock * stream->ptime_ticks, &digit))
        return 0;
    if (digit.marker)
        OT_ADD(leg->stats.digits_sent, 1);
    memcpy(packet + OT_RTP_HEADER, digit.payload, OT_DTMF_OCTETS);
    send_packet(engine, leg, packet, OT_DTMF_OCTETS,
                (ot_rtp){.timestamp = digit.timestamp,
                         .payload_type = leg->parts->event_type,
                         .marker = digit.marker});
    break_voice(leg);
    return 1;
}

/* Returns 0 when somebody speaks, or comfort noise was not negotiated. */
static int send_noise(ot_engine *engine, struct ot_leg *leg)
{
    uint8_t packet[OT_RTP_HEADER + OT_COMFORT_PAYLOAD_MAX];
    ot_leg_parts *parts = leg->parts;

    if (!parts->noise_type)
        return 0;
    size_t samples = (size_t)leg->stream.tick_samples * leg->stream.ptime_ticks;
    int octets = ot_comfort_sender_run(&parts->pauses, parts->pcm, samples, parts->voiced,
                                       packet + OT_RTP_HEADER);
    parts->voiced = 0;
    if (octets == OT_COMFORT_SEND_VOICE)
        return 0;
    if (octets != OT_COMFORT_SEND_NOTHING)
        send_packet(engine, leg, packet, (size_t)octets,
                    (ot_rtp){.timestamp = leg->stream.first_timestamp,
                             .payload_type = parts->noise_type});
    break_voice(leg);
    return 1;
}

void ot_leg_send(ot_engine *engine, struct ot_leg *leg)
{
    ot_stream *stream = &leg->stream;

    if (stream->full && (!leg->parts || (!send_digit(engine, leg) && !send_noise(engine, leg)))) {
        if (stream->octets)
            send_voice(engine, leg);
        else
            leg->marked = 1; /* the codec leaves silence out */
    }
    stream->full = 0;
    if (leg->connected && engine->tick >= leg->reports.due_tick)
        ot_leg_report(engine, leg, 0);
}

/* -- composing --------------------------------------------------------------------------------- */

static void keep_for_noise(struct ot_leg *leg, const int16_t *pcm)
{
    ot_leg_parts *parts = leg->parts;
    size_t samples = leg->stream.tick_samples;

    if (!parts->noise_type)
        return;
    memcpy(parts->pcm + leg->stream.fill * samples, pcm ? pcm : ot_silence,
           samples * sizeof(*parts->pcm));
    parts->voiced |= (uint8_t)leg->stats.transmit_active;
}

void ot_leg_compose(ot_engine *engine, struct ot_leg *leg, uint32_t port)
{
    if (!leg->connected)
        return;
    const int16_t *pcm = ot_heard(engine, port, engine->out);
    uint32_t samples = ot_rate_samples(leg->rate);
    uint64_t energy = pcm ? ot_kernel->energy(pcm, samples) : 0;
    int active = ot_activity_run(&leg->transmit_activity, energy, samples);

    OT_SET(leg->stats.transmit_energy,
           ot_smoothed(leg->stats.transmit_energy, ot_rate_energy(energy, leg->rate)));
    OT_SET(leg->stats.transmit_active, active);
    if (!leg->send)
        return;
    if (leg->parts)
        keep_for_noise(leg, pcm);
    ot_stream_fill(&leg->stream, engine->tick, pcm);
}
