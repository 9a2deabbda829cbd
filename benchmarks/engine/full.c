/* The engine doing the whole work: every leg hears all others, every recording goes out twice.
 *
 *   full <warm-up ms> <measured ms>
 */
#include "engine.h"
#include "work.h"

static ot_engine *engine;
static ot_leg *legs[LEGS];

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
    check(ot_bus_join(recorded, ot_leg_port(*leg), 0, -1.0F / 0.0F), "join a recorded bus");
}

static void open_recording(int number, ot_bus *bus)
{
    ot_recording *recording;

    check(ot_recording_open(&recording, engine, OT_PCMU, 20), "open a recording");
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
    ot_bus *recorded[RECORDINGS];

    check(ot_engine_create(&engine), "create");
    check(ot_bus_open(&everyone, engine), "open a bus");
    for (int i = 0; i < RECORDINGS; i++) {
        check(ot_bus_open(&recorded[i], engine), "open a bus");
        open_recording(i, recorded[i]);
    }
    for (int i = 0; i < LEGS; i++)
        open_leg(i, everyone, recorded[recording_of(i)]);
}

/* Packets that were lost or came too late, and frames made up, since the beginning. */
static int64_t trouble(void)
{
    int64_t sum = 0;

    for (int i = 0; i < LEGS; i++) {
        ot_leg_stats stats;
        check(ot_leg_read(legs[i], &stats), "read a leg");
        sum += (int64_t)(stats.packets_expected - stats.packets_received + stats.packets_late +
                         stats.concealed_frames + stats.send_errors);
    }
    return sum;
}

static int64_t ticks(uint64_t *skipped)
{
    ot_tick_stats stats;

    check(ot_engine_read_ticks(engine, &stats), "read the ticks");
    *skipped = stats.skipped;
    return (int64_t)stats.ticks;
}

int main(int count, char **arguments)
{
    int64_t warm = count > 2 ? atoi(arguments[1]) : 500;
    int64_t measured = count > 2 ? atoi(arguments[2]) : 10000;
    uint64_t skipped[2];

    open_all();
    check(ot_engine_start(engine, 1), "start");
    int64_t begin = clock_ns(CLOCK_MONOTONIC) + warm * 1000000;
    sleep_until(begin);
    int64_t lost = trouble();
    int64_t ran = ticks(&skipped[0]);
    int64_t cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
    sleep_until(begin + measured * 1000000);
    cpu = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - cpu;
    ran = ticks(&skipped[1]) - ran;
    say_result(cpu, ran, trouble() - lost + (int64_t)(skipped[1] - skipped[0]));
    ot_engine_destroy(engine);
    return 0;
}
