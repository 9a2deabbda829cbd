/* Counts what is allocated while codecs, redundancy, comfort noise and digits run.
 *
 * The functions of the C library are replaced by ones that count; creation may allocate, running
 * may not.  Prints what did, and fails.
 */
#include <opus/opus.h>
#include <stdio.h>
#include <stdlib.h>

#include "codec.h"
#include "comfort.h"
#include "dtmf.h"
#include "inband.h"
#include "redundancy.h"

extern void *__libc_malloc(size_t octets);
extern void *__libc_calloc(size_t count, size_t octets);
extern void *__libc_realloc(void *block, size_t octets);
extern void __libc_free(void *block);

static unsigned long calls;

void *malloc(size_t octets)
{
    calls++;
    return __libc_malloc(octets);
}

void *calloc(size_t count, size_t octets)
{
    calls++;
    return __libc_calloc(count, octets);
}

void *realloc(void *block, size_t octets)
{
    calls++;
    return __libc_realloc(block, octets);
}

void free(void *block)
{
    calls++;
    __libc_free(block);
}

enum { PACKETS = 100, SAMPLES_MAX = 48 * 120, PTIME_MS = 20 };

static int16_t sound[SAMPLES_MAX];
static int16_t heard[SAMPLES_MAX];
static uint8_t code[4096];
static int failures;

static void fill(uint32_t seed)
{
    for (size_t i = 0; i < SAMPLES_MAX; i++) {
        seed = seed * 1664525U + 1013904223U;
        sound[i] = (int16_t)(seed >> 18);
    }
}

static void judge(const char *what, int codec, unsigned long before, size_t done)
{
    if (calls == before && done > 0)
        return;
    printf("%s %d: %lu calls, %zu done\n", what, codec, calls - before, done);
    failures++;
}

static void run_codec(int codec)
{
    ot_encoder_options options = {.fec = 1, .dtx = 1};
    size_t samples = ot_codec_find(codec)->rate_hz / 1000 * PTIME_MS;
    ot_encoder *encoder;
    ot_decoder *decoder;
    size_t done = 0;

    if (ot_encoder_create(&encoder, codec, PTIME_MS, codec % 2 ? &options : NULL) ||
        ot_decoder_create(&decoder, codec))
        exit(2);
    unsigned long before = calls;
    for (uint32_t i = 0; i < PACKETS; i++) {
        fill(i % 7);
        size_t octets = ot_encoder_run(codec, encoder, code, sizeof(code), sound, samples);
        done += ot_decoder_samples(codec, code, octets);
        ot_decoder_conceal(codec, decoder, heard, samples, code, i % 2 ? octets : 0);
        ot_decoder_run(codec, decoder, heard, SAMPLES_MAX, code, octets);
        code[0] ^= (uint8_t)i; /* another mode of Opus, or nonsense */
        ot_decoder_run(codec, decoder, heard, SAMPLES_MAX, code, octets);
    }
    judge("codec", codec, before, done);
    ot_encoder_destroy(encoder);
    ot_decoder_destroy(decoder);
}

static void run_payloads(void)
{
    static ot_red_sender sender;
    static ot_comfort comfort;
    ot_comfort_sender quiet;
    ot_red red;
    size_t done = 0;

    ot_red_sender_init(&sender, 2, 8000);
    ot_comfort_init(&comfort, 8000);
    ot_comfort_sender_init(&quiet, 8000);
    unsigned long before = calls;
    for (uint32_t i = 0; i < PACKETS; i++) {
        fill(i);
        int octets = ot_comfort_sender_run(&quiet, sound, 160, 0, code);
        ot_comfort_set(&comfort, code, octets > 0 ? (size_t)octets : 0);
        ot_comfort_make(&comfort, heard, 160);
        ot_red_payload payload = {code, i * 160, 160, 0};
        done += ot_red_parse(&red, code + 1024,
                             ot_red_sender_run(&sender, code + 1024, 1024, &payload)) == 0;
    }
    judge("payloads", 0, before, done);
}

static void run_digits(void)
{
    ot_dtmf_told told;
    ot_dtmf_receiver receiver;
    ot_dtmf_sender sender;
    ot_dtmf_packet packet;
    ot_inband *inband;
    size_t done = 0;
    char digit;

    if (ot_inband_create(&inband))
        exit(2);
    ot_dtmf_sender_init(&sender, 8000);
    ot_dtmf_receiver_init(&receiver, 8000);
    unsigned long before = calls;
    ot_dtmf_sender_start(&sender, 5, 100, 10);
    for (uint32_t i = 0; i < PACKETS; i++) {
        ot_inband_run(inband, sound, 160, &digit);
        if (!ot_dtmf_sender_next(&sender, i * 160, 160, &packet))
            continue;
        ot_rtp rtp = {.timestamp = packet.timestamp, .payload_octets = OT_DTMF_OCTETS};
        ot_dtmf_receiver_put(&receiver, &rtp, packet.payload, &told);
        done += told.count;
    }
    judge("digits", 0, before, done);
    ot_inband_destroy(inband);
}

/* Whether what a library allocates is counted; otherwise nothing is proved. */
static int counts_libraries(void)
{
    unsigned long before = calls;
    int error;

    opus_decoder_destroy(opus_decoder_create(8000, 1, &error));
    return calls == before + 2;
}

int main(void)
{
    static const int codecs[] = {OT_PCMU,    OT_PCMA,    OT_G722,     OT_L16_8K,  OT_L16_16K,
                                 OT_L16_48K, OT_OPUS_8K, OT_OPUS_16K, OT_OPUS_48K};

    for (size_t i = 0; i < sizeof(codecs) / sizeof(codecs[0]); i++)
        run_codec(codecs[i]);
    run_payloads();
    run_digits();
    return counts_libraries() ? failures != 0 : 3;
}
