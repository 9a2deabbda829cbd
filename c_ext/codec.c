/* What each codec is, and the ones that remember nothing: G.711 and L16. */
#include "codec.h"

#include <errno.h>
#include <stdlib.h>

#include "codecs.h"
#include "kernels.h"
#include "wire.h"

static const ot_codec_traits PCMU = {"PCMU", 8000, 8000, 80};
static const ot_codec_traits PCMA = {"PCMA", 8000, 8000, 80};
static const ot_codec_traits G722 = {"G722", 16000, 8000, 80};
static const ot_codec_traits L16_8K = {"L16", 8000, 8000, 160};
static const ot_codec_traits L16_16K = {"L16", 16000, 16000, 320};
static const ot_codec_traits L16_48K = {"L16", 48000, 48000, 960};
static const ot_codec_traits OPUS_8K = {"opus", 8000, 48000, 0};
static const ot_codec_traits OPUS_16K = {"opus", 16000, 48000, 0};
static const ot_codec_traits OPUS_48K = {"opus", 48000, 48000, 0};

const ot_codec_traits *ot_codec_find(int codec)
{
    switch (codec) {
    case OT_PCMU:
        return &PCMU;
    case OT_PCMA:
        return &PCMA;
    case OT_G722:
        return &G722;
    case OT_L16_8K:
        return &L16_8K;
    case OT_L16_16K:
        return &L16_16K;
    case OT_L16_48K:
        return &L16_48K;
    case OT_OPUS_8K:
        return &OPUS_8K;
    case OT_OPUS_16K:
        return &OPUS_16K;
    case OT_OPUS_48K:
        return &OPUS_48K;
    default:
        return NULL;
    }
}

/* How a codec is worked: the three rates of L16 and of Opus differ in nothing else. */
typedef enum { NO_CODEC, ULAW, ALAW, LINEAR, G722_64K, OPUS } codec_kind;

static codec_kind kind_of(int codec)
{
    switch (codec) {
    case OT_PCMU:
        return ULAW;
    case OT_PCMA:
        return ALAW;
    case OT_L16_8K:
    case OT_L16_16K:
    case OT_L16_48K:
        return LINEAR;
    case OT_G722:
        return G722_64K;
    case OT_OPUS_8K:
    case OT_OPUS_16K:
    case OT_OPUS_48K:
        return OPUS;
    default:
        return NO_CODEC;
    }
}

static uint32_t rate_of(int codec)
{
    const ot_codec_traits *traits = ot_codec_find(codec);

    return traits ? traits->rate_hz : 0;
}

/* -- encoding ------------------------------------------------------------------------------ */

int ot_encoder_create(ot_encoder **encoder, int codec, uint32_t ptime_ms,
                      const ot_encoder_options *options)
{
    *encoder = NULL;
    switch (kind_of(codec)) {
    case NO_CODEC:
        return EINVAL;
    case G722_64K:
        return ot_g722_encoder_create(encoder);
    case OPUS:
        return ot_opus_encoder_create(encoder, rate_of(codec), ptime_ms, options);
    default:
        return 0;
    }
}

void ot_encoder_destroy(ot_encoder *encoder)
{
    free(encoder);
}

static size_t encode_linear(uint8_t *code, size_t room, const int16_t *pcm, size_t samples)
{
    if (samples > room / 2)
        return 0;
    for (size_t i = 0; i < samples; i++)
        ot_write16(code + 2 * i, (uint16_t)pcm[i]);
    return 2 * samples;
}

static size_t encode_law(codec_kind law, uint8_t *code, size_t room, const int16_t *pcm,
                         size_t samples)
{
    if (samples > room)
        return 0;
    if (law == ULAW)
        ot_kernel->ulaw_encode(code, pcm, samples);
    else
        ot_kernel->alaw_encode(code, pcm, samples);
    return samples;
}

size_t ot_encoder_run(int codec, ot_encoder *encoder, uint8_t *code, size_t room,
                      const int16_t *pcm, size_t samples)
{
    codec_kind kind = kind_of(codec);

    if (kind == ULAW || kind == ALAW)
        return encode_law(kind, code, room, pcm, samples);
    if (kind == LINEAR)
        return encode_linear(code, room, pcm, samples);
    if (!encoder)
        return 0;
    return kind == OPUS ? ot_opus_encode(encoder, code, room, pcm, samples)
                        : ot_g722_encode(encoder, code, room, pcm, samples);
}

/* -- decoding ------------------------------------------------------------------------------ */

int ot_decoder_create(ot_decoder **decoder, int codec)
{
    *decoder = NULL;
    switch (kind_of(codec)) {
    case NO_CODEC:
        return EINVAL;
    case G722_64K:
        return ot_g722_decoder_create(decoder);
    case OPUS:
        return ot_opus_decoder_create(decoder, rate_of(codec));
    default:
        return 0;
    }
}

void ot_decoder_destroy(ot_decoder *decoder)
{
    free(decoder);
}

size_t ot_decoder_samples(int codec, const uint8_t *code, size_t octets)
{
    switch (kind_of(codec)) {
    case ULAW:
    case ALAW:
        return octets;
    case LINEAR:
        return octets % 2 ? 0 : octets / 2;
    case G722_64K:
        return 2 * octets;
    case OPUS:
        return ot_opus_samples(rate_of(codec), code, octets);
    default:
        return 0;
    }
}

static size_t decode_linear(int16_t *pcm, size_t room, const uint8_t *code, size_t octets)
{
    if (octets % 2 || octets / 2 > room)
        return 0;
    for (size_t i = 0; i < octets / 2; i++)
        pcm[i] = (int16_t)ot_read16(code + 2 * i);
    return octets / 2;
}

static size_t decode_law(codec_kind law, int16_t *pcm, size_t room, const uint8_t *code,
                         size_t octets)
{
    if (octets > room)
        return 0;
    if (law == ULAW)
        ot_kernel->ulaw_decode(pcm, code, octets);
    else
        ot_kernel->alaw_decode(pcm, code, octets);
    return octets;
}

size_t ot_decoder_run(int codec, ot_decoder *decoder, int16_t *pcm, size_t room,
                      const uint8_t *code, size_t octets)
{
    codec_kind kind = kind_of(codec);

    if (kind == ULAW || kind == ALAW)
        return decode_law(kind, pcm, room, code, octets);
    if (kind == LINEAR)
        return decode_linear(pcm, room, code, octets);
    if (!decoder)
        return 0;
    return kind == OPUS ? ot_opus_decode(decoder, rate_of(codec), pcm, room, code, octets)
                        : ot_g722_decode(decoder, pcm, room, code, octets);
}

int ot_decoder_conceal(int codec, ot_decoder *decoder, int16_t *pcm, size_t samples,
                       const uint8_t *next, size_t octets)
{
    if (kind_of(codec) != OPUS)
        return ENOTSUP;
    if (!decoder)
        return EINVAL;
    return ot_opus_conceal(decoder, rate_of(codec), pcm, samples, next, octets);
}
