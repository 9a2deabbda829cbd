/* The far ends and the recorders: speaks to every leg, counts and compares what comes back.
 *
 *   load <milliseconds> <compare: 0 or 1>
 */
#include "engine.h"
#include "work.h"

enum { STEADY_AFTER = 40 /* packets of a sink before its sound is compared */ };

typedef struct {
    int fd;
    uint16_t next;
    int64_t received;
    int64_t gaps;
    int64_t wrong;
    uint8_t expected[2 * TICK_SAMPLES];
} sink;

static sink far_ends[LEGS];
static sink recorders[FORKS];
static uint8_t packets[LEGS][PACKET];
static int16_t said[LEGS][TICK_SAMPLES]; /* as the far ends' encoders left it */

static int16_t saturate(int32_t value)
{
    return (int16_t)(value > INT16_MAX ? INT16_MAX : value < INT16_MIN ? INT16_MIN : value);
}

static void expect(sink *one, const int32_t *sum)
{
    int16_t pcm[2 * TICK_SAMPLES];

    for (int i = 0; i < 2 * TICK_SAMPLES; i++)
        pcm[i] = saturate(sum[i % TICK_SAMPLES]);
    ot_ulaw_encode(one->expected, pcm, 2 * TICK_SAMPLES);
}

static void sum_legs(int32_t *sum, int recording, int without)
{
    memset(sum, 0, TICK_SAMPLES * sizeof(*sum));
    for (int leg = 0; leg < LEGS; leg++)
        for (int i = 0; i < TICK_SAMPLES; i++)
            if (leg != without && (recording < 0 || recording_of(leg) == recording))
                sum[i] += said[leg][i];
}

static void speak_patterns(void)
{
    for (int leg = 0; leg < LEGS; leg++) {
        int16_t pcm[TICK_SAMPLES];
        pattern(leg, pcm);
        ot_ulaw_encode(packets[leg] + 12, pcm, TICK_SAMPLES);
        memcpy(packets[leg] + 12 + TICK_SAMPLES, packets[leg] + 12, TICK_SAMPLES);
        ot_ulaw_decode(said[leg], packets[leg] + 12, TICK_SAMPLES);
    }
}

static void open_all(void)
{
    int32_t sum[TICK_SAMPLES];

    speak_patterns();
    for (int i = 0; i < LEGS; i++) {
        far_ends[i].fd = wired(FAR_PORT + 2 * i, LEG_PORT + 2 * i);
        sum_legs(sum, -1, i);
        expect(&far_ends[i], sum);
    }
    for (int i = 0; i < FORKS; i++) {
        recorders[i].fd = wired(RECORDER_PORT + 2 * i, FORK_PORT + 2 * i);
        sum_legs(sum, i / 2, -1);
        expect(&recorders[i], sum);
    }
}

static void take(sink *one, const uint8_t *data, int compare)
{
    uint16_t sequence = (uint16_t)(data[2] << 8 | data[3]);

    if (one->received && sequence != one->next)
        one->gaps++;
    one->next = (uint16_t)(sequence + 1);
    if (++one->received > STEADY_AFTER && compare &&
        memcmp(data + 12, one->expected, sizeof(one->expected)) != 0)
        one->wrong++;
}

static void drain(sink *sinks, int count, int compare)
{
    uint8_t data[2048];

    for (int i = 0; i < count; i++)
        while (recv(sinks[i].fd, data, sizeof(data), 0) == PACKET)
            take(&sinks[i], data, compare);
}

static void speak(int64_t tick)
{
    uint16_t turn = (uint16_t)(tick / 2);

    for (int i = (int)(tick % 2); i < LEGS; i += 2) {
        write_header(packets[i], turn, (uint32_t)turn * 160, 1000 + (uint32_t)i);
        send(far_ends[i].fd, packets[i], PACKET, 0);
    }
}

static void say_totals(void)
{
    int64_t gaps = 0;
    int64_t wrong = 0;
    int64_t least = INT64_MAX;

    for (int i = 0; i < LEGS + FORKS; i++) {
        const sink *one = i < LEGS ? &far_ends[i] : &recorders[i - LEGS];
        gaps += one->gaps;
        wrong += one->wrong;
        least = one->received < least ? one->received : least;
    }
    printf("{\"gaps\": %lld, \"wrong\": %lld, \"least\": %lld}\n", (long long)gaps,
           (long long)wrong, (long long)least);
}

int main(int count, char **arguments)
{
    int64_t ticks = count > 2 ? atoi(arguments[1]) / 10 : 1200;
    int compare = count > 2 && atoi(arguments[2]);

    open_all();
    int64_t due = clock_ns(CLOCK_MONOTONIC);
    for (int64_t tick = 0; tick < ticks; tick++) {
        due += TICK_NS;
        sleep_until(due);
        speak(tick);
        drain(far_ends, LEGS, compare);
        drain(recorders, FORKS, compare);
    }
    say_totals();
    return 0;
}
