/* The tick's side of the control functions: each command changes slots and lists, nothing else. */
#include <string.h>

#include "state.h"

enum { VERIFIED_PACKETS = 64 };

static void list_add(ot_active *list, uint16_t slot)
{
    list->slots[list->count++] = slot;
}

static void list_remove(ot_active *list, uint16_t slot)
{
    for (uint32_t i = 0; i < list->count; i++)
        if (list->slots[i] == slot)
            list->slots[i] = list->slots[--list->count];
}

/* -- buses --------------------------------------------------------------------------------- */

static void aim(ot_ramp *ramp, float target)
{
    if (ramp->target == target)
        return;
    ramp->target = target;
    ramp->ticks_left = OT_RAMP_TICKS;
}

static ot_member *find_member(struct ot_bus *bus, uint16_t port)
{
    for (uint32_t i = 0; i < bus->count; i++)
        if (bus->members[i].port == port)
            return &bus->members[i];
    return NULL;
}

static void join(struct ot_bus *bus, const ot_command *command)
{
    ot_member *member = find_member(bus, command->other);

    if (member == NULL) {
        member = &bus->members[bus->count++];
        memset(member, 0, sizeof(*member));
        member->port = command->other;
    }
    member->leaving = 0;
    aim(&member->talk, command->with.gains.talk);
    aim(&member->listen, command->with.gains.listen);
}

static void leave(struct ot_bus *bus, uint16_t port)
{
    ot_member *member = find_member(bus, port);

    if (member == NULL)
        return;
    member->leaving = 1;
    aim(&member->talk, 0.0F);
    aim(&member->listen, 0.0F);
}

static void leave_all(ot_engine *engine, uint16_t port)
{
    for (uint32_t i = 0; i < engine->buses_active.count; i++)
        leave(&engine->buses[engine->buses_active.slots[i]], port);
}

static void forget_port(ot_engine *engine, uint16_t port)
{
    engine->said[port] = NULL;
    engine->heard_any[port] = 0;
    for (uint32_t i = 0; i < engine->buses_active.count; i++) {
        struct ot_bus *bus = &engine->buses[engine->buses_active.slots[i]];
        ot_member *member = find_member(bus, port);
        if (member)
            *member = bus->members[--bus->count];
    }
}

static void untap(struct ot_recording *recording, uint16_t bus)
{
    for (uint32_t i = 0; i < recording->tap_count; i++)
        if (recording->taps[i] == bus)
            recording->taps[i] = recording->taps[--recording->tap_count];
}

static void tap(struct ot_recording *recording, uint16_t bus)
{
    untap(recording, bus);
    if (recording->tap_count < OT_TAPS_MAX)
        recording->taps[recording->tap_count++] = (uint8_t)bus;
}

static void add_bus(ot_engine *engine, uint16_t slot)
{
    engine->buses[slot].count = 0;
    engine->buses[slot].talkers = 0;
    list_add(&engine->buses_active, slot);
}

static void remove_bus(ot_engine *engine, uint16_t slot)
{
    list_remove(&engine->buses_active, slot);
    for (uint32_t i = 0; i < engine->recordings_active.count; i++)
        untap(&engine->recordings[engine->recordings_active.slots[i]], slot);
    ot_retire(engine, OT_RETIRED_BUS, slot);
}

/* -- legs ---------------------------------------------------------------------------------- */

static void add_leg(ot_engine *engine, uint16_t slot)
{
    engine->legs[slot].active = 1;
    list_add(&engine->legs_active, slot);
}

static void reset_gaps(struct ot_leg *leg)
{
    OT_SET(leg->stats.receive_gap_max_ns, 0);
    OT_SET(leg->stats.send_gap_max_ns, 0);
}

/* A fresh buffer for another sound; what was expected before still counts (RFC 3550 6.4.1). */
static void restart_jitter(struct ot_leg *leg, int codec)
{
    uint64_t expected = ot_jitter_expected(&leg->jitter);

    ot_jitter_init(&leg->jitter, codec, OT_JITTER_TARGET_MS);
    leg->jitter.expected_before = expected;
}

static void connect_leg(ot_engine *engine, struct ot_leg *leg, const ot_command *command)
{
    int moved = command->with.remote.fd >= 0;
    int other_sound = moved || leg->codec != command->with.remote.codec ||
                      leg->receive != command->with.remote.receive;

    if (moved) {
        if (leg->voice >= 0)
            ot_retire(engine, OT_RETIRED_FD, leg->voice);
        leg->voice = command->with.remote.fd;
        leg->verify_left = VERIFIED_PACKETS;
        leg->last_receive_ns = 0;
        leg->transit_known = 0;
        OT_SET(leg->stats.bye_received, 0);
    }
    if (other_sound)
        restart_jitter(leg, command->with.remote.codec);
    leg->remote = command->with.remote.remote;
    leg->reports.remote = command->with.remote.remote_reports;
    leg->codec = command->with.remote.codec;
    leg->payload_type = command->with.remote.payload_type;
    leg->receive = command->with.remote.receive;
    if (leg->send != command->with.remote.send) {
        leg->last_send_ns = 0;
        leg->stream.fill = 0;
    }
    leg->send = command->with.remote.send;
    if (leg->stream.codec != leg->codec ||
        leg->stream.ptime_ticks != command->with.remote.ptime_ticks)
        ot_stream_init(&leg->stream, leg->codec, command->with.remote.ptime_ticks, command->slot);
    if (!leg->connected)
        ot_reports_schedule_first(engine, &leg->reports);
    leg->connected = 1;
}

static void finish_leg(ot_engine *engine, uint16_t slot)
{
    struct ot_leg *leg = &engine->legs[slot];

    if (leg->connected)
        ot_leg_report(engine, leg, 1);
    forget_port(engine, slot);
    list_remove(&engine->legs_active, slot);
    leg->active = 0;
    if (leg->voice >= 0)
        ot_retire(engine, OT_RETIRED_FD, leg->voice);
    ot_retire(engine, OT_RETIRED_FD, leg->door);
    ot_retire(engine, OT_RETIRED_FD, leg->reports.fd);
    ot_retire(engine, OT_RETIRED_LEG, slot);
}

static void remove_leg(ot_engine *engine, uint16_t slot)
{
    leave_all(engine, slot);
    engine->legs[slot].closing_ticks = OT_RAMP_TICKS + 1;
}

/* -- devices ------------------------------------------------------------------------------- */

static void add_device(ot_engine *engine, uint16_t slot)
{
    engine->devices[slot].active = 1;
    list_add(&engine->devices_active, slot);
}

static void finish_device(ot_engine *engine, uint16_t slot)
{
    forget_port(engine, (uint16_t)(OT_LEGS_MAX + slot));
    list_remove(&engine->devices_active, slot);
    engine->devices[slot].active = 0;
    ot_retire(engine, OT_RETIRED_DEVICE, slot);
}

static void remove_device(ot_engine *engine, uint16_t slot)
{
    leave_all(engine, (uint16_t)(OT_LEGS_MAX + slot));
    engine->devices[slot].closing_ticks = OT_RAMP_TICKS + 1;
}

/* Leaving buses takes a ramp; what closes stays until it is over. */
void ot_finish_closing(ot_engine *engine)
{
    for (uint32_t i = engine->legs_active.count; i-- > 0;) {
        uint16_t slot = engine->legs_active.slots[i];
        uint8_t *left = &engine->legs[slot].closing_ticks;
        if (*left && (engine->clearing || --*left == 0))
            finish_leg(engine, slot);
    }
    for (uint32_t i = engine->devices_active.count; i-- > 0;) {
        uint16_t slot = engine->devices_active.slots[i];
        uint8_t *left = &engine->devices[slot].closing_ticks;
        if (*left && (engine->clearing || --*left == 0))
            finish_device(engine, slot);
    }
}

/* -- recordings ---------------------------------------------------------------------------- */

static void add_recording(ot_engine *engine, uint16_t slot)
{
    engine->recordings[slot].active = 1;
    list_add(&engine->recordings_active, slot);
}

static void unfork(ot_engine *engine, struct ot_recording *recording, uint16_t index)
{
    ot_fork *fork = &recording->forks[index];

    if (!fork->active)
        return;
    ot_fork_report(engine, recording, fork, 1);
    ot_retire(engine, OT_RETIRED_FD, fork->fd);
    ot_retire(engine, OT_RETIRED_FD, fork->reports.fd);
    fork->active = 0;
    engine->forks_active--;
    OT_SET(fork->stats.active, 0);
}

static void clear_fork_stats(ot_fork_stats *stats)
{
    OT_SET(stats->packets_sent, 0);
    OT_SET(stats->octets_sent, 0);
    OT_SET(stats->samples, 0);
    OT_SET(stats->send_errors, 0);
    OT_SET(stats->last_errno, 0);
    OT_SET(stats->first_sequence, 0);
    OT_SET(stats->last_sequence, 0);
    OT_SET(stats->reports_received, 0);
    OT_SET(stats->remote_fraction_lost, 0);
    OT_SET(stats->round_trip_us, 0);
    OT_SET(stats->active, 1);
}

static void add_fork(ot_engine *engine, struct ot_recording *recording, const ot_command *command)
{
    ot_fork *fork = &recording->forks[command->other];

    unfork(engine, recording, command->other);
    if (!recording->forks[!command->other].active)
        recording->stream.fill = 0;
    memset(&fork->reports, 0, sizeof(fork->reports));
    clear_fork_stats(&fork->stats);
    fork->fd = command->with.remote.fd;
    fork->reports.fd = command->with.remote.reports_fd;
    fork->reports.remote = command->with.remote.remote_reports;
    fork->payload_type = command->with.remote.payload_type;
    fork->first = 1;
    fork->active = 1;
    engine->forks_active++;
    ot_reports_schedule_first(engine, &fork->reports);
}

static void remove_recording(ot_engine *engine, uint16_t slot)
{
    for (uint16_t i = 0; i < OT_FORKS; i++)
        unfork(engine, &engine->recordings[slot], i);
    list_remove(&engine->recordings_active, slot);
    engine->recordings[slot].active = 0;
    ot_retire(engine, OT_RETIRED_RECORDING, slot);
}

/* ------------------------------------------------------------------------------------------ */

void ot_command_apply(ot_engine *engine, const ot_command *command)
{
    uint16_t slot = command->slot;

    switch (command->kind) {
    case OT_LEG_ADD:
        add_leg(engine, slot);
        break;
    case OT_LEG_CONNECT:
        connect_leg(engine, &engine->legs[slot], command);
        break;
    case OT_LEG_RESET_GAPS:
        reset_gaps(&engine->legs[slot]);
        break;
    case OT_LEG_REMOVE:
        remove_leg(engine, slot);
        break;
    case OT_DEVICE_ADD:
        add_device(engine, slot);
        break;
    case OT_DEVICE_REMOVE:
        remove_device(engine, slot);
        break;
    case OT_BUS_ADD:
        add_bus(engine, slot);
        break;
    case OT_BUS_JOIN:
        join(&engine->buses[slot], command);
        break;
    case OT_BUS_LEAVE:
        leave(&engine->buses[slot], command->other);
        break;
    case OT_BUS_REMOVE:
        remove_bus(engine, slot);
        break;
    case OT_RECORDING_ADD:
        add_recording(engine, slot);
        break;
    case OT_RECORDING_TAP:
        tap(&engine->recordings[slot], command->other);
        break;
    case OT_RECORDING_UNTAP:
        untap(&engine->recordings[slot], command->other);
        break;
    case OT_RECORDING_FORK:
        add_fork(engine, &engine->recordings[slot], command);
        break;
    case OT_RECORDING_UNFORK:
        unfork(engine, &engine->recordings[slot], command->other);
        break;
    case OT_RECORDING_REMOVE:
        remove_recording(engine, slot);
        break;
    }
}
