/* A device in the tick: a microphone with an earpiece or a loudspeaker, at the device's own rate.
 *
 * Capture: ring, fill control, echo canceller, microphone gate; the result is what the device
 * says.  Playback: what it hears, ducked, plus side-tone, earpiece gate, fill control, ring.
 * Side-tone is taken behind the microphone gate: who is muted does not hear himself either.  It
 * passes both rings, so it comes half of both lengths late; where hardware has a side-tone of its
 * own, use that.
 */
#ifndef OT_DEVICE_H
#define OT_DEVICE_H

#include <stdint.h>

#include "drift.h"
#include "echo.h"
#include "engine.h"
#include "rate.h"
#include "ring.h"

/* cdef: begin */

typedef struct ot_echo ot_echo; /* echo.h */

typedef struct {
    uint64_t capture_energy; /* sum of squares over a tick at the device's rate, smoothed */
    uint64_t capture_peak;   /* 0 to 32768, falling by 20 dB in 1.5 s */
    uint64_t playback_energy;
    uint64_t playback_peak;
    int64_t capture_ppb; /* how much faster than ours the device's clock is, in 10^-9 */
    int64_t playback_ppb;
} ot_device_meters;

/* A device that stands alone; the engine embeds its own. */
int ot_device_create(ot_device **device, uint32_t rate_hz, uint32_t capture_ms,
                     uint32_t playback_ms);
void ot_device_destroy(ot_device *device);

/* What follows is run by the tick.
 *
 * Capture returns what the device says, a tick at its rate, or NULL for silence; it stays until
 * the next capture.  `reference` (at the device's rate, NULL: silence) is what the loudspeakers
 * whose sound the microphone may catch played in the last tick; only an echo canceller reads it. */
const int16_t *ot_device_capture(ot_device *device, const int16_t *reference);
/* `pcm` is a tick at the device's rate or NULL for silence; the gain ramp ducks it. */
void ot_device_play(ot_device *device, const int16_t *pcm, float duck_first, float duck_last);
const int16_t *ot_device_played(const ot_device *device); /* in the last tick; NULL: silence */

/* What passed the gates: said, and played. */
void ot_device_meter(const ot_device *device, ot_device_meters *meters);

void ot_device_set_microphone(ot_device *device, int open); /* gates move over 20 ms */
void ot_device_set_earpiece(ot_device *device, int open);
void ot_device_set_sidetone(ot_device *device, float gain); /* linear; 0: off */
/* Takes the canceller into use (NULL: none) and returns the one before, for the control side to
 * destroy.  The switch lies between two ticks. */
ot_echo *ot_device_set_echo(ot_device *device, ot_echo *echo);

/* cdef: end */

/* A gain that moves to its target over 20 ms. */
typedef struct {
    float now;
    float target;
    float step; /* a tick */
} ot_fade;

struct ot_device {
    uint8_t active __attribute__((aligned(64)));
    uint8_t closing_ticks;
    uint8_t says;   /* frame holds sound */
    uint8_t played; /* out holds sound */
    uint32_t rate_hz;
    uint32_t samples; /* of a tick */
    ot_fade microphone;
    ot_fade earpiece;
    ot_fade sidetone;
    ot_echo *echo; /* NULL: none; the control side destroys it with the device */
    uint64_t said_energy; /* of this tick */
    ot_device_meters meters; /* statistics */
    ot_drift capture_drift;
    ot_drift playback_drift;
    int16_t frame[OT_RATE_TICK_MAX] __attribute__((aligned(64)));
    int16_t out[OT_RATE_TICK_MAX] __attribute__((aligned(64)));
    ot_sample_ring capture;
    ot_sample_ring playback;
    struct {
        ot_engine *engine;
        uint8_t used;
        uint8_t open;
    } control;
};

/* Everything but `control`; before the tick knows the device.  EINVAL: no such rate or length. */
int ot_device_init(ot_device *device, uint32_t rate_hz, uint32_t capture_ms, uint32_t playback_ms);

#endif
