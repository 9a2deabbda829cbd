#include "device.h"

#include <errno.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "state.h"

enum {
    FADE_TICKS = 2,
    PEAK_KEPT = 63, /* of 64 each tick: 20 dB in 1.5 s, like the meters of IEC 60268-10 */
    PEAK_OF = 64
};

typedef struct {
    float first;
    float last;
} gain_move;

/* -- making --------------------------------------------------------------------------------- */

int ot_device_init(ot_device *device, uint32_t rate_hz, uint32_t capture_ms, uint32_t playback_ms)
{
    int error = ot_sample_ring_init(&device->capture, rate_hz, capture_ms);

    if (!error)
        error = ot_sample_ring_init(&device->playback, rate_hz, playback_ms);
    if (error)
        return error;
    memset(device, 0, offsetof(ot_device, capture));
    device->rate_hz = rate_hz;
    device->samples = ot_rate_tick(rate_hz);
    device->microphone = device->earpiece = (ot_fade){1.0F, 1.0F, 0.0F};
    ot_drift_init(&device->capture_drift, rate_hz, device->capture.target);
    ot_drift_init(&device->playback_drift, rate_hz, device->playback.target);
    return 0;
}

int ot_device_create(ot_device **out, uint32_t rate_hz, uint32_t capture_ms, uint32_t playback_ms)
{
    ot_device *device = aligned_alloc(OT_CACHE_LINE, sizeof(*device));
    int error = device ? ot_device_init(device, rate_hz, capture_ms, playback_ms) : ENOMEM;

    if (error) {
        free(device);
        return error;
    }
    *out = device;
    return 0;
}

void ot_device_destroy(ot_device *device)
{
    if (device)
        ot_echo_destroy(device->echo);
    free(device);
}

/* -- settings ------------------------------------------------------------------------------- */

static void aim(ot_fade *fade, float target)
{
    fade->step = (target - fade->now) / (float)FADE_TICKS;
    fade->target = target;
}

void ot_device_set_microphone(ot_device *device, int open)
{
    aim(&device->microphone, open ? 1.0F : 0.0F);
}

void ot_device_set_earpiece(ot_device *device, int open)
{
    aim(&device->earpiece, open ? 1.0F : 0.0F);
}

void ot_device_set_sidetone(ot_device *device, float gain)
{
    aim(&device->sidetone, gain);
}

ot_echo *ot_device_set_echo(ot_device *device, ot_echo *echo)
{
    ot_echo *before = device->echo;

    device->echo = echo;
    return before;
}

/* -- gains and meters ----------------------------------------------------------------------- */

static gain_move fade_step(ot_fade *fade)
{
    gain_move move = {fade->now, fade->target};
    float left = fade->target - fade->now;

    if (left * left > fade->step * fade->step * 1.5F) /* more than this tick's part is left */
        move.last = fade->now + fade->step;
    fade->now = move.last;
    return move;
}

static int is_off(gain_move gain)
{
    return gain.first == 0.0F && gain.last == 0.0F;
}

static void scale(int32_t *sum, gain_move gain, uint32_t samples)
{
    if (gain.first != 1.0F || gain.last != 1.0F)
        ot_kernel->scale(sum, sum, gain.first, gain.last, samples);
}

static uint64_t peak_of(const int16_t *pcm, uint32_t samples)
{
    int32_t high = 0, low = 0;

    for (uint32_t i = 0; i < samples; i++) {
        high = pcm[i] > high ? pcm[i] : high;
        low = pcm[i] < low ? pcm[i] : low;
    }
    return (uint64_t)(high > -low ? high : -low);
}

static int64_t ppb(float ppm)
{
    return (int64_t)(ppm * 1000.0F);
}

static void meter(uint64_t *energy, uint64_t *peak, uint64_t now, const int16_t *pcm, uint32_t n)
{
    uint64_t fallen = *peak * PEAK_KEPT / PEAK_OF;
    uint64_t highest = pcm ? peak_of(pcm, n) : 0;

    OT_SET(*energy, ot_smoothed(*energy, now));
    OT_SET(*peak, highest > fallen ? highest : fallen);
}

void ot_device_meter(const ot_device *device, ot_device_meters *meters)
{
    *meters = device->meters;
}

/* -- the tick ------------------------------------------------------------------------------- */

static int pass_gate(ot_device *device, gain_move gain)
{
    int32_t sum[OT_RATE_TICK_MAX];

    if (is_off(gain))
        return 0;
    if (gain.first == 1.0F && gain.last == 1.0F)
        return 1;
    ot_kernel->set16(sum, device->frame, device->samples);
    scale(sum, gain, device->samples);
    ot_kernel->saturate(device->frame, sum, device->samples);
    return 1;
}

const int16_t *ot_device_capture(ot_device *device, const int16_t *reference)
{
    gain_move gain = fade_step(&device->microphone);
    int any = ot_drift_read(&device->capture_drift, &device->capture, device->frame);

    if (any && device->echo) /* in front of the gate: it stays adapted while muted */
        ot_echo_run(device->echo, device->frame, reference);
    any = any && pass_gate(device, gain);
    device->says = (uint8_t)any;
    device->said_energy = any ? ot_kernel->energy(device->frame, device->samples) : 0;
    const int16_t *said = any ? device->frame : NULL;
    meter(&device->meters.capture_energy, &device->meters.capture_peak, device->said_energy, said,
          device->samples);
    OT_SET(device->meters.capture_ppb, ppb(ot_drift_ppm(&device->capture_drift)));
    return said;
}

/* Starts the sum with what is heard; returns 0 when that is nothing. */
static int take_heard(int32_t *sum, const int16_t *pcm, gain_move duck, uint32_t samples)
{
    if (pcm == NULL || is_off(duck))
        return 0;
    ot_kernel->set16(sum, pcm, samples);
    scale(sum, duck, samples);
    return 1;
}

static int add_sidetone(ot_device *device, int32_t *sum, int any)
{
    int32_t own[OT_RATE_TICK_MAX];
    gain_move gain = fade_step(&device->sidetone);

    if (!device->says || is_off(gain))
        return any;
    int32_t *part = any ? own : sum;
    ot_kernel->set16(part, device->frame, device->samples);
    scale(part, gain, device->samples);
    if (any)
        ot_kernel->add32(sum, own, device->samples);
    return 1;
}

void ot_device_play(ot_device *device, const int16_t *pcm, float duck_first, float duck_last)
{
    int32_t sum[OT_RATE_TICK_MAX];
    uint32_t samples = device->samples;
    int any = take_heard(sum, pcm, (gain_move){duck_first, duck_last}, samples);
    any = add_sidetone(device, sum, any);
    gain_move gate = fade_step(&device->earpiece);

    device->played = (uint8_t)(any && !is_off(gate));
    if (device->played) {
        scale(sum, gate, samples);
        ot_kernel->saturate(device->out, sum, samples);
    }
    const int16_t *out = ot_device_played(device);
    meter(&device->meters.playback_energy, &device->meters.playback_peak,
          out ? ot_kernel->energy(out, samples) : 0, out, samples);
    ot_drift_write(&device->playback_drift, &device->playback, out);
    OT_SET(device->meters.playback_ppb, ppb(-ot_drift_ppm(&device->playback_drift)));
}

const int16_t *ot_device_played(const ot_device *device)
{
    return device->played ? device->out : NULL;
}
