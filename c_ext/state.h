/* What the engine remembers, laid out for the tick that walks it.
 *
 * Slots are allocated once with the engine and touched only while used.  `control` fields belong
 * to the control functions, under the engine's mutex; all others to the tick, except that
 * statistics are written with relaxed atomics so that the control side may read them under the
 * engine's sequence lock.
 */
#ifndef OT_STATE_H
#define OT_STATE_H

#include <netinet/in.h>
#include <pthread.h>
#include <stdint.h>

#include "activity.h"
#include "comfort.h"
#include "device.h"
#include "dtmf.h"
#include "duck.h"
#include "echo.h"
#include "engine.h"
#include "inband.h"
#include "jitter.h"
#include "quality.h"
#include "rate.h"
#include "redundancy.h"
#include "ring.h"
#include "shield.h"
#include "tone.h"
#include "wire.h"

enum {
    OT_PTIME_TICKS_MAX = 3,
    OT_CHANNELS_MAX = 2,
    OT_PACKET_SAMPLES_MAX = OT_PTIME_TICKS_MAX * OT_TICK_SAMPLES_MAX,
    OT_DATAGRAM_MAX = 2048,
    OT_COMMANDS = 1024,
    OT_RETIREMENTS = 16384,
    OT_EVENTS = 1024,
    OT_CACHE_LINE = 64,
    OT_PORT_WORDS = OT_PORTS_MAX / 64,
    OT_RATES = 3 /* 8, 16 and 48 kHz, by index */
};

#define OT_ALIGNED __attribute__((aligned(OT_CACHE_LINE)))

/* A statistic is one 64-bit word with one writer, the tick. */
#define OT_SET(word, value) __atomic_store_n(&(word), (uint64_t)(value), __ATOMIC_RELAXED)
#define OT_ADD(word, value) OT_SET(word, (word) + (uint64_t)(value))

/* Level meters follow a quarter of the way each tick: 40 ms. */
static inline uint64_t ot_smoothed(uint64_t before, uint64_t energy)
{
    return before - before / 4 + energy / 4;
}

static inline uint8_t ot_rate_index(uint32_t rate_hz)
{
    return rate_hz == 8000 ? 0 : rate_hz == 16000 ? 1 : 2;
}

static inline uint32_t ot_rate_hz(uint32_t rate)
{
    return rate == 0 ? 8000 : rate == 1 ? 16000 : 48000;
}

static inline uint32_t ot_rate_samples(uint32_t rate)
{
    return rate == 0 ? 80 : rate == 1 ? 160 : 480;
}

/* Energy of a tick as it would be at 8 kHz, so that levels compare. */
static inline uint64_t ot_rate_energy(uint64_t energy, uint32_t rate)
{
    return rate == 0 ? energy : rate == 1 ? energy / 2 : energy / 6;
}

/* A set of ports. */
typedef struct {
    uint64_t words[OT_PORT_WORDS];
} ot_ports;

static inline int ot_ports_has(const ot_ports *ports, uint32_t port)
{
    return (int)(ports->words[port / 64] >> port % 64 & 1);
}

/* A stream being packed into RTP packets: what legs and recordings have in common. */
typedef struct {
    uint32_t ssrc;
    uint32_t timestamp_base;  /* of tick 0 */
    uint32_t first_timestamp; /* of the packet being filled */
    uint32_t sequence;        /* the wire has its low 16 bits */
    uint16_t octets;          /* of payload in the packet being filled */
    uint16_t tick_samples;    /* of a channel */
    uint16_t tick_clock;      /* what a tick adds to the RTP timestamp */
    uint8_t fill;             /* ticks in the packet being filled */
    uint8_t codec;
    uint8_t rate;
    uint8_t channels;
    uint8_t ptime_ticks;
    uint8_t phase; /* the tick of its turn, so that the load is even */
    uint8_t full;  /* the packet waits to be sent at the end of this tick */
    ot_encoder *encoder;
    int16_t *pcm; /* a packet's worth, for codecs that encode whole packets; else NULL */
    uint8_t packet[OT_RTP_HEADER + OT_PAYLOAD_MAX];
} ot_stream;

/* When reports are due and what is known from those received. */
typedef struct {
    int fd;
    struct sockaddr_in remote;
    uint64_t due_tick;
    uint64_t packets_before; /* sent under an earlier SSRC */
    uint64_t octets_before;
    uint64_t sent_prior[2]; /* packets of ours, as of the last two reports */
    uint32_t last_report; /* middle of the NTP time of the last SR received */
    uint64_t last_report_ntp;
    uint32_t last_reference; /* and of the last receiver reference time (RFC 3611 section 4.4) */
    uint64_t last_reference_ntp;
    uint64_t expected_prior;
    uint64_t received_prior;
} ot_reports;

/* What a leg needs beyond G.711 or L16 in plain RTP packets; made by the control side. */
typedef struct {
    ot_decoder *decoder;
    ot_encoder *encoder;
    ot_inband *inband;
    ot_rate *inband_rate; /* to 8 kHz, where digits are looked for */
    uint8_t event_type;
    uint8_t noise_type;
    uint8_t redundant_type;
    uint8_t redundancy;
    uint8_t encodes_packets; /* the codec wants a whole packet at once */
    uint8_t voiced; /* somebody spoke in the packet being filled */
    ot_comfort_sender pauses;
    ot_dtmf_sender dialling;
    ot_dtmf_receiver dialled;
    ot_red_sender older;
    int16_t pcm[OT_PACKET_SAMPLES_MAX];
    int16_t narrow[OT_TICK_SAMPLES];
} ot_leg_parts;

struct ot_leg {
    OT_ALIGNED uint8_t active;
    uint8_t connected;
    uint8_t send;
    uint8_t receive;
    uint8_t payload_type;
    uint8_t codec;
    uint8_t rate;
    uint8_t closing_ticks; /* counts down to the end */
    uint16_t verify_left;  /* packets whose source is still compared by hand */
    int16_t last_said;     /* sample, to fall from when the sound is cut */
    int voice;             /* connected to the far end: the kernel keeps strangers out */
    int door;              /* the same port unconnected: where strangers' packets are counted */
    ot_leg_parts *parts;   /* NULL: none needed */
    ot_shield_slot *shield; /* NULL: plain RTP, read from the socket */
    int64_t last_receive_ns;
    int64_t last_send_ns;
    uint32_t last_transit;
    uint32_t jitter_q4;
    uint8_t transit_known;
    uint8_t marked; /* the next packet begins a talkspurt */
    uint8_t fresh;  /* nothing was said yet in this codec */
    ot_activity receive_activity;
    ot_activity transmit_activity;
    struct sockaddr_in remote;
    ot_stream stream;
    ot_leg_stats stats;
    ot_reports reports;
    ot_quality quality;
    ot_collision collision;
    int16_t edge[OT_TICK_SAMPLES_MAX]; /* what is said where the sound begins anew or is cut */
    struct ot_jitter jitter;
    struct { /* control */
        ot_engine *engine;
        uint16_t rtp_port;
        uint8_t used;
        uint8_t open;
        int voice;
        struct in_addr local;
        struct sockaddr_in remote;
        struct sockaddr_in remote_reports;
        ot_leg_remote settings; /* its pointers are dead; the keys are beside it */
        uint8_t keys[2][64];
    } control;
};

/* What the devices of a unit do to each other. */
typedef struct {
    uint8_t ducks;
    ot_ports keys;       /* who lowers what it plays */
    ot_ports echo_of;    /* whose sound its microphone hears back */
    ot_duck duck;
    ot_activity activity;
    uint64_t speaks; /* a statistic */
} ot_neighbours;

typedef struct {
    int16_t *pcm;
    uint32_t samples;
    uint32_t times_left; /* 0: for ever */
    uint32_t at;
} ot_clip;

typedef enum { OT_SAYS_NOTHING, OT_SAYS_TONE, OT_SAYS_CLIP } ot_says;

struct ot_source {
    OT_ALIGNED uint8_t closing_ticks;
    uint8_t rate;
    uint8_t says;  /* ot_says */
    uint8_t fresh; /* has not said anything yet */
    int16_t last;  /* sample: what it falls from when it is cut */
    ot_tone tone;
    ot_clip clip;
    int16_t frame[OT_TICK_SAMPLES_MAX];
    struct {
        ot_engine *engine;
        uint8_t used;
        uint8_t open;
    } control;
};

typedef struct {
    float now;
    float target;
    uint32_t ticks_left;
} ot_ramp;

typedef enum { OT_OWN_NOTHING, OT_OWN_PLAIN, OT_OWN_SCALED } ot_own;

typedef struct {
    uint16_t port;
    uint8_t leaving;
    uint8_t own;    /* ot_own: how this tick's contribution is kept */
    uint8_t chosen; /* among the loudest */
    uint8_t held_ticks; /* until it may lose its place */
    ot_ramp talk;
    ot_ramp listen;
    ot_ramp gate; /* open while chosen */
} ot_member;

struct ot_bus {
    uint32_t count;
    uint32_t talkers; /* in this tick */
    uint32_t local_talkers; /* of these, devices and sources */
    uint32_t loudest; /* 0: all */
    uint8_t rate;
    uint8_t split;   /* recordings in stereo that tap it */
    uint8_t leaving; /* somebody is */
    ot_member members[OT_PORTS_MAX];
    struct {
        ot_engine *engine;
        uint8_t used;
        uint8_t open;
        uint8_t rate;
    } control;
};

typedef struct {
    int fd;
    uint8_t active;
    uint8_t payload_type;
    uint8_t first;
    ot_reports reports;
    ot_fork_stats stats;
} ot_fork;

struct ot_recording {
    OT_ALIGNED uint8_t stereo;
    uint8_t tap_count;
    uint8_t taps[OT_TAPS_MAX];
    ot_rate *rates[OT_CHANNELS_MAX][OT_RATES]; /* from a bus's rate to ours; NULL: not needed */
    ot_stream stream;
    ot_fork forks[OT_FORKS];
    struct {
        ot_engine *engine;
        uint32_t ssrc;
        uint8_t used;
        uint8_t open;
    } control;
};

/* Dense lists of the slots in use, so that the tick walks only those. */
typedef struct {
    uint32_t count;
    uint16_t slots[OT_PORTS_MAX];
} ot_active;

/* Resampling of a port that is on buses of other rates; made by the control side. */
typedef struct {
    uint8_t rate; /* the port's own */
    uint8_t said_any[OT_RATES];
    uint8_t heard_any[OT_RATES];
    uint8_t said_quiet[OT_RATES];  /* ticks of silence fed so far: a tail has an end */
    uint8_t heard_quiet[OT_RATES];
    int16_t fall[OT_RATES]; /* sample that buses of that rate fall from: this replaced another */
    ot_rate *said_rates[OT_RATES]; /* from its own rate to that of a bus */
    ot_rate *heard_rates[OT_RATES];
    OT_ALIGNED int16_t said[OT_RATES][OT_TICK_SAMPLES_MAX];
    int32_t heard[OT_RATES][OT_TICK_SAMPLES_MAX];
} ot_conversion;

/* What a port hears in this tick.  The first bus that it hears in full is only remembered: when
 * no other comes, its sum is used where it lies. */
typedef struct {
    const int32_t *sum; /* less own; NULL: see `parts` */
    const int16_t *own; /* NULL: it says nothing there */
    uint32_t parts;     /* how many came: 0 is silence, with more than one the sum is in heard[] */
} ot_hearing;

typedef enum {
    OT_LEG_ADD,
    OT_LEG_CONNECT,
    OT_LEG_DIAL,
    OT_LEG_RESET_GAPS,
    OT_LEG_REMOVE,
    OT_DEVICE_ADD,
    OT_DEVICE_MUTE,
    OT_DEVICE_SIDETONE,
    OT_DEVICE_DUCK,
    OT_DEVICE_CLEAN,
    OT_DEVICE_REMOVE,
    OT_SOURCE_ADD,
    OT_SOURCE_SAY,
    OT_SOURCE_REMOVE,
    OT_PORT_CONVERT,
    OT_BUS_ADD,
    OT_BUS_JOIN,
    OT_BUS_LEAVE,
    OT_BUS_LOUDEST,
    OT_BUS_REMOVE,
    OT_RECORDING_ADD,
    OT_RECORDING_TAP,
    OT_RECORDING_UNTAP,
    OT_RECORDING_FORK,
    OT_RECORDING_UNFORK,
    OT_RECORDING_REMOVE
} ot_command_kind;

typedef struct {
    int fd; /* -1: as before */
    int reports_fd;
    struct sockaddr_in remote;
    struct sockaddr_in remote_reports;
    ot_leg_parts *parts;
    ot_conversion *conversion;
    ot_shield_slot *shield;
    uint8_t renewed; /* the parts, the conversion and the shield are other ones */
    uint8_t codec;
    uint8_t payload_type;
    uint8_t ptime_ticks;
    uint8_t send;
    uint8_t receive;
} ot_connection;

typedef struct {
    ot_command_kind kind;
    uint16_t slot;
    uint16_t other; /* port, bus, fork, count or event */
    union {
        struct {
            float talk;
            float listen;
        } gains;
        struct {
            uint8_t capture;
            uint8_t playback;
        } gates;
        struct {
            ot_ports keys;
            uint8_t any;
            ot_duck_settings settings;
        } duck;
        float sidetone;
        struct {
            ot_echo *echo;
            ot_ports references;
        } clean;
        struct {
            uint8_t says; /* ot_says */
            ot_tone tone;
            ot_clip clip;
        } say;
        uint32_t duration_ms;
        ot_conversion *conversion;
        ot_connection remote;
    } with;
} ot_command;

typedef enum {
    OT_RETIRED_FD,
    OT_RETIRED_LEG,
    OT_RETIRED_DEVICE,
    OT_RETIRED_SOURCE,
    OT_RETIRED_BUS,
    OT_RETIRED_RECORDING,
    OT_RETIRED_PARTS,
    OT_RETIRED_CONVERSION,
    OT_RETIRED_ECHO,
    OT_RETIRED_SHIELD,
    OT_RETIRED_CLIP
} ot_retired_kind;

typedef struct {
    ot_retired_kind kind;
    int value; /* descriptor or slot */
    void *memory;
} ot_retired;

/* What an epoll event is about. */
typedef enum { OT_EVENT_DOOR, OT_EVENT_LEG_REPORT, OT_EVENT_FORK_REPORT } ot_event_kind;

struct ot_engine {
    /* the tick */
    uint64_t tick; /* counts skipped ones too: media time */
    int64_t now_ns;
    uint64_t random;
    int epoll;
    uint8_t clearing; /* no thread: closed things go at once */
    char cname[OT_CNAME_OCTETS];
    ot_active legs_active;
    ot_active devices_active;
    ot_active sources_active;
    ot_active buses_active;
    ot_active recordings_active;
    ot_active conversions_active; /* ports that have one */
    uint32_t forks_active;
    OT_ALIGNED const int16_t *said[OT_PORTS_MAX]; /* at the port's rate; NULL: silence */
    ot_hearing hearing[OT_PORTS_MAX];
    uint64_t loudness[OT_PORTS_MAX]; /* energy of what a port says, smoothed */
    uint8_t rates[OT_PORTS_MAX];
    uint8_t uses[OT_PORTS_MAX][OT_RATES]; /* buses of that rate that the port is on */
    uint8_t speaking[OT_PORTS_MAX]; /* voice activity of what it says */
    ot_conversion *conversions[OT_PORTS_MAX];
    OT_ALIGNED int32_t scratch[OT_TICK_SAMPLES_MAX];
    OT_ALIGNED int16_t out[OT_CHANNELS_MAX * OT_TICK_SAMPLES_MAX];
    OT_ALIGNED uint8_t datagram[OT_DATAGRAM_MAX];
    OT_ALIGNED int32_t heard[OT_PORTS_MAX][OT_TICK_SAMPLES_MAX];
    OT_ALIGNED int32_t own[OT_PORTS_MAX][OT_TICK_SAMPLES_MAX];
    OT_ALIGNED int32_t sums[OT_BUSES_MAX][OT_TICK_SAMPLES_MAX];
    OT_ALIGNED int32_t local_sums[OT_BUSES_MAX][OT_TICK_SAMPLES_MAX];
    OT_ALIGNED uint64_t guard; /* sequence lock over all statistics: odd during a tick */
    ot_tick_stats ticks;
    ot_item_ring commands; /* control to tick */
    ot_item_ring retired;  /* tick to control */
    ot_item_ring events;   /* tick to whoever asks */
    uint64_t events_lost;
    /* control */
    OT_ALIGNED pthread_mutex_t mutex;
    pthread_mutex_t event_mutex; /* one reader at a time */
    pthread_t thread;
    ot_shield *shield;
    uint8_t port_rate[OT_PORTS_MAX];
    uint8_t port_converted[OT_PORTS_MAX]; /* has resamplers */
    uint8_t running;
    uint8_t realtime_wanted;
    uint32_t realtime;
    uint32_t stopping;
    /* slots */
    struct ot_leg legs[OT_LEGS_MAX];
    struct ot_device devices[OT_DEVICES_MAX];
    ot_neighbours neighbours[OT_DEVICES_MAX];
    struct ot_source sources[OT_SOURCES_MAX];
    struct ot_bus buses[OT_BUSES_MAX];
    struct ot_recording recordings[OT_RECORDINGS_MAX];
};

enum { OT_FIRST_DEVICE = OT_LEGS_MAX, OT_FIRST_SOURCE = OT_LEGS_MAX + OT_DEVICES_MAX };

/* engine.c */
extern const int16_t ot_silence[OT_TICK_SAMPLES_MAX];
void ot_apply_commands(ot_engine *engine);
void ot_retire(ot_engine *engine, ot_retired_kind kind, int value);
void ot_retire_memory(ot_engine *engine, ot_retired_kind kind, void *memory); /* NULL: nothing */
void ot_tell(ot_engine *engine, ot_happening happening, uint32_t port, uint32_t value,
             uint32_t duration_ms);
uint32_t ot_random(ot_engine *engine);
void ot_tick(ot_engine *engine, int64_t now_ns);

/* commands.c */
void ot_command_apply(ot_engine *engine, const ot_command *command);
void ot_finish_closing(ot_engine *engine);

/* control.c */
void ot_control_close_all(ot_engine *engine); /* says BYE everywhere; the thread has stopped */

/* stream.c */
void ot_stream_init(ot_stream *stream, int codec, uint32_t channels, uint32_t ptime_ticks,
                    uint32_t phase);
/* Appends 10 ms (NULL: silence; stereo: the channels laid together); 1 when the packet is full. */
int ot_stream_fill(ot_stream *stream, uint64_t tick, const int16_t *pcm);
uint32_t ot_stream_timestamp(const ot_stream *stream, uint64_t tick);
/* Another codec goes on with the timestamps of the one before. */
void ot_stream_change(ot_stream *stream, uint64_t tick, int codec, uint32_t ptime_ticks,
                      uint32_t phase);

/* hearing.c: what ports say at other rates, and what they hear */
void ot_convert_said(ot_engine *engine);
const int16_t *ot_said_at(const ot_engine *engine, uint32_t port, uint32_t rate);
/* Adds a part of what a port hears: sum less own, scaled. */
void ot_hear_plain(ot_engine *engine, uint32_t port, uint32_t rate, const int32_t *sum,
                   const int16_t *own);
void ot_hear_part(ot_engine *engine, uint32_t port, uint32_t rate, const int32_t *part);
void ot_convert_heard(ot_engine *engine);
/* The frame a port hears, written to out when there is any; NULL: silence. */
const int16_t *ot_heard(const ot_engine *engine, uint32_t port, int16_t *out);

/* leg.c */
void ot_leg_receive(ot_engine *engine, struct ot_leg *leg, uint32_t port);
void ot_leg_speak(ot_engine *engine, struct ot_leg *leg, uint32_t port);
void ot_leg_meter(ot_engine *engine, struct ot_leg *leg, uint32_t port);

/* leg_send.c */
void ot_leg_compose(ot_engine *engine, struct ot_leg *leg, uint32_t port);
void ot_leg_send(ot_engine *engine, struct ot_leg *leg);
void ot_leg_collide(ot_engine *engine, struct ot_leg *leg);

/* neighbours.c */
const int16_t *ot_echo_reference(const ot_engine *engine, uint32_t slot, int16_t *out);
ot_duck_gain ot_duck_device(ot_engine *engine, uint32_t slot);

/* edge.c */
void ot_rise(int16_t *pcm, uint32_t rate);
void ot_fall(int16_t *pcm, int16_t *from, uint32_t rate); /* from the last sample, once */

/* source.c */
void ot_source_speak(ot_engine *engine, struct ot_source *source, uint32_t port);
void ot_source_hush(ot_engine *engine, struct ot_source *source);
void ot_source_say(ot_engine *engine, struct ot_source *source, const ot_command *command);

/* reports.c */
uint64_t ot_ntp_now(void);
void ot_reports_poll(ot_engine *engine);
void ot_reports_schedule_first(ot_engine *engine, ot_reports *reports);
void ot_leg_report(ot_engine *engine, struct ot_leg *leg, int bye);
void ot_fork_report(ot_engine *engine, struct ot_recording *recording, ot_fork *fork, int bye);

/* bus_commands.c */
void ot_bus_drop(ot_engine *engine, struct ot_bus *bus, uint32_t index); /* a member */

/* bus.c */
void ot_ramp_aim(ot_ramp *ramp, float target);
void ot_bus_mix(ot_engine *engine, struct ot_bus *bus, int32_t *sum, int32_t *local);

/* recording.c */
void ot_recording_compose(ot_engine *engine, struct ot_recording *recording);
void ot_recording_send(ot_engine *engine, struct ot_recording *recording);

/* socket.c: errno returns; descriptors through pointers */
int ot_address(struct sockaddr_in *out, const char *dotted, uint16_t port);
int ot_socket_pair(int *rtp, int *rtcp, const char *address, uint16_t rtp_port);
int ot_socket_beside(int *voice, int door, const struct in_addr *local, uint16_t port,
                     const struct sockaddr_in *remote);
int ot_socket_connect(int fd, const struct sockaddr_in *remote);
void ot_socket_close(int fd);
/* Sends now or not at all; what an ICMP message said of an earlier packet is not this one's. */
int ot_socket_send(int fd, const uint8_t *data, size_t octets, uint64_t *errors,
                   uint64_t *last_errno);

#endif
