/* The floor: receives and sends the same packets and does nothing else with them.
 *
 *   bare <warm-up ms> <measured ms>
 */
#include "work.h"

enum { FULL_DRAIN_EVERY = 16 };

static int legs[LEGS];
static int forks[FORKS];
static uint8_t packets[LEGS + FORKS][PACKET];
static int64_t lost;

static void open_all(void)
{
    for (int i = 0; i < LEGS; i++)
        legs[i] = wired(LEG_PORT + 2 * i, FAR_PORT + 2 * i);
    for (int i = 0; i < FORKS; i++)
        forks[i] = wired(FORK_PORT + 2 * i, RECORDER_PORT + 2 * i);
    for (int i = 0; i < LEGS + FORKS; i++)
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

    for (int i = phase; i < LEGS; i += 2) {
        receive(legs[i], turn + i);
        transmit(legs[i], packets[i], turn, i);
    }
    for (int i = 0; i < FORKS; i++)
        if (i / 2 % 2 == phase)
            transmit(forks[i], packets[LEGS + i], turn, LEGS + i);
}

int main(int count, char **arguments)
{
    int64_t warm = count > 2 ? atoi(arguments[1]) / 10 : 50;
    int64_t measured = count > 2 ? atoi(arguments[2]) / 10 : 1000;
    int64_t begun_ns = 0;

    open_all();
    int64_t due = clock_ns(CLOCK_MONOTONIC);
    for (int64_t number = 0; number < warm + measured; number++) {
        due += TICK_NS;
        sleep_until(due);
        if (number == warm)
            begun_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        tick(number);
    }
    say_result(clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begun_ns, measured, lost);
    return 0;
}
