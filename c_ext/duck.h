/* Ducking: loudspeakers step back while somebody talks into a handset or a gooseneck. */
#ifndef OT_DUCK_H
#define OT_DUCK_H

#include <stdint.h>

/* cdef: begin */

enum { OT_DUCK_DEPTH_DB_MAX = 60, OT_DUCK_TIME_MS_MAX = 10000 };

typedef struct {
    float depth_db;      /* 0 to 60: how far down */
    uint16_t attack_ms;  /* down to there; times are rounded up to ticks of 10 ms */
    uint16_t hold_ms;    /* stays down after the key has fallen silent */
    uint16_t release_ms; /* back up */
} ot_duck_settings;

typedef struct {
    float gain;  /* at the end of the last tick, 1: not ducked */
    float floor;
    float fall;  /* factor for each tick */
    float rise;
    uint32_t hold_ticks;
    uint32_t held; /* ticks left */
} ot_duck;

typedef struct {
    float first; /* gain before the first sample of the tick */
    float last;  /* gain at the last */
} ot_duck_gain;

/* EINVAL: out of bounds.  Settings may be changed while ducked: the gain goes on from where it
 * is when `duck` has run before; clear the struct first when it has not. */
int ot_duck_set(ot_duck *duck, const ot_duck_settings *settings);
/* One tick; the gain moves in equal steps of dB from tick to tick. */
ot_duck_gain ot_duck_run(ot_duck *duck, int key_active);

/* cdef: end */

#endif
