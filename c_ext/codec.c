/* What each codec is, and the ones that need no state: G.711 and L16. */
#include "codec.h"

#include <errno.h>

#include "kernels.h"
#include "wire.h"

static const ot_codec_traits PCMU = {"PCMU", 8000, 8000, 80};
static const ot_codec_traits PCMA = {"PCMA", 8000, 8000, 80};
static const ot_codec_traits L16_8K = {"L16", 8000, 8000, 160};
static const ot_codec_traits L16_16K = {"L16", 16000, 16000, 320};
static const ot_codec_traits L16_48K = {"L16", 48000, 48000, 960};

const ot_codec_traits *ot_codec_find(int codec)
{
    switch (codec) {
    case OT_PCMU:
        return &PCMU;
    case OT_PCMA:
        return &PCMA;
    case OT_L16_8K:
        return &L16_8K;
    case OT_L16_16K:
        return &L16_16K;
    case OT_L16_48K:
        return &L16_48K;
    default:
        return NULL;
    }
}

int ot_encoder_create(ot_encoder **encoder, int codec, uint32_t ptime_ms,
                      const ot_encoder_options *options)
{
    (void)ptime_ms;
    (void)options;
    *encoder = NULL;
    return ot_codec_find(codec) ? 0 : EINVAL;
}

void ot_encoder_destroy(ot_encoder *encoder)
{
    (void)encoder;
}

size_t ot_encoder_run(int codec, ot_encoder *encoder, uint8_t *code, size_t room,
                      const int16_t *pcm, size_t samples)
{
    (void)encoder;
    size_t octets = codec == OT_PCMU || codec == OT_PCMA ? samples : 2 * samples;

    if (octets > room)
        return 0;
    if (codec == OT_PCMU)
        ot_kernel->ulaw_encode(code, pcm, samples);
    else if (codec == OT_PCMA)
        ot_kernel->alaw_encode(code, pcm, samples);
    else
        for (size_t i = 0; i < samples; i++)
            ot_write16(code + 2 * i, (uint16_t)pcm[i]);
    return octets;
}

int ot_decoder_create(ot_decoder **decoder, int codec)
{
    *decoder = NULL;
    return ot_codec_find(codec) ? 0 : EINVAL;
}

void ot_decoder_destroy(ot_decoder *decoder)
{
    (void)decoder;
}

size_t ot_decoder_samples(int codec, const uint8_t *code, size_t octets)
{
    (void)code;
    return codec == OT_PCMU || codec == OT_PCMA ? octets : octets / 2;
}

size_t ot_decoder_run(int codec, ot_decoder *decoder, int16_t *pcm, size_t room,
                      const uint8_t *code, size_t octets)
{
    size_t samples = ot_decoder_samples(codec, code, octets);

    (void)decoder;
    if (samples > room)
        return 0;
    if (codec == OT_PCMU)
        ot_kernel->ulaw_decode(pcm, code, samples);
    else if (codec == OT_PCMA)
        ot_kernel->alaw_decode(pcm, code, samples);
    else
        for (size_t i = 0; i < samples; i++)
            pcm[i] = (int16_t)ot_read16(code + 2 * i);
    return samples;
}

int ot_decoder_conceal(int codec, ot_decoder *decoder, int16_t *pcm, size_t samples,
                       const uint8_t *next, size_t octets)
{
    (void)codec;
    (void)decoder;
    (void)pcm;
    (void)samples;
    (void)next;
    (void)octets;
    return ENOTSUP;
}
