/* The control side: slots are claimed and sockets made here, then handed to the tick.
 *
 * What the tick gives back (descriptors, slots) is reaped at the next call of any of these.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

#include "state.h"

enum {
    READ_ATTEMPTS = 20000, /* of 50 us: a second */
    READ_PAUSE_NS = 50000,
    TICK_ATTEMPTS = 200, /* of 1 ms: until ports come free, or room in the ring */
    TICK_PAUSE_NS = 1000000,
    PTIME_MAX_MS = OT_PTIME_TICKS_MAX * OT_TICK_MS
};

static const float GAIN_MAX_DB = 20.0F;

static void pause_ns(long nanoseconds)
{
    struct timespec time = {0, nanoseconds};
    nanosleep(&time, NULL);
}

/* -- handing over, taking back ---------------------------------------------------------------- */

static void reap_one(ot_engine *engine, const ot_retired *item)
{
    switch (item->kind) {
    case OT_RETIRED_FD:
        ot_socket_close(item->value);
        break;
    case OT_RETIRED_LEG:
        engine->legs[item->value].control.used = 0;
        break;
    case OT_RETIRED_DEVICE:
        engine->devices[item->value].control.used = 0;
        break;
    case OT_RETIRED_BUS:
        engine->buses[item->value].control.used = 0;
        break;
    case OT_RETIRED_RECORDING:
        engine->recordings[item->value].control.used = 0;
        break;
    }
}

static void reap(ot_engine *engine)
{
    ot_retired item;

    while (ot_item_ring_pop(&engine->retired, &item) == 0)
        reap_one(engine, &item);
}

/* Without a thread the caller is the tick. */
static void settle(ot_engine *engine)
{
    if (!engine->running) {
        engine->clearing = 1;
        ot_apply_commands(engine);
        ot_finish_closing(engine);
        engine->clearing = 0;
    }
    reap(engine);
}

/* A burst of commands waits for the tick to take some; EAGAIN when no tick comes. */
static int hand_over(ot_engine *engine, const ot_command *command)
{
    int error = ot_item_ring_push(&engine->commands, command);

    for (int i = 0; error == EAGAIN && i < TICK_ATTEMPTS; i++) {
        pause_ns(TICK_PAUSE_NS);
        settle(engine);
        error = ot_item_ring_push(&engine->commands, command);
    }
    if (!error)
        settle(engine);
    return error;
}

static void lock(ot_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    reap(engine);
}

static int unlock(ot_engine *engine, int error)
{
    pthread_mutex_unlock(&engine->mutex);
    return error;
}

static int simple(ot_engine *engine, ot_command_kind kind, uint16_t slot, uint16_t other)
{
    ot_command command = {.kind = kind, .slot = slot, .other = other};
    return hand_over(engine, &command);
}

/* Closes what a handle stands for; it stays open, to be closed again, when no tick comes. */
static int hand_over_close(ot_engine *engine, uint8_t *open, ot_command_kind kind, uint16_t slot)
{
    lock(engine);
    if (!*open)
        return unlock(engine, EBADF);
    *open = 0; /* first: an idle engine frees the slot at once */
    int error = simple(engine, kind, slot, 0);
    if (error)
        *open = 1;
    return unlock(engine, error);
}

static int any_closing(const ot_engine *engine)
{
    for (uint32_t i = 0; i < OT_LEGS_MAX; i++)
        if (engine->legs[i].control.used && !engine->legs[i].control.open)
            return 1;
    return 0;
}

/* A port that a closing leg still holds comes free within a few ticks. */
static int bind_pair(ot_engine *engine, int *rtp, int *rtcp, const char *address, uint16_t port)
{
    int error = ot_socket_pair(rtp, rtcp, address, port);

    for (int i = 0; error == EADDRINUSE && any_closing(engine) && i < TICK_ATTEMPTS; i++) {
        pause_ns(TICK_PAUSE_NS);
        reap(engine);
        error = ot_socket_pair(rtp, rtcp, address, port);
    }
    return error;
}

static int watch(const ot_engine *engine, int fd, ot_event_kind kind, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | index};
    return epoll_ctl(engine->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

static int is_codec(int codec)
{
    return codec == OT_PCMU || codec == OT_PCMA;
}

static int is_ptime(uint32_t ptime_ms)
{
    return ptime_ms >= OT_TICK_MS && ptime_ms <= PTIME_MAX_MS && ptime_ms % OT_TICK_MS == 0;
}

/* Random SSRC, sequence and timestamp (RFC 3550 section 5.1). */
static int seed_stream(ot_stream *stream)
{
    if (getrandom(&stream->ssrc, sizeof(stream->ssrc), 0) != sizeof(stream->ssrc) ||
        getrandom(&stream->sequence, sizeof(stream->sequence), 0) != sizeof(stream->sequence) ||
        getrandom(&stream->timestamp_base, sizeof(stream->timestamp_base), 0) !=
            sizeof(stream->timestamp_base))
        return EIO;
    return 0;
}

/* -- statistics ------------------------------------------------------------------------------ */

static void copy_words(void *to, const void *from, size_t octets)
{
    for (size_t i = 0; i < octets / sizeof(uint64_t); i++)
        ((uint64_t *)to)[i] = __atomic_load_n((const uint64_t *)from + i, __ATOMIC_RELAXED);
}

/* Copies statistics as they stood between two ticks; EAGAIN when a tick will not end. */
static int read_words(ot_engine *engine, void *to, const void *from, size_t octets)
{
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        uint64_t before = __atomic_load_n(&engine->guard, __ATOMIC_ACQUIRE);
        if (before % 2 == 0) {
            copy_words(to, from, octets);
            __atomic_thread_fence(__ATOMIC_ACQUIRE);
            if (__atomic_load_n(&engine->guard, __ATOMIC_RELAXED) == before)
                return 0;
        }
        pause_ns(READ_PAUSE_NS);
    }
    return EAGAIN;
}

int ot_engine_read_ticks(ot_engine *engine, ot_tick_stats *stats)
{
    return read_words(engine, stats, &engine->ticks, sizeof(*stats));
}

int ot_leg_read(ot_leg *leg, ot_leg_stats *stats)
{
    return read_words(leg->control.engine, stats, &leg->stats, sizeof(*stats));
}

int ot_recording_read(ot_recording *recording, uint32_t index, ot_fork_stats *stats)
{
    if (index >= OT_FORKS)
        return EINVAL;
    return read_words(recording->control.engine, stats, &recording->forks[index].stats,
                      sizeof(*stats));
}

int ot_device_stats_read(ot_device *device, ot_device_stats *stats)
{
    stats->capture_fill = ot_sample_ring_fill(&device->capture);
    stats->playback_fill = ot_sample_ring_fill(&device->playback);
    copy_words(&stats->capture_underruns, &device->capture.underruns, sizeof(uint64_t));
    copy_words(&stats->capture_overruns, &device->capture.overruns, sizeof(uint64_t));
    copy_words(&stats->playback_underruns, &device->playback.underruns, sizeof(uint64_t));
    copy_words(&stats->playback_overruns, &device->playback.overruns, sizeof(uint64_t));
    copy_words(&stats->capture_energy, &device->capture_energy, sizeof(uint64_t));
    copy_words(&stats->playback_energy, &device->playback_energy, sizeof(uint64_t));
    return 0;
}

/* -- legs ------------------------------------------------------------------------------------ */

static ot_leg *claim_leg(ot_engine *engine)
{
    for (uint32_t i = 0; i < OT_LEGS_MAX; i++)
        if (!engine->legs[i].control.used)
            return &engine->legs[i];
    return NULL;
}

static uint16_t leg_slot(const ot_leg *leg)
{
    return (uint16_t)(leg - leg->control.engine->legs);
}

/* Writes only what the tick has given back, statistics by word in case one is being read. */
static void clear_leg(ot_leg *leg)
{
    for (size_t i = 0; i < sizeof(leg->stats) / sizeof(uint64_t); i++)
        OT_SET(((uint64_t *)&leg->stats)[i], 0);
    size_t first = offsetof(ot_leg, connected); /* `active` stays the tick's */
    size_t after = offsetof(ot_leg, reports);
    memset((char *)leg + first, 0, offsetof(ot_leg, stats) - first);
    memset((char *)leg + after, 0, offsetof(ot_leg, jitter) - after);
    leg->voice = -1;
}

static int set_leg_up(ot_engine *engine, ot_leg *leg, const char *address, uint16_t rtp_port)
{
    struct sockaddr_in local;
    int error = seed_stream(&leg->stream);

    if (!error)
        error = ot_address(&local, address, rtp_port);
    if (!error)
        error = watch(engine, leg->door, OT_EVENT_DOOR, leg_slot(leg));
    if (!error)
        error = watch(engine, leg->reports.fd, OT_EVENT_LEG_REPORT, leg_slot(leg));
    if (error)
        return error;
    leg->control.local = local.sin_addr;
    leg->control.rtp_port = rtp_port;
    leg->control.ssrc = leg->stream.ssrc;
    memset(&leg->control.remote, 0, sizeof(leg->control.remote));
    return simple(engine, OT_LEG_ADD, leg_slot(leg), 0);
}

static int open_leg(ot_leg **out, ot_engine *engine, const char *address, uint16_t rtp_port,
                    int codec, uint32_t ptime_ms)
{
    int door = -1;
    int reports = -1;
    int error = bind_pair(engine, &door, &reports, address, rtp_port);
    ot_leg *leg = error ? NULL : claim_leg(engine);

    if (error)
        return error;
    if (leg) {
        clear_leg(leg);
        leg->control.engine = engine;
        leg->door = door;
        leg->reports.fd = reports;
        ot_stream_init(&leg->stream, codec, ptime_ms / OT_TICK_MS, leg_slot(leg));
        ot_jitter_init(&leg->jitter, codec, OT_JITTER_TARGET_MS);
        leg->codec = (uint8_t)codec;
        error = set_leg_up(engine, leg, address, rtp_port);
    }
    if (leg == NULL || error) {
        ot_socket_close(door);
        ot_socket_close(reports);
        return leg ? error : ENOSPC;
    }
    leg->control.used = 1;
    leg->control.open = 1;
    *out = leg;
    return 0;
}

int ot_leg_open(ot_leg **leg, ot_engine *engine, const char *address, uint16_t rtp_port, int codec,
                uint32_t ptime_ms)
{
    if (!is_codec(codec) || !is_ptime(ptime_ms))
        return EINVAL;
    lock(engine);
    return unlock(engine, open_leg(leg, engine, address, rtp_port, codec, ptime_ms));
}

static int same_address(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static int connect_leg(ot_leg *leg, ot_command *command)
{
    struct sockaddr_in *remote = &command->with.remote.remote;
    int voice = -1;

    if (!same_address(remote, &leg->control.remote)) {
        int error = ot_socket_beside(&voice, leg->door, &leg->control.local, leg->control.rtp_port,
                                     remote);
        if (error)
            return error;
    }
    command->with.remote.fd = voice;
    int error = hand_over(leg->control.engine, command);
    if (error) {
        ot_socket_close(voice);
        return error;
    }
    leg->control.remote = *remote;
    return 0;
}

static int remote_command(ot_command *command, const ot_leg_remote *remote)
{
    uint16_t rtcp_port = remote->rtcp_port ? remote->rtcp_port : (uint16_t)(remote->rtp_port + 1);

    if (!is_codec(remote->codec) || !is_ptime(remote->ptime_ms) || remote->payload_type > 127 ||
        remote->rtp_port == 0)
        return EINVAL;
    command->with.remote.codec = remote->codec;
    command->with.remote.payload_type = remote->payload_type;
    command->with.remote.ptime_ticks = remote->ptime_ms / OT_TICK_MS;
    command->with.remote.send = remote->send != 0;
    command->with.remote.receive = remote->receive != 0;
    int error = ot_address(&command->with.remote.remote, remote->address, remote->rtp_port);
    if (!error)
        error = ot_address(&command->with.remote.remote_reports, remote->address, rtcp_port);
    return error;
}

int ot_leg_connect(ot_leg *leg, const ot_leg_remote *remote)
{
    ot_engine *engine = leg->control.engine;
    ot_command command = {.kind = OT_LEG_CONNECT, .slot = leg_slot(leg)};
    int error = remote_command(&command, remote);

    if (error)
        return error;
    lock(engine);
    return unlock(engine, leg->control.open ? connect_leg(leg, &command) : EBADF);
}

int ot_leg_reset_gaps(ot_leg *leg)
{
    ot_engine *engine = leg->control.engine;

    lock(engine);
    return unlock(engine, leg->control.open ? simple(engine, OT_LEG_RESET_GAPS, leg_slot(leg), 0)
                                            : EBADF);
}

uint32_t ot_leg_port(const ot_leg *leg)
{
    return leg_slot(leg);
}

uint32_t ot_leg_ssrc(const ot_leg *leg)
{
    return leg->control.ssrc;
}

int ot_leg_close(ot_leg *leg)
{
    return hand_over_close(leg->control.engine, &leg->control.open, OT_LEG_REMOVE, leg_slot(leg));
}

/* -- devices --------------------------------------------------------------------------------- */

static uint16_t device_slot(const ot_device *device)
{
    return (uint16_t)(device - device->control.engine->devices);
}

static int open_device(ot_device **out, ot_engine *engine, uint32_t capture, uint32_t playback)
{
    for (uint32_t i = 0; i < OT_DEVICES_MAX; i++) {
        ot_device *device = &engine->devices[i];
        if (device->control.used)
            continue;
        ot_sample_ring_init(&device->capture, capture);
        ot_sample_ring_init(&device->playback, playback);
        device->closing_ticks = 0;
        device->control.engine = engine;
        int error = simple(engine, OT_DEVICE_ADD, (uint16_t)i, 0);
        device->control.used = device->control.open = error == 0;
        *out = device;
        return error;
    }
    return ENOSPC;
}

int ot_device_open(ot_device **device, ot_engine *engine, uint32_t capture_ms, uint32_t playback_ms)
{
    uint32_t capture = capture_ms * (OT_RATE_HZ / 1000);
    uint32_t playback = playback_ms * (OT_RATE_HZ / 1000);

    if (capture_ms < 2 * OT_TICK_MS || playback_ms < 2 * OT_TICK_MS || capture > OT_RING_SAMPLES ||
        playback > OT_RING_SAMPLES)
        return EINVAL;
    lock(engine);
    return unlock(engine, open_device(device, engine, capture, playback));
}

uint32_t ot_device_port(const ot_device *device)
{
    return (uint32_t)OT_LEGS_MAX + device_slot(device);
}

uint32_t ot_device_write(ot_device *device, const int16_t *pcm, uint32_t samples)
{
    return ot_sample_ring_write(&device->capture, pcm, samples);
}

void ot_device_read(ot_device *device, int16_t *pcm, uint32_t samples)
{
    ot_sample_ring_read(&device->playback, pcm, samples);
}

int ot_device_close(ot_device *device)
{
    return hand_over_close(device->control.engine, &device->control.open, OT_DEVICE_REMOVE,
                           device_slot(device));
}

/* -- buses ----------------------------------------------------------------------------------- */

static uint16_t bus_slot(const ot_bus *bus)
{
    return (uint16_t)(bus - bus->control.engine->buses);
}

static int open_bus(ot_bus **out, ot_engine *engine)
{
    for (uint32_t i = 0; i < OT_BUSES_MAX; i++) {
        ot_bus *bus = &engine->buses[i];
        if (bus->control.used)
            continue;
        bus->control.engine = engine;
        int error = simple(engine, OT_BUS_ADD, (uint16_t)i, 0);
        bus->control.used = bus->control.open = error == 0;
        *out = bus;
        return error;
    }
    return ENOSPC;
}

int ot_bus_open(ot_bus **bus, ot_engine *engine)
{
    lock(engine);
    return unlock(engine, open_bus(bus, engine));
}

static float linear(float gain_db)
{
    return powf(10.0F, gain_db / 20.0F);
}

static int port_is_open(const ot_engine *engine, uint32_t port)
{
    if (port < OT_LEGS_MAX)
        return engine->legs[port].control.open;
    return port < OT_PORTS_MAX && engine->devices[port - OT_LEGS_MAX].control.open;
}

int ot_bus_join(ot_bus *bus, uint32_t port, float talk_db, float listen_db)
{
    ot_engine *engine = bus->control.engine;
    ot_command command = {
        .kind = OT_BUS_JOIN,
        .slot = bus_slot(bus),
        .other = (uint16_t)port,
        .with.gains = {.talk = linear(talk_db), .listen = linear(listen_db)},
    };

    if (!(talk_db <= GAIN_MAX_DB) || !(listen_db <= GAIN_MAX_DB)) /* NaN too */
        return EINVAL;
    lock(engine);
    if (!bus->control.open || !port_is_open(engine, port))
        return unlock(engine, EBADF);
    return unlock(engine, hand_over(engine, &command));
}

int ot_bus_leave(ot_bus *bus, uint32_t port)
{
    ot_engine *engine = bus->control.engine;

    lock(engine);
    if (!bus->control.open || port >= OT_PORTS_MAX)
        return unlock(engine, EBADF);
    return unlock(engine, simple(engine, OT_BUS_LEAVE, bus_slot(bus), (uint16_t)port));
}

int ot_bus_close(ot_bus *bus)
{
    return hand_over_close(bus->control.engine, &bus->control.open, OT_BUS_REMOVE, bus_slot(bus));
}

/* -- recordings ------------------------------------------------------------------------------ */

static uint16_t recording_slot(const ot_recording *recording)
{
    return (uint16_t)(recording - recording->control.engine->recordings);
}

static int open_recording(ot_recording **out, ot_engine *engine, int codec, uint32_t ptime_ms)
{
    for (uint32_t i = 0; i < OT_RECORDINGS_MAX; i++) {
        ot_recording *recording = &engine->recordings[i];
        if (recording->control.used)
            continue;
        int error = seed_stream(&recording->stream);
        ot_stream_init(&recording->stream, codec, ptime_ms / OT_TICK_MS, i);
        recording->tap_count = 0;
        recording->control.engine = engine;
        recording->control.ssrc = recording->stream.ssrc;
        if (!error)
            error = simple(engine, OT_RECORDING_ADD, (uint16_t)i, 0);
        recording->control.used = recording->control.open = error == 0;
        *out = recording;
        return error;
    }
    return ENOSPC;
}

int ot_recording_open(ot_recording **recording, ot_engine *engine, int codec, uint32_t ptime_ms)
{
    if (!is_codec(codec) || !is_ptime(ptime_ms))
        return EINVAL;
    lock(engine);
    return unlock(engine, open_recording(recording, engine, codec, ptime_ms));
}

uint32_t ot_recording_ssrc(const ot_recording *recording)
{
    return recording->control.ssrc;
}

static int change_tap(ot_recording *recording, const ot_bus *bus, ot_command_kind kind)
{
    ot_engine *engine = recording->control.engine;

    lock(engine);
    if (!recording->control.open || !bus->control.open || bus->control.engine != engine)
        return unlock(engine, EBADF);
    return unlock(engine, simple(engine, kind, recording_slot(recording), bus_slot(bus)));
}

int ot_recording_tap(ot_recording *recording, ot_bus *bus)
{
    return change_tap(recording, bus, OT_RECORDING_TAP);
}

int ot_recording_untap(ot_recording *recording, ot_bus *bus)
{
    return change_tap(recording, bus, OT_RECORDING_UNTAP);
}

static int connect_fork(ot_engine *engine, ot_command *command, const char *address,
                        uint16_t local_rtp_port)
{
    int *rtp = &command->with.remote.fd;
    int *rtcp = &command->with.remote.reports_fd;
    uint32_t index = (uint32_t)command->slot * OT_FORKS + command->other;
    int error = bind_pair(engine, rtp, rtcp, address, local_rtp_port);

    if (error)
        return error;
    error = ot_socket_connect(*rtp, &command->with.remote.remote);
    if (!error)
        error = watch(engine, *rtcp, OT_EVENT_FORK_REPORT, index);
    if (!error)
        error = hand_over(engine, command);
    if (error) {
        ot_socket_close(*rtp);
        ot_socket_close(*rtcp);
    }
    return error;
}

int ot_recording_fork(ot_recording *recording, uint32_t index, const char *address,
                      uint16_t local_rtp_port, const char *remote_address, uint16_t remote_rtp_port,
                      uint8_t payload_type)
{
    ot_engine *engine = recording->control.engine;
    ot_command command = {
        .kind = OT_RECORDING_FORK,
        .slot = recording_slot(recording),
        .other = (uint16_t)index,
        .with.remote = {.payload_type = payload_type},
    };
    struct sockaddr_in *remote = &command.with.remote.remote;
    struct sockaddr_in *reports = &command.with.remote.remote_reports;

    if (index >= OT_FORKS || payload_type > 127 || remote_rtp_port == 0 ||
        ot_address(remote, remote_address, remote_rtp_port) != 0 ||
        ot_address(reports, remote_address, (uint16_t)(remote_rtp_port + 1)) != 0)
        return EINVAL;
    lock(engine);
    if (!recording->control.open)
        return unlock(engine, EBADF);
    return unlock(engine, connect_fork(engine, &command, address, local_rtp_port));
}

int ot_recording_unfork(ot_recording *recording, uint32_t index)
{
    ot_engine *engine = recording->control.engine;

    if (index >= OT_FORKS)
        return EINVAL;
    lock(engine);
    if (!recording->control.open)
        return unlock(engine, EBADF);
    return unlock(engine, simple(engine, OT_RECORDING_UNFORK, recording_slot(recording),
                                 (uint16_t)index));
}

int ot_recording_close(ot_recording *recording)
{
    return hand_over_close(recording->control.engine, &recording->control.open,
                           OT_RECORDING_REMOVE, recording_slot(recording));
}

/* -- the end --------------------------------------------------------------------------------- */

void ot_control_close_all(ot_engine *engine)
{
    for (uint32_t i = 0; i < OT_RECORDINGS_MAX; i++)
        if (engine->recordings[i].control.open)
            ot_recording_close(&engine->recordings[i]);
    for (uint32_t i = 0; i < OT_LEGS_MAX; i++)
        if (engine->legs[i].control.open)
            ot_leg_close(&engine->legs[i]);
    settle(engine);
}
