/* Takes the control side's commands in the tick, and ends what closes when its fade is over. */
#include <string.h>

#include "commands.h"

void ot_list_add(ot_active *list, uint32_t slot)
{
    list->slots[list->count++] = (uint16_t)slot;
}

void ot_list_remove(ot_active *list, uint32_t slot)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->slots[i] == slot) {
            list->slots[i] = list->slots[--list->count];
            return;
        }
}

void ot_command_apply(ot_engine *engine, const ot_command *command)
{
    if (command->kind <= OT_LEG_REMOVE)
        ot_leg_command(engine, command);
    else if (command->kind <= OT_DEVICE_REMOVE)
        ot_device_command(engine, command);
    else if (command->kind <= OT_SOURCE_REMOVE)
        ot_source_command(engine, command);
    else if (command->kind <= OT_BUS_REMOVE)
        ot_bus_command(engine, command);
    else
        ot_recording_command(engine, command);
}

/* Leaving buses takes a ramp; what closes stays until it is over. */
static int is_over(const ot_engine *engine, uint8_t *closing_ticks)
{
    return *closing_ticks && (engine->clearing || --*closing_ticks == 0);
}

void ot_finish_closing(ot_engine *engine)
{
    for (uint32_t i = engine->legs_active.count; i-- > 0;) {
        uint32_t slot = engine->legs_active.slots[i];
        if (is_over(engine, &engine->legs[slot].closing_ticks))
            ot_leg_finish(engine, slot);
    }
    for (uint32_t i = engine->devices_active.count; i-- > 0;) {
        uint32_t slot = engine->devices_active.slots[i];
        if (is_over(engine, &engine->devices[slot].closing_ticks))
            ot_device_finish(engine, slot);
    }
    for (uint32_t i = engine->sources_active.count; i-- > 0;) {
        uint32_t slot = engine->sources_active.slots[i];
        if (is_over(engine, &engine->sources[slot].closing_ticks))
            ot_source_finish(engine, slot);
    }
}
