/* Sources, on the tick's side. */
#include "commands.h"

static void add_source(ot_engine *engine, uint32_t slot)
{
    ot_port_begin(engine, OT_FIRST_SOURCE + slot, engine->sources[slot].rate);
    ot_list_add(&engine->sources_active, slot);
}

static void remove_source(ot_engine *engine, uint32_t slot)
{
    ot_port_leave_all(engine, OT_FIRST_SOURCE + slot);
    engine->sources[slot].closing_ticks = OT_RAMP_TICKS + 1;
}

void ot_source_finish(ot_engine *engine, uint32_t slot)
{
    struct ot_source *source = &engine->sources[slot];

    ot_source_hush(engine, source);
    ot_port_end(engine, OT_FIRST_SOURCE + slot);
    ot_list_remove(&engine->sources_active, slot);
    ot_retire(engine, OT_RETIRED_SOURCE, (int)slot);
}

void ot_source_command(ot_engine *engine, const ot_command *command)
{
    if (command->kind == OT_SOURCE_ADD)
        add_source(engine, command->slot);
    else if (command->kind == OT_SOURCE_SAY)
        ot_source_say(engine, &engine->sources[command->slot], command);
    else
        remove_source(engine, command->slot);
}
