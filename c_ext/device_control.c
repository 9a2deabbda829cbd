/* Devices: the control side. */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "control.h"

enum { DUCK_ATTACK_MS = 20 };

static const float SIDETONE_MAX_DB = 0.0F;

static uint16_t slot_of(const ot_device *device)
{
    return (uint16_t)(device - device->control.engine->devices);
}

static int open_device(ot_device **out, ot_engine *engine, uint32_t rate_hz, uint32_t capture_ms,
                       uint32_t playback_ms)
{
    for (uint32_t i = 0; i < OT_DEVICES_MAX; i++) {
        ot_device *device = &engine->devices[i];
        if (device->control.used)
            continue;
        int error = ot_device_init(device, rate_hz, capture_ms, playback_ms);
        if (error)
            return error;
        device->control.engine = engine;
        ot_port_opened(engine, OT_FIRST_DEVICE + i, ot_rate_index(rate_hz));
        error = ot_hand_over_plain(engine, OT_DEVICE_ADD, (uint16_t)i, 0);
        device->control.used = device->control.open = error == 0;
        *out = device;
        return error;
    }
    return ENOSPC;
}

int ot_device_open(ot_device **device, ot_engine *engine, uint32_t rate_hz, uint32_t capture_ms,
                   uint32_t playback_ms)
{
    ot_lock(engine);
    return ot_unlock(engine, open_device(device, engine, rate_hz, capture_ms, playback_ms));
}

void ot_device_reaped(ot_engine *engine, uint32_t slot)
{
    engine->devices[slot].control.used = 0;
}

uint32_t ot_device_port(const ot_device *device)
{
    return OT_FIRST_DEVICE + (uint32_t)slot_of(device);
}

uint32_t ot_device_write(ot_device *device, const int16_t *pcm, uint32_t samples)
{
    return ot_sample_ring_write(&device->capture, pcm, samples);
}

void ot_device_read(ot_device *device, int16_t *pcm, uint32_t samples)
{
    ot_sample_ring_read(&device->playback, pcm, samples);
}

static int order(ot_device *device, ot_command *command)
{
    command->slot = slot_of(device);
    return device->control.open ? ot_hand_over(device->control.engine, command) : EBADF;
}

static int order_locked(ot_device *device, ot_command *command)
{
    ot_lock(device->control.engine);
    return ot_unlock(device->control.engine, order(device, command));
}

int ot_device_mute(ot_device *device, int capture, int playback)
{
    ot_command command = {
        .kind = OT_DEVICE_MUTE,
        .with.gates = {.capture = capture != 0, .playback = playback != 0},
    };
    return order_locked(device, &command);
}

int ot_device_sidetone(ot_device *device, float gain_db)
{
    ot_command command = {
        .kind = OT_DEVICE_SIDETONE,
        .with.sidetone = powf(10.0F, gain_db / 20.0F),
    };

    if (!(gain_db <= SIDETONE_MAX_DB)) /* NaN too */
        return EINVAL;
    return order_locked(device, &command);
}

int ot_device_duck(ot_device *device, const uint32_t *ports, uint32_t count, float depth_db,
                   uint32_t hold_ms, uint32_t release_ms)
{
    ot_engine *engine = device->control.engine;
    ot_command command = {.kind = OT_DEVICE_DUCK, .with.duck = {.any = count > 0}};
    ot_duck probe = {0};

    if (hold_ms > OT_DUCK_TIME_MS_MAX || release_ms > OT_DUCK_TIME_MS_MAX)
        return EINVAL;
    command.with.duck.settings = (ot_duck_settings){
        depth_db, DUCK_ATTACK_MS, (uint16_t)hold_ms, (uint16_t)release_ms};
    if (ot_duck_set(&probe, &command.with.duck.settings) != 0)
        return EINVAL;
    ot_lock(engine);
    int error = ot_ports_of(engine, &command.with.duck.keys, ports, count);
    return ot_unlock(engine, error ? error : order(device, &command));
}

static int make_echo(ot_echo **echo, uint32_t rate_hz, const ot_voice_options *options)
{
    ot_echo_options wanted = {0};

    *echo = NULL;
    if (options == NULL)
        return 0;
    wanted.cancel_echo = options->echo;
    wanted.suppress_noise_db = options->noise_db;
    wanted.agc = options->gain_control;
    return ot_echo_create(echo, rate_hz, options->tail_ms, &wanted);
}

int ot_device_clean(ot_device *device, const ot_voice_options *options, const uint32_t *ports,
                    uint32_t count)
{
    ot_engine *engine = device->control.engine;
    ot_command command = {.kind = OT_DEVICE_CLEAN};

    ot_lock(engine);
    int error = ot_ports_of(engine, &command.with.clean.references, ports, count);
    if (!error)
        error = make_echo(&command.with.clean.echo, device->rate_hz, options);
    if (!error)
        error = order(device, &command);
    if (error)
        ot_echo_destroy(command.with.clean.echo);
    return ot_unlock(engine, error);
}

int ot_device_stats_read(ot_device *device, ot_device_stats *stats)
{
    const ot_neighbours *neighbours = &device->control.engine->neighbours[slot_of(device)];
    uint32_t rate = ot_rate_index(device->rate_hz);

    stats->capture_fill = ot_sample_ring_fill(&device->capture);
    stats->playback_fill = ot_sample_ring_fill(&device->playback);
    ot_copy_words(&stats->capture_underruns, &device->capture.underruns, sizeof(uint64_t));
    ot_copy_words(&stats->capture_overruns, &device->capture.overruns, sizeof(uint64_t));
    ot_copy_words(&stats->playback_underruns, &device->playback.underruns, sizeof(uint64_t));
    ot_copy_words(&stats->playback_overruns, &device->playback.overruns, sizeof(uint64_t));
    ot_copy_words(&stats->capture_energy, &device->meters.capture_energy, sizeof(uint64_t));
    ot_copy_words(&stats->playback_energy, &device->meters.playback_energy, sizeof(uint64_t));
    stats->capture_energy = ot_rate_energy(stats->capture_energy, rate);
    stats->playback_energy = ot_rate_energy(stats->playback_energy, rate);
    ot_copy_words(&stats->capture_active, &neighbours->speaks, sizeof(uint64_t));
    ot_copy_words(&stats->drift_ppb, &device->meters.capture_ppb, sizeof(uint64_t));
    return 0;
}

int ot_device_close(ot_device *device)
{
    return ot_hand_over_close(device->control.engine, &device->control.open, OT_DEVICE_REMOVE,
                              slot_of(device));
}
