/* The far ends and the recorders: speaks to every leg, counts and judges what comes back.
 *
 *   load <milliseconds> <legs> <judge> <recorders: 0 or 1> [port of each leg]
 *
 * It judges each payload: 0 not at all, 1 exact to the bit, 2 anything but silence.
 */
#include "engine.h"
#include "work.h"

enum {
    STEADY_AFTER = 40, /* packets of a sink before its sound is judged */
    SLICES = 10,       /* of a tick */
    SLICE_NS = TICK_NS / SLICES
};

typedef enum { JUDGE_NOTHING, JUDGE_EXACT, JUDGE_AUDIBLE } judgement;

typedef struct {
    int fd;
    uint16_t next;
    int64_t received;
    int64_t gaps;
    int64_t wrong;
    uint8_t expected[2 * TICK_SAMPLES];
} sink;

static int leg_count;
static int fork_count;
static judgement judge;
static sink far_ends[LEGS_MAX];
static sink recorders[FORKS_MAX];
static uint8_t packets[LEGS_MAX][PACKET];
static int16_t said[LEGS_MAX][TICK_SAMPLES]; /* as the far ends' encoders left it */

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
    for (int leg = 0; leg < leg_count; leg++)
        for (int i = 0; i < TICK_SAMPLES; i++)
            if (leg != without && (recording < 0 || recording_of(leg) == recording))
                sum[i] += said[leg][i];
}

static void speak_patterns(void)
{
    for (int leg = 0; leg < leg_count; leg++) {
        int16_t pcm[TICK_SAMPLES];
        pattern(leg, pcm);
        ot_ulaw_encode(packets[leg] + 12, pcm, TICK_SAMPLES);
        memcpy(packets[leg] + 12 + TICK_SAMPLES, packets[leg] + 12, TICK_SAMPLES);
        ot_ulaw_decode(said[leg], packets[leg] + 12, TICK_SAMPLES);
    }
}

static void open_all(int count, char **arguments, int first_port)
{
    int32_t sum[TICK_SAMPLES];

    speak_patterns();
    for (int i = 0; i < leg_count; i++) {
        int port = argument(count, arguments, first_port + i, 1, 65535, LEG_PORT + 2 * i);
        far_ends[i].fd = wired(FAR_PORT + 2 * i, port);
        sum_legs(sum, -1, i);
        expect(&far_ends[i], sum);
    }
    for (int i = 0; i < fork_count; i++) {
        recorders[i].fd = wired(RECORDER_PORT + 2 * i, FORK_PORT + 2 * i);
        sum_legs(sum, i / 2, -1);
        expect(&recorders[i], sum);
    }
}

static int is_wrong(const sink *one, const uint8_t *payload)
{
    if (judge == JUDGE_EXACT)
        return memcmp(payload, one->expected, sizeof(one->expected)) != 0;
    if (judge == JUDGE_AUDIBLE)
        return memcmp(payload, payload + 1, 2 * TICK_SAMPLES - 1) == 0; /* all octets alike */
    return 0;
}

static void take(sink *one, const uint8_t *data)
{
    uint16_t sequence = (uint16_t)(data[2] << 8 | data[3]);

    if (one->received && sequence != one->next)
        one->gaps++;
    one->next = (uint16_t)(sequence + 1);
    if (++one->received > STEADY_AFTER && is_wrong(one, data + 12))
        one->wrong++;
}

static void drain(sink *sinks, int count)
{
    uint8_t data[2048];

    for (int i = 0; i < count; i++)
        while (recv(sinks[i].fd, data, sizeof(data), 0) == PACKET)
            take(&sinks[i], data);
}

/* The legs of one slice of a tick: far ends have clocks of their own and do not speak in chorus. */
static void speak(int64_t tick, int slice)
{
    uint16_t turn = (uint16_t)(tick / 2);

    for (int i = (int)(tick % 2) + 2 * slice; i < leg_count; i += 2 * SLICES) {
        write_header(packets[i], turn, (uint32_t)turn * 160, 1000 + (uint32_t)i);
        send(far_ends[i].fd, packets[i], PACKET, 0);
    }
}

static void say_totals(void)
{
    int64_t gaps = 0;
    int64_t wrong = 0;
    int64_t least = INT64_MAX;

    for (int i = 0; i < leg_count + fork_count; i++) {
        const sink *one = i < leg_count ? &far_ends[i] : &recorders[i - leg_count];
        gaps += one->gaps;
        wrong += one->wrong;
        least = one->received < least ? one->received : least;
    }
    printf("{\"gaps\": %lld, \"wrong\": %lld, \"least\": %lld}\n", (long long)gaps,
           (long long)wrong, (long long)least);
}

int main(int count, char **arguments)
{
    int64_t ticks = argument(count, arguments, 1, 10, 3600000, 12000) / 10;

    leg_count = argument(count, arguments, 2, HANDSETS, LEGS_MAX, LEGS);
    judge = (judgement)argument(count, arguments, 3, JUDGE_NOTHING, JUDGE_AUDIBLE, JUDGE_NOTHING);
    fork_count = argument(count, arguments, 4, 0, 1, 1) ? forks_of(leg_count) : 0;
    open_all(count, arguments, 5);
    int64_t due = next_boundary() + SLICE_NS / 2;
    for (int64_t slices = 0; slices < ticks * SLICES; slices++) {
        due += SLICE_NS;
        sleep_until(due);
        speak(slices / SLICES, (int)(slices % SLICES));
        if (slices % SLICES == SLICES / 2) {
            drain(far_ends, leg_count);
            drain(recorders, fork_count);
        }
    }
    say_totals();
    return 0;
}
