/* Fills a gap in a signal without delaying the signal.
 *
 * The past goes on as in G.711 Appendix I (plc.h); its first quarter wavelength is blended with a
 * linear prediction, so that nothing played before has to be touched.  Where it is known what
 * comes after the gap, that is carried on backwards in the same way and the two are cross-faded.
 */
#ifndef OT_CONCEAL_H
#define OT_CONCEAL_H

#include <stddef.h>
#include <stdint.h>

#include "plc.h"

enum {
    OT_BRIDGE_MAX = 480,  /* samples at 8 kHz, 60 ms: a longer gap is bridged when this is left */
    OT_FUTURE_MIN = 160,  /* 20 ms: what must be known of what follows */
    OT_FUTURE_MAX = 320,
    OT_LEAD = OT_PITCH_MAX / 4
};

typedef struct {
    uint32_t run;    /* samples concealed so far; the fade goes by it */
    uint32_t lead_at;
    uint32_t bridge_at;
    uint32_t bridge_length; /* 0: no bridge was built */
    double lead[OT_LEAD * OT_SYNTH_SCALE_MAX];
    int16_t bridge[OT_BRIDGE_MAX * OT_SYNTH_SCALE_MAX];
    ot_synth synth;
} ot_conceal;

/* A gap begins, or goes on from what was concealed so far when `run` says how much that is.
 * synth.past must be filled before. */
void ot_conceal_begin(ot_conceal *conceal, uint32_t scale, uint32_t run);
/* The next samples of the gap: from the bridge as long as it reaches, else ever softer. */
void ot_conceal_run(ot_conceal *conceal, int16_t *pcm, size_t samples);
/* The gap ends in `length` samples, and then comes `future`.  Does nothing when that is too far
 * away or too little of it is known. */
void ot_conceal_bridge(ot_conceal *conceal, size_t length, const int16_t *future, size_t known);
/* Blends the beginning of what came into what the concealment would have gone on with. */
void ot_conceal_end(ot_conceal *conceal, int16_t *pcm, size_t samples);

#endif
