/* The jitter buffer under any sequence of packets and frames: bounded, defined, and alive. */
#include <string.h>

#include "engine.h"
#include "input.h"
#include "jitter.h"

enum {
    FRAMES_MAX = 300,
    SETTLING_FRAMES = 240, /* of a proper stream, after which it must be heard */
    HEARD_FRAMES = 40,     /* the last of them, of which most must be voice */
    ENOUGH_MS = 40,        /* less delay than that cannot carry packets of 20 ms without gaps */
    BEGIN = 12             /* octets of a payload that are the fuzzer's: what codecs look at */
};

static const int CODECS[] = {OT_PCMU, OT_PCMA, OT_G722, OT_L16_8K, OT_L16_16K, OT_OPUS_8K,
                             OT_OPUS_48K, OT_PCMU};
static const uint16_t PACKET_OCTETS[] = {160, 160, 160, 320, 640, 0, 0, 160}; /* of 20 ms */
enum { CODECS_COUNT = sizeof(CODECS) / sizeof(*CODECS) };

typedef struct {
    ot_jitter *jitter;
    uint32_t tick_samples;
    uint32_t tick_units;
    uint32_t frames;
    ot_rtp last;
    input in;
} bench;

/* What stands in a frame before it is written: no sound is like it. */
static int16_t blank(uint32_t sample)
{
    return (int16_t)(sample * 40503U + 0x5EEDU);
}

static int get(bench *stand)
{
    int16_t *pcm = malloc(stand->tick_samples * sizeof(*pcm));
    ot_jitter_stats stats;
    uint32_t left_blank = 0;
    int64_t sum = 0;

    for (uint32_t i = 0; i < stand->tick_samples; i++)
        pcm[i] = blank(i);
    int got = ot_jitter_get(stand->jitter, pcm);
    PROMISE(got >= OT_GET_SILENCE && got <= OT_GET_NOISE);
    PROMISE(ot_jitter_reading(stand->jitter) <= OT_READ_ALL);
    for (uint32_t i = 0; i < stand->tick_samples; i++) {
        sum += pcm[i];
        left_blank += pcm[i] == blank(i);
    }
    PROMISE(left_blank < stand->tick_samples / 8);
    PROMISE(got != OT_GET_SILENCE || sum == 0);
    ot_jitter_read(stand->jitter, &stats);
    PROMISE(stats.target_ms <= OT_JITTER_MAXIMUM_MS);
    stand->frames++;
    free(pcm);
    return got;
}

static void put(bench *stand, uint8_t flags)
{
    static uint8_t payload[OT_JITTER_PAYLOAD_MAX + 100];
    input *in = &stand->in;
    ot_rtp *packet = &stand->last;
    size_t octets = BEGIN;

    packet->sequence = (uint16_t)(packet->sequence + (int8_t)take8(in));
    packet->timestamp += (uint32_t)(int8_t)take8(in) * stand->tick_units;
    packet->payload_octets = (uint16_t)(take8(in) * 6U);
    packet->marker = flags >> 3 & 1;
    memset(payload, take8(in), sizeof(payload));
    const uint8_t *own = take(in, &octets);
    if (octets)
        memcpy(payload, own, octets);
    uint8_t *exactly = malloc(packet->payload_octets ? packet->payload_octets : 1U);
    memcpy(exactly, payload, packet->payload_octets);
    int put = ot_jitter_put(stand->jitter, packet, exactly, flags & 7);
    PROMISE(put >= OT_PUT_STORED && put <= OT_PUT_RESET);
    free(exactly);
}

static void jump(bench *stand)
{
    stand->last.ssrc = take8(&stand->in) & 3;
    stand->last.sequence = take16(&stand->in);
    stand->last.timestamp = take32(&stand->in);
}

static void ask(bench *stand)
{
    uint64_t bits;

    PROMISE(ot_jitter_outcomes(stand->jitter, &bits) <= 64);
    (void)ot_jitter_expected(stand->jitter);
    (void)ot_jitter_buffered(stand->jitter);
}

/* Whatever came before: a proper stream is heard again soon. */
static void recover(bench *stand, uint16_t octets)
{
    static uint8_t payload[OT_JITTER_PAYLOAD_MAX];
    uint32_t voice = 0;

    memset(payload, 0x12, sizeof(payload));
    for (uint32_t i = 0; i < SETTLING_FRAMES; i++) {
        ot_rtp packet = {.ssrc = 99,
                         .sequence = (uint16_t)(i / 2),
                         .timestamp = i / 2 * 2 * stand->tick_units,
                         .payload_octets = octets};
        if (i % 2 == 0)
            ot_jitter_put(stand->jitter, &packet, payload, 0);
        voice += get(stand) == OT_GET_VOICE && i >= SETTLING_FRAMES - HEARD_FRAMES;
    }
    PROMISE(voice > HEARD_FRAMES * 3 / 4);
}

static void run(bench *stand)
{
    while (stand->in.left && stand->frames < FRAMES_MAX) {
        uint8_t what = take8(&stand->in);
        if (what < 0x80)
            put(stand, what & 0x40 ? 0 : what & 15);
        else if (what < 0xE8)
            for (uint8_t i = 0; i <= (what & 7); i++)
                get(stand);
        else if (what < 0xF0)
            ask(stand);
        else
            jump(stand);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    bench stand = {.in = {data, octets}, .last = {.ssrc = 1}};
    uint32_t which = take8(&stand.in) % CODECS_COUNT;
    const ot_codec_traits *traits = ot_codec_find(CODECS[which]);
    uint32_t minimum_ms = take8(&stand.in) * 2U;
    uint32_t maximum_ms = minimum_ms + take8(&stand.in);

    stand.tick_samples = traits->rate_hz / 100;
    stand.tick_units = traits->clock_hz / 100;
    if (ot_jitter_create(&stand.jitter, CODECS[which], minimum_ms, maximum_ms) != 0)
        return 0;
    run(&stand);
    if (PACKET_OCTETS[which] && maximum_ms >= ENOUGH_MS)
        recover(&stand, PACKET_OCTETS[which]);
    ot_jitter_destroy(stand.jitter);
    return 0;
}
