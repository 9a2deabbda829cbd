/* An engine stepped by hand; what one leg's far end sends is the fuzzer's.
 *
 * Two more legs share the engine and carry a known signal from one to the other.  Whatever the
 * fuzzer sends: their packets stay those of a run without it, calls per tick stay bounded, the
 * fuzzed leg sends at its own pace and never answers, and its counters count what arrived.
 */
#include <errno.h>
#include <math.h>
#include <string.h>
#include <sys/socket.h>

#include "engine.h"
#include "input.h"
#include "net.h"
#include "srtp.h"

enum {
    TICKS_MAX = 160,
    CALLS_PER_TICK = 512, /* far above what three legs need, far below a loop that never ends */
    SEED = 42,
    BURST_MAX = 100,
    PACKET_SAMPLES = 160,
    FIRST_PORT = 4000,
    FAR = 10000, /* added to a leg's port: its far end's */
    DATAGRAM_MAX = 3000,
    NOISE = 13, /* payload types, where negotiated */
    EVENTS = 101,
    REDUNDANT = 100
};

typedef enum { SPEAKER, LISTENER, FUZZED, LEGS } which;

typedef struct {
    ot_engine *engine;
    ot_leg *legs[LEGS];
    ot_bus *bus;  /* of speaker and listener */
    ot_bus *other; /* of the fuzzed leg and a device */
    ot_device *device;
    uint32_t ticks;
    uint32_t delivered; /* datagrams that went to the fuzzed leg */
} bench;

typedef struct {
    uint64_t hash; /* of everything but the time of reports */
} packet_seen;

static packet_seen expected[TICKS_MAX];
static uint32_t expected_count;
static uint32_t heard_count;
static uint32_t fuzzed_sent;
static int learning;

/* -- what is sent ---------------------------------------------------------------------------- */

static uint64_t hash_of(const uint8_t *data, size_t octets)
{
    uint64_t hash = 0xCBF29CE484222325ULL;

    for (size_t i = 0; i < octets; i++)
        hash = (hash ^ data[i]) * 0x100000001B3ULL;
    return hash;
}

static void hear_listener(const uint8_t *data, size_t octets)
{
    uint64_t hash = hash_of(data, octets);

    if (learning && expected_count < TICKS_MAX)
        expected[expected_count++].hash = hash;
    if (!learning)
        PROMISE(heard_count < expected_count && expected[heard_count].hash == hash);
    heard_count++;
}

static void hear(const net_route *route, const uint8_t *data, size_t octets)
{
    if (route->from_port == FIRST_PORT + 2 * LISTENER)
        hear_listener(data, octets);
    if (route->from_port == FIRST_PORT + 2 * FUZZED)
        fuzzed_sent++;
}

/* -- what arrives ---------------------------------------------------------------------------- */

static void deliver(which leg, const uint8_t *data, size_t octets, int reports)
{
    uint16_t port = (uint16_t)(FIRST_PORT + 2 * leg + reports);
    net_route route = {NET_LOOPBACK, NET_LOOPBACK, (uint16_t)(port + FAR), port};

    net_deliver(&route, data, octets);
}

static void speak(uint32_t tick)
{
    uint8_t packet[12 + PACKET_SAMPLES] = {0x80, 0};
    uint32_t number = tick / 2;
    uint32_t timestamp = number * PACKET_SAMPLES;

    packet[2] = (uint8_t)(number >> 8);
    packet[3] = (uint8_t)number;
    for (int i = 0; i < 4; i++)
        packet[4 + i] = (uint8_t)(timestamp >> (24 - 8 * i));
    packet[11] = 7;
    for (uint32_t i = 0; i < PACKET_SAMPLES; i++)
        packet[12 + i] = (uint8_t)((i * i * 7 + tick * 31) % 128 + (i % 20 < 10 ? 128 : 0));
    deliver(SPEAKER, packet, sizeof(packet), 0);
}

static void step(bench *stand)
{
    uint32_t before = net_calls();

    if (stand->ticks % 2 == 0)
        speak(stand->ticks);
    PROMISE(ot_engine_step(stand->engine, 1) == 0);
    PROMISE(net_calls() - before <= CALLS_PER_TICK);
    stand->ticks++;
}

/* -- the bench ------------------------------------------------------------------------------- */

static ot_leg_remote remote_of(which leg)
{
    return (ot_leg_remote){.address = "127.0.0.1",
                           .rtp_port = (uint16_t)(FIRST_PORT + 2 * leg + FAR),
                           .codec = OT_PCMU,
                           .ptime_ms = 20,
                           .send = 1,
                           .receive = 1};
}

static void open_leg(bench *stand, which leg)
{
    ot_leg_remote remote = remote_of(leg);

    PROMISE(ot_leg_open(&stand->legs[leg], stand->engine, "127.0.0.1",
                        (uint16_t)(FIRST_PORT + 2 * leg), OT_PCMU, 20) == 0);
    PROMISE(ot_leg_connect(stand->legs[leg], &remote) == 0);
}

static void set_up(bench *stand)
{
    memset(stand, 0, sizeof(*stand));
    heard_count = fuzzed_sent = 0;
    net_reset(SEED);
    net_listen(hear);
    PROMISE(ot_engine_create(&stand->engine) == 0);
    for (which leg = SPEAKER; leg < LEGS; leg++)
        open_leg(stand, leg);
    PROMISE(ot_bus_open(&stand->bus, stand->engine, 8000) == 0);
    PROMISE(ot_bus_open(&stand->other, stand->engine, 16000) == 0);
    PROMISE(ot_device_open(&stand->device, stand->engine, 16000, 60, 60) == 0);
    PROMISE(ot_bus_join(stand->bus, ot_leg_port(stand->legs[SPEAKER]), 0, -INFINITY) == 0);
    PROMISE(ot_bus_join(stand->bus, ot_leg_port(stand->legs[LISTENER]), -INFINITY, -1) == 0);
    PROMISE(ot_bus_join(stand->other, ot_leg_port(stand->legs[FUZZED]), 0, 0) == 0);
    PROMISE(ot_bus_join(stand->other, ot_device_port(stand->device), -3, 3) == 0);
}

static void check_counters(const bench *stand)
{
    ot_leg_stats stats;

    PROMISE(ot_leg_read(stand->legs[FUZZED], &stats) == 0);
    PROMISE(stats.packets_received + stats.packets_duplicate + stats.packets_malformed +
                stats.packets_foreign + stats.packets_unauthentic + stats.reports_received <=
            stand->delivered);
    PROMISE(fuzzed_sent <= stand->ticks + 1);
    PROMISE(stats.packets_sent <= stand->ticks);
}

static void tear_down(bench *stand)
{
    net_fail(0, 0);
    ot_engine_destroy(stand->engine);
    PROMISE(net_sockets() == 0);
    PROMISE(net_mappings() == 0);
}

/* -- the fuzzer's program -------------------------------------------------------------------- */

typedef struct {
    uint8_t data[DATAGRAM_MAX];
    size_t octets;
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
} far_end;

static void arrive(bench *stand, far_end *far, int reports)
{
    deliver(FUZZED, far->data, far->octets, reports);
    stand->delivered++;
}

static void write32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void compose(far_end *far, uint8_t kind)
{
    far->data[0] = 0x80;
    far->data[1] = kind;
    far->data[2] = (uint8_t)(far->sequence >> 8);
    far->data[3] = (uint8_t)far->sequence;
    write32(far->data + 4, far->timestamp);
    write32(far->data + 8, far->ssrc);
}

static void send_voice(bench *stand, far_end *far, input *in)
{
    static const uint8_t TYPES[] = {0, 0, 0, 8, 9, NOISE, EVENTS, REDUNDANT, 96, 0x80, 0x80 | EVENTS,
                                    72, 127};
    size_t octets = (size_t)take8(in) * 4;
    uint8_t what = take8(in);
    size_t begin = what >> 4; /* octets of the fuzzer's own, where headers are */

    far->sequence = (uint16_t)(far->sequence + (int8_t)take8(in));
    far->timestamp += (uint32_t)((int8_t)take8(in) * 80);
    far->octets = 12 + octets;
    compose(far, TYPES[(what & 15) % sizeof(TYPES)]);
    memset(far->data + 12, take8(in), octets + 16);
    const uint8_t *own = take(in, &begin);
    if (begin)
        memcpy(far->data + 12, own, begin);
    arrive(stand, far, 0);
}

static void send_raw(bench *stand, far_end *far, input *in, int reports)
{
    size_t octets = take8(in);
    const uint8_t *from = take(in, &octets);

    if (octets)
        memcpy(far->data, from, octets);
    far->octets = octets;
    arrive(stand, far, reports);
}

static void send_burst(bench *stand, far_end *far, input *in)
{
    uint8_t count = take8(in) % BURST_MAX;
    int8_t ahead = (int8_t)take8(in);
    uint8_t kind = far->data[1];

    for (uint8_t i = 0; i < count && far->octets >= 12; i++) {
        far->sequence = (uint16_t)(far->sequence + ahead);
        far->timestamp += (uint32_t)(ahead * PACKET_SAMPLES);
        compose(far, kind);
        arrive(stand, far, 0);
    }
}

/* A proper report about the fuzzed leg, with values of the fuzzer's. */
static void send_report(bench *stand, far_end *far, input *in)
{
    size_t at = take8(in) & 1 ? 28 : 8;

    memset(far->data, 0, 64);
    far->data[0] = 0x81;
    far->data[1] = at == 28 ? 200 : 201;
    far->data[3] = (uint8_t)((at + 24) / 4 - 1);
    for (size_t i = 4; i < at + 24; i++)
        far->data[i] = take8(in);
    write32(far->data + at, ot_leg_ssrc(stand->legs[FUZZED]));
    far->octets = at + 24;
    arrive(stand, far, 1);
}

static void send_stranger(bench *stand, const far_end *far, input *in)
{
    uint8_t what = take8(in);
    net_route route = {NET_LOOPBACK, NET_LOOPBACK, (uint16_t)(50000 + what),
                       (uint16_t)(FIRST_PORT + 2 * FUZZED + (what & 1))};

    net_deliver(&route, far->data, far->octets);
    stand->delivered++;
}

static void negotiate(ot_leg_remote *remote, uint8_t what)
{
    static const uint8_t KEY[64] = {1, 2, 3};
    static const uint8_t SUITES[] = {OT_AES_CM_128_HMAC_SHA1_80, OT_AEAD_AES_128_GCM};

    remote->event_type = what & 1 ? EVENTS : 0;
    remote->noise_type = what & 2 ? NOISE : 0;
    remote->redundant_type = what & 4 ? REDUNDANT : 0;
    remote->redundancy = what >> 3 & 3;
    remote->inband_digits = what >> 5 & 1;
    if (what < 0xC0)
        return;
    remote->srtp_suite = SUITES[what & 1];
    remote->srtp_octets = (uint8_t)ot_srtp_key_octets(remote->srtp_suite);
    remote->srtp_send = remote->srtp_receive = KEY;
}

/* The codec may be none: then the engine says so and nothing changes. */
static void reconnect(bench *stand, input *in)
{
    static const uint8_t CODECS[] = {OT_PCMU,   OT_PCMA,    OT_G722,     OT_L16_8K, OT_L16_16K,
                                     OT_L16_48K, OT_OPUS_8K, OT_OPUS_16K, OT_OPUS_48K, 77};
    ot_leg_remote remote = remote_of(FUZZED);
    uint8_t what = take8(in);

    remote.codec = CODECS[take8(in) % sizeof(CODECS)];
    remote.payload_type = take8(in);
    remote.ptime_ms = (uint8_t)(10 * (what & 3));
    negotiate(&remote, take8(in));
    remote.send = what >> 2 & 1;
    remote.receive = what >> 3 & 1;
    remote.rtp_port = (uint16_t)(remote.rtp_port + (what >> 4 & 1) * 2);
    (void)ot_leg_connect(stand->legs[FUZZED], &remote);
}

static void rejoin(bench *stand, input *in)
{
    uint32_t port = ot_leg_port(stand->legs[FUZZED]);
    uint8_t what = take8(in);

    if (what & 2)
        (void)ot_leg_dial(stand->legs[FUZZED], what >> 4, (what & 12) * 50U);
    if (what & 1)
        PROMISE(ot_bus_leave(stand->other, port) == 0);
    else
        PROMISE(ot_bus_join(stand->other, port, (float)(what >> 4), (float)(what & 15) - 8) == 0);
}

static void use_device(bench *stand, input *in)
{
    int16_t pcm[PACKET_SAMPLES] = {0};
    uint32_t samples = take8(in) % PACKET_SAMPLES;

    memset(pcm, take8(in), samples * sizeof(*pcm));
    ot_device_write(stand->device, pcm, samples);
    ot_device_read(stand->device, pcm, samples);
}

static void wait_ticks(bench *stand, uint32_t count)
{
    for (uint32_t i = 0; i <= count && stand->ticks < TICKS_MAX; i++)
        step(stand);
}

static void change_source(far_end *far, input *in)
{
    far->ssrc = take8(in) & 3;
    far->sequence = take16(in);
    far->timestamp = take32(in);
}

static void one_step(bench *stand, far_end *far, input *in)
{
    uint8_t what = take8(in);

    switch (what >> 4) {
    case 0: case 1: case 2: case 3:
        send_voice(stand, far, in);
        break;
    case 4: case 5: case 6: case 7:
        wait_ticks(stand, what & 15);
        break;
    case 8:
        send_raw(stand, far, in, what & 1);
        break;
    case 9:
        send_report(stand, far, in);
        break;
    case 10:
        send_burst(stand, far, in);
        break;
    case 11:
        send_stranger(stand, far, in);
        break;
    case 12:
        reconnect(stand, in);
        break;
    case 13:
        rejoin(stand, in);
        break;
    case 14:
        use_device(stand, in);
        break;
    default:
        change_source(far, in);
    }
}

static void learn(void)
{
    bench stand;

    learning = 1;
    set_up(&stand);
    wait_ticks(&stand, TICKS_MAX);
    tear_down(&stand);
    learning = 0;
    PROMISE(expected_count > TICKS_MAX / 3);
}

/* libsrtp loads its ciphers with the first session and unloads them with the last. */
static void keep_ciphers_loaded(void)
{
    static const uint8_t KEY[64];
    static ot_srtp *kept;

    if (kept == NULL)
        PROMISE(ot_srtp_create(&kept, OT_AEAD_AES_128_GCM, OT_SRTP_OUT, KEY,
                               ot_srtp_key_octets(OT_AEAD_AES_128_GCM)) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};
    far_end far = {.ssrc = 1};
    bench stand;

    keep_ciphers_loaded();
    if (expected_count == 0)
        learn();
    set_up(&stand);
    while (in.left && stand.ticks < TICKS_MAX)
        one_step(&stand, &far, &in);
    wait_ticks(&stand, 1);
    check_counters(&stand);
    tear_down(&stand);
    return 0;
}
