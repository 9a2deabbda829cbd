/* The media engine of a turret: RTP legs, devices, sources, buses and recordings on one thread.
 *
 * Sound is 16 bit and goes in ticks of 10 ms, at 8, 16 or 48 kHz: a leg speaks at the rate of its
 * codec, a device and a source at the rate they were opened with, and a bus mixes at its own.  A
 * port on a bus of another rate is resampled there; on a bus of its own rate it never is.
 *
 * Control functions may be called from any thread; they take a lock the tick never sees, allocate,
 * and hand the result to the tick through a ring.  Every function that can fail returns 0 or a
 * positive errno.  Strings and buffers belong to the caller.
 */
#ifndef OT_ENGINE_H
#define OT_ENGINE_H

#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include "tone.h"

/* cdef: begin (engine_build.py reads from here) */

enum {
    OT_RATE_HZ = 8000, /* the narrowest rate; levels are told at it, whatever the port's */
    OT_TICK_MS = 10,
    OT_TICK_SAMPLES = 80,      /* of a tick at 8 kHz */
    OT_TICK_SAMPLES_MAX = 480, /* and at 48 kHz */
    OT_LEGS_MAX = 256,
    OT_DEVICES_MAX = 32,
    OT_SOURCES_MAX = 32,
    OT_PORTS_MAX = 320, /* legs first, then devices, then sources */
    OT_BUSES_MAX = 160,
    OT_RECORDINGS_MAX = 128,
    OT_TAPS_MAX = 64,
    OT_FORKS = 2,
    OT_JITTER_MIN_MS = 60,  /* bounds of the delay that the jitter buffer aims at */
    OT_JITTER_MAX_MS = 200,
    OT_RAMP_TICKS = 2,      /* a gain moves to its new value over 20 ms */
    OT_CATCH_UP_TICKS = 5,  /* a thread that wakes later than this skips the rest */
    OT_LATENESS_BUCKETS = 12,
    OT_PAYLOAD_MAX = 1440, /* octets of an RTP payload; longer ones are malformed to us */
    OT_REDUNDANCY_MAX = 2, /* older payloads that a packet of RFC 2198 carries once more */
    OT_CLIP_SECONDS_MAX = 600
};

typedef struct ot_engine ot_engine;
typedef struct ot_leg ot_leg;
typedef struct ot_device ot_device;
typedef struct ot_bus ot_bus;
typedef struct ot_source ot_source;
typedef struct ot_recording ot_recording;

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

/* What was negotiated with the far end.  A payload type of 0 in the optional part: not negotiated. */
typedef struct {
    const char *address; /* dotted quad the far end sends from and listens on */
    uint16_t rtp_port;
    uint16_t rtcp_port; /* 0: rtp_port + 1 */
    uint8_t codec;
    uint8_t payload_type;
    uint8_t ptime_ms; /* 10, 20 or 30 */
    uint8_t send;
    uint8_t receive;
    uint8_t event_type;     /* telephone events, RFC 4733, at the clock of the codec */
    uint8_t noise_type;     /* comfort noise, RFC 3389: our silence is not sent either */
    uint8_t redundant_type; /* redundant audio, RFC 2198 */
    uint8_t redundancy;     /* older payloads in each of our packets, 0 to OT_REDUNDANCY_MAX */
    uint8_t inband_digits;  /* look for DTMF in the sound that comes */
    ot_encoder_options encoding;
    uint8_t srtp_suite; /* ot_srtp_suite; 0: plain RTP */
    uint8_t srtp_octets; /* of each master key with its salt */
    const uint8_t *srtp_send;
    const uint8_t *srtp_receive;
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
    uint64_t packets_other; /* well formed, but of a payload type that was not negotiated */
    uint64_t packets_recovered;     /* holes that redundant audio filled */
    uint64_t packets_unauthentic;   /* SRTP or SRTCP that does not verify, or came before */
    uint64_t concealed_frames;
    uint64_t noise_frames;
    uint64_t resets; /* SSRC changes, sequence or timestamp jumps followed */
    uint64_t collisions; /* of the far end's SSRC with ours: we took another */
    uint64_t jitter_us;
    uint64_t round_trip_us; /* 0: not known yet */
    uint64_t receive_energy; /* sum of squares over a tick at 8 kHz, smoothed */
    uint64_t transmit_energy;
    uint64_t receive_active; /* somebody speaks */
    uint64_t transmit_active;
    uint64_t receive_gap_max_ns;
    uint64_t send_gap_max_ns;
    uint64_t buffered_samples; /* at the rate of the codec */
    uint64_t delay_target_ms;  /* what the jitter buffer aims at */
    uint64_t digits_sent;
    uint64_t digits_received;
    uint64_t reports_sent;
    uint64_t reports_received;
    uint64_t remote_fraction_lost; /* of 256 */
    uint64_t remote_packets_lost;
    uint64_t remote_jitter; /* in units of the RTP clock */
    uint64_t remote_ssrc;
    uint64_t ssrc; /* ours, now */
    uint64_t mos_q8; /* listening quality of what is heard, in 1/256 MOS; 0: not known yet */
    uint64_t remote_mos_q8; /* as the far end says in RTCP XR */
    uint64_t bye_received;
} ot_leg_stats;

int ot_leg_open(ot_leg **leg, ot_engine *engine, const char *address, uint16_t rtp_port,
                int codec, uint32_t ptime_ms);
int ot_leg_connect(ot_leg *leg, const ot_leg_remote *remote);
/* Dials a digit: events 0 to 16 of RFC 4733; ENOTSUP when they were not negotiated.  What comes
 * while 32 wait is dropped. */
int ot_leg_dial(ot_leg *leg, uint32_t event, uint32_t duration_ms);
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
    uint64_t capture_active;
    int64_t drift_ppb; /* how much faster than ours the device's clock is, in 10^-9 */
} ot_device_stats;

typedef struct {
    uint8_t echo;          /* take out what the unit's loudspeakers play */
    uint8_t gain_control;
    uint8_t noise_db;      /* how much steady noise is taken out; 0: none */
    uint16_t tail_ms;      /* the longest echo, 10 to 500 */
} ot_voice_options;

int ot_device_open(ot_device **device, ot_engine *engine, uint32_t rate_hz, uint32_t capture_ms,
                   uint32_t playback_ms);
uint32_t ot_device_port(const ot_device *device);
/* One thread writes and one reads.  Write returns the samples taken; read always fills pcm. */
uint32_t ot_device_write(ot_device *device, const int16_t *pcm, uint32_t samples);
void ot_device_read(ot_device *device, int16_t *pcm, uint32_t samples);
/* Gates without a click: 1 closes the microphone, or the earpiece. */
int ot_device_mute(ot_device *device, int capture, int playback);
/* Its own microphone in its own earpiece; -INFINITY: none, at most 0 dB. */
int ot_device_sidetone(ot_device *device, float gain_db);
/* Lowers what it plays while one of the ports speaks; no ports: never.  Depth 0 to 60 dB. */
int ot_device_duck(ot_device *device, const uint32_t *ports, uint32_t count, float depth_db,
                   uint32_t hold_ms, uint32_t release_ms);
/* Cleans its microphone.  The echo is that of the devices listed, at the same rate: itself for a
 * speakerphone, the loudspeakers around it for a gooseneck. */
int ot_device_clean(ot_device *device, const ot_voice_options *options, const uint32_t *ports,
                    uint32_t count);
int ot_device_stats_read(ot_device *device, ot_device_stats *stats);
int ot_device_close(ot_device *device);

/* -- sources: what speaks without a far end or a microphone -------------------------------- */

int ot_source_open(ot_source **source, ot_engine *engine, uint32_t rate_hz);
uint32_t ot_source_port(const ot_source *source);
/* A tone or a clip takes the place of what it said before; both fade in and out. */
int ot_source_tone(ot_source *source, const ot_tone_spec *tone);
int ot_source_clip(ot_source *source, const int16_t *pcm, uint32_t samples,
                   uint32_t times); /* 0: for ever */
int ot_source_stop(ot_source *source);
int ot_source_close(ot_source *source);

/* -- buses --------------------------------------------------------------------------------- */

int ot_bus_open(ot_bus **bus, ot_engine *engine, uint32_t rate_hz);
/* Gains in dB, at most +20; -INFINITY: not talking, not listening.  Joining again changes the gains. */
int ot_bus_join(ot_bus *bus, uint32_t port, float talk_db, float listen_db);
int ot_bus_leave(ot_bus *bus, uint32_t port);
int ot_bus_loudest(ot_bus *bus, uint32_t count); /* only so many are mixed; 0: all */
int ot_bus_close(ot_bus *bus);

/* -- recordings ---------------------------------------------------------------------------- */

typedef struct {
    uint64_t packets_sent;
    uint64_t octets_sent;
    uint64_t samples;
    uint64_t send_errors;
    uint64_t last_errno;
    uint64_t first_sequence; /* of the first packet this fork sent */
    uint64_t last_sequence;  /* counts on past 65535: the wire has its low 16 bits */
    uint64_t reports_received;
    uint64_t remote_fraction_lost;
    uint64_t round_trip_us;
    uint64_t active;
} ot_fork_stats;

/* Stereo has what the far ends say on the left and what the unit says on the right. */
int ot_recording_open(ot_recording **recording, ot_engine *engine, int codec, uint32_t ptime_ms,
                      int stereo);
uint32_t ot_recording_ssrc(const ot_recording *recording);
int ot_recording_tap(ot_recording *recording, ot_bus *bus);
int ot_recording_untap(ot_recording *recording, ot_bus *bus);
int ot_recording_fork(ot_recording *recording, uint32_t index, const char *address,
                      uint16_t local_rtp_port, const char *remote_address,
                      uint16_t remote_rtp_port, uint8_t payload_type);
int ot_recording_unfork(ot_recording *recording, uint32_t index);
int ot_recording_read(ot_recording *recording, uint32_t index, ot_fork_stats *stats);
int ot_recording_close(ot_recording *recording);

/* -- events: what happened in the tick that somebody should know ------------------------------ */

typedef enum {
    OT_DIGIT_BEGAN = 1, /* value: the event of RFC 4733 */
    OT_DIGIT_ENDED = 2, /* duration_ms is how long it was held */
    OT_DIGIT_HEARD = 3, /* in the sound; value: its character */
    OT_SOURCE_ENDED = 4
} ot_happening;

typedef struct {
    uint32_t happening; /* ot_happening */
    uint32_t port;
    uint32_t value;
    uint32_t duration_ms;
    uint64_t tick;
} ot_event;

int ot_engine_next_event(ot_engine *engine, ot_event *event); /* EAGAIN: nothing happened */
uint64_t ot_engine_events_lost(ot_engine *engine);            /* because nobody asked in time */

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

/* cdef: end */

#endif
