/* Opus (RFC 6716, RFC 7587) by libopus: mono, for speech, at the rate our end works at. */
#include <errno.h>
#include <opus/opus.h>
#include <stddef.h>
#include <stdlib.h>

#include "codecs.h"

enum {
    FRAMES_MAX = 48,            /* in a packet: 120 ms of 2.5 ms */
    FRAME_OCTETS_MAX = 1275,    /* RFC 6716 section 3.4 */
    PACKET_OCTETS_MAX = 0xFFFF, /* a datagram's */
    SPARSE_OCTETS = 2,          /* a packet no longer than this says that nothing need be sent */
    BITRATE_MIN_BPS = 6000,
    BITRATE_MAX_BPS = 510000,
    LOSS_ASSUMED_PERCENT = 10,
    LONGEST_MS = 120
};

/* What an encoder does unless told otherwise.  The rates are the least in steps of 8 kbit/s at
 * which libopus 1.3 finds room for the redundancy it is asked for, in packets of 10 and 20 ms;
 * below them it leaves it out without a word.  The complexities let 30 legs that speak and hear
 * 20 ms packets with redundancy take about a tenth of a core of an EPYC, at 48 kHz a sixth: the
 * least takes that. */
typedef struct {
    uint32_t rate_hz;
    int32_t bitrate_bps;
    int32_t complexity;
} opus_habits;

static const opus_habits HABITS[] = {{8000, 24000, 2}, {16000, 32000, 1}, {48000, 40000, 0}};

typedef struct {
    size_t packet_samples;
    _Alignas(max_align_t) unsigned char state[]; /* libopus measures and fills it */
} opus_sender;

static OpusEncoder *encoder_of(opus_sender *sender)
{
    return (OpusEncoder *)(void *)sender->state;
}

static const opus_habits *habits_at(uint32_t rate_hz)
{
    for (size_t i = 0; i < sizeof(HABITS) / sizeof(HABITS[0]); i++)
        if (HABITS[i].rate_hz == rate_hz)
            return &HABITS[i];
    return NULL;
}

static int are_valid(const ot_encoder_options *options, uint32_t ptime_ms)
{
    if (ptime_ms != 10 && ptime_ms != 20) /* Opus knows no frame of 30 ms */
        return 0;
    if (options->loss_percent > 100)
        return 0;
    return options->bitrate_bps == 0 || (options->bitrate_bps >= BITRATE_MIN_BPS &&
                                         options->bitrate_bps <= BITRATE_MAX_BPS);
}

static int configure(OpusEncoder *encoder, const opus_habits *habits,
                     const ot_encoder_options *options)
{
    int32_t bitrate = options->bitrate_bps ? (int32_t)options->bitrate_bps : habits->bitrate_bps;
    int32_t loss = options->loss_percent;

    if (options->fec && loss == 0) /* libopus adds no redundancy for a line without loss */
        loss = LOSS_ASSUMED_PERCENT;
    int failed = opus_encoder_ctl(encoder, OPUS_SET_BITRATE(bitrate));
    failed |= opus_encoder_ctl(encoder, OPUS_SET_COMPLEXITY(habits->complexity));
    failed |= opus_encoder_ctl(encoder, OPUS_SET_INBAND_FEC(options->fec != 0));
    failed |= opus_encoder_ctl(encoder, OPUS_SET_PACKET_LOSS_PERC(loss));
    failed |= opus_encoder_ctl(encoder, OPUS_SET_DTX(options->dtx != 0));
    return failed ? EINVAL : 0;
}

int ot_opus_encoder_create(ot_encoder **encoder, uint32_t rate_hz, uint32_t ptime_ms,
                           const ot_encoder_options *options)
{
    static const ot_encoder_options plain = {0};
    const ot_encoder_options *wanted = options ? options : &plain;
    const opus_habits *habits = habits_at(rate_hz);

    if (!habits || !are_valid(wanted, ptime_ms))
        return EINVAL;
    opus_sender *sender = calloc(1, sizeof(*sender) + (size_t)opus_encoder_get_size(1));
    if (!sender)
        return ENOMEM;
    sender->packet_samples = (size_t)rate_hz / 1000 * ptime_ms;
    if (opus_encoder_init(encoder_of(sender), (opus_int32)rate_hz, 1, OPUS_APPLICATION_VOIP) ||
        configure(encoder_of(sender), habits, wanted)) {
        free(sender);
        return EINVAL;
    }
    *encoder = (ot_encoder *)(void *)sender;
    return 0;
}

size_t ot_opus_encode(ot_encoder *encoder, uint8_t *code, size_t room, const int16_t *pcm,
                      size_t samples)
{
    opus_sender *sender = (opus_sender *)(void *)encoder;
    size_t most = room < FRAME_OCTETS_MAX ? room : FRAME_OCTETS_MAX;

    if (samples != sender->packet_samples || most == 0)
        return 0;
    opus_int32 octets =
        opus_encode(encoder_of(sender), pcm, (int)samples, code, (opus_int32)most);
    return octets > SPARSE_OCTETS ? (size_t)octets : 0;
}

int ot_opus_decoder_create(ot_decoder **decoder, uint32_t rate_hz)
{
    OpusDecoder *state = calloc(1, (size_t)opus_decoder_get_size(1));

    if (!state)
        return ENOMEM;
    if (opus_decoder_init(state, (opus_int32)rate_hz, 1)) {
        free(state);
        return EINVAL;
    }
    *decoder = (ot_decoder *)state;
    return 0;
}

/* Reads the whole framing, not only the count, so that what it lets pass can be decoded. */
size_t ot_opus_samples(uint32_t rate_hz, const uint8_t *code, size_t octets)
{
    const unsigned char *frames[FRAMES_MAX];
    opus_int16 sizes[FRAMES_MAX];

    if (octets == 0 || octets > PACKET_OCTETS_MAX)
        return 0;
    int count = opus_packet_parse(code, (opus_int32)octets, NULL, frames, sizes, NULL);
    int samples = opus_packet_get_samples_per_frame(code, (opus_int32)rate_hz);
    return count > 0 ? (size_t)count * (size_t)samples : 0;
}

size_t ot_opus_decode(ot_decoder *decoder, uint32_t rate_hz, int16_t *pcm, size_t room,
                      const uint8_t *code, size_t octets)
{
    size_t samples = ot_opus_samples(rate_hz, code, octets);

    if (samples == 0 || samples > room)
        return 0;
    int made =
        opus_decode((OpusDecoder *)decoder, code, (opus_int32)octets, pcm, (int)samples, 0);
    return made > 0 ? (size_t)made : 0;
}

/* RFC 6716 section 2.1.7: a packet may carry the one before it once more, at a lower rate. */
int ot_opus_conceal(ot_decoder *decoder, uint32_t rate_hz, int16_t *pcm, size_t samples,
                    const uint8_t *next, size_t octets)
{
    OpusDecoder *state = (OpusDecoder *)decoder;

    if (samples == 0 || samples > (size_t)rate_hz * LONGEST_MS / 1000)
        return EINVAL;
    int wanted = (int)samples;
    if (octets > 0 && octets <= PACKET_OCTETS_MAX &&
        opus_decode(state, next, (opus_int32)octets, pcm, wanted, 1) == wanted)
        return 0;
    return opus_decode(state, NULL, 0, pcm, wanted, 0) == wanted ? 0 : EINVAL;
}
