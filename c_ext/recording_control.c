/* Recordings: the control side. */
#include <errno.h>
#include <stdlib.h>

#include "control.h"

static uint16_t slot_of(const ot_recording *recording)
{
    return (uint16_t)(recording - recording->control.engine->recordings);
}

void ot_recording_reaped(ot_engine *engine, uint32_t slot)
{
    ot_recording *recording = &engine->recordings[slot];

    for (uint32_t channel = 0; channel < OT_CHANNELS_MAX; channel++)
        for (uint32_t rate = 0; rate < OT_RATES; rate++) {
            ot_rate_destroy(recording->rates[channel][rate]);
            recording->rates[channel][rate] = NULL;
        }
    ot_encoder_destroy(recording->stream.encoder);
    free(recording->stream.pcm);
    recording->stream.encoder = NULL;
    recording->stream.pcm = NULL;
    recording->control.used = 0;
}

static int set_up(ot_recording *recording, int codec, uint32_t ptime_ms, int stereo, uint32_t phase)
{
    static const ot_encoder_options PLAIN = {0};
    ot_stream *stream = &recording->stream;
    int error = ot_seed_stream(stream);

    ot_stream_init(stream, codec, stereo ? 2 : 1, ptime_ms / OT_TICK_MS, phase);
    if (!error)
        error = ot_encoder_create(&stream->encoder, codec, ptime_ms, &PLAIN);
    if (!error && ot_codec_find(codec)->frame_octets == 0) {
        stream->pcm = malloc(OT_PACKET_SAMPLES_MAX * sizeof(*stream->pcm));
        error = stream->pcm ? 0 : ENOMEM;
    }
    recording->tap_count = 0;
    recording->stereo = stereo != 0;
    return error;
}

static int open_recording(ot_recording **out, ot_engine *engine, int codec, uint32_t ptime_ms,
                          int stereo)
{
    for (uint32_t i = 0; i < OT_RECORDINGS_MAX; i++) {
        ot_recording *recording = &engine->recordings[i];
        if (recording->control.used)
            continue;
        recording->control.engine = engine;
        int error = set_up(recording, codec, ptime_ms, stereo, i);
        recording->control.ssrc = recording->stream.ssrc;
        if (!error)
            error = ot_hand_over_plain(engine, OT_RECORDING_ADD, (uint16_t)i, 0);
        recording->control.used = recording->control.open = error == 0;
        if (error)
            ot_recording_reaped(engine, i);
        *out = recording;
        return error;
    }
    return ENOSPC;
}

int ot_recording_open(ot_recording **recording, ot_engine *engine, int codec, uint32_t ptime_ms,
                      int stereo)
{
    if (ot_codec_for(codec, ptime_ms, stereo ? 2 : 1) == NULL)
        return EINVAL;
    ot_lock(engine);
    return ot_unlock(engine, open_recording(recording, engine, codec, ptime_ms, stereo));
}

uint32_t ot_recording_ssrc(const ot_recording *recording)
{
    return recording->control.ssrc;
}

/* The tick looks at the resamplers of a rate only once it has a tap of that rate. */
static int resample_from(ot_recording *recording, uint32_t rate)
{
    int error = 0;

    if (rate == recording->stream.rate)
        return 0;
    for (uint32_t channel = 0; channel < recording->stream.channels && !error; channel++)
        error = ot_rates_make(recording->rates[channel], recording->stream.rate, 1);
    return error;
}

static int change_tap(ot_recording *recording, const ot_bus *bus, ot_command_kind kind)
{
    ot_engine *engine = recording->control.engine;
    int error = 0;

    ot_lock(engine);
    if (!recording->control.open || !bus->control.open || bus->control.engine != engine)
        return ot_unlock(engine, EBADF);
    if (kind == OT_RECORDING_TAP)
        error = resample_from(recording, bus->control.rate);
    if (!error)
        error = ot_hand_over_plain(engine, kind, slot_of(recording),
                                   (uint16_t)(bus - engine->buses));
    return ot_unlock(engine, error);
}

int ot_recording_tap(ot_recording *recording, ot_bus *bus)
{
    return change_tap(recording, bus, OT_RECORDING_TAP);
}

int ot_recording_untap(ot_recording *recording, ot_bus *bus)
{
    return change_tap(recording, bus, OT_RECORDING_UNTAP);
}

static int connect_fork(ot_engine *engine, ot_command *command, const char *address,
                        uint16_t local_rtp_port)
{
    int *rtp = &command->with.remote.fd;
    int *rtcp = &command->with.remote.reports_fd;
    uint32_t index = (uint32_t)command->slot * OT_FORKS + command->other;
    int error = ot_bind_pair(engine, rtp, rtcp, address, local_rtp_port);

    if (error)
        return error;
    error = ot_socket_connect(*rtp, &command->with.remote.remote);
    if (!error)
        error = ot_watch(engine, *rtcp, OT_EVENT_FORK_REPORT, index);
    if (!error)
        error = ot_hand_over(engine, command);
    if (error) {
        ot_socket_close(*rtp);
        ot_socket_close(*rtcp);
    }
    return error;
}

int ot_recording_fork(ot_recording *recording, uint32_t index, const char *address,
                      uint16_t local_rtp_port, const char *remote_address, uint16_t remote_rtp_port,
                      uint8_t payload_type)
{
    ot_engine *engine = recording->control.engine;
    ot_command command = {
        .kind = OT_RECORDING_FORK,
        .slot = slot_of(recording),
        .other = (uint16_t)index,
        .with.remote = {.payload_type = payload_type},
    };
    struct sockaddr_in *remote = &command.with.remote.remote;
    struct sockaddr_in *reports = &command.with.remote.remote_reports;

    if (index >= OT_FORKS || payload_type > 127 || remote_rtp_port == 0 ||
        ot_address(remote, remote_address, remote_rtp_port) != 0 ||
        ot_address(reports, remote_address, (uint16_t)(remote_rtp_port + 1)) != 0)
        return EINVAL;
    ot_lock(engine);
    if (!recording->control.open)
        return ot_unlock(engine, EBADF);
    return ot_unlock(engine, connect_fork(engine, &command, address, local_rtp_port));
}

int ot_recording_unfork(ot_recording *recording, uint32_t index)
{
    ot_engine *engine = recording->control.engine;

    if (index >= OT_FORKS)
        return EINVAL;
    ot_lock(engine);
    if (!recording->control.open)
        return ot_unlock(engine, EBADF);
    return ot_unlock(engine, ot_hand_over_plain(engine, OT_RECORDING_UNFORK, slot_of(recording),
                                                (uint16_t)index));
}

int ot_recording_read(ot_recording *recording, uint32_t index, ot_fork_stats *stats)
{
    if (index >= OT_FORKS)
        return EINVAL;
    return ot_read_words(recording->control.engine, stats, &recording->forks[index].stats,
                         sizeof(*stats));
}

int ot_recording_close(ot_recording *recording)
{
    return ot_hand_over_close(recording->control.engine, &recording->control.open,
                              OT_RECORDING_REMOVE, slot_of(recording));
}
