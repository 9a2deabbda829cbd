/* Recordings: the complete sum of the tapped buses, packed once, sent to each recorder. */
#include <string.h>

#include "kernels.h"
#include "state.h"

/* What is summed for a recording: everything, or one side of it. */
typedef enum { EVERYTHING, FAR_ENDS, UNIT } side;

/* A bus's part of one side in `out`; 0 when it is silent. */
static int part_of(const ot_engine *engine, uint32_t slot, side which, int32_t *out)
{
    const struct ot_bus *bus = &engine->buses[slot];
    uint32_t samples = ot_rate_samples(bus->rate);

    if (which == UNIT) {
        memcpy(out, engine->local_sums[slot], samples * sizeof(*out));
        return bus->local_talkers > 0;
    }
    if (bus->talkers == 0 || (which == FAR_ENDS && bus->talkers == bus->local_talkers))
        return 0;
    if (which == FAR_ENDS && bus->local_talkers)
        ot_kernel->less32(out, engine->sums[slot], engine->local_sums[slot], samples);
    else
        memcpy(out, engine->sums[slot], samples * sizeof(*out));
    return 1;
}

/* Adds the buses of one rate; 0 when they are silent. */
static int sum_rate(ot_engine *engine, const struct ot_recording *recording, side which,
                    uint32_t rate, int32_t *sum)
{
    int any = 0;

    for (uint32_t i = 0; i < recording->tap_count; i++) {
        uint32_t slot = recording->taps[i];
        uint32_t samples = ot_rate_samples(rate);
        if (engine->buses[slot].rate != rate)
            continue;
        if (!any)
            any = part_of(engine, slot, which, sum);
        else if (part_of(engine, slot, which, engine->scratch))
            ot_kernel->add32(sum, engine->scratch, samples);
    }
    return any;
}

static int rate_in_use(const ot_engine *engine, const struct ot_recording *recording, uint32_t rate)
{
    for (uint32_t i = 0; i < recording->tap_count; i++)
        if (engine->buses[recording->taps[i]].rate == rate)
            return 1;
    return 0;
}

/* Brings the sum of another rate to the recording's; its resampler runs through silence too. */
static void add_foreign(struct ot_recording *recording, uint32_t channel, uint32_t rate,
                        const int32_t *other, int any, int32_t *sum)
{
    int16_t in[OT_TICK_SAMPLES_MAX] = {0};
    int16_t out[OT_TICK_SAMPLES_MAX];

    if (recording->rates[channel][rate] == NULL)
        return;
    if (any)
        ot_kernel->saturate(in, other, ot_rate_samples(rate));
    ot_rate_run(recording->rates[channel][rate], out, in);
    ot_kernel->add16(sum, out, recording->stream.tick_samples);
}

/* One channel of this tick in `pcm`; 0 when it is silent. */
static int sum_channel(ot_engine *engine, struct ot_recording *recording, uint32_t channel,
                       side which, int16_t *pcm)
{
    int32_t sum[OT_TICK_SAMPLES_MAX];
    int32_t other[OT_TICK_SAMPLES_MAX];
    ot_stream *stream = &recording->stream;
    int any = sum_rate(engine, recording, which, stream->rate, sum);

    for (uint32_t rate = 0; rate < OT_RATES; rate++) {
        if (rate == stream->rate || !rate_in_use(engine, recording, rate))
            continue;
        if (!any)
            memset(sum, 0, sizeof(sum));
        any = 1;
        add_foreign(recording, channel, rate, other,
                    sum_rate(engine, recording, which, rate, other), sum);
    }
    if (any)
        ot_kernel->saturate(pcm, sum, stream->tick_samples);
    return any;
}

static const int16_t *compose_stereo(ot_engine *engine, struct ot_recording *recording)
{
    int16_t left[OT_TICK_SAMPLES_MAX];
    int16_t right[OT_TICK_SAMPLES_MAX];
    int any_left = sum_channel(engine, recording, 0, FAR_ENDS, left);
    int any_right = sum_channel(engine, recording, 1, UNIT, right);

    if (!any_left && !any_right)
        return NULL;
    ot_kernel->interleave(engine->out, any_left ? left : ot_silence,
                          any_right ? right : ot_silence, recording->stream.tick_samples);
    return engine->out;
}

/* One bus of the recording's own rate, the common case, is not copied. */
static const int16_t *compose_one(ot_engine *engine, const struct ot_recording *recording)
{
    uint32_t slot = recording->taps[0];

    if (engine->buses[slot].talkers == 0)
        return NULL;
    ot_kernel->saturate(engine->out, engine->sums[slot], recording->stream.tick_samples);
    return engine->out;
}

static const int16_t *compose_mono(ot_engine *engine, struct ot_recording *recording)
{
    if (recording->tap_count == 1 &&
        engine->buses[recording->taps[0]].rate == recording->stream.rate)
        return compose_one(engine, recording);
    return sum_channel(engine, recording, 0, EVERYTHING, engine->out) ? engine->out : NULL;
}

void ot_recording_compose(ot_engine *engine, struct ot_recording *recording)
{
    if (!recording->forks[0].active && !recording->forks[1].active)
        return;
    ot_stream_fill(&recording->stream, engine->tick,
                   (recording->stereo ? compose_stereo : compose_mono)(engine, recording));
}

static void send_fork(struct ot_recording *recording, ot_fork *fork, const ot_rtp *packet)
{
    ot_stream *stream = &recording->stream;
    ot_rtp own = *packet;

    own.payload_type = fork->payload_type;
    own.marker = fork->first;
    ot_rtp_write(stream->packet, &own);
    if (!ot_socket_send(fork->fd, stream->packet, OT_RTP_HEADER + (size_t)stream->octets,
                        &fork->stats.send_errors, &fork->stats.last_errno))
        return;
    if (fork->first)
        OT_SET(fork->stats.first_sequence, stream->sequence);
    fork->first = 0;
    OT_SET(fork->stats.last_sequence, stream->sequence);
    OT_ADD(fork->stats.packets_sent, 1);
    OT_ADD(fork->stats.octets_sent, stream->octets);
    OT_ADD(fork->stats.samples, (uint32_t)stream->tick_samples * stream->ptime_ticks);
}

static void send_packet(struct ot_recording *recording)
{
    ot_stream *stream = &recording->stream;
    ot_rtp packet = {
        .ssrc = stream->ssrc,
        .timestamp = stream->first_timestamp,
        .sequence = (uint16_t)stream->sequence,
    };

    for (uint32_t i = 0; i < OT_FORKS; i++)
        if (recording->forks[i].active)
            send_fork(recording, &recording->forks[i], &packet);
    stream->sequence++;
}

static void report(ot_engine *engine, struct ot_recording *recording)
{
    for (uint32_t i = 0; i < OT_FORKS; i++) {
        ot_fork *fork = &recording->forks[i];
        if (fork->active && engine->tick >= fork->reports.due_tick)
            ot_fork_report(engine, recording, fork, 0);
    }
}

void ot_recording_send(ot_engine *engine, struct ot_recording *recording)
{
    if (recording->stream.full && recording->stream.octets)
        send_packet(recording);
    recording->stream.full = 0;
    report(engine, recording);
}
