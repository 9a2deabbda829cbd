/* The floor: receives and sends the same packets and does nothing else with them.
 *
 *   bare <warm-up ms> <measured ms> [legs] [recorders: 0 or 1]
 */
#include "work.h"

enum { FULL_DRAIN_EVERY = 16 };

static int leg_count;
static int fork_count;
static int legs[LEGS_MAX];
static int forks[FORKS_MAX];
static uint8_t packets[LEGS_MAX + FORKS_MAX][PACKET];
static int64_t lost;

static void open_all(void)
{
    for (int i = 0; i < leg_count; i++)
        legs[i] = wired(LEG_PORT + 2 * i, FAR_PORT + 2 * i);
    for (int i = 0; i < fork_count; i++)
        forks[i] = wired(FORK_PORT + 2 * i, RECORDER_PORT + 2 * i);
    for (int i = 0; i < leg_count + fork_count; i++)
        memset(packets[i] + 12, i + 1, PACKET - 12);
}

static void receive(int fd, int64_t turn)
{
    uint8_t data[2048];

    if (recv(fd, data, sizeof(data), 0) < 0 || turn % FULL_DRAIN_EVERY != 0)
        return;
    while (recv(fd, data, sizeof(data), 0) >= 0)
        ;
}

static void transmit(int fd, uint8_t *packet, int64_t turn, int ssrc)
{
    write_header(packet, (uint16_t)turn, (uint32_t)turn * 160, (uint32_t)ssrc);
    if (send(fd, packet, PACKET, 0) != PACKET)
        lost++;
}

static void tick(int64_t number)
{
    int64_t turn = number / 2;
    int phase = (int)(number % 2);

    for (int i = phase; i < leg_count; i += 2) {
        receive(legs[i], turn + i);
        transmit(legs[i], packets[i], turn, i);
    }
    for (int i = 0; i < fork_count; i++)
        if (i / 2 % 2 == phase)
            transmit(forks[i], packets[leg_count + i], turn, leg_count + i);
}

int main(int count, char **arguments)
{
    int64_t warm = argument(count, arguments, 1, 0, 3600000, 500) / 10;
    int64_t measured = argument(count, arguments, 2, 10, 3600000, 10000) / 10;
    int64_t begun_ns = 0;

    leg_count = argument(count, arguments, 3, HANDSETS, LEGS_MAX, LEGS);
    fork_count = argument(count, arguments, 4, 0, 1, 1) ? forks_of(leg_count) : 0;
    open_all();
    int64_t due = next_boundary();
    for (int64_t ticks = 0; ticks < warm + measured; ticks++) {
        due += TICK_NS;
        sleep_until(due);
        if (ticks == warm)
            begun_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        tick(ticks);
    }
    say_result(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begun_ns, measured, lost);
    return 0;
}
