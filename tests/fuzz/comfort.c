/* RFC 3389: any description of noise makes noise that stays bounded, and any noise is described. */
#include <stdlib.h>
#include <string.h>

#include "comfort.h"
#include "input.h"

enum { STEPS_MAX = 60, SAMPLES_MAX = 480, SETTLED = 20 };

static const uint32_t RATES_HZ[] = {8000, 16000, 48000, 44100};

static void describe(input *in, int16_t *pcm, size_t samples, ot_comfort_sender *sender)
{
    uint8_t payload[OT_COMFORT_PAYLOAD_MAX];
    ot_comfort other;
    int octets;

    for (size_t i = 0; i < samples; i++)
        pcm[i] = (int16_t)(take8(in) << 8);
    octets = ot_comfort_sender_run(sender, pcm, samples, take8(in) & 1, payload);
    PROMISE(octets >= OT_COMFORT_SEND_VOICE && octets <= OT_COMFORT_PAYLOAD_MAX);
    if (octets <= 0)
        return;
    PROMISE(payload[0] < 128);
    PROMISE(ot_comfort_init(&other, 8000) == 0);
    PROMISE(ot_comfort_set(&other, payload, (size_t)octets) == 0);
}

static void make(ot_comfort *comfort, int16_t *pcm, size_t samples)
{
    memset(pcm, 0x55, samples * sizeof(*pcm));
    ot_comfort_make(comfort, pcm, samples);
}

/* -127 dBov and nothing else: whatever was said before, it must become quiet. */
static void become_silent(ot_comfort *comfort, int16_t *pcm)
{
    uint8_t silence = 127;

    PROMISE(ot_comfort_set(comfort, &silence, 1) == 0);
    for (int i = 0; i < SETTLED; i++)
        make(comfort, pcm, SAMPLES_MAX);
    for (int i = 0; i < SAMPLES_MAX; i++)
        PROMISE(abs(pcm[i]) <= 1);
}

static void one_step(ot_comfort *comfort, ot_comfort_sender *sender, input *in, int16_t *pcm)
{
    uint8_t what = take8(in);
    size_t octets = what & 31;

    if (what < 0x60) {
        const uint8_t *payload = take(in, &octets);
        PROMISE((ot_comfort_set(comfort, payload, octets) == 0) == (octets > 0));
    } else if (what < 0xC0) {
        make(comfort, pcm, what % 3 ? 160 : take16(in) % SAMPLES_MAX);
    } else {
        describe(in, pcm, what & 1 ? 160 : what & 31, sender);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};
    int16_t pcm[SAMPLES_MAX];
    ot_comfort comfort;
    ot_comfort_sender sender;
    uint32_t rate_hz = RATES_HZ[take8(&in) & 3];

    if (ot_comfort_init(&comfort, rate_hz) != 0)
        return 0;
    PROMISE(ot_comfort_sender_init(&sender, rate_hz) == 0);
    for (int i = 0; i < STEPS_MAX && in.left; i++)
        one_step(&comfort, &sender, &in, pcm);
    become_silent(&comfort, pcm);
    return 0;
}
