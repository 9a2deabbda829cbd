/* The engine doing the whole work: every leg hears all others, every recording goes out twice.
 *
 *   full <warm-up ms> <measured ms> [legs] [recorders: 0 or 1] [realtime: 0 or 1]
 */
#include "engine.h"
#include "work.h"

static ot_engine *engine;
static int leg_count;
static int recording_count;
static ot_leg *legs[LEGS_MAX];

static void check(int error, const char *what)
{
    errno = error;
    if (error)
        fail(what);
}

static void open_leg(int number, ot_bus *everyone, ot_bus *recorded)
{
    ot_leg_remote remote = {
        .address = "127.0.0.1",
        .rtp_port = (uint16_t)(FAR_PORT + 2 * number),
        .ptime_ms = 20,
        .send = 1,
        .receive = 1,
    };
    ot_leg **leg = &legs[number];

    check(ot_leg_open(leg, engine, "127.0.0.1", (uint16_t)(LEG_PORT + 2 * number), OT_PCMU, 20),
          "open a leg");
    check(ot_leg_connect(*leg, &remote), "connect a leg");
    check(ot_bus_join(everyone, ot_leg_port(*leg), 0, 0), "join");
    if (recorded)
        check(ot_bus_join(recorded, ot_leg_port(*leg), 0, -1.0F / 0.0F), "join a recorded bus");
}

static void open_recording(int number, ot_bus *bus)
{
    ot_recording *recording;

    check(ot_recording_open(&recording, engine, OT_PCMU, 20, 0), "open a recording");
    check(ot_recording_tap(recording, bus), "tap");
    for (int i = 0; i < 2; i++) {
        uint16_t index = (uint16_t)(2 * number + i);
        check(ot_recording_fork(recording, (uint32_t)i, "127.0.0.1",
                                (uint16_t)(FORK_PORT + 2 * index), "127.0.0.1",
                                (uint16_t)(RECORDER_PORT + 2 * index), 0),
              "fork");
    }
}

static void open_all(void)
{
    ot_bus *everyone;
    ot_bus *recorded[RECORDINGS_MAX] = {0};

    check(ot_engine_create(&engine), "create");
    check(ot_bus_open(&everyone, engine, 8000), "open a bus");
    for (int i = 0; i < recording_count; i++) {
        check(ot_bus_open(&recorded[i], engine, 8000), "open a bus");
        open_recording(i, recorded[i]);
    }
    for (int i = 0; i < leg_count; i++)
        open_leg(i, everyone, recorded[recording_of(i)]);
}

/* Packets that were lost or came too late, and frames made up, since the beginning. */
static int64_t trouble(void)
{
    int64_t sum = 0;

    for (int i = 0; i < leg_count; i++) {
        ot_leg_stats stats;
        check(ot_leg_read(legs[i], &stats), "read a leg");
        sum += (int64_t)(stats.packets_expected - stats.packets_received + stats.packets_late +
                         stats.concealed_frames + stats.send_errors);
    }
    return sum;
}

static ot_tick_stats ticks(void)
{
    ot_tick_stats stats;

    check(ot_engine_read_ticks(engine, &stats), "read the ticks");
    return stats;
}

/* Ticks by how late they began: pairs of an upper bound in microseconds (null: none) and a count. */
static void say_lateness(const ot_tick_stats *begin, const ot_tick_stats *end)
{
    for (uint32_t i = 0; i < OT_LATENESS_BUCKETS; i++) {
        uint32_t bound_us = ot_lateness_bound_us(i);
        unsigned long long count = end->lateness[i] - begin->lateness[i];
        if (bound_us == UINT32_MAX)
            printf("%s[null, %llu]", i ? ", " : "", count);
        else
            printf("%s[%u, %llu]", i ? ", " : "", bound_us, count);
    }
}

static void say_all(int64_t cpu_ns, int64_t lost, const ot_tick_stats *begin,
                    const ot_tick_stats *end)
{
    printf("{\"cpu_ns\": %lld, \"ticks\": %llu, \"lost\": %lld, \"skipped\": %llu, ",
           (long long)cpu_ns, (unsigned long long)(end->ticks - begin->ticks), (long long)lost,
           (unsigned long long)(end->skipped - begin->skipped));
    printf("\"realtime\": %d, \"lateness_max_us\": %.1f, \"lateness\": [",
           ot_engine_is_realtime(engine), (double)end->lateness_max_ns / 1000);
    say_lateness(begin, end);
    printf("]}\n");
}

int main(int count, char **arguments)
{
    int64_t warm = argument(count, arguments, 1, 0, 3600000, 500);
    int64_t measured = argument(count, arguments, 2, 10, 3600000, 10000);
    int realtime = argument(count, arguments, 5, 0, 1, 1);

    leg_count = argument(count, arguments, 3, HANDSETS, LEGS_MAX, LEGS);
    recording_count = argument(count, arguments, 4, 0, 1, 1) ? recordings_of(leg_count) : 0;
    open_all();
    sleep_until(next_boundary());
    check(ot_engine_start(engine, realtime), "start");
    int64_t begin_ns = clock_ns(CLOCK_MONOTONIC) + warm * 1000000;
    sleep_until(begin_ns);
    int64_t lost = trouble();
    ot_tick_stats begin = ticks();
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    sleep_until(begin_ns + measured * 1000000);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    ot_tick_stats end = ticks();
    say_all(cpu, trouble() - lost, &begin, &end);
    ot_engine_destroy(engine);
    return 0;
}
