/* A device in the tick: what its microphone says, what its earpiece or loudspeaker plays. */
#include "kernels.h"
#include "state.h"

void ot_device_capture(ot_engine *engine, uint32_t slot)
{
    struct ot_device *device = &engine->devices[slot];
    uint64_t energy = 0;
    int any = ot_sample_ring_read(&device->capture, device->frame, OT_TICK_SAMPLES);

    engine->said[OT_LEGS_MAX + slot] = any ? device->frame : NULL;
    if (any)
        energy = ot_kernel->energy(device->frame, OT_TICK_SAMPLES);
    OT_SET(device->capture_energy, ot_smoothed(device->capture_energy, energy));
}

void ot_device_play(ot_engine *engine, uint32_t slot)
{
    struct ot_device *device = &engine->devices[slot];
    const int16_t *pcm = ot_silence;
    uint64_t energy = 0;

    if (engine->heard_any[OT_LEGS_MAX + slot]) {
        ot_kernel->saturate(engine->out, engine->heard[OT_LEGS_MAX + slot], OT_TICK_SAMPLES);
        energy = ot_kernel->energy(engine->out, OT_TICK_SAMPLES);
        pcm = engine->out;
    }
    ot_sample_ring_write(&device->playback, pcm, OT_TICK_SAMPLES);
    OT_SET(device->playback_energy, ot_smoothed(device->playback_energy, energy));
}
