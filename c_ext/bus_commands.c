/* Buses and who is on them, on the tick's side. */
#include <string.h>

#include "commands.h"

void ot_bus_drop(ot_engine *engine, struct ot_bus *bus, uint32_t index)
{
    engine->uses[bus->members[index].port][bus->rate]--;
    bus->members[index] = bus->members[--bus->count];
}

static ot_member *find_member(struct ot_bus *bus, uint32_t port)
{
    for (uint32_t i = 0; i < bus->count; i++)
        if (bus->members[i].port == port)
            return &bus->members[i];
    return NULL;
}

static ot_member *add_member(ot_engine *engine, struct ot_bus *bus, uint32_t port)
{
    ot_member *member = &bus->members[bus->count++];

    memset(member, 0, sizeof(*member));
    member->port = (uint16_t)port;
    engine->uses[port][bus->rate]++;
    if (bus->loudest == 0)
        member->gate = (ot_ramp){1.0F, 1.0F, 0};
    return member;
}

static void join(ot_engine *engine, struct ot_bus *bus, const ot_command *command)
{
    ot_member *member = find_member(bus, command->other);

    if (member == NULL)
        member = add_member(engine, bus, command->other);
    member->leaving = 0;
    ot_ramp_aim(&member->talk, command->with.gains.talk);
    ot_ramp_aim(&member->listen, command->with.gains.listen);
}

static void leave(struct ot_bus *bus, uint32_t port)
{
    ot_member *member = find_member(bus, port);

    if (member == NULL)
        return;
    member->leaving = 1;
    bus->leaving = 1;
    ot_ramp_aim(&member->talk, 0.0F);
    ot_ramp_aim(&member->listen, 0.0F);
}

static void set_loudest(struct ot_bus *bus, uint32_t count)
{
    bus->loudest = count;
    for (uint32_t i = 0; i < bus->count; i++) {
        bus->members[i].chosen = 0;
        bus->members[i].held_ticks = 0;
        ot_ramp_aim(&bus->members[i].gate, count ? 0.0F : 1.0F);
    }
}

static void add_bus(ot_engine *engine, const ot_command *command)
{
    struct ot_bus *bus = &engine->buses[command->slot];

    bus->count = 0;
    bus->talkers = 0;
    bus->local_talkers = 0;
    bus->loudest = 0;
    bus->split = 0;
    bus->leaving = 0;
    bus->rate = (uint8_t)command->other;
    ot_list_add(&engine->buses_active, command->slot);
}

static void remove_bus(ot_engine *engine, uint16_t slot)
{
    while (engine->buses[slot].count)
        ot_bus_drop(engine, &engine->buses[slot], 0);
    ot_list_remove(&engine->buses_active, slot);
    ot_recording_untap_all(engine, slot);
    ot_retire(engine, OT_RETIRED_BUS, slot);
}

void ot_port_leave_all(ot_engine *engine, uint32_t port)
{
    for (uint32_t i = 0; i < engine->buses_active.count; i++)
        leave(&engine->buses[engine->buses_active.slots[i]], port);
}

void ot_port_begin(ot_engine *engine, uint32_t port, uint32_t rate)
{
    engine->rates[port] = (uint8_t)rate;
    engine->said[port] = NULL;
    engine->loudness[port] = 0;
    engine->speaking[port] = 0;
    engine->hearing[port].parts = 0;
}

void ot_port_convert(ot_engine *engine, uint32_t port, ot_conversion *conversion)
{
    ot_conversion *before = engine->conversions[port];

    if (before && !conversion)
        ot_list_remove(&engine->conversions_active, port);
    if (conversion && !before)
        ot_list_add(&engine->conversions_active, port);
    engine->conversions[port] = conversion;
    ot_retire_memory(engine, OT_RETIRED_CONVERSION, before);
}

/* Whoever takes the port next is not what devices ducked for or heard back. */
static void forget(ot_engine *engine, uint32_t port)
{
    uint64_t others = ~(1ULL << port % 64);

    for (uint32_t i = 0; i < engine->devices_active.count; i++) {
        ot_neighbours *neighbours = &engine->neighbours[engine->devices_active.slots[i]];
        neighbours->keys.words[port / 64] &= others;
        neighbours->echo_of.words[port / 64] &= others;
    }
}

void ot_port_end(ot_engine *engine, uint32_t port)
{
    forget(engine, port);
    engine->said[port] = NULL;
    engine->speaking[port] = 0;
    engine->hearing[port].parts = 0;
    ot_port_convert(engine, port, NULL);
    for (uint32_t i = 0; i < engine->buses_active.count; i++) {
        struct ot_bus *bus = &engine->buses[engine->buses_active.slots[i]];
        ot_member *member = find_member(bus, port);
        if (member)
            ot_bus_drop(engine, bus, (uint32_t)(member - bus->members));
    }
}

void ot_bus_command(ot_engine *engine, const ot_command *command)
{
    struct ot_bus *bus = &engine->buses[command->slot];

    switch (command->kind) {
    case OT_PORT_CONVERT:
        ot_port_convert(engine, command->other, command->with.conversion);
        break;
    case OT_BUS_ADD:
        add_bus(engine, command);
        break;
    case OT_BUS_JOIN:
        join(engine, bus, command);
        break;
    case OT_BUS_LEAVE:
        leave(bus, command->other);
        break;
    case OT_BUS_LOUDEST:
        set_loudest(bus, command->other);
        break;
    default:
        remove_bus(engine, command->slot);
    }
}
