/* What the devices of a unit do to each other: echo through the room, and stepping back. */
#include <string.h>

#include "kernels.h"
#include "state.h"

/* Adds what a device played in the last tick, when it is at that rate. */
static int add_played(const ot_engine *engine, uint32_t slot, uint32_t rate_hz, int32_t *sum,
                      int any)
{
    const struct ot_device *device = &engine->devices[slot];
    const int16_t *played = device->active ? ot_device_played(device) : NULL;

    if (played == NULL || device->rate_hz != rate_hz)
        return any;
    (any ? ot_kernel->add16 : ot_kernel->set16)(sum, played, device->samples);
    return 1;
}

/* The sum of what the devices played whose sound this one's microphone hears back. */
const int16_t *ot_echo_reference(const ot_engine *engine, uint32_t slot, int16_t *out)
{
    const struct ot_device *device = &engine->devices[slot];
    int32_t sum[OT_TICK_SAMPLES_MAX];
    int any = 0;

    if (device->echo == NULL)
        return NULL;
    for (uint32_t i = 0; i < engine->devices_active.count; i++) {
        uint32_t other = engine->devices_active.slots[i];
        if (ot_ports_has(&engine->neighbours[slot].echo_of, OT_FIRST_DEVICE + other))
            any = add_played(engine, other, device->rate_hz, sum, any);
    }
    if (!any)
        return NULL;
    ot_kernel->saturate(out, sum, device->samples);
    return out;
}

static int anybody_speaks(const ot_engine *engine, const ot_ports *keys)
{
    for (uint32_t word = 0; word < OT_PORT_WORDS; word++)
        for (uint64_t left = keys->words[word]; left; left &= left - 1)
            if (engine->speaking[word * 64 + (uint32_t)__builtin_ctzll(left)])
                return 1;
    return 0;
}

ot_duck_gain ot_duck_device(ot_engine *engine, uint32_t slot)
{
    ot_neighbours *neighbours = &engine->neighbours[slot];

    if (!neighbours->ducks)
        return (ot_duck_gain){1.0F, 1.0F};
    return ot_duck_run(&neighbours->duck, anybody_speaks(engine, &neighbours->keys));
}
