/* librem's audio mixer, as it is, but in time of our own.
 *
 * Its thread sleeps, looks at the clock and mixes a frame when one is due.  Here the sleep feeds the
 * sources instead and lets a frame's time pass at once: what is measured is putting and mixing, not
 * waking up, and a run takes as long as its work.
 */
#include <semaphore.h>
#include <stdbool.h>
#include <unistd.h>

#include "work.h" /* before re.h, which leaves the integers to others */

#define HAVE_INTTYPES_H
#define HAVE_SOCKLEN_T
#include <re.h>
#include <rem.h>

static int16_t voices[STREAMS_MAX * FRAME_SAMPLES];
static struct aumix_source *sources[STREAMS_MAX];
static work asked;
static sem_t ready, done;
static uint64_t now_ms = 1;
static int frames, heard, heard_any;
static double began_ns, used_ns;

static void hear(const int16_t *sampv, size_t sampc, void *arg)
{
    (void)arg;
    heard++;
    if (sampc && sampv[0])
        heard_any = 1;
}

static void feed(void)
{
    for (int i = 0; i < asked.streams; i++)
        if (aumix_source_put(sources[i], voices + i * FRAME_SAMPLES, FRAME_SAMPLES) != 0)
            give_up("a source takes nothing");
}

/* In place of libre's clock. */
uint64_t tmr_jiffies(void)
{
    return now_ms;
}

/* In place of libc's: only the mixer's thread sleeps. */
int usleep(useconds_t us)
{
    int warm_up = warm_up_frames(asked);

    (void)us;
    if (frames == 0)
        sem_wait(&ready);
    if (frames == warm_up)
        began_ns = cpu_ns();
    if (frames == warm_up + asked.frames) {
        used_ns = cpu_ns() - began_ns;
        sem_post(&done);
        sem_wait(&ready);
    }
    feed();
    now_ms += PTIME_MS;
    frames++;
    return 0;
}

int main(int argc, char **argv)
{
    struct aumix *mix;

    asked = read_work(argc, argv);
    fill_voices(voices, asked.streams);
    sem_init(&ready, 0, 0);
    sem_init(&done, 0, 0);
    if (aumix_alloc(&mix, RATE_HZ, 1, PTIME_MS) != 0)
        give_up("no mixer");
    for (int i = 0; i < asked.streams; i++) {
        if (aumix_source_alloc(&sources[i], mix, hear, NULL) != 0)
            give_up("no source");
        aumix_source_enable(sources[i], true);
    }
    sem_post(&ready);
    sem_wait(&done);
    if (!heard_any || heard < frames * asked.streams)
        give_up("not everyone heard every frame");
    report(asked, used_ns);
    return 0;
}
