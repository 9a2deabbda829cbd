/* The play-out buffer of a leg: packets in, 10 ms of sound out.
 *
 * It has no clock and makes no system call: time is the number of frames taken from it.  It is
 * embedded in a leg and owns no memory; the decoder belongs to the caller.  jitter.c tells how it
 * works.
 */
#ifndef OT_JITTER_H
#define OT_JITTER_H

#include <stddef.h>
#include <stdint.h>

#include "codec.h"
#include "comfort.h"
#include "conceal.h"
#include "engine.h"

/* cdef: begin */

enum {
    OT_JITTER_PAYLOAD_MAX = 1472, /* what fits in an Ethernet frame; more is refused */
    OT_JITTER_MAXIMUM_MS = 500
};

typedef struct ot_jitter ot_jitter;

typedef enum {
    OT_PUT_STORED = 0,
    OT_PUT_DUPLICATE = 1,
    OT_PUT_LATE = 2, /* too late to be played, or refused */
    OT_PUT_REORDERED = 3, /* stored */
    OT_PUT_PROBATION = 4, /* a jump: believed when the next packet agrees */
    OT_PUT_RESET = 5      /* a jump was followed; stored */
} ot_put;

enum {
    OT_PUT_AS_REDUNDANT = 1, /* RFC 2198: fills a hole, is no packet received */
    OT_PUT_AS_NOISE = 2,     /* RFC 3389: the payload describes comfort noise */
    OT_PUT_AS_UNTIMED = 4    /* it may have waited in the socket: its delay says nothing */
};

typedef enum {
    OT_GET_SILENCE = 0,
    OT_GET_VOICE = 1,
    OT_GET_CONCEALED = 2, /* some of it */
    OT_GET_NOISE = 3      /* some of it, and nothing was concealed: the far end is silent */
} ot_get;

/* How greedily the socket should be read before the next frame. */
typedef enum {
    OT_READ_NONE = 0,   /* not at all: the next frame is there */
    OT_READ_ENOUGH = 1, /* one packet, untimed; then ask again */
    OT_READ_ALL = 2     /* until it is empty */
} ot_reading;

typedef struct {
    uint64_t late;      /* packets that came when their time had passed */
    uint64_t discarded; /* packets thrown away because too much waited */
    uint64_t recovered; /* packets that redundancy brought */
    uint64_t concealed_samples;
    uint64_t shortened_samples; /* taken out by stretching, to lower the delay */
    uint64_t lengthened_samples;
    uint64_t skipped_samples; /* cut out, because too much waited */
    uint64_t resets;          /* changes of source, sequence or timestamp that were followed */
    uint32_t target_ms;       /* what should wait when a packet has just come */
    uint32_t spread_ms;       /* how much later than the earliest packets come */
    uint32_t waiting_ms;      /* between play-out and the newest */
} ot_jitter_stats;

int ot_jitter_create(ot_jitter **jitter, int codec, uint32_t minimum_ms, uint32_t maximum_ms);
void ot_jitter_destroy(ot_jitter *jitter);
int ot_jitter_put(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload,
                  uint32_t flags);
/* The next 10 ms, rate / 100 samples, valid until the next call; *got says what they are. */
const int16_t *ot_jitter_frame(ot_jitter *jitter, ot_get *got);
int ot_jitter_get(ot_jitter *jitter, int16_t *pcm); /* the same, copied; returns an ot_get */
int ot_jitter_reading(const ot_jitter *jitter);      /* an ot_reading */
uint32_t ot_jitter_buffered(const ot_jitter *jitter); /* samples between play-out and newest */
uint64_t ot_jitter_expected(const ot_jitter *jitter); /* packets, RFC 3550 appendix A.3 */
uint32_t ot_jitter_highest(const ot_jitter *jitter);  /* extended sequence number */
/* The fate of the packets whose time came since the last call, in order of their sequence: bit 0
 * the first, set when it was lost or discarded.  Returns how many, at most the last 64. */
uint32_t ot_jitter_outcomes(ot_jitter *jitter, uint64_t *bits);
void ot_jitter_read(const ot_jitter *jitter, ot_jitter_stats *stats);

/* cdef: end */

enum {
    OT_JITTER_SLOTS = 64,  /* sequence numbers from play-out to newest */
    OT_JITTER_FRAMES = 6,  /* kept of the output: the concealment's past and the newest */
    OT_JITTER_FRAME_MAX = 480,
    OT_JITTER_PACKET_MAX = 5760, /* 120 ms of Opus at 48 kHz */
    OT_JITTER_BINS = 64
};

typedef struct {
    uint32_t timestamp;
    uint16_t sequence;
    uint16_t octets;
    uint16_t samples;
    uint8_t chunk;
    uint8_t kind; /* 0: empty */
} ot_jitter_slot;

/* Timestamps and durations are in units of the RTP clock, which for G.722 and Opus is not the rate
 * of the samples. */
struct ot_jitter {
    /* every frame */
    uint32_t now;            /* units; a frame more with every frame */
    uint32_t play_timestamp; /* of the next sample to be taken from a packet */
    uint16_t play_sequence;  /* of the next packet to open */
    uint16_t current_at;     /* samples */
    uint16_t current_samples;
    uint32_t current_end; /* units */
    uint16_t tick_samples;
    uint16_t tick_units;
    uint16_t adapt_ticks; /* until the delay is looked at again */
    uint16_t eager_ticks; /* for which the socket is to be drained */
    uint16_t calm_ticks;  /* then it is to be drained for a while again */
    uint8_t current_used;
    uint8_t current_chunk;
    uint8_t playing;
    uint8_t busy;    /* something is in progress that takes the slow path; the reasons are bits */
    uint8_t codec;
    uint8_t framed;  /* the codec is decoded 10 ms at a time, straight from the payload */
    uint8_t newest;  /* frame of the ring */
    uint8_t up;      /* samples = units * up / down */
    uint8_t down;
    uint8_t untimed; /* what is read now may have waited in the socket */
    uint64_t free_chunks; /* a bit each; the lowest is used first, so few lines stay warm */
    /* every packet */
    uint32_t ssrc;
    uint32_t sound_timestamp; /* of the newest packet with sound */
    uint32_t packet_units;    /* its duration */
    uint16_t sound_sequence;
    uint16_t highest_sequence;
    uint32_t cycles;        /* sequence wraps, already shifted by 16 */
    uint32_t timestamp_shift; /* from what is sent to what is used in here */
    uint16_t sequence_shift;
    uint32_t base_sequence; /* extended; of the first packet since the last reset */
    uint64_t seen;          /* bit i: highest - i has come */
    uint64_t fates;         /* bit 0: the oldest since asked */
    uint8_t fate_count;
    uint8_t started;
    uint8_t suspect_set;
    uint8_t stalled_frames; /* since the buffer ran empty */
    uint8_t starved;        /* it ran empty, and nothing has been opened since */
    uint32_t maximum;       /* units, as the following */
    uint32_t minimum;
    uint32_t target;
    uint32_t base;        /* the least of (frames' time - timestamp) */
    uint32_t spread;      /* a high quantile of it above the base */
    uint32_t redundancy;  /* how far behind its original redundancy comes */
    uint32_t loss;        /* of late, of 2^24 */
    ot_decoder *decoder;
    ot_jitter_slot slots[OT_JITTER_SLOTS];
    int16_t ring[OT_JITTER_FRAMES * OT_JITTER_FRAME_MAX];
    /* now and then */
    uint32_t stalled; /* units concealed while empty: delay, or a loss not yet recognised */
    uint32_t waited_ticks;
    uint32_t reviewed_at; /* of `now`, as the following */
    uint32_t raised_at;
    uint32_t redundant_at;
    uint32_t pending_at;
    uint32_t pending_samples;
    uint8_t pending_kind; /* ot_get */
    uint8_t bridged;      /* towards bridge_sequence */
    uint8_t decoded_set;  /* for decoded_sequence */
    uint16_t bridge_sequence;
    uint16_t decoded_sequence;
    uint16_t decoded_samples;
    uint64_t expected_before; /* by earlier sources */
    ot_jitter_stats stats;
    ot_rtp suspect;
    uint32_t suspect_flags;
    uint32_t suspect_at;
    uint8_t raised; /* at raised_at */
    uint8_t beyond; /* packets one after the other that came later than the maximum allows for */
    uint32_t beyond_least; /* delay of them */
    uint32_t anchor;       /* of bin 0 */
    uint32_t counted; /* since the last review */
    uint32_t reviews;
    uint32_t counted_at;
    uint32_t counted_delay;
    uint32_t bins[OT_JITTER_BINS];
    ot_comfort comfort;
    /* what follows need not be cleared */
    uint8_t suspect_payload[OT_JITTER_PAYLOAD_MAX];
    ot_conceal gap;
    int16_t pending[OT_JITTER_PACKET_MAX];
    int16_t decoded[OT_JITTER_PACKET_MAX];
    uint8_t chunks[OT_JITTER_SLOTS][OT_JITTER_PAYLOAD_MAX];
};

/* The codec must be one of codec.h, minimum <= maximum <= OT_JITTER_MAXIMUM_MS. */
void ot_jitter_init(ot_jitter *jitter, int codec, ot_decoder *decoder, uint32_t minimum_ms,
                    uint32_t maximum_ms);
/* For another stream in the same session: what was expected and counted before stays. */
void ot_jitter_restart(ot_jitter *jitter, int codec, ot_decoder *decoder, uint32_t minimum_ms,
                       uint32_t maximum_ms);
void ot_jitter_warm(const ot_jitter *jitter); /* asks the cache for what the next frame reads */

#endif
