/* Recordings and their forks, on the tick's side. */
#include <string.h>

#include "commands.h"

static void untap(ot_engine *engine, struct ot_recording *recording, uint32_t bus)
{
    for (uint32_t i = 0; i < recording->tap_count; i++)
        if (recording->taps[i] == bus) {
            recording->taps[i] = recording->taps[--recording->tap_count];
            if (recording->stereo)
                engine->buses[bus].split--;
            return;
        }
}

static void tap(ot_engine *engine, struct ot_recording *recording, uint32_t bus)
{
    untap(engine, recording, bus);
    if (recording->tap_count == OT_TAPS_MAX)
        return;
    recording->taps[recording->tap_count++] = (uint8_t)bus;
    if (recording->stereo)
        engine->buses[bus].split++;
}

void ot_recording_untap_all(ot_engine *engine, uint32_t bus)
{
    for (uint32_t i = 0; i < engine->recordings_active.count; i++)
        untap(engine, &engine->recordings[engine->recordings_active.slots[i]], bus);
}

static void unfork(ot_engine *engine, struct ot_recording *recording, uint32_t index)
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

static void clear_stats(ot_fork_stats *stats)
{
    uint64_t *words = (uint64_t *)stats;

    for (size_t i = 0; i < sizeof(*stats) / sizeof(*words); i++)
        OT_SET(words[i], 0);
    OT_SET(stats->active, 1);
}

static void add_fork(ot_engine *engine, struct ot_recording *recording, const ot_command *command)
{
    ot_fork *fork = &recording->forks[command->other];

    unfork(engine, recording, command->other);
    if (!recording->forks[!command->other].active)
        recording->stream.fill = 0;
    memset(&fork->reports, 0, sizeof(fork->reports));
    clear_stats(&fork->stats);
    fork->fd = command->with.remote.fd;
    fork->reports.fd = command->with.remote.reports_fd;
    fork->reports.remote = command->with.remote.remote_reports;
    fork->payload_type = command->with.remote.payload_type;
    fork->first = 1;
    fork->active = 1;
    engine->forks_active++;
    ot_reports_schedule_first(engine, &fork->reports);
}

static void remove_recording(ot_engine *engine, uint32_t slot)
{
    struct ot_recording *recording = &engine->recordings[slot];

    for (uint32_t i = 0; i < OT_FORKS; i++)
        unfork(engine, recording, i);
    while (recording->tap_count)
        untap(engine, recording, recording->taps[0]);
    ot_list_remove(&engine->recordings_active, slot);
    ot_retire(engine, OT_RETIRED_RECORDING, (int)slot);
}

void ot_recording_command(ot_engine *engine, const ot_command *command)
{
    struct ot_recording *recording = &engine->recordings[command->slot];

    switch (command->kind) {
    case OT_RECORDING_ADD:
        ot_list_add(&engine->recordings_active, command->slot);
        break;
    case OT_RECORDING_TAP:
        tap(engine, recording, command->other);
        break;
    case OT_RECORDING_UNTAP:
        untap(engine, recording, command->other);
        break;
    case OT_RECORDING_FORK:
        add_fork(engine, recording, command);
        break;
    case OT_RECORDING_UNFORK:
        unfork(engine, recording, command->other);
        break;
    default:
        remove_recording(engine, command->slot);
    }
}
