/* The media engine of a turret: RTP legs, devices, buses and recordings on one thread.
 *
 * Everything runs at 8 kHz, mono, 16 bit, in ticks of 10 ms (80 samples).  Control functions may
 * be called from any thread; they take a lock the tick never sees, allocate, and hand the result
 * to the tick through a ring.  Every function that can fail returns 0 or a positive errno.
 * Strings and buffers belong to the caller.
 */
#ifndef OT_ENGINE_H
#define OT_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "codec.h"

/* cdef: begin (engine_build.py reads from here) */

enum {
    OT_RATE_HZ = 8000,
    OT_TICK_MS = 10,
    OT_TICK_SAMPLES = 80,
    OT_LEGS_MAX = 128,
    OT_DEVICES_MAX = 32,
    OT_PORTS_MAX = 160, /* legs first, then devices */
    OT_BUSES_MAX = 128,
    OT_RECORDINGS_MAX = 64,
    OT_TAPS_MAX = 64,
    OT_FORKS = 2,
    OT_JITTER_TARGET_MS = 60,
    OT_RAMP_TICKS = 2,     /* a gain moves to its new value over 20 ms */
    OT_CATCH_UP_TICKS = 5, /* a thread that wakes later than this skips the rest */
    OT_LATENESS_BUCKETS = 12,
    OT_PAYLOAD_MAX = 480 /* 60 ms of G.711; longer RTP payloads are malformed to us */
};

typedef struct ot_engine ot_engine;
typedef struct ot_leg ot_leg;
typedef struct ot_device ot_device;
typedef struct ot_bus ot_bus;
typedef struct ot_recording ot_recording;
typedef struct ot_jitter ot_jitter;

/* -- the engine ---------------------------------------------------------------------------- */

typedef struct {
    uint64_t ticks;
    uint64_t late;    /* ticks that began 1 ms or more after their time */
    uint64_t skipped; /* ticks that never ran */
    uint64_t lateness_max_ns;
    uint64_t lateness[OT_LATENESS_BUCKETS]; /* counts; upper bounds from ot_lateness_bound_us */
    uint64_t busy_ns;                       /* time spent inside ticks */
} ot_tick_stats;

int ot_engine_create(ot_engine **engine);
void ot_engine_destroy(ot_engine *engine);
int ot_engine_start(ot_engine *engine, int realtime); /* EALREADY when it runs */
int ot_engine_stop(ot_engine *engine);                /* returns after the last tick */
int ot_engine_is_realtime(const ot_engine *engine);   /* 1 when SCHED_FIFO was granted */
int ot_engine_step(ot_engine *engine, uint32_t ticks); /* by hand, while the thread is stopped */
int ot_engine_read_ticks(ot_engine *engine, ot_tick_stats *stats);
uint32_t ot_lateness_bound_us(uint32_t bucket); /* UINT32_MAX for the last */

/* -- legs ---------------------------------------------------------------------------------- */

typedef struct {
    const char *address; /* dotted quad the far end sends from and listens on */
    uint16_t rtp_port;
    uint16_t rtcp_port; /* 0: rtp_port + 1 */
    uint8_t codec;
    uint8_t payload_type;
    uint8_t ptime_ms; /* 10, 20 or 30 */
    uint8_t send;
    uint8_t receive;
} ot_leg_remote;

typedef struct {
    uint64_t packets_sent;
    uint64_t octets_sent;
    uint64_t send_errors;
    uint64_t last_errno;
    uint64_t packets_received;
    uint64_t octets_received;
    uint64_t packets_expected;
    uint64_t packets_late;
    uint64_t packets_duplicate;
    uint64_t packets_reordered;
    uint64_t packets_foreign;
    uint64_t packets_malformed;
    uint64_t packets_other; /* well formed, but of another payload type */
    uint64_t concealed_frames;
    uint64_t resets; /* SSRC changes, sequence or timestamp jumps followed */
    uint64_t jitter_us;
    uint64_t round_trip_us; /* 0: not known yet */
    uint64_t receive_energy; /* sum of squares over a tick, smoothed */
    uint64_t transmit_energy;
    uint64_t receive_gap_max_ns;
    uint64_t send_gap_max_ns;
    uint64_t buffered_samples;
    uint64_t reports_sent;
    uint64_t reports_received;
    uint64_t remote_fraction_lost; /* of 256 */
    uint64_t remote_packets_lost;
    uint64_t remote_jitter;   /* in samples */
    uint64_t remote_ssrc;
    uint64_t bye_received;
} ot_leg_stats;

int ot_leg_open(ot_leg **leg, ot_engine *engine, const char *address, uint16_t rtp_port,
                int codec, uint32_t ptime_ms);
int ot_leg_connect(ot_leg *leg, const ot_leg_remote *remote);
int ot_leg_reset_gaps(ot_leg *leg);
int ot_leg_read(ot_leg *leg, ot_leg_stats *stats);
uint32_t ot_leg_port(const ot_leg *leg); /* the name a bus knows it by */
uint32_t ot_leg_ssrc(const ot_leg *leg);
int ot_leg_close(ot_leg *leg); /* says BYE; the handle is dead at once */

/* -- devices ------------------------------------------------------------------------------- */

typedef struct {
    uint64_t capture_fill; /* samples waiting */
    uint64_t playback_fill;
    uint64_t capture_underruns;
    uint64_t capture_overruns;
    uint64_t playback_underruns;
    uint64_t playback_overruns;
    uint64_t capture_energy;
    uint64_t playback_energy;
} ot_device_stats;

int ot_device_open(ot_device **device, ot_engine *engine, uint32_t capture_ms,
                   uint32_t playback_ms);
uint32_t ot_device_port(const ot_device *device);
/* One thread writes and one reads.  Write returns the samples taken; read always fills pcm. */
uint32_t ot_device_write(ot_device *device, const int16_t *pcm, uint32_t samples);
void ot_device_read(ot_device *device, int16_t *pcm, uint32_t samples);
int ot_device_stats_read(ot_device *device, ot_device_stats *stats);
int ot_device_close(ot_device *device);

/* -- buses --------------------------------------------------------------------------------- */

int ot_bus_open(ot_bus **bus, ot_engine *engine);
/* Gains in dB, at most +20; -INFINITY: not talking, not listening.  Joining again changes the gains. */
int ot_bus_join(ot_bus *bus, uint32_t port, float talk_db, float listen_db);
int ot_bus_leave(ot_bus *bus, uint32_t port);
int ot_bus_close(ot_bus *bus);

/* -- recordings ---------------------------------------------------------------------------- */

typedef struct {
    uint64_t packets_sent;
    uint64_t octets_sent;
    uint64_t samples;
    uint64_t send_errors;
    uint64_t last_errno;
    uint64_t first_sequence; /* of the first packet this fork sent */
    uint64_t last_sequence;
    uint64_t reports_received;
    uint64_t remote_fraction_lost;
    uint64_t round_trip_us;
    uint64_t active;
} ot_fork_stats;

int ot_recording_open(ot_recording **recording, ot_engine *engine, int codec, uint32_t ptime_ms);
uint32_t ot_recording_ssrc(const ot_recording *recording);
int ot_recording_tap(ot_recording *recording, ot_bus *bus);
int ot_recording_untap(ot_recording *recording, ot_bus *bus);
int ot_recording_fork(ot_recording *recording, uint32_t index, const char *address,
                      uint16_t local_rtp_port, const char *remote_address,
                      uint16_t remote_rtp_port, uint8_t payload_type);
int ot_recording_unfork(ot_recording *recording, uint32_t index);
int ot_recording_read(ot_recording *recording, uint32_t index, ot_fork_stats *stats);
int ot_recording_close(ot_recording *recording);

/* -- pure functions: what the tick is made of ----------------------------------------------- */

void ot_ulaw_encode(uint8_t *code, const int16_t *pcm, size_t samples);
void ot_ulaw_decode(int16_t *pcm, const uint8_t *code, size_t samples);
void ot_alaw_encode(uint8_t *code, const int16_t *pcm, size_t samples);
void ot_alaw_decode(int16_t *pcm, const uint8_t *code, size_t samples);

/* out[i] = saturate(sum of all sources - source i); out may be the sources, laid end to end. */
void ot_mix_minus_self(int16_t *out, const int16_t *sources, size_t count, size_t samples);
uint64_t ot_energy(const int16_t *pcm, size_t samples); /* sum of squares */
double ot_level_dbfs(uint64_t energy, size_t samples);  /* 0 = full-scale square; floor -127 */
/* Scales by a gain going linearly from first to last, rounding halves away from zero; the
 * result is limited to twice full scale. */
void ot_scale(int32_t *out, const int32_t *in, float first, float last, size_t samples);

uint32_t ot_cpu_variants(void);        /* how many kernels this processor can run */
const char *ot_cpu_name(uint32_t variant);
int ot_cpu_select(uint32_t variant);   /* for tests; the best is chosen by itself */

typedef struct {
    uint32_t ssrc;
    uint32_t timestamp;
    uint16_t sequence;
    uint16_t payload_octets;
    uint16_t payload_offset;
    uint8_t payload_type;
    uint8_t marker;
} ot_rtp;

int ot_rtp_parse(ot_rtp *packet, const uint8_t *data, size_t octets); /* EBADMSG: not RTP */

typedef struct {
    uint32_t sender_ssrc;
    uint32_t ntp_middle;      /* of the sender report; 0 when there was none */
    uint32_t last_report;     /* LSR that the far end returns to us */
    uint32_t delay_since;     /* DLSR, 1/65536 s */
    uint32_t jitter;
    int32_t packets_lost;
    uint8_t fraction_lost;
    uint8_t has_block;        /* a report block about our SSRC was present */
    uint8_t bye;
} ot_rtcp;

/* Reads a compound packet as far as it concerns `ssrc`; EBADMSG when any part lies. */
int ot_rtcp_parse(ot_rtcp *report, const uint8_t *data, size_t octets, uint32_t ssrc);

typedef enum {
    OT_PUT_STORED = 0,
    OT_PUT_DUPLICATE = 1,
    OT_PUT_LATE = 2,
    OT_PUT_REORDERED = 3, /* stored */
    OT_PUT_PROBATION = 4, /* a jump: believed when the next packet agrees */
    OT_PUT_RESET = 5      /* a jump was followed; stored */
} ot_put;

typedef enum { OT_GET_SILENCE = 0, OT_GET_VOICE = 1, OT_GET_CONCEALED = 2 } ot_get;

/* The jitter buffer has no clock: one ot_jitter_get is 10 ms. */
int ot_jitter_create(ot_jitter **jitter, int codec, uint32_t target_ms);
void ot_jitter_destroy(ot_jitter *jitter);
int ot_jitter_put(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload);
int ot_jitter_get(ot_jitter *jitter, int16_t *pcm); /* writes OT_TICK_SAMPLES */
uint32_t ot_jitter_buffered(const ot_jitter *jitter); /* samples between play-out and newest */

/* cdef: end */

#endif
