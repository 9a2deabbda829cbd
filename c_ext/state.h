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

#include "engine.h"
#include "jitter.h"
#include "ring.h"
#include "wire.h"

enum {
    OT_PTIME_TICKS_MAX = 3,
    OT_PAYLOAD_OUT_MAX = OT_PTIME_TICKS_MAX * OT_TICK_SAMPLES,
    OT_DATAGRAM_MAX = 2048,
    OT_COMMANDS = 1024,
    OT_RETIREMENTS = 8192,
    OT_CACHE_LINE = 64
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

/* A stream being packed into RTP packets: what legs and recordings have in common. */
typedef struct {
    uint32_t ssrc;
    uint32_t timestamp_base; /* of tick 0 */
    uint32_t first_timestamp; /* of the packet being filled */
    uint16_t sequence;
    uint16_t fill;   /* samples in the packet being filled */
    uint16_t samples; /* of a full packet */
    uint8_t codec;
    uint8_t ptime_ticks;
    uint8_t phase; /* the tick of its turn, so that the load is even */
    uint8_t full;  /* the packet waits to be sent at the end of this tick */
    uint8_t packet[OT_RTP_HEADER + OT_PAYLOAD_OUT_MAX];
} ot_stream;

/* When reports are due and what is known from those received. */
typedef struct {
    int fd;
    struct sockaddr_in remote;
    uint64_t due_tick;
    uint64_t sent_prior[2]; /* packets of ours, as of the last two reports */
    uint32_t last_report; /* middle of the NTP time of the last SR received */
    uint64_t last_report_ntp;
    uint64_t expected_prior;
    uint64_t received_prior;
} ot_reports;

struct ot_leg {
    OT_ALIGNED uint8_t active;
    uint8_t connected;
    uint8_t send;
    uint8_t receive;
    uint8_t payload_type;
    uint8_t codec;
    uint8_t polls;         /* counts towards a full drain of the socket */
    uint8_t closing_ticks; /* counts down to the end */
    uint16_t verify_left;  /* packets whose source is still compared by hand */
    int voice;             /* connected to the far end: the kernel keeps strangers out */
    int door;              /* the same port unconnected: where strangers' packets are counted */
    struct sockaddr_in remote;
    int64_t last_receive_ns;
    int64_t last_send_ns;
    uint32_t last_transit;
    uint32_t jitter_q4;
    uint8_t transit_known;
    ot_stream stream;
    ot_leg_stats stats;
    ot_reports reports;
    struct ot_jitter jitter;
    struct { /* control */
        ot_engine *engine;
        uint32_t ssrc;
        uint16_t rtp_port;
        uint8_t used;
        uint8_t open;
        struct in_addr local;
        struct sockaddr_in remote;
    } control;
};

struct ot_device {
    OT_ALIGNED uint8_t active;
    uint8_t closing_ticks;
    int16_t frame[OT_TICK_SAMPLES];
    uint64_t capture_energy;
    uint64_t playback_energy;
    ot_sample_ring capture;
    ot_sample_ring playback;
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
    uint8_t own; /* ot_own: how this tick's contribution is kept */
    ot_ramp talk;
    ot_ramp listen;
} ot_member;

struct ot_bus {
    uint32_t count;
    uint32_t talkers; /* in this tick */
    uint8_t active;
    ot_member members[OT_PORTS_MAX];
    struct {
        ot_engine *engine;
        uint8_t used;
        uint8_t open;
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
    OT_ALIGNED uint8_t active;
    uint8_t tap_count;
    uint8_t taps[OT_TAPS_MAX];
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

typedef enum {
    OT_LEG_ADD,
    OT_LEG_CONNECT,
    OT_LEG_RESET_GAPS,
    OT_LEG_REMOVE,
    OT_DEVICE_ADD,
    OT_DEVICE_REMOVE,
    OT_BUS_ADD,
    OT_BUS_JOIN,
    OT_BUS_LEAVE,
    OT_BUS_REMOVE,
    OT_RECORDING_ADD,
    OT_RECORDING_TAP,
    OT_RECORDING_UNTAP,
    OT_RECORDING_FORK,
    OT_RECORDING_UNFORK,
    OT_RECORDING_REMOVE
} ot_command_kind;

typedef struct {
    ot_command_kind kind;
    uint16_t slot;
    uint16_t other; /* port, bus or fork */
    union {
        struct {
            float talk;
            float listen;
        } gains;
        struct {
            int fd; /* -1: as before */
            int reports_fd;
            struct sockaddr_in remote;
            struct sockaddr_in remote_reports;
            uint8_t codec;
            uint8_t payload_type;
            uint8_t ptime_ticks;
            uint8_t send;
            uint8_t receive;
        } remote;
    } with;
} ot_command;

typedef enum { OT_RETIRED_FD, OT_RETIRED_LEG, OT_RETIRED_DEVICE, OT_RETIRED_BUS,
               OT_RETIRED_RECORDING } ot_retired_kind;

typedef struct {
    ot_retired_kind kind;
    int value; /* descriptor or slot */
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
    ot_active buses_active;
    ot_active recordings_active;
    uint32_t forks_active;
    OT_ALIGNED const int16_t *said[OT_PORTS_MAX]; /* NULL: silence */
    uint8_t heard_any[OT_PORTS_MAX];
    OT_ALIGNED int32_t scratch[OT_TICK_SAMPLES];
    OT_ALIGNED int16_t out[OT_TICK_SAMPLES];
    OT_ALIGNED uint8_t datagram[OT_DATAGRAM_MAX];
    OT_ALIGNED int32_t heard[OT_PORTS_MAX][OT_TICK_SAMPLES];
    OT_ALIGNED int32_t own[OT_PORTS_MAX][OT_TICK_SAMPLES];
    OT_ALIGNED int32_t sums[OT_BUSES_MAX][OT_TICK_SAMPLES];
    OT_ALIGNED uint64_t guard; /* sequence lock over all statistics: odd during a tick */
    ot_tick_stats ticks;
    ot_item_ring commands; /* control to tick */
    ot_item_ring retired;  /* tick to control */
    /* control */
    OT_ALIGNED pthread_mutex_t mutex;
    pthread_t thread;
    uint8_t running;
    uint8_t realtime_wanted;
    uint32_t realtime;
    uint32_t stopping;
    /* slots */
    struct ot_leg legs[OT_LEGS_MAX];
    struct ot_device devices[OT_DEVICES_MAX];
    struct ot_bus buses[OT_BUSES_MAX];
    struct ot_recording recordings[OT_RECORDINGS_MAX];
};

/* engine.c */
extern const int16_t ot_silence[OT_TICK_SAMPLES];
void ot_apply_commands(ot_engine *engine);
void ot_retire(ot_engine *engine, ot_retired_kind kind, int value);
uint32_t ot_random(ot_engine *engine);
void ot_tick(ot_engine *engine, int64_t now_ns);

/* commands.c */
void ot_command_apply(ot_engine *engine, const ot_command *command);
void ot_finish_closing(ot_engine *engine);

/* control.c */
void ot_control_close_all(ot_engine *engine); /* says BYE everywhere; the thread has stopped */

/* stream.c */
void ot_stream_init(ot_stream *stream, int codec, uint32_t ptime_ticks, uint32_t phase);
/* Appends 10 ms (NULL: silence); returns 1 when the packet is full. */
int ot_stream_fill(ot_stream *stream, uint64_t tick, const int16_t *pcm);
uint32_t ot_stream_timestamp(const ot_stream *stream, uint64_t tick);

/* leg.c */
void ot_leg_receive(ot_engine *engine, struct ot_leg *leg);
void ot_leg_speak(ot_engine *engine, struct ot_leg *leg, uint32_t port);
void ot_leg_compose(ot_engine *engine, struct ot_leg *leg, uint32_t port);
void ot_leg_send(ot_engine *engine, struct ot_leg *leg);

/* device.c */
void ot_device_capture(ot_engine *engine, uint32_t slot);
void ot_device_play(ot_engine *engine, uint32_t slot);

/* reports.c */
uint64_t ot_ntp_now(void);
void ot_reports_poll(ot_engine *engine);
void ot_reports_schedule_first(ot_engine *engine, ot_reports *reports);
void ot_leg_report(ot_engine *engine, struct ot_leg *leg, int bye);
void ot_fork_report(ot_engine *engine, struct ot_recording *recording, ot_fork *fork, int bye);

/* bus.c */
void ot_bus_mix(ot_engine *engine, struct ot_bus *bus, int32_t *sum);

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
