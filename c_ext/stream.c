/* Packs 10 ms frames into RTP packets of 10, 20 or 30 ms. */
#include <string.h>

#include "kernels.h"
#include "state.h"

enum { ULAW_SILENCE = 0xFF, ALAW_SILENCE = 0xD5 };

void ot_stream_init(ot_stream *stream, int codec, uint32_t ptime_ticks, uint32_t phase)
{
    stream->codec = (uint8_t)codec;
    stream->ptime_ticks = (uint8_t)ptime_ticks;
    stream->phase = (uint8_t)(phase % ptime_ticks);
    stream->samples = (uint16_t)(ptime_ticks * OT_TICK_SAMPLES);
    stream->fill = 0;
    stream->full = 0;
}

uint32_t ot_stream_timestamp(const ot_stream *stream, uint64_t tick)
{
    return stream->timestamp_base + (uint32_t)tick * OT_TICK_SAMPLES;
}

static void encode(const ot_stream *stream, uint8_t *code, const int16_t *pcm)
{
    if (pcm == NULL)
        memset(code, stream->codec == OT_PCMA ? ALAW_SILENCE : ULAW_SILENCE, OT_TICK_SAMPLES);
    else if (stream->codec == OT_PCMA)
        ot_kernel->alaw_encode(code, pcm, OT_TICK_SAMPLES);
    else
        ot_kernel->ulaw_encode(code, pcm, OT_TICK_SAMPLES);
}

int ot_stream_fill(ot_stream *stream, uint64_t tick, const int16_t *pcm)
{
    if (stream->fill == 0) {
        if (tick % stream->ptime_ticks != stream->phase)
            return 0;
        stream->first_timestamp = ot_stream_timestamp(stream, tick);
    }
    encode(stream, stream->packet + OT_RTP_HEADER + stream->fill, pcm);
    stream->fill = (uint16_t)(stream->fill + OT_TICK_SAMPLES);
    if (stream->fill < stream->samples)
        return 0;
    stream->fill = 0;
    stream->full = 1;
    return 1;
}
