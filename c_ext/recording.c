/* Recordings: the complete sum of the tapped buses, packed once, sent to each recorder. */
#include <string.h>

#include "kernels.h"
#include "state.h"

/* Returns how many talkers are in sum. */
static uint32_t sum_taps(ot_engine *engine, const struct ot_recording *recording, int32_t *sum)
{
    uint32_t talkers = 0;

    for (uint32_t i = 0; i < recording->tap_count; i++) {
        const struct ot_bus *bus = &engine->buses[recording->taps[i]];
        if (bus->talkers == 0)
            continue;
        if (talkers == 0)
            memcpy(sum, engine->sums[recording->taps[i]], OT_TICK_SAMPLES * sizeof(*sum));
        else
            ot_kernel->add32(sum, engine->sums[recording->taps[i]], OT_TICK_SAMPLES);
        talkers += bus->talkers;
    }
    return talkers;
}

static void send_fork(struct ot_recording *recording, ot_fork *fork, const ot_rtp *packet)
{
    ot_stream *stream = &recording->stream;
    ot_rtp own = *packet;

    own.payload_type = fork->payload_type;
    own.marker = fork->first;
    ot_rtp_write(stream->packet, &own);
    if (!ot_socket_send(fork->fd, stream->packet, OT_RTP_HEADER + (size_t)stream->samples,
                        &fork->stats.send_errors, &fork->stats.last_errno))
        return;
    if (fork->first)
        OT_SET(fork->stats.first_sequence, packet->sequence);
    fork->first = 0;
    OT_SET(fork->stats.last_sequence, packet->sequence);
    OT_ADD(fork->stats.packets_sent, 1);
    OT_ADD(fork->stats.octets_sent, stream->samples);
    OT_ADD(fork->stats.samples, stream->samples);
}

static void send_packet(struct ot_recording *recording)
{
    ot_stream *stream = &recording->stream;
    ot_rtp packet = {
        .ssrc = stream->ssrc,
        .timestamp = stream->first_timestamp,
        .sequence = stream->sequence++,
    };

    for (uint32_t i = 0; i < OT_FORKS; i++)
        if (recording->forks[i].active)
            send_fork(recording, &recording->forks[i], &packet);
}

static void report(ot_engine *engine, struct ot_recording *recording)
{
    for (uint32_t i = 0; i < OT_FORKS; i++) {
        ot_fork *fork = &recording->forks[i];
        if (fork->active && engine->tick >= fork->reports.due_tick)
            ot_fork_report(engine, recording, fork, 0);
    }
}

void ot_recording_compose(ot_engine *engine, struct ot_recording *recording)
{
    if (!recording->forks[0].active && !recording->forks[1].active)
        return;
    const int16_t *pcm = NULL;
    if (sum_taps(engine, recording, engine->scratch)) {
        ot_kernel->saturate(engine->out, engine->scratch, OT_TICK_SAMPLES);
        pcm = engine->out;
    }
    ot_stream_fill(&recording->stream, engine->tick, pcm);
}

void ot_recording_send(ot_engine *engine, struct ot_recording *recording)
{
    if (recording->stream.full)
        send_packet(recording);
    recording->stream.full = 0;
    report(engine, recording);
}
