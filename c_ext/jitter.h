/* The jitter buffer, embedded in a leg.  It has no clock: one ot_jitter_frame is 10 ms. */
#ifndef OT_JITTER_H
#define OT_JITTER_H

#include <stdint.h>

#include "engine.h"

enum {
    OT_JITTER_SLOTS = 32, /* sequence numbers from play-out to newest */
    OT_JITTER_CHUNKS = 32,
    OT_JITTER_HISTORY = 4 /* frames kept: concealment repeats from them, the mix reads the last */
};

typedef struct {
    uint32_t timestamp;
    uint16_t sequence;
    uint16_t octets;
    uint8_t chunk;
    uint8_t used;
} ot_jitter_slot;

struct ot_jitter {
    /* reception */
    uint32_t ssrc;
    uint32_t highest_timestamp;
    uint16_t highest_sequence;
    uint16_t highest_octets;
    uint32_t cycles;        /* sequence wraps, already shifted by 16 */
    uint32_t base_sequence; /* extended; of the first packet since the last reset */
    uint64_t seen;          /* bit i: highest - i has come */
    uint64_t expected_before; /* by earlier sources */
    uint64_t dropped;       /* too old because the buffer overflowed */
    uint8_t started;
    uint8_t codec;
    uint8_t suspect_set;
    uint16_t suspect_next;  /* the sequence that would prove a jump */
    uint16_t suspect_octets;
    uint32_t suspect_ssrc;
    uint32_t suspect_timestamp;
    /* play-out */
    uint32_t target;
    uint32_t play_timestamp; /* of the next sample */
    uint16_t play_sequence;  /* of the next packet to open */
    uint8_t playing;
    uint8_t current_used;
    uint8_t current_chunk;
    uint16_t current_at;
    uint16_t current_octets;
    uint32_t stretched; /* samples concealed while empty: delay, or a loss not yet recognised */
    uint32_t empty_ticks;
    uint32_t waited_ticks;
    uint32_t concealed_run; /* samples concealed in a row: the fade */
    uint32_t pitch;
    uint32_t lowest; /* buffered samples since `window` began */
    uint32_t window;
    uint32_t free_chunks; /* a bit each; the lowest is used first, so few lines stay warm */
    uint32_t frame;       /* index of the newest in history */
    ot_jitter_slot slots[OT_JITTER_SLOTS];
    int16_t history[OT_JITTER_HISTORY * OT_TICK_SAMPLES];
    uint8_t suspect_payload[OT_PAYLOAD_MAX];
    uint8_t chunks[OT_JITTER_CHUNKS][OT_PAYLOAD_MAX];
};

void ot_jitter_init(ot_jitter *jitter, int codec, uint32_t target_ms);
/* The next 10 ms, valid until four calls later; *got says where they came from. */
const int16_t *ot_jitter_frame(ot_jitter *jitter, ot_get *got);
void ot_jitter_warm(const ot_jitter *jitter); /* asks the cache for what the next frame reads */
uint64_t ot_jitter_expected(const ot_jitter *jitter);
int ot_jitter_wants(const ot_jitter *jitter); /* the next frame needs a packet not yet opened */

#endif
