/* The engine's thread: absolute ticks of 10 ms, and what one tick does, in order.
 *
 * A tick reads the far ends, takes the samples of devices and sources, mixes the buses, sends the
 * legs, feeds the devices, and only then sends to the recorders.  It allocates nothing, takes no lock, logs
 * nothing and never waits.  A thread that wakes late runs the ticks it missed at once, so that no
 * sound is lost, up to OT_CATCH_UP_TICKS; what is later than that is skipped and counted, and the
 * RTP timestamps step over it.
 */
#include "state.h"

#include <errno.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "kernels.h"

enum {
    TICK_NS = OT_TICK_MS * 1000000,
    LATE_NS = 1000000,
    REALTIME_PRIORITY = 50,
    TIMER_SLACK_NS = 1000,
    SECOND_NS = 1000000000
};

const int16_t ot_silence[OT_TICK_SAMPLES_MAX];

static const uint32_t LATENESS_BOUNDS_US[OT_LATENESS_BUCKETS] = {
    50, 100, 150, 250, 500, 1000, 2000, 5000, 10000, 20000, 50000, UINT32_MAX};

uint32_t ot_lateness_bound_us(uint32_t bucket)
{
    return LATENESS_BOUNDS_US[bucket < OT_LATENESS_BUCKETS ? bucket : OT_LATENESS_BUCKETS - 1];
}

/* xorshift64*: report intervals need no better. */
uint32_t ot_random(ot_engine *engine)
{
    engine->random ^= engine->random >> 12;
    engine->random ^= engine->random << 25;
    engine->random ^= engine->random >> 27;
    return (uint32_t)(engine->random * 0x2545F4914F6CDD1DULL >> 32);
}

void ot_retire(ot_engine *engine, ot_retired_kind kind, int value)
{
    ot_retired item = {.kind = kind, .value = value};
    ot_item_ring_push(&engine->retired, &item); /* sized for more than all commands can retire */
}

void ot_retire_memory(ot_engine *engine, ot_retired_kind kind, void *memory)
{
    ot_retired item = {.kind = kind, .memory = memory};

    if (memory)
        ot_item_ring_push(&engine->retired, &item);
}

void ot_tell(ot_engine *engine, ot_happening happening, uint32_t port, uint32_t value,
             uint32_t duration_ms)
{
    ot_event event = {happening, port, value, duration_ms, engine->tick};

    if (ot_item_ring_push(&engine->events, &event) != 0)
        OT_ADD(engine->events_lost, 1);
}

void ot_apply_commands(ot_engine *engine)
{
    ot_command command;

    while (ot_item_ring_pop(&engine->commands, &command) == 0)
        ot_command_apply(engine, &command);
}

/* -- the tick ------------------------------------------------------------------------------ */

static struct ot_leg *leg_at(ot_engine *engine, uint32_t index)
{
    const ot_active *legs = &engine->legs_active;
    return &engine->legs[legs->slots[index < legs->count ? index : 0]];
}

static void warm(const void *memory, size_t octets)
{
    for (size_t at = 0; at < octets; at += OT_CACHE_LINE)
        __builtin_prefetch((const char *)memory + at, 1);
}

static void warm_receive(const struct ot_leg *leg)
{
    warm(leg, OT_CACHE_LINE);
    warm(&leg->stats, sizeof(leg->stats));
    warm(&leg->jitter, offsetof(struct ot_jitter, slots));
}

static void warm_send(const struct ot_leg *leg)
{
    warm(leg, offsetof(struct ot_leg, stats) + OT_CACHE_LINE);
}

/* Kernel calls evict what the tick keeps warm, so receiving, computing and sending are each done
 * for all legs before the next begins. */
static void hear_legs(ot_engine *engine)
{
    const ot_active *legs = &engine->legs_active;

    for (uint32_t i = 0; i < legs->count; i++) {
        warm_receive(leg_at(engine, i + 1));
        ot_leg_receive(engine, &engine->legs[legs->slots[i]], legs->slots[i]);
    }
    for (uint32_t i = 0; i < legs->count; i++) {
        ot_jitter_warm(&leg_at(engine, i + 2)->jitter);
        ot_leg_speak(engine, &engine->legs[legs->slots[i]], legs->slots[i]);
        engine->hearing[legs->slots[i]].parts = 0;
    }
    for (uint32_t i = 0; i < legs->count; i++)
        ot_leg_meter(engine, &engine->legs[legs->slots[i]], legs->slots[i]);
}

static void hear_device(ot_engine *engine, uint32_t slot)
{
    struct ot_device *device = &engine->devices[slot];
    ot_neighbours *neighbours = &engine->neighbours[slot];
    uint32_t port = OT_FIRST_DEVICE + slot;
    int16_t echo[OT_TICK_SAMPLES_MAX];

    engine->said[port] = ot_device_capture(device, ot_echo_reference(engine, slot, echo));
    engine->loudness[port] = ot_rate_energy(device->meters.capture_energy, engine->rates[port]);
    engine->speaking[port] = (uint8_t)ot_activity_run(&neighbours->activity, device->said_energy,
                                                      device->samples);
    engine->hearing[port].parts = 0;
    OT_SET(neighbours->speaks, engine->speaking[port]);
}

static void hear_source(ot_engine *engine, uint32_t slot)
{
    ot_source_speak(engine, &engine->sources[slot], OT_FIRST_SOURCE + slot);
    engine->hearing[OT_FIRST_SOURCE + slot].parts = 0;
}

static void hear(ot_engine *engine)
{
    hear_legs(engine);
    for (uint32_t i = 0; i < engine->devices_active.count; i++)
        hear_device(engine, engine->devices_active.slots[i]);
    for (uint32_t i = 0; i < engine->sources_active.count; i++)
        hear_source(engine, engine->sources_active.slots[i]);
    ot_convert_said(engine);
}

static void mix(ot_engine *engine)
{
    const ot_active *buses = &engine->buses_active;
    const ot_active *recordings = &engine->recordings_active;

    for (uint32_t i = 0; i < buses->count; i++)
        ot_bus_mix(engine, &engine->buses[buses->slots[i]], engine->sums[buses->slots[i]],
                   engine->local_sums[buses->slots[i]]);
    ot_convert_heard(engine);
    for (uint32_t i = 0; i < recordings->count; i++)
        ot_recording_compose(engine, &engine->recordings[recordings->slots[i]]);
}

static void play_device(ot_engine *engine, uint32_t slot)
{
    ot_duck_gain duck = ot_duck_device(engine, slot);

    ot_device_play(&engine->devices[slot],
                   ot_heard(engine, OT_FIRST_DEVICE + slot, engine->out), duck.first, duck.last);
}

static void speak(ot_engine *engine)
{
    const ot_active *legs = &engine->legs_active;

    for (uint32_t i = 0; i < legs->count; i++)
        ot_leg_compose(engine, &engine->legs[legs->slots[i]], legs->slots[i]);
    for (uint32_t i = 0; i < engine->devices_active.count; i++)
        play_device(engine, engine->devices_active.slots[i]);
    for (uint32_t i = 0; i < legs->count; i++) {
        warm_send(leg_at(engine, i + 1));
        ot_leg_send(engine, &engine->legs[legs->slots[i]]);
    }
}

static void record(ot_engine *engine)
{
    const ot_active *recordings = &engine->recordings_active;

    for (uint32_t i = 0; i < recordings->count; i++)
        ot_recording_send(engine, &engine->recordings[recordings->slots[i]]);
}

static void run_tick(ot_engine *engine)
{
    hear(engine);
    mix(engine);
    speak(engine);
    record(engine);
    ot_reports_poll(engine);
    ot_finish_closing(engine);
}

void ot_tick(ot_engine *engine, int64_t now_ns)
{
    __atomic_store_n(&engine->guard, engine->guard + 1, __ATOMIC_RELAXED);
    __atomic_thread_fence(__ATOMIC_RELEASE);
    engine->now_ns = now_ns;
    ot_apply_commands(engine);
    run_tick(engine);
    engine->tick++;
    OT_ADD(engine->ticks.ticks, 1);
    __atomic_store_n(&engine->guard, engine->guard + 1, __ATOMIC_RELEASE);
}

/* -- the thread ---------------------------------------------------------------------------- */

static int64_t clock_ns(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * SECOND_NS + now.tv_nsec;
}

static void sleep_until(int64_t time_ns)
{
    struct timespec until = {time_ns / SECOND_NS, time_ns % SECOND_NS};

    while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR)
        ;
}

static void note_lateness(ot_engine *engine, int64_t late_ns)
{
    uint64_t late = late_ns > 0 ? (uint64_t)late_ns : 0;
    uint32_t bucket = 0;

    while (late >= (uint64_t)LATENESS_BOUNDS_US[bucket] * 1000 && bucket < OT_LATENESS_BUCKETS - 1)
        bucket++;
    OT_ADD(engine->ticks.lateness[bucket], 1);
    if (late >= LATE_NS)
        OT_ADD(engine->ticks.late, 1);
    if (late > engine->ticks.lateness_max_ns)
        OT_SET(engine->ticks.lateness_max_ns, late);
}

/* Returns the time of the next tick that still makes sense. */
static int64_t skip_lost_ticks(ot_engine *engine, int64_t due_ns, int64_t now_ns)
{
    int64_t behind = (now_ns - due_ns) / TICK_NS;

    if (behind <= OT_CATCH_UP_TICKS)
        return due_ns;
    int64_t lost = behind - OT_CATCH_UP_TICKS;
    OT_ADD(engine->ticks.skipped, lost);
    engine->tick += (uint64_t)lost;
    return due_ns + lost * TICK_NS;
}

static void set_thread_up(ot_engine *engine)
{
    struct sched_param priority = {.sched_priority = REALTIME_PRIORITY};
    sigset_t every;

    sigfillset(&every); /* the process's handlers run on other threads, never inside a tick */
    pthread_sigmask(SIG_BLOCK, &every, NULL);
    pthread_setname_np(pthread_self(), "ot-engine");
    prctl(PR_SET_TIMERSLACK, TIMER_SLACK_NS, 0, 0, 0);
    if (engine->realtime_wanted &&
        pthread_setschedparam(pthread_self(), SCHED_FIFO, &priority) == 0)
        __atomic_store_n(&engine->realtime, 1, __ATOMIC_RELAXED);
}

static void *run(void *argument)
{
    ot_engine *engine = argument;
    set_thread_up(engine);
    int64_t due_ns = clock_ns() + TICK_NS;

    while (!__atomic_load_n(&engine->stopping, __ATOMIC_ACQUIRE)) {
        sleep_until(due_ns);
        int64_t woke_ns = clock_ns();
        note_lateness(engine, woke_ns - due_ns);
        due_ns = skip_lost_ticks(engine, due_ns, woke_ns);
        ot_tick(engine, woke_ns);
        due_ns += TICK_NS;
        ot_shield_align(engine->shield, due_ns);
        OT_ADD(engine->ticks.busy_ns, clock_ns() - woke_ns);
    }
    return NULL;
}

/* -- life ---------------------------------------------------------------------------------- */

static int make_cname(ot_engine *engine)
{
    static const char LETTERS[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    uint8_t seed[OT_CNAME_OCTETS]; /* RFC 7022: 96 random bits */

    if (getrandom(seed, sizeof(seed), 0) != sizeof(seed) ||
        getrandom(&engine->random, sizeof(engine->random), 0) != sizeof(engine->random))
        return EIO;
    engine->random |= 1;
    for (int i = 0; i < OT_CNAME_OCTETS; i++)
        engine->cname[i] = LETTERS[seed[i] % 64];
    return 0;
}

static int set_up(ot_engine *engine)
{
    int error = make_cname(engine);

    if (!error)
        error = ot_item_ring_init(&engine->commands, sizeof(ot_command), OT_COMMANDS);
    if (!error)
        error = ot_item_ring_init(&engine->retired, sizeof(ot_retired), OT_RETIREMENTS);
    if (!error)
        error = ot_item_ring_init(&engine->events, sizeof(ot_event), OT_EVENTS);
    if (error)
        return error;
    engine->epoll = epoll_create1(EPOLL_CLOEXEC);
    error = engine->epoll < 0 ? errno : ot_shield_create(&engine->shield);
    if (!error)
        error = pthread_mutex_init(&engine->mutex, NULL);
    return error ? error : pthread_mutex_init(&engine->event_mutex, NULL);
}

static void tear_down(ot_engine *engine)
{
    if (engine->shield)
        ot_shield_destroy(engine->shield);
    ot_item_ring_free(&engine->commands);
    ot_item_ring_free(&engine->retired);
    ot_item_ring_free(&engine->events);
    ot_socket_close(engine->epoll);
    munmap(engine, sizeof(*engine));
}

int ot_engine_create(ot_engine **engine)
{
    void *memory = mmap(NULL, sizeof(ot_engine), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

    if (memory == MAP_FAILED)
        return ENOMEM;
    *engine = memory; /* zero, and real memory only where a slot is used */
    (*engine)->epoll = -1;
    int error = set_up(*engine);
    if (error)
        tear_down(*engine);
    return error;
}

int ot_engine_start(ot_engine *engine, int realtime)
{
    pthread_mutex_lock(&engine->mutex);
    int error = engine->running ? EALREADY : 0;
    if (!error) {
        engine->realtime_wanted = realtime != 0;
        engine->stopping = 0;
        error = pthread_create(&engine->thread, NULL, run, engine);
    }
    if (!error) {
        engine->running = 1;
        error = ot_shield_start(engine->shield, realtime);
    }
    pthread_mutex_unlock(&engine->mutex);
    return error;
}

int ot_engine_stop(ot_engine *engine)
{
    pthread_mutex_lock(&engine->mutex);
    if (engine->running) {
        __atomic_store_n(&engine->stopping, 1, __ATOMIC_RELEASE);
        pthread_join(engine->thread, NULL);
        ot_shield_stop(engine->shield);
        engine->running = 0;
        __atomic_store_n(&engine->realtime, 0, __ATOMIC_RELAXED);
    }
    pthread_mutex_unlock(&engine->mutex);
    return 0;
}

int ot_engine_is_realtime(const ot_engine *engine)
{
    return (int)__atomic_load_n(&engine->realtime, __ATOMIC_RELAXED);
}

int ot_engine_step(ot_engine *engine, uint32_t ticks)
{
    pthread_mutex_lock(&engine->mutex);
    int error = engine->running ? EALREADY : 0;
    for (uint32_t i = 0; !error && i < ticks; i++) {
        ot_shield_step(engine->shield);
        ot_tick(engine, engine->now_ns + TICK_NS);
        ot_shield_step(engine->shield);
    }
    pthread_mutex_unlock(&engine->mutex);
    return error;
}

void ot_engine_destroy(ot_engine *engine)
{
    ot_engine_stop(engine);
    ot_control_close_all(engine);
    pthread_mutex_destroy(&engine->mutex);
    pthread_mutex_destroy(&engine->event_mutex);
    tear_down(engine);
}
