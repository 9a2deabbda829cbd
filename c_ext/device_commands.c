/* Devices, on the tick's side. */
#include <string.h>

#include "commands.h"

static void add_device(ot_engine *engine, uint32_t slot)
{
    ot_neighbours *neighbours = &engine->neighbours[slot];

    memset(neighbours, 0, sizeof(*neighbours));
    ot_activity_init(&neighbours->activity);
    engine->devices[slot].active = 1;
    ot_port_begin(engine, OT_FIRST_DEVICE + slot, ot_rate_index(engine->devices[slot].rate_hz));
    ot_list_add(&engine->devices_active, slot);
}

static void mute(struct ot_device *device, const ot_command *command)
{
    ot_device_set_microphone(device, !command->with.gates.capture);
    ot_device_set_earpiece(device, !command->with.gates.playback);
}

/* Without keys the gain comes back as after the last word, and stays up. */
static void duck(ot_neighbours *neighbours, const ot_command *command)
{
    neighbours->keys = command->with.duck.keys;
    if (!command->with.duck.any)
        return;
    ot_duck_set(&neighbours->duck, &command->with.duck.settings);
    neighbours->ducks = 1;
}

static void clean(ot_engine *engine, uint32_t slot, const ot_command *command)
{
    ot_retire_memory(engine, OT_RETIRED_ECHO,
                     ot_device_set_echo(&engine->devices[slot], command->with.clean.echo));
    engine->neighbours[slot].echo_of = command->with.clean.references;
}

static void remove_device(ot_engine *engine, uint32_t slot)
{
    ot_port_leave_all(engine, OT_FIRST_DEVICE + slot);
    engine->devices[slot].closing_ticks = OT_RAMP_TICKS + 1;
}

void ot_device_finish(ot_engine *engine, uint32_t slot)
{
    ot_port_end(engine, OT_FIRST_DEVICE + slot);
    ot_list_remove(&engine->devices_active, slot);
    ot_retire_memory(engine, OT_RETIRED_ECHO, ot_device_set_echo(&engine->devices[slot], NULL));
    engine->devices[slot].active = 0;
    ot_retire(engine, OT_RETIRED_DEVICE, (int)slot);
}

void ot_device_command(ot_engine *engine, const ot_command *command)
{
    uint32_t slot = command->slot;

    switch (command->kind) {
    case OT_DEVICE_ADD:
        add_device(engine, slot);
        break;
    case OT_DEVICE_MUTE:
        mute(&engine->devices[slot], command);
        break;
    case OT_DEVICE_SIDETONE:
        ot_device_set_sidetone(&engine->devices[slot], command->with.sidetone);
        break;
    case OT_DEVICE_DUCK:
        duck(&engine->neighbours[slot], command);
        break;
    case OT_DEVICE_CLEAN:
        clean(engine, slot, command);
        break;
    default:
        remove_device(engine, slot);
    }
}
