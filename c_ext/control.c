/* The control side: slots are claimed and sockets made here, then handed to the tick.
 *
 * What the tick gives back (descriptors, slots, memory) is reaped at the next call of any of these.
 */
#include "control.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/random.h>
#include <time.h>

enum {
    READ_ATTEMPTS = 20000, /* of 50 us: a second */
    READ_PAUSE_NS = 50000,
    TICK_ATTEMPTS = 200, /* of 1 ms: until ports come free, or room in the ring */
    TICK_PAUSE_NS = 1000000,
    PTIME_MAX_MS = OT_PTIME_TICKS_MAX * OT_TICK_MS
};

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
        ot_device_reaped(engine, (uint32_t)item->value);
        break;
    case OT_RETIRED_SOURCE:
        engine->sources[item->value].control.used = 0;
        break;
    case OT_RETIRED_BUS:
        engine->buses[item->value].control.used = 0;
        break;
    case OT_RETIRED_RECORDING:
        ot_recording_reaped(engine, (uint32_t)item->value);
        break;
    case OT_RETIRED_PARTS:
        ot_leg_parts_free(item->memory);
        break;
    case OT_RETIRED_CONVERSION:
        ot_conversion_free(item->memory);
        break;
    case OT_RETIRED_ECHO:
        ot_echo_destroy(item->memory);
        break;
    case OT_RETIRED_SHIELD:
        ot_shield_remove(engine->shield, item->memory);
        break;
    case OT_RETIRED_CLIP:
        free(item->memory);
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
int ot_hand_over(ot_engine *engine, const ot_command *command)
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

void ot_lock(ot_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    reap(engine);
}

int ot_unlock(ot_engine *engine, int error)
{
    pthread_mutex_unlock(&engine->mutex);
    return error;
}

int ot_hand_over_plain(ot_engine *engine, ot_command_kind kind, uint16_t slot, uint16_t other)
{
    ot_command command = {.kind = kind, .slot = slot, .other = other};
    return ot_hand_over(engine, &command);
}

/* Closes what a handle stands for; it stays open, to be closed again, when no tick comes. */
int ot_hand_over_close(ot_engine *engine, uint8_t *open, ot_command_kind kind, uint16_t slot)
{
    ot_lock(engine);
    if (!*open)
        return ot_unlock(engine, EBADF);
    *open = 0; /* first: an idle engine frees the slot at once */
    int error = ot_hand_over_plain(engine, kind, slot, 0);
    if (error)
        *open = 1;
    return ot_unlock(engine, error);
}

static int any_closing(const ot_engine *engine)
{
    for (uint32_t i = 0; i < OT_LEGS_MAX; i++)
        if (engine->legs[i].control.used && !engine->legs[i].control.open)
            return 1;
    return 0;
}

/* A port that a closing leg still holds comes free within a few ticks. */
int ot_bind_pair(ot_engine *engine, int *rtp, int *rtcp, const char *address, uint16_t port)
{
    int error = ot_socket_pair(rtp, rtcp, address, port);

    for (int i = 0; error == EADDRINUSE && any_closing(engine) && i < TICK_ATTEMPTS; i++) {
        pause_ns(TICK_PAUSE_NS);
        reap(engine);
        error = ot_socket_pair(rtp, rtcp, address, port);
    }
    return error;
}

int ot_watch(const ot_engine *engine, int fd, ot_event_kind kind, uint32_t index)
{
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = (uint64_t)kind << 32 | index};
    return epoll_ctl(engine->epoll, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errno;
}

void ot_unwatch(const ot_engine *engine, int fd)
{
    epoll_ctl(engine->epoll, EPOLL_CTL_DEL, fd, NULL);
}

const ot_codec_traits *ot_codec_for(int codec, uint32_t ptime_ms, uint32_t channels)
{
    const ot_codec_traits *traits = ot_codec_find(codec);

    if (!traits || ptime_ms < OT_TICK_MS || ptime_ms > PTIME_MAX_MS || ptime_ms % OT_TICK_MS)
        return NULL;
    if (channels > 1 && codec != OT_PCMU && codec != OT_PCMA && traits->name[0] != 'L')
        return NULL;
    return traits->frame_octets * (ptime_ms / OT_TICK_MS) * channels <= OT_PAYLOAD_MAX ? traits
                                                                                       : NULL;
}

int ot_is_rate(uint32_t rate_hz)
{
    return rate_hz == 8000 || rate_hz == 16000 || rate_hz == 48000;
}

/* Random SSRC, sequence and timestamp (RFC 3550 section 5.1). */
int ot_seed_stream(ot_stream *stream)
{
    stream->sequence = 0;
    if (getrandom(&stream->ssrc, sizeof(stream->ssrc), 0) != sizeof(stream->ssrc) ||
        getrandom(&stream->sequence, sizeof(uint16_t), 0) != sizeof(uint16_t) ||
        getrandom(&stream->timestamp_base, sizeof(stream->timestamp_base), 0) !=
            sizeof(stream->timestamp_base))
        return EIO;
    stream->sequence &= 0x7FFF; /* SRTP: a first packet that is lost must not hide a wrap */
    return 0;
}

/* -- statistics ------------------------------------------------------------------------------ */

void ot_copy_words(void *to, const void *from, size_t octets)
{
    for (size_t i = 0; i < octets / sizeof(uint64_t); i++)
        ((uint64_t *)to)[i] = __atomic_load_n((const uint64_t *)from + i, __ATOMIC_RELAXED);
}

/* Copies statistics as they stood between two ticks; EAGAIN when a tick will not end. */
int ot_read_words(ot_engine *engine, void *to, const void *from, size_t octets)
{
    for (int i = 0; i < READ_ATTEMPTS; i++) {
        uint64_t before = __atomic_load_n(&engine->guard, __ATOMIC_ACQUIRE);
        if (before % 2 == 0) {
            ot_copy_words(to, from, octets);
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
    return ot_read_words(engine, stats, &engine->ticks, sizeof(*stats));
}


int ot_engine_next_event(ot_engine *engine, ot_event *event)
{
    pthread_mutex_lock(&engine->event_mutex);
    int error = ot_item_ring_pop(&engine->events, event);
    pthread_mutex_unlock(&engine->event_mutex);
    return error;
}

uint64_t ot_engine_events_lost(ot_engine *engine)
{
    return __atomic_load_n(&engine->events_lost, __ATOMIC_RELAXED);
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
    for (uint32_t i = 0; i < OT_DEVICES_MAX; i++)
        if (engine->devices[i].control.open)
            ot_device_close(&engine->devices[i]);
    for (uint32_t i = 0; i < OT_SOURCES_MAX; i++)
        if (engine->sources[i].control.open)
            ot_source_close(&engine->sources[i]);
    settle(engine);
}
