/* Packs 10 ms frames into RTP packets of 10, 20 or 30 ms. */
#include <string.h>

#include "kernels.h"
#include "state.h"

enum { ULAW_SILENCE = 0xFF, ALAW_SILENCE = 0xD5 };

static void set_up(ot_stream *stream, int codec, uint32_t ptime_ticks, uint32_t phase)
{
    const ot_codec_traits *traits = ot_codec_find(codec);

    stream->codec = (uint8_t)codec;
    stream->rate = ot_rate_index(traits->rate_hz);
    stream->tick_samples = (uint16_t)ot_rate_samples(stream->rate);
    stream->tick_clock = (uint16_t)(traits->clock_hz / 100);
    stream->ptime_ticks = (uint8_t)ptime_ticks;
    stream->phase = (uint8_t)(phase % ptime_ticks);
    stream->fill = 0;
    stream->octets = 0;
    stream->full = 0;
}

void ot_stream_init(ot_stream *stream, int codec, uint32_t channels, uint32_t ptime_ticks,
                    uint32_t phase)
{
    set_up(stream, codec, ptime_ticks, phase);
    stream->channels = (uint8_t)channels;
    stream->encoder = NULL;
    stream->pcm = NULL;
}

void ot_stream_change(ot_stream *stream, uint64_t tick, int codec, uint32_t ptime_ticks,
                      uint32_t phase)
{
    uint32_t now = ot_stream_timestamp(stream, tick);

    set_up(stream, codec, ptime_ticks, phase);
    stream->timestamp_base += now - ot_stream_timestamp(stream, tick);
}

uint32_t ot_stream_timestamp(const ot_stream *stream, uint64_t tick)
{
    return stream->timestamp_base + (uint32_t)tick * stream->tick_clock;
}

/* Most of what a turret sends is silence: G.711's is laid down without encoding it. */
static size_t encode(const ot_stream *stream, uint8_t *code, const int16_t *pcm, size_t samples)
{
    if (pcm == NULL && (stream->codec == OT_PCMU || stream->codec == OT_PCMA)) {
        memset(code, stream->codec == OT_PCMA ? ALAW_SILENCE : ULAW_SILENCE, samples);
        return samples;
    }
    return ot_encoder_run(stream->codec, stream->encoder, code, OT_PAYLOAD_MAX - stream->octets,
                          pcm ? pcm : ot_silence, samples);
}

/* A codec that wants whole packets gets them from here. */
static void collect(const ot_stream *stream, const int16_t *pcm)
{
    size_t samples = stream->tick_samples;

    memcpy(stream->pcm + stream->fill * samples, pcm ? pcm : ot_silence,
           samples * sizeof(*stream->pcm));
}

static void append(ot_stream *stream, const int16_t *pcm)
{
    uint8_t *code = stream->packet + OT_RTP_HEADER + stream->octets;
    size_t octets = 0;

    if (stream->pcm == NULL) {
        octets = encode(stream, code, pcm, (size_t)stream->tick_samples * stream->channels);
    } else {
        collect(stream, pcm);
        if (stream->fill + 1 == stream->ptime_ticks)
            octets = encode(stream, code, stream->pcm,
                            (size_t)stream->tick_samples * stream->ptime_ticks);
    }
    stream->octets = (uint16_t)(stream->octets + octets);
}

int ot_stream_fill(ot_stream *stream, uint64_t tick, const int16_t *pcm)
{
    if (stream->fill == 0) {
        if (tick % stream->ptime_ticks != stream->phase)
            return 0;
        stream->first_timestamp = ot_stream_timestamp(stream, tick);
        stream->octets = 0;
    }
    append(stream, pcm);
    if (++stream->fill < stream->ptime_ticks)
        return 0;
    stream->fill = 0;
    stream->full = 1;
    return 1;
}
