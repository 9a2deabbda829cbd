/* Every function that crosses from Python, in any order, with any argument, on handles open or
 * closed: refused or done, never a crash, a leak or a standstill; and no call of the kernel's that
 * fails may leave anything behind.
 */
#include <errno.h>
#include <math.h>
#include <string.h>

#include "engine.h"
#include "input.h"
#include "net.h"
#include "srtp.h"
#include "tone.h"

enum {
    HANDLES = 6, /* of a kind; closed ones stay in the table until another takes the place */
    CALLS_MAX = 300,
    TICKS_MAX = 100,
    SAMPLES_MAX = 1000,
    SEED = 7
};

typedef struct {
    ot_engine *engine;
    ot_leg *legs[HANDLES];
    ot_device *devices[HANDLES];
    ot_bus *buses[HANDLES];
    ot_source *sources[HANDLES];
    ot_recording *recordings[HANDLES];
    uint32_t ticks;
    input in;
} bench;

static uint32_t pick(bench *stand)
{
    return take8(&stand->in) % HANDLES;
}

static const char *pick_address(bench *stand)
{
    static const char *const ADDRESSES[] = {
        "127.0.0.1", "127.0.0.1", "127.0.0.1", "127.0.0.2", "0.0.0.0", "255.255.255.255",
        "10.0.0.1",  "",          "localhost", "::1",       "127.1",   "1.2.3.4.5",
        "999.1.1.1", " 127.0.0.1", NULL};
    return ADDRESSES[take8(&stand->in) % (sizeof(ADDRESSES) / sizeof(*ADDRESSES))];
}

/* Few even ports and now and then any, so that collisions happen. */
static uint16_t pick_port(bench *stand)
{
    uint8_t what = take8(&stand->in);
    return what < 0xF0 ? (uint16_t)(4000 + 2 * (what % 16)) : take16(&stand->in);
}

static int pick_codec(bench *stand)
{
    static const int CODECS[] = {OT_PCMU,     OT_PCMA,     OT_G722,    OT_L16_8K, OT_L16_16K,
                                 OT_L16_48K, OT_OPUS_8K, OT_OPUS_16K, OT_OPUS_48K, -1,
                                 INT32_MAX};
    uint8_t what = take8(&stand->in);
    return what < 0x80 ? what & 8 : CODECS[what % (sizeof(CODECS) / sizeof(*CODECS))];
}

static uint32_t pick_ptime(bench *stand)
{
    uint8_t what = take8(&stand->in);
    return what < 0xC0 ? 10U + what % 3 * 10U : what < 0xE0 ? what : take32(&stand->in);
}

static uint32_t pick_rate(bench *stand)
{
    static const uint32_t RATES_HZ[] = {8000, 16000, 48000};
    uint8_t what = take8(&stand->in);
    return what < 0xF0 ? RATES_HZ[what % 3] : take32(&stand->in);
}

static float pick_gain(bench *stand)
{
    static const float GAINS[] = {-INFINITY, 0, 0, -6, 3, 20, 20.5F, INFINITY, NAN, -1e30F, 1e30F};
    return GAINS[take8(&stand->in) % (sizeof(GAINS) / sizeof(*GAINS))];
}

/* A port of a handle, or any number. */
static uint32_t pick_any_port(bench *stand)
{
    uint8_t what = take8(&stand->in);
    uint32_t which = what % HANDLES;

    if (what < 0x50 && stand->legs[which])
        return ot_leg_port(stand->legs[which]);
    if (what < 0xA0 && stand->devices[which])
        return ot_device_port(stand->devices[which]);
    if (what < 0xE0 && stand->sources[which])
        return ot_source_port(stand->sources[which]);
    return take32(&stand->in);
}

/* -- legs ------------------------------------------------------------------------------------ */

static void leg_open(bench *stand)
{
    ot_leg *leg;
    uint32_t which = pick(stand);
    const char *address = pick_address(stand);
    uint16_t port = pick_port(stand);
    int codec = pick_codec(stand);

    if (ot_leg_open(&leg, stand->engine, address, port, codec, pick_ptime(stand)) == 0)
        stand->legs[which] = leg;
}

static void protect(bench *stand, ot_leg_remote *remote)
{
    static const uint8_t KEYS[2][64] = {{1}, {2}};
    uint8_t what = take8(&stand->in);

    remote->srtp_suite = what & 15;
    remote->srtp_octets = what < 0xE0 ? (uint8_t)ot_srtp_key_octets(what & 15) : what & 63;
    remote->srtp_send = what == 0xFF ? NULL : KEYS[what >> 4 & 1];
    remote->srtp_receive = KEYS[what >> 5 & 1];
}

static void negotiate(bench *stand, ot_leg_remote *remote)
{
    uint8_t what = take8(&stand->in);

    if (what & 1) {
        remote->event_type = take8(&stand->in);
        remote->noise_type = take8(&stand->in);
        remote->redundant_type = take8(&stand->in);
        remote->redundancy = what >> 4;
    }
    remote->inband_digits = what & 2;
    if (what & 4)
        remote->encoding = (ot_encoder_options){take32(&stand->in), take8(&stand->in),
                                                take8(&stand->in), take8(&stand->in)};
    if (what & 8)
        protect(stand, remote);
}

static void leg_connect(bench *stand)
{
    ot_leg *leg = stand->legs[pick(stand)];
    uint8_t what = take8(&stand->in);
    ot_leg_remote remote = {.address = pick_address(stand),
                            .rtp_port = pick_port(stand),
                            .rtcp_port = what & 4 ? pick_port(stand) : 0,
                            .codec = (uint8_t)pick_codec(stand),
                            .payload_type = take8(&stand->in),
                            .ptime_ms = (uint8_t)pick_ptime(stand),
                            .send = what & 1,
                            .receive = what & 2};
    negotiate(stand, &remote);
    if (leg)
        (void)ot_leg_connect(leg, &remote);
}

static void leg_use(bench *stand)
{
    ot_leg *leg = stand->legs[pick(stand)];
    ot_leg_stats stats;
    uint8_t what = take8(&stand->in);

    if (leg == NULL)
        return;
    if (what < 0x40)
        PROMISE(ot_leg_read(leg, &stats) == 0);
    else if (what < 0x60)
        (void)ot_leg_reset_gaps(leg);
    else if (what < 0xA0)
        (void)ot_leg_dial(leg, take8(&stand->in) & 31, take16(&stand->in));
    else
        (void)ot_leg_close(leg);
    (void)ot_leg_ssrc(leg);
}

/* -- devices --------------------------------------------------------------------------------- */

static void device_open(bench *stand)
{
    ot_device *device;
    uint32_t which = pick(stand);
    uint8_t what = take8(&stand->in);
    uint32_t rate_hz = pick_rate(stand);
    uint32_t capture_ms = what & 1 ? take32(&stand->in) : 20U + what;
    uint32_t playback_ms = what & 2 ? take32(&stand->in) : 20U + what;

    if (ot_device_open(&device, stand->engine, rate_hz, capture_ms, playback_ms) == 0)
        stand->devices[which] = device;
}

static void device_use(bench *stand)
{
    ot_device *device = stand->devices[pick(stand)];
    ot_device_stats stats;
    int16_t pcm[SAMPLES_MAX] = {0};
    uint8_t what = take8(&stand->in);
    uint32_t samples = take16(&stand->in) % SAMPLES_MAX;

    if (device == NULL)
        return;
    if (what < 0x40)
        PROMISE(ot_device_write(device, pcm, samples) <= samples);
    else if (what < 0x80)
        ot_device_read(device, pcm, samples);
    else if (what < 0xC0)
        PROMISE(ot_device_stats_read(device, &stats) == 0);
    else
        (void)ot_device_close(device);
}

static void device_set(bench *stand)
{
    ot_device *device = stand->devices[pick(stand)];
    uint8_t what = take8(&stand->in);
    uint32_t ports[HANDLES];
    uint32_t count = take8(&stand->in) % HANDLES;
    ot_voice_options options = {what & 4, what & 8, take8(&stand->in) & 63, take16(&stand->in) & 1023};

    for (uint32_t i = 0; i < count; i++)
        ports[i] = pick_any_port(stand);
    float gain_db = pick_gain(stand);
    if (device == NULL)
        return;
    if (what < 0x40)
        (void)ot_device_mute(device, what & 1, what & 2);
    else if (what < 0x80)
        (void)ot_device_sidetone(device, gain_db);
    else if (what < 0xC0)
        (void)ot_device_duck(device, ports, count, gain_db, take16(&stand->in), take16(&stand->in));
    else
        (void)ot_device_clean(device, what & 1 ? NULL : &options, ports, count);
}

/* -- sources --------------------------------------------------------------------------------- */

static void source_open(bench *stand)
{
    ot_source *source;
    uint32_t which = pick(stand);

    if (ot_source_open(&source, stand->engine, pick_rate(stand)) == 0)
        stand->sources[which] = source;
}

static ot_tone_spec pick_tone(bench *stand)
{
    uint8_t what = take8(&stand->in);

    if (what < 0x80)
        return *ot_tone_find("gb", what & 1 ? "ringback" : "busy");
    return (ot_tone_spec){.parts = {{take16(&stand->in), pick_gain(stand)},
                                    {take16(&stand->in), -9}},
                          .steps = {{take16(&stand->in), take16(&stand->in)}},
                          .repeats = take8(&stand->in)};
}

static void source_use(bench *stand)
{
    static const int16_t CLIP[SAMPLES_MAX] = {1000, -1000};
    ot_source *source = stand->sources[pick(stand)];
    uint8_t what = take8(&stand->in);
    ot_tone_spec tone = pick_tone(stand);

    if (source == NULL)
        return;
    if (what < 0x60)
        (void)ot_source_tone(source, &tone);
    else if (what < 0xA0)
        (void)ot_source_clip(source, CLIP, take16(&stand->in) % SAMPLES_MAX, what & 3);
    else if (what < 0xC0)
        (void)ot_source_stop(source);
    else
        (void)ot_source_close(source);
}

/* -- buses ----------------------------------------------------------------------------------- */

static void bus_open(bench *stand)
{
    ot_bus *bus;
    uint32_t which = pick(stand);

    if (ot_bus_open(&bus, stand->engine, pick_rate(stand)) == 0)
        stand->buses[which] = bus;
}

static void bus_use(bench *stand)
{
    ot_bus *bus = stand->buses[pick(stand)];
    uint8_t what = take8(&stand->in);
    uint32_t port = pick_any_port(stand);
    float talk_db = pick_gain(stand);
    float listen_db = pick_gain(stand);

    if (bus == NULL)
        return;
    if (what < 0xA0)
        (void)ot_bus_join(bus, port, talk_db, listen_db);
    else if (what < 0xC0)
        (void)ot_bus_leave(bus, port);
    else if (what < 0xE0)
        (void)ot_bus_loudest(bus, port & 7);
    else
        (void)ot_bus_close(bus);
}

/* -- recordings ------------------------------------------------------------------------------ */

static void recording_open(bench *stand)
{
    ot_recording *recording;
    uint32_t which = pick(stand);
    int codec = pick_codec(stand);

    uint32_t ptime_ms = pick_ptime(stand);
    if (ot_recording_open(&recording, stand->engine, codec, ptime_ms, take8(&stand->in) & 1) == 0)
        stand->recordings[which] = recording;
}

static uint32_t pick_index(bench *stand)
{
    uint8_t what = take8(&stand->in);
    return what < 0xA0 ? what & 1 : what < 0xF0 ? what & 15 : take32(&stand->in);
}

static void recording_fork(bench *stand)
{
    ot_recording *recording = stand->recordings[pick(stand)];
    uint32_t index = pick_index(stand);
    const char *address = pick_address(stand);
    uint16_t port = pick_port(stand);
    const char *remote = pick_address(stand);
    uint16_t remote_port = pick_port(stand);

    if (recording)
        (void)ot_recording_fork(recording, index, address, port, remote, remote_port,
                                take8(&stand->in));
}

static void recording_use(bench *stand)
{
    ot_recording *recording = stand->recordings[pick(stand)];
    ot_bus *bus = stand->buses[pick(stand)];
    ot_fork_stats stats;
    uint32_t index = pick_index(stand);
    uint8_t what = take8(&stand->in);

    if (recording == NULL)
        return;
    if (what < 0x60 && bus)
        (void)ot_recording_tap(recording, bus);
    else if (what < 0x80 && bus)
        (void)ot_recording_untap(recording, bus);
    else if (what < 0xA0)
        (void)ot_recording_unfork(recording, index);
    else if (what < 0xD0)
        (void)ot_recording_read(recording, index, &stats);
    else
        (void)ot_recording_close(recording);
    (void)ot_recording_ssrc(recording);
}

/* -- the engine ------------------------------------------------------------------------------ */

/* EALREADY while the thread runs. */
static void step(bench *stand, uint32_t ticks)
{
    ticks = stand->ticks + ticks > TICKS_MAX ? TICKS_MAX - stand->ticks : ticks;
    stand->ticks += ticks;
    (void)ot_engine_step(stand->engine, ticks);
}

static void engine_use(bench *stand)
{
    ot_tick_stats stats;
    ot_event event;
    uint8_t what = take8(&stand->in);

    if (what < 0x60)
        PROMISE(ot_engine_read_ticks(stand->engine, &stats) == 0);
    else if (what < 0xD0)
        (void)ot_engine_next_event(stand->engine, &event);
    else if (what < 0xE8)
        (void)ot_engine_start(stand->engine, what & 1);
    else
        PROMISE(ot_engine_stop(stand->engine) == 0);
    (void)ot_engine_is_realtime(stand->engine);
    (void)ot_engine_events_lost(stand->engine);
    (void)ot_lateness_bound_us(what);
}

/* Something for the legs to hear, so that there is sound to mix and reports to read. */
static void deliver(bench *stand)
{
    uint16_t from = pick_port(stand);
    uint16_t to = pick_port(stand);
    net_route route = {NET_LOOPBACK, NET_LOOPBACK, from, to};
    size_t octets = take8(&stand->in);
    const uint8_t *data = take(&stand->in, &octets);

    net_deliver(&route, data, octets);
}

static void fail(bench *stand)
{
    static const int ERRORS[] = {12, 24, 98, 99, 101, 105, 111, 113};
    uint8_t what = take8(&stand->in);

    net_fail(what & 15, ERRORS[what >> 4 & 7]);
}

static void one_call(bench *stand)
{
    static void (*const CALLS[])(bench *) = {
        leg_open,    leg_connect,    leg_connect, leg_use,        device_open,    device_use,
        device_set,  source_open,    source_use,  bus_open,       bus_use,        bus_use,
        bus_use,     recording_open, recording_fork, recording_use, engine_use,   deliver,
        fail};
    uint8_t what = take8(&stand->in);

    if (what >= 0xE0)
        step(stand, what & 15);
    else
        CALLS[what % (sizeof(CALLS) / sizeof(*CALLS))](stand);
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
    bench stand = {.in = {data, octets}};

    keep_ciphers_loaded();
    net_reset(SEED);
    if (take8(&stand.in) >= 0xF0)
        fail(&stand);
    if (ot_engine_create(&stand.engine) == 0) {
        for (int i = 0; i < CALLS_MAX && stand.in.left; i++)
            one_call(&stand);
        net_fail(0, 0);
        ot_engine_destroy(stand.engine);
    }
    PROMISE(net_sockets() == 0);
    PROMISE(net_mappings() == 0);
    return 0;
}
