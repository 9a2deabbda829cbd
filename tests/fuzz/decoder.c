/* Every codec's decoder on any payloads, with losses between them, and on what our encoder says. */
#include <string.h>

#include "codec.h"
#include "codecs.h"
#include "input.h"

enum {
    PACKETS_MAX = 30,
    ROOM_MAX = 5760, /* 120 ms at 48 kHz */
    CODE_MAX = 2000,
    PTIME_MS = 20
};

static const int CODECS[] = {OT_PCMU,    OT_PCMA,     OT_G722,     OT_L16_8K, OT_L16_16K, OT_L16_48K,
                             OT_OPUS_8K, OT_OPUS_16K, OT_OPUS_48K, OT_OPUS_8K, OT_OPUS_48K};
enum { CODECS_COUNT = sizeof(CODECS) / sizeof(*CODECS) };

/* Exactly as long as said, so that AddressSanitizer sees the step beyond. */
static int16_t *room_for(size_t samples)
{
    return malloc(samples ? samples * sizeof(int16_t) : 1);
}

static void decode(int codec, ot_decoder *decoder, input *in)
{
    size_t octets = take8(in);
    size_t room = take8(in) & 1 ? take16(in) % ROOM_MAX : ROOM_MAX;
    const uint8_t *code = take(in, &octets);
    size_t promised = ot_decoder_samples(codec, code, octets);
    int16_t *pcm = room_for(room);
    size_t samples = ot_decoder_run(codec, decoder, pcm, room, code, octets);

    PROMISE(promised <= ROOM_MAX);
    PROMISE(samples <= room);
    PROMISE(samples == 0 || samples == promised);
    free(pcm);
}

static void conceal(int codec, ot_decoder *decoder, input *in)
{
    size_t octets = take8(in);
    size_t samples = ot_codec_find(codec)->rate_hz / 100U * (1 + take8(in) % 3);
    const uint8_t *next = take(in, &octets);
    int16_t *pcm = room_for(samples);

    (void)ot_decoder_conceal(codec, decoder, pcm, samples, next, octets);
    free(pcm);
}

static void encode_and_decode(int codec, ot_encoder *encoder, ot_decoder *decoder, input *in)
{
    size_t samples = ot_codec_find(codec)->rate_hz / 1000U * PTIME_MS;
    uint8_t code[CODE_MAX];
    uint8_t first = take8(in);
    uint8_t step = take8(in);
    int16_t *pcm = room_for(samples);

    for (size_t i = 0; i < samples; i++)
        pcm[i] = (int16_t)((first + i * step) % 256 * 257 - 32768);
    size_t octets = ot_encoder_run(codec, encoder, code, sizeof(code), pcm, samples);
    PROMISE(octets <= sizeof(code));
    if (octets) {
        PROMISE(ot_decoder_samples(codec, code, octets) == samples);
        PROMISE(ot_decoder_run(codec, decoder, pcm, samples, code, octets) == samples);
    }
    free(pcm);
}

static ot_encoder_options take_options(input *in)
{
    uint8_t what = take8(in);

    return (ot_encoder_options){.bitrate_bps = what & 4 ? take32(in) : 0,
                                .loss_percent = what & 8 ? take8(in) : 0,
                                .fec = what & 1,
                                .dtx = what >> 1 & 1};
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};
    int codec = CODECS[take8(&in) % CODECS_COUNT];
    ot_encoder_options options = take_options(&in);
    ot_encoder *encoder = NULL;
    ot_decoder *decoder = NULL;
    int can_encode = ot_encoder_create(&encoder, codec, PTIME_MS, &options) == 0;

    if (ot_decoder_create(&decoder, codec) == 0) {
        for (int i = 0; i < PACKETS_MAX && in.left; i++) {
            uint8_t what = take8(&in);
            if (what < 0x80)
                decode(codec, decoder, &in);
            else if (what < 0xC0)
                conceal(codec, decoder, &in);
            else if (can_encode)
                encode_and_decode(codec, encoder, decoder, &in);
        }
        ot_decoder_destroy(decoder);
    }
    if (can_encode)
        ot_encoder_destroy(encoder);
    return 0;
}
