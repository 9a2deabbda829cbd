/* Drives a running engine from several threads, for ThreadSanitizer and LeakSanitizer.
 *
 * Two legs talk to each other over loopback.  Meanwhile two threads open, join, fork and close
 * things of their own and of all, one reads statistics, one carries a device's samples, and one
 * sends rubbish to every port.  The engine stops, starts, and ends with much still open.  Succeeds
 * when packets flowed and the sanitizer stayed silent.  The one argument is an even port near
 * which ports are free; those that are taken are passed over.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "engine.h"
#include "srtp.h"

enum { ROUNDS = 20, CHURNERS = 2, HELPERS = 3, PORTS = 400, RUBBISH_MAX = 300 };

static ot_engine *engine;
static ot_leg *legs[2];
static ot_device *device;
static ot_bus *meeting;
static uint16_t leg_ports[2];
static uint16_t first_port;
static uint32_t ports_tried;
static int done;

static void check(int error, const char *what)
{
    if (error) {
        fprintf(stderr, "%s: error %d\n", what, error);
        exit(2);
    }
}

#define DONE(call) check(call, #call)

static void pause_ms(long milliseconds)
{
    struct timespec time = {0, milliseconds * 1000000};
    nanosleep(&time, NULL);
}

static int is_done(void)
{
    return __atomic_load_n(&done, __ATOMIC_ACQUIRE);
}

static uint16_t next_port(void)
{
    uint32_t tried = __atomic_fetch_add(&ports_tried, 1, __ATOMIC_RELAXED);
    return (uint16_t)(first_port + 2 * (tried % PORTS));
}

/* -- helpers --------------------------------------------------------------------------------- */

static void *read_statistics(void *unused)
{
    ot_leg_stats leg;
    ot_tick_stats ticks;
    ot_device_stats rings;
    ot_event event;

    while (!is_done()) {
        DONE(ot_leg_read(legs[0], &leg));
        DONE(ot_engine_read_ticks(engine, &ticks));
        DONE(ot_device_stats_read(device, &rings));
        (void)ot_engine_is_realtime(engine);
        (void)ot_engine_next_event(engine, &event);
        (void)ot_engine_events_lost(engine);
        pause_ms(1);
    }
    return unused;
}

static void *carry_samples(void *unused)
{
    int16_t pcm[2 * OT_TICK_SAMPLES] = {1000};

    while (!is_done()) {
        ot_device_write(device, pcm, 2 * OT_TICK_SAMPLES);
        ot_device_read(device, pcm, 2 * OT_TICK_SAMPLES);
        pause_ms(5);
    }
    return unused;
}

/* Strangers' packets: RTP that is none, reports that lie. */
static void *send_rubbish(void *unused)
{
    uint8_t data[RUBBISH_MAX] = {0x81, 200, 0, 6};
    int fd = socket(AF_INET, SOCK_DGRAM, 0);

    for (uint32_t i = 0; !is_done(); i++) {
        struct sockaddr_in there = {.sin_family = AF_INET,
                                    .sin_port = htons((uint16_t)(first_port + i % (2 * PORTS))),
                                    .sin_addr = {htonl(INADDR_LOOPBACK)}};
        (void)sendto(fd, data, i % RUBBISH_MAX, 0, (struct sockaddr *)&there, sizeof(there));
        if (i % 32 == 0)
            pause_ms(1);
    }
    close(fd);
    return unused;
}

static void *(*const HELPER[HELPERS])(void *) = {read_statistics, carry_samples, send_rubbish};

/* -- the control side ------------------------------------------------------------------------ */

static void connect_leg(ot_leg *leg, uint16_t port, uint8_t codec)
{
    ot_leg_remote remote = {.address = "127.0.0.1",
                            .rtp_port = port,
                            .codec = codec,
                            .payload_type = codec,
                            .ptime_ms = 20,
                            .send = 1,
                            .receive = 1};
    DONE(ot_leg_connect(leg, &remote));
}

static uint16_t open_leg(ot_leg **leg, int codec)
{
    uint16_t port;
    int error;

    do {
        port = next_port();
        error = ot_leg_open(leg, engine, "127.0.0.1", port, codec, 20);
    } while (error == EADDRINUSE);
    check(error, "open a leg");
    return port;
}

static void fork_to(ot_recording *recording, uint32_t index, uint16_t remote_port)
{
    int error;

    do
        error = ot_recording_fork(recording, index, "127.0.0.1", next_port(), "127.0.0.1",
                                  remote_port, 0);
    while (error == EADDRINUSE);
    check(error, "fork a recording");
}

static void change_passing_leg(ot_leg *passing, uint16_t port)
{
    ot_leg_stats stats;

    connect_leg(passing, leg_ports[0], OT_PCMU);
    DONE(ot_bus_join(meeting, ot_leg_port(passing), -6, 0));
    pause_ms(10);
    connect_leg(passing, (uint16_t)(port + 1000), OT_PCMA); /* elsewhere, otherwise */
    DONE(ot_bus_join(meeting, ot_leg_port(passing), -INFINITY, 3));
    DONE(ot_leg_reset_gaps(passing));
    DONE(ot_leg_read(passing, &stats));
}

/* Another codec with all that can be negotiated, then keys. */
static void enrich_passing_leg(ot_leg *passing)
{
    static const uint8_t KEY[64] = {1};
    ot_leg_remote remote = {.address = "127.0.0.1",
                            .rtp_port = leg_ports[0],
                            .codec = OT_OPUS_16K,
                            .payload_type = 96,
                            .ptime_ms = 20,
                            .send = 1,
                            .receive = 1,
                            .event_type = 101,
                            .noise_type = 13,
                            .redundant_type = 100,
                            .redundancy = 2,
                            .inband_digits = 1};
    DONE(ot_leg_connect(passing, &remote));
    DONE(ot_leg_dial(passing, 5, 60));
    pause_ms(10);
    remote.srtp_suite = OT_AES_CM_128_HMAC_SHA1_80;
    remote.srtp_octets = (uint8_t)ot_srtp_key_octets(remote.srtp_suite);
    remote.srtp_send = remote.srtp_receive = KEY;
    DONE(ot_leg_connect(passing, &remote));
    pause_ms(10);
}

static void use_desk(ot_bus *bus, ot_device *ear)
{
    static const int16_t CLIP[300] = {1000};
    const ot_voice_options options = {.echo = 1, .noise_db = 10, .tail_ms = 50};
    uint32_t own = ot_device_port(ear);
    ot_source *source;

    DONE(ot_device_clean(ear, &options, &own, 1));
    DONE(ot_device_mute(ear, 1, 0));
    DONE(ot_device_sidetone(ear, -12));
    DONE(ot_device_duck(ear, &own, 1, 12, 100, 100));
    DONE(ot_bus_loudest(bus, 2));
    DONE(ot_source_open(&source, engine, 8000));
    DONE(ot_bus_join(bus, ot_source_port(source), 0, -INFINITY));
    DONE(ot_source_clip(source, CLIP, 300, 0));
    pause_ms(10);
    DONE(ot_source_tone(source, ot_tone_find("gb", "busy")));
    DONE(ot_device_clean(ear, NULL, NULL, 0));
    DONE(ot_source_close(source));
}

static void one_round(ot_recording *recording, uint16_t round)
{
    ot_bus *other;
    ot_leg *passing;
    ot_device *ear;
    ot_fork_stats stats;
    uint16_t port = open_leg(&passing, OT_PCMU);

    DONE(ot_bus_open(&other, engine, 16000));
    DONE(ot_device_open(&ear, engine, 48000, 20, 20));
    DONE(ot_recording_tap(recording, other));
    DONE(ot_bus_join(other, ot_leg_port(legs[0]), 0, -3));
    DONE(ot_bus_join(other, ot_device_port(ear), 0, 0));
    fork_to(recording, round % OT_FORKS, (uint16_t)(40000 + 2 * round));
    change_passing_leg(passing, port);
    enrich_passing_leg(passing);
    use_desk(other, ear);
    DONE(ot_recording_read(recording, round % OT_FORKS, &stats));
    DONE(ot_leg_close(passing));
    DONE(ot_recording_untap(recording, other));
    DONE(ot_bus_close(other));
    DONE(ot_device_close(ear));
    DONE(ot_recording_unfork(recording, round % OT_FORKS));
    pause_ms(10);
}

static void *churn(void *unused)
{
    ot_recording *recording;

    DONE(ot_recording_open(&recording, engine, OT_PCMA, 20, 0));
    DONE(ot_recording_tap(recording, meeting));
    for (uint16_t round = 0; round < ROUNDS; round++)
        one_round(recording, round);
    fork_to(recording, 0, leg_ports[0]); /* stays open to the end */
    return unused;
}

/* -- all together ---------------------------------------------------------------------------- */

static void set_up(void)
{
    DONE(ot_engine_create(&engine));
    DONE(ot_engine_start(engine, 0));
    for (int i = 0; i < 2; i++)
        leg_ports[i] = open_leg(&legs[i], OT_PCMU);
    connect_leg(legs[0], leg_ports[1], OT_PCMU);
    connect_leg(legs[1], leg_ports[0], OT_PCMU);
    DONE(ot_device_open(&device, engine, 16000, 60, 60));
    DONE(ot_bus_open(&meeting, engine, 8000));
    DONE(ot_bus_join(meeting, ot_leg_port(legs[0]), 0, 0));
    DONE(ot_bus_join(meeting, ot_device_port(device), 0, 0));
}

static void run_churners(void)
{
    pthread_t churners[CHURNERS];

    for (int i = 0; i < CHURNERS; i++)
        pthread_create(&churners[i], NULL, churn, NULL);
    for (int i = 0; i < CHURNERS; i++)
        pthread_join(churners[i], NULL);
    DONE(ot_engine_stop(engine));
    DONE(ot_engine_step(engine, 3));
    DONE(ot_engine_start(engine, 0));
    pause_ms(50);
}

int main(int count, char **arguments)
{
    pthread_t helpers[HELPERS];
    ot_leg_stats stats;

    first_port = (uint16_t)(count > 1 ? atoi(arguments[1]) : 0);
    set_up();
    for (int i = 0; i < HELPERS; i++)
        pthread_create(&helpers[i], NULL, HELPER[i], NULL);
    run_churners();
    __atomic_store_n(&done, 1, __ATOMIC_RELEASE);
    for (int i = 0; i < HELPERS; i++)
        pthread_join(helpers[i], NULL);
    DONE(ot_leg_read(legs[1], &stats));
    ot_engine_destroy(engine);
    printf("%llu packets\n", (unsigned long long)stats.packets_received);
    return stats.packets_received > 10 ? 0 : 1;
}
