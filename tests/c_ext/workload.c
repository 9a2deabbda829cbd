/* Everything an engine can do, in scenes, for whoever watches its ticks.
 *
 * A scene is a function of the table at the end: it acts as the control side and as the far ends,
 * and lets ticks pass in between.  Whoever adds a feature to the tick adds a scene.  At the end
 * the counters say whether what should have happened did: a scene that no longer reaches its code
 * is noticed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <math.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "comfort.h"
#include "dtmf.h"
#include "purity.h"
#include "redundancy.h"
#include "srtp.h"

enum {
    LEGS = 8,
    TICKS = 12,
    PACKET_MAX = 2000,
    PTIME_MS = 20,
    FIRST_PORT = 20000,
    PORTS = 40000,
    DYNAMIC = 96, /* payload types */
    NOISE = 13,
    EVENTS = 101,
    REDUNDANT = 100
};

/* Legs of the cast: who is the subject of which scene. */
enum { ORDINARY = 0, LEAVER = 3, RICH = 4, OPUS = 5, PROTECTED = 7 };

typedef struct {
    int rtp;
    int rtcp;
    uint16_t port;
    uint16_t leg_port;
    uint16_t sequence;
    uint32_t timestamp;
    uint32_t ssrc;
    uint8_t payload_type;
    int codec;
    uint32_t units; /* of the RTP clock in a packet */
    ot_encoder *encoder;
    ot_srtp *srtp;
    uint8_t payload[PACKET_MAX]; /* of the packet said last, for redundancy */
    size_t octets;
} far_end;

typedef struct {
    ot_engine *engine;
    void (*step)(ot_engine *engine);
    ot_leg *legs[LEGS];
    far_end far[LEGS];
    far_end recorder;
    far_end nobody; /* its ports are closed: packets to it are refused */
    ot_bus *bus;
    ot_device *device;
    ot_source *source;
    ot_recording *recording;
    uint32_t ticks;
    uint32_t happened; /* a bit for each ot_happening */
} stage;

static void require(int holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "workload: %s\n", what);
    exit(2);
}

#define REQUIRE(holds) require(holds, #holds)
#define DONE(call) require((call) == 0, #call)

/* -- far ends -------------------------------------------------------------------------------- */

static int bound(uint16_t port)
{
    struct sockaddr_in here = {.sin_family = AF_INET,
                               .sin_port = htons(port),
                               .sin_addr = {htonl(INADDR_LOOPBACK)}};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK, 0);

    if (fd >= 0 && bind(fd, (struct sockaddr *)&here, sizeof(here)) == 0)
        return fd;
    close(fd);
    return -1;
}

/* An even port that is free now, and the next one. */
static uint16_t next_port(void)
{
    static uint32_t offset;

    if (offset == 0)
        offset = (uint32_t)getpid() * 64 + 2;
    offset += 2;
    return (uint16_t)(FIRST_PORT + offset % PORTS / 2 * 2);
}

static void open_far(far_end *far)
{
    memset(far, 0, sizeof(*far));
    do {
        far->port = next_port();
        far->rtp = bound(far->port);
        far->rtcp = far->rtp < 0 ? -1 : bound((uint16_t)(far->port + 1));
        if (far->rtcp < 0 && far->rtp >= 0)
            close(far->rtp);
    } while (far->rtcp < 0);
    far->sequence = 65530; /* wraps soon */
    far->ssrc = 7;
}

static void close_far(far_end *far)
{
    ot_encoder_destroy(far->encoder);
    ot_srtp_destroy(far->srtp);
    close(far->rtp);
    close(far->rtcp);
}

static void send_to(int fd, uint16_t port, const uint8_t *data, size_t octets)
{
    struct sockaddr_in there = {.sin_family = AF_INET,
                                .sin_port = htons(port),
                                .sin_addr = {htonl(INADDR_LOOPBACK)}};
    REQUIRE(sendto(fd, data, octets, 0, (struct sockaddr *)&there, sizeof(there)) >= 0);
}

static void write32(uint8_t *at, uint32_t value)
{
    for (int i = 0; i < 4; i++)
        at[i] = (uint8_t)(value >> (24 - 8 * i));
}

/* Sends a payload with a header of these; protected, when the far end has keys. */
static void send_packet(const far_end *far, uint8_t type, uint16_t sequence, uint32_t timestamp,
                        const uint8_t *payload, size_t octets)
{
    static ot_srtp_packet packet;

    packet.data[0] = 0x80;
    packet.data[1] = type;
    packet.data[2] = (uint8_t)(sequence >> 8);
    packet.data[3] = (uint8_t)sequence;
    write32(packet.data + 4, timestamp);
    write32(packet.data + 8, far->ssrc);
    memcpy(packet.data + 12, payload, octets);
    packet.octets = (uint32_t)(12 + octets);
    if (far->srtp)
        REQUIRE(ot_srtp_protect(far->srtp, &packet) == 0);
    send_to(far->rtp, far->leg_port, packet.data, packet.octets);
}

static void say_at(const far_end *far, uint16_t sequence, uint32_t timestamp)
{
    send_packet(far, far->payload_type, sequence, timestamp, far->payload, far->octets);
}

/* 20 ms of a square wave in the far end's codec. */
static void encode(far_end *far)
{
    int16_t pcm[OT_TICK_SAMPLES_MAX * 2];
    size_t samples = ot_codec_find(far->codec)->rate_hz / 1000U * PTIME_MS;

    for (size_t i = 0; i < samples; i++)
        pcm[i] = (int16_t)(i % 16 < 8 ? 6000 : -6000);
    far->octets = ot_encoder_run(far->codec, far->encoder, far->payload, PACKET_MAX, pcm, samples);
    REQUIRE(far->octets > 0);
}

/* The next packet; `lost` are passed over first. */
static void say(far_end *far, uint16_t lost)
{
    far->sequence = (uint16_t)(far->sequence + lost);
    far->timestamp += lost * far->units;
    encode(far);
    say_at(far, far->sequence, far->timestamp);
    far->sequence++;
    far->timestamp += far->units;
}

/* -- time ------------------------------------------------------------------------------------ */

static void discard(int fd)
{
    uint8_t data[2048];

    while (recv(fd, data, sizeof(data), 0) >= 0)
        ;
}

/* One tick; the device's thread and the far ends' ears get their turn. */
static void tick(stage *here)
{
    int16_t pcm[OT_TICK_SAMPLES_MAX];
    ot_event event;

    for (int i = 0; i < OT_TICK_SAMPLES_MAX; i++)
        pcm[i] = (int16_t)(i % 20 < 10 ? 3000 : -3000);
    if (here->device) {
        ot_device_write(here->device, pcm, OT_TICK_SAMPLES_MAX);
        ot_device_read(here->device, pcm, OT_TICK_SAMPLES_MAX);
    }
    here->step(here->engine);
    here->ticks++;
    for (int i = 0; i < LEGS; i++)
        discard(here->far[i].rtp);
    discard(here->recorder.rtp);
    while (ot_engine_next_event(here->engine, &event) == 0)
        here->happened |= 1U << event.happening;
}

static void ticks(stage *here, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++)
        tick(here);
}

/* Everybody talks, every 20 ms. */
static void talk(stage *here, uint32_t packets)
{
    for (uint32_t i = 0; i < packets; i++) {
        for (int leg = 0; leg < LEGS; leg++)
            say(&here->far[leg], 0);
        ticks(here, 2);
    }
}

/* -- setting up ------------------------------------------------------------------------------ */

static const struct {
    uint8_t codec;
    uint8_t payload_type;
    uint8_t ptime_ms;
} SETTINGS[LEGS] = {
    {OT_PCMU, 0, 20},          {OT_PCMA, 8, 10},        {OT_PCMU, 0, 30},
    {OT_PCMA, 8, 20},          {OT_PCMU, 0, 20},        {OT_OPUS_48K, DYNAMIC, 20},
    {OT_L16_16K, DYNAMIC, 20}, {OT_G722, OT_G722, 20},
};

static const uint8_t KEY[64] = {1, 2, 3};

static ot_leg_remote remote_of(const stage *here, int leg)
{
    ot_leg_remote remote = {.address = "127.0.0.1",
                            .rtp_port = here->far[leg].port,
                            .codec = SETTINGS[leg].codec,
                            .payload_type = SETTINGS[leg].payload_type,
                            .ptime_ms = SETTINGS[leg].ptime_ms,
                            .send = 1,
                            .receive = 1};
    if (leg == RICH) {
        remote.event_type = EVENTS;
        remote.noise_type = NOISE;
        remote.redundant_type = REDUNDANT;
        remote.redundancy = 2;
        remote.inband_digits = 1;
    }
    if (leg == OPUS)
        remote.encoding = (ot_encoder_options){.loss_percent = 10, .fec = 1, .dtx = 1};
    if (leg == PROTECTED) {
        remote.srtp_suite = OT_AES_CM_128_HMAC_SHA1_80;
        remote.srtp_octets = (uint8_t)ot_srtp_key_octets(remote.srtp_suite);
        remote.srtp_send = remote.srtp_receive = KEY;
    }
    return remote;
}

static void equip(far_end *far, int leg)
{
    const ot_codec_traits *traits = ot_codec_find(SETTINGS[leg].codec);
    ot_encoder_options options = {.fec = 1, .loss_percent = 10};

    far->codec = SETTINGS[leg].codec;
    far->payload_type = SETTINGS[leg].payload_type;
    far->units = traits->clock_hz / 1000U * PTIME_MS;
    DONE(ot_encoder_create(&far->encoder, far->codec, PTIME_MS, &options));
    if (leg == PROTECTED)
        DONE(ot_srtp_create(&far->srtp, OT_AES_CM_128_HMAC_SHA1_80, OT_SRTP_OUT, KEY,
                            ot_srtp_key_octets(OT_AES_CM_128_HMAC_SHA1_80)));
}

static void open_leg(stage *here, int leg)
{
    int error;

    open_far(&here->far[leg]);
    equip(&here->far[leg], leg);
    do {
        here->far[leg].leg_port = next_port();
        error = ot_leg_open(&here->legs[leg], here->engine, "127.0.0.1", here->far[leg].leg_port,
                            SETTINGS[leg].codec, SETTINGS[leg].ptime_ms);
    } while (error == EADDRINUSE);
    require(error == 0, "open a leg");
    ot_leg_remote remote = remote_of(here, leg);
    DONE(ot_leg_connect(here->legs[leg], &remote));
}

static void set_up(stage *here)
{
    for (int leg = 0; leg < LEGS; leg++)
        open_leg(here, leg);
    open_far(&here->recorder);
    open_far(&here->nobody);
    close_far(&here->nobody);
    DONE(ot_bus_open(&here->bus, here->engine, 16000));
    DONE(ot_device_open(&here->device, here->engine, 48000, 60, 60));
    DONE(ot_source_open(&here->source, here->engine, 8000));
    DONE(ot_bus_join(here->bus, ot_source_port(here->source), -6, -INFINITY));
    for (int leg = 0; leg < LEGS; leg++)
        DONE(ot_bus_join(here->bus, ot_leg_port(here->legs[leg]), (float)-leg, 0));
    DONE(ot_bus_join(here->bus, ot_device_port(here->device), 0, 3));
    DONE(ot_recording_open(&here->recording, here->engine, OT_PCMA, 20, 0));
    DONE(ot_recording_tap(here->recording, here->bus));
}

static void fork_to(stage *here, uint32_t index, const far_end *to)
{
    int error;

    do
        error = ot_recording_fork(here->recording, index, "127.0.0.1", next_port(), "127.0.0.1",
                                  to->port, 8);
    while (error == EADDRINUSE);
    require(error == 0, "fork a recording");
}

/* -- scenes ---------------------------------------------------------------------------------- */

static void conversation(stage *here)
{
    talk(here, TICKS);
}

static void recordings(stage *here)
{
    fork_to(here, 0, &here->recorder);
    fork_to(here, 1, &here->nobody); /* refuses: errors, no more */
    talk(here, TICKS);
    fork_to(here, 0, &here->recorder); /* replaced */
    talk(here, TICKS);
    DONE(ot_recording_unfork(here->recording, 1));
    talk(here, 2);
}

static void losses(stage *here)
{
    far_end *far = &here->far[ORDINARY];

    for (uint16_t lost = 1; lost < 6; lost++) {
        talk(here, 3);
        say(far, lost);
        ticks(here, 2);
    }
    ticks(here, 20); /* nothing at all */
    talk(here, TICKS);
}

static void disorder(stage *here)
{
    far_end *far = &here->far[ORDINARY];

    talk(here, 4);
    for (int i = 0; i < 4; i++) {
        uint16_t sequence = far->sequence;
        uint32_t timestamp = far->timestamp;
        say(far, 1); /* the second before the first */
        say_at(far, sequence, timestamp);
        say_at(far, sequence, timestamp); /* twice */
        ticks(here, 4);
    }
    uint16_t missing = far->sequence;
    uint32_t its_time = far->timestamp;
    say(far, 1);
    talk(here, TICKS);
    say_at(far, missing, its_time); /* when nobody waits for it any more */
    ticks(here, 2);
    for (int i = 0; i < 60; i++)
        say(far, 0); /* far too many at once */
    ticks(here, 20);
}

static void other_sources(stage *here)
{
    far_end *far = &here->far[ORDINARY];

    far->ssrc++;
    talk(here, TICKS);
    far->timestamp += 1000000;
    talk(here, TICKS);
    far->sequence = (uint16_t)(far->sequence + 20000);
    talk(here, TICKS);
    for (uint32_t i = 0; i < 8; i++) {
        far->ssrc = 1000 + i;
        talk(here, 1);
    }
}

static void bad_packets(stage *here)
{
    far_end *far = &here->far[ORDINARY];
    uint8_t garbage[2100] = {0x9F, 0, 1};

    for (size_t octets = 0; octets < sizeof(garbage); octets += 150)
        send_to(far->rtp, far->leg_port, garbage, octets);
    far->payload_type = 101;
    talk(here, 3);
    far->payload_type = SETTINGS[ORDINARY].payload_type;
    talk(here, TICKS);
}

static void strangers(stage *here)
{
    uint8_t packet[172] = {0x80};

    for (int i = 0; i < 20; i++) {
        send_to(here->recorder.rtp, here->far[0].leg_port, packet, sizeof(packet));
        send_to(here->recorder.rtcp, (uint16_t)(here->far[0].leg_port + 1), packet, 28);
    }
    talk(here, 4);
}

static void report(stage *here, int leg, uint8_t kind, int bye)
{
    uint8_t data[60] = {0x81, kind, 0, kind == 200 ? 12 : 7};
    size_t at = kind == 200 ? 28 : 8;

    memset(data + 4, 0x11, at - 4);
    write32(data + at, ot_leg_ssrc(here->legs[leg]));
    at += 24;
    if (bye) {
        memcpy(data + at, (uint8_t[]){0x81, 203, 0, 1, 0x11, 0x11, 0x11, 0x11}, 8);
        at += 8;
    }
    send_to(here->far[leg].rtcp, (uint16_t)(here->far[leg].leg_port + 1), data, at);
}

static void reports(stage *here)
{
    uint8_t garbage[64] = {0x80, 200, 0xFF, 0xFF};

    for (int leg = 0; leg < PROTECTED; leg++)
        report(here, leg, leg % 2 ? 200 : 201, 0);
    send_to(here->far[1].rtcp, (uint16_t)(here->far[1].leg_port + 1), garbage, sizeof(garbage));
    talk(here, 40); /* ours fall due too */
    report(here, LEAVER, 200, 1);
    talk(here, 2);
}

static void renegotiation(stage *here)
{
    ot_leg_remote remote = remote_of(here, 0);

    remote.codec = remote.payload_type = OT_PCMA;
    remote.ptime_ms = 30;
    DONE(ot_leg_connect(here->legs[0], &remote));
    talk(here, 6);
    remote.send = 0; /* held */
    remote.receive = 0;
    DONE(ot_leg_connect(here->legs[0], &remote));
    talk(here, 6);
    remote.rtp_port = here->nobody.port; /* elsewhere, where nobody listens */
    remote.send = 1;
    DONE(ot_leg_connect(here->legs[0], &remote));
    talk(here, 6);
    remote = remote_of(here, 0);
    DONE(ot_leg_connect(here->legs[0], &remote));
    DONE(ot_leg_reset_gaps(here->legs[0]));
    talk(here, TICKS);
}

static void gains(stage *here)
{
    uint32_t port = ot_leg_port(here->legs[1]);
    ot_bus *other;

    DONE(ot_bus_open(&other, here->engine, 48000));
    DONE(ot_bus_join(other, port, 20, -20));
    DONE(ot_bus_join(other, ot_leg_port(here->legs[2]), -INFINITY, 0));
    DONE(ot_recording_tap(here->recording, other));
    talk(here, 4);
    DONE(ot_bus_join(here->bus, port, -INFINITY, -INFINITY));
    talk(here, 4);
    DONE(ot_bus_leave(here->bus, port));
    talk(here, 4);
    DONE(ot_recording_untap(here->recording, other));
    DONE(ot_bus_close(other));
    DONE(ot_bus_join(here->bus, port, 0, 0));
    talk(here, 4);
}

static void device_alone(stage *here)
{
    ot_device *other;
    int16_t pcm[4 * OT_TICK_SAMPLES] = {1};

    DONE(ot_device_open(&other, here->engine, 8000, 20, 200));
    DONE(ot_bus_join(here->bus, ot_device_port(other), 0, 0));
    for (int i = 0; i < 6; i++)
        ot_device_write(other, pcm, 4 * OT_TICK_SAMPLES); /* over- and underruns */
    talk(here, 8);
    DONE(ot_device_close(other));
    talk(here, 4);
}

/* RFC 2198: each packet carries the one before once more, and every third is lost. */
static void redundancy(stage *here)
{
    far_end *far = &here->far[RICH];
    uint8_t data[PACKET_MAX];

    for (int i = 0; i < 9; i++) {
        uint8_t before[PACKET_MAX];
        size_t octets = far->octets;
        memcpy(before, far->payload, octets);
        encode(far);
        const ot_red_payload payloads[] = {
            {before, far->timestamp - far->units, (uint16_t)octets, far->payload_type},
            {far->payload, far->timestamp, (uint16_t)far->octets, far->payload_type}};
        size_t written = ot_red_write(data, sizeof(data), payloads, 2);
        if (i % 3 != 1)
            send_packet(far, REDUNDANT, far->sequence, far->timestamp, data, written);
        far->sequence++;
        far->timestamp += far->units;
        ticks(here, 2);
    }
}

/* RFC 3389, then silence; and ours while nobody talks. */
static void pauses(stage *here)
{
    far_end *far = &here->far[RICH];
    const uint8_t noise[] = {50, 100, 130};

    talk(here, 3);
    send_packet(far, NOISE, far->sequence++, far->timestamp, noise, sizeof(noise));
    ticks(here, 60);
    far->timestamp += 30 * far->units;
    talk(here, TICKS);
}

static void press(stage *here, uint8_t event)
{
    far_end *far = &here->far[RICH];
    uint8_t data[OT_DTMF_OCTETS];

    for (uint16_t i = 1; i <= 6; i++) {
        ot_dtmf dtmf = {.event = event, .end = i > 3, .volume = 10, .duration = (uint16_t)(i * 160)};
        ot_dtmf_write(data, &dtmf);
        send_packet(far, (uint8_t)(i == 1 ? 0x80 | EVENTS : EVENTS), far->sequence++,
                    far->timestamp, data, sizeof(data));
        ticks(here, 2);
    }
    far->timestamp += 6 * far->units;
}

static void digits(stage *here)
{
    DONE(ot_leg_dial(here->legs[RICH], 5, 100));
    DONE(ot_leg_dial(here->legs[RICH], OT_DTMF_POUND, 60));
    press(here, 1);
    press(here, 2);
    talk(here, 20);
}

static void tones(stage *here)
{
    static const int16_t CLIP[400] = {1000, -1000};

    DONE(ot_source_tone(here->source, ot_tone_find("gb", "ringback")));
    talk(here, 6);
    DONE(ot_source_tone(here->source, ot_tone_find("us", "dtmf-5")));
    talk(here, 6);
    DONE(ot_source_clip(here->source, CLIP, 400, 2)); /* ends within a tick */
    talk(here, 12);
    DONE(ot_source_clip(here->source, CLIP, 400, 0));
    talk(here, 3);
    DONE(ot_source_stop(here->source));
    talk(here, 3);
}

static void desk(stage *here)
{
    const ot_voice_options options = {.echo = 1, .gain_control = 1, .noise_db = 15, .tail_ms = 100};
    ot_device *speakerphone;
    uint32_t leg = ot_leg_port(here->legs[ORDINARY]);

    DONE(ot_device_open(&speakerphone, here->engine, 16000, 60, 60));
    uint32_t own = ot_device_port(speakerphone);
    DONE(ot_bus_join(here->bus, own, 0, 0));
    DONE(ot_device_clean(speakerphone, &options, &own, 1));
    DONE(ot_device_mute(here->device, 1, 0));
    DONE(ot_device_sidetone(here->device, -12));
    DONE(ot_device_duck(here->device, &leg, 1, 20, 200, 300));
    for (int i = 0; i < 30; i++) {
        int16_t pcm[160] = {500, -500};
        ot_device_write(speakerphone, pcm, 160);
        ot_device_read(speakerphone, pcm, 160);
        talk(here, 1);
    }
    DONE(ot_device_mute(here->device, 0, 1));
    DONE(ot_device_clean(speakerphone, NULL, NULL, 0));
    talk(here, 3);
    DONE(ot_device_mute(here->device, 0, 0));
    DONE(ot_device_sidetone(here->device, -INFINITY));
    DONE(ot_device_close(speakerphone));
    talk(here, 4);
}

static void hoot(stage *here)
{
    DONE(ot_bus_loudest(here->bus, 2));
    talk(here, TICKS);
    DONE(ot_bus_loudest(here->bus, 0));
    talk(here, 3);
}

static void other_recordings(stage *here)
{
    static const int CODECS[] = {OT_PCMU, OT_G722, OT_OPUS_16K, OT_L16_16K};

    for (size_t i = 0; i < sizeof(CODECS) / sizeof(*CODECS); i++) {
        ot_recording *before = here->recording;
        DONE(ot_recording_open(&here->recording, here->engine, CODECS[i], 20, CODECS[i] == OT_L16_16K));
        DONE(ot_recording_tap(here->recording, here->bus));
        fork_to(here, 0, &here->recorder);
        talk(here, 5);
        DONE(ot_recording_close(here->recording));
        here->recording = before;
    }
}

/* Other codecs on a leg that runs; its far end goes on as before, which is garbage to them. */
static void other_codecs(stage *here)
{
    static const uint8_t CODECS[] = {OT_G722, OT_L16_8K, OT_L16_48K, OT_OPUS_8K, OT_OPUS_16K};

    for (size_t i = 0; i < sizeof(CODECS); i++) {
        ot_leg_remote remote = remote_of(here, 2);
        remote.codec = CODECS[i];
        remote.ptime_ms = CODECS[i] == OT_L16_48K ? 10 : 20;
        DONE(ot_leg_connect(here->legs[2], &remote));
        talk(here, 5);
    }
    ot_leg_remote remote = remote_of(here, 2);
    DONE(ot_leg_connect(here->legs[2], &remote));
}

/* Forged packets, other keys in mid-call, and no protection any more. */
static void protection(stage *here)
{
    far_end *far = &here->far[PROTECTED];
    uint8_t forged[60] = {0x80, OT_G722};
    ot_leg_remote remote = remote_of(here, PROTECTED);

    send_to(far->rtp, far->leg_port, forged, sizeof(forged));
    send_to(far->rtcp, (uint16_t)(far->leg_port + 1), forged, 28);
    talk(here, TICKS);
    remote.srtp_suite = OT_AEAD_AES_128_GCM;
    remote.srtp_octets = (uint8_t)ot_srtp_key_octets(remote.srtp_suite);
    DONE(ot_leg_connect(here->legs[PROTECTED], &remote));
    talk(here, 3); /* the far end has not noticed */
    remote.srtp_suite = 0;
    DONE(ot_leg_connect(here->legs[PROTECTED], &remote));
    talk(here, 3);
}

static void endings(stage *here)
{
    DONE(ot_leg_close(here->legs[LEAVER]));
    talk(here, 4);
    DONE(ot_recording_close(here->recording));
    DONE(ot_device_close(here->device));
    DONE(ot_source_close(here->source));
    here->device = NULL;
    talk(here, 4);
    DONE(ot_bus_close(here->bus));
    talk(here, 2);
}

static void (*const SCENES[])(stage *) = {
    conversation, recordings, losses,        disorder, other_sources, bad_packets,
    strangers,    reports,    renegotiation, gains,    device_alone,  redundancy,
    pauses,       digits,     tones,         desk,     hoot,          other_recordings,
    other_codecs, protection,
};

/* -- what must have happened -------------------------------------------------------------------- */

static void check(const stage *here)
{
    ot_leg_stats leg;
    ot_fork_stats forks[OT_FORKS];

    DONE(ot_leg_read(here->legs[0], &leg));
    REQUIRE(leg.packets_sent && leg.packets_received && leg.packets_reordered);
    REQUIRE(leg.packets_duplicate && leg.packets_late && leg.resets);
    REQUIRE(leg.packets_foreign && leg.packets_malformed && leg.packets_other);
    REQUIRE(leg.concealed_frames && leg.reports_sent && leg.reports_received);
    DONE(ot_leg_read(here->legs[LEAVER], &leg));
    REQUIRE(leg.bye_received);
    DONE(ot_leg_read(here->legs[RICH], &leg));
    REQUIRE(leg.packets_recovered && leg.noise_frames && leg.digits_sent && leg.digits_received);
    DONE(ot_leg_read(here->legs[OPUS], &leg));
    REQUIRE(leg.packets_received && leg.receive_energy && leg.packets_sent);
    DONE(ot_leg_read(here->legs[PROTECTED], &leg));
    REQUIRE(leg.packets_received && leg.packets_unauthentic && leg.packets_sent);
    REQUIRE(here->happened & 1U << OT_DIGIT_ENDED && here->happened & 1U << OT_SOURCE_ENDED);
    for (uint32_t i = 0; i < OT_FORKS; i++)
        DONE(ot_recording_read(here->recording, i, &forks[i]));
    REQUIRE(forks[0].packets_sent && forks[1].send_errors);
}

void workload(ot_engine *engine, void (*step)(ot_engine *engine))
{
    stage here = {.engine = engine, .step = step};

    set_up(&here);
    for (size_t i = 0; i < sizeof(SCENES) / sizeof(*SCENES); i++)
        SCENES[i](&here);
    check(&here);
    endings(&here);
    for (int leg = 0; leg < LEGS; leg++)
        close_far(&here.far[leg]);
    close_far(&here.recorder);
}
