/* RFC 3389: what silence sounds like at the far end, told in a few octets.
 *
 * A payload is the level in -dBov (0: a full-scale square wave) and up to ten reflection
 * coefficients of the noise's spectrum.
 */
#ifndef OT_COMFORT_H
#define OT_COMFORT_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

enum {
    OT_COMFORT_ORDER = 10,         /* coefficients heeded; RFC 3389 lets a receiver drop more */
    OT_COMFORT_ORDER_SENT = 8,     /* coefficients in what we send */
    OT_COMFORT_PAYLOAD_MAX = 1 + OT_COMFORT_ORDER_SENT,
    OT_COMFORT_MEASURES = 16,      /* stretches of noise that a description is the mean of */
    OT_COMFORT_GLIDE_TICKS = 8,    /* level and colour go to their new values over 80 ms */
    OT_COMFORT_HANGOVER_MS = 200,  /* of silence that is still sent as voice, and measured */
    OT_COMFORT_EVERY_MS = 1000,    /* the description is repeated, since it may have been lost */
    OT_COMFORT_SOONEST_MS = 200,   /* and sent no sooner when the noise changes */
    OT_COMFORT_CHANGE_DB = 3
};

/* A generator; embed it.  Silent until something was set. */
typedef struct {
    uint32_t random;
    uint32_t tick_samples;
    uint8_t order; /* sections that shape the noise now */
    uint8_t started;
    uint8_t glide_ticks; /* left until the targets are reached */
    float gain;
    float gain_target;
    float reflection[OT_COMFORT_ORDER];
    float target[OT_COMFORT_ORDER];
    float transmission[OT_COMFORT_ORDER]; /* sqrt(1 - reflection^2) */
    float waves[OT_COMFORT_ORDER];        /* that run back through the sections */
} ot_comfort;

/* EINVAL: the rate is not 8000, 16000 or 48000 Hz. */
int ot_comfort_init(ot_comfort *comfort, uint32_t rate_hz);
/* Takes a payload from the wire.  EBADMSG: it is empty. */
int ot_comfort_set(ot_comfort *comfort, const uint8_t *payload, size_t octets);
/* Makes the next samples; ticks of 10 ms or any other number. */
void ot_comfort_make(ot_comfort *comfort, int16_t *pcm, size_t samples);

/* Measures noise: the mean of its first stretches, then of the recent ones; embed it. */
typedef struct {
    double correlation[OT_COMFORT_ORDER_SENT + 1]; /* mean product at each lag */
    uint32_t measures; /* taken, up to OT_COMFORT_MEASURES */
} ot_comfort_meter;

void ot_comfort_meter_init(ot_comfort_meter *meter);
void ot_comfort_meter_add(ot_comfort_meter *meter, const int16_t *pcm, size_t samples);
/* Writes a payload, at most OT_COMFORT_PAYLOAD_MAX octets, fewer when there is less room. */
size_t ot_comfort_meter_write(const ot_comfort_meter *meter, uint8_t *payload, size_t room);
/* The payload for one stretch of noise. */
size_t ot_comfort_analyse(const int16_t *pcm, size_t samples, uint32_t rate_hz, uint8_t *payload,
                          size_t room);

enum { OT_COMFORT_SEND_VOICE = -1, OT_COMFORT_SEND_NOTHING = 0 };

/* What a sender with discontinuous transmission remembers; embed it. */
typedef struct {
    ot_comfort_meter meter;
    uint32_t rate_hz;
    uint32_t quiet_ms;   /* since the last voice */
    uint32_t since_ms;   /* since the noise was described */
    uint8_t described;   /* in this pause */
    uint8_t level;       /* as last sent */
} ot_comfort_sender;

/* EINVAL as above. */
int ot_comfort_sender_init(ot_comfort_sender *sender, uint32_t rate_hz);
/* Once per packet: `voice` is what the voice-activity detector says of its samples.  Returns
 * OT_COMFORT_SEND_VOICE, OT_COMFORT_SEND_NOTHING, or the octets of `payload` (which has room for
 * OT_COMFORT_PAYLOAD_MAX) to send with the payload type of comfort noise. */
int ot_comfort_sender_run(ot_comfort_sender *sender, const int16_t *pcm, size_t samples, int voice,
                          uint8_t *payload);

/* cdef: end */

#endif
