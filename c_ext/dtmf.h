/* RFC 4733: digits as events in packets of their own, among the voice. */
#ifndef OT_DTMF_H
#define OT_DTMF_H

#include <stddef.h>
#include <stdint.h>

#include "engine.h"

/* cdef: begin */

enum {
    OT_DTMF_OCTETS = 4,
    OT_DTMF_STAR = 10, /* 0 to 9 are the digits, 12 to 15 the letters A to D */
    OT_DTMF_POUND = 11,
    OT_DTMF_FLASH = 16,
    OT_DTMF_VOLUME_MAX = 63, /* -dBm0: the softest */
    OT_DTMF_NOTICES_MAX = 3, /* of one packet: the end of an event, and both of the next */
    OT_DTMF_QUEUE = 32,
    OT_DTMF_ON_MIN_MS = 40,
    OT_DTMF_ON_MAX_MS = 60000,
    OT_DTMF_GAP_MS = 40,      /* between queued digits */
    OT_DTMF_ENDS = 3,         /* times that the end is sent */
    OT_DTMF_TIMEOUT_TICKS = 20 /* of 10 ms without a packet: the end will not come */
};

typedef struct {
    uint16_t duration; /* of this segment so far, timestamp units */
    uint8_t event;     /* 0 to 255 */
    uint8_t end;
    uint8_t volume; /* -dBm0 */
} ot_dtmf;

/* Reads the first event of a payload; several in one packet are for tones without pauses between
 * them (section 2.5.1.5), which digits are not.  EBADMSG: it is cut. */
int ot_dtmf_parse(ot_dtmf *dtmf, const uint8_t *data, size_t octets);
void ot_dtmf_write(uint8_t *data, const ot_dtmf *dtmf); /* OT_DTMF_OCTETS */

/* -- receiving ----------------------------------------------------------------------------- */

typedef enum { OT_DTMF_START = 0, OT_DTMF_END = 1 } ot_dtmf_kind;

typedef struct {
    uint32_t duration_ms; /* 0 at the start */
    uint8_t kind;         /* ot_dtmf_kind */
    uint8_t event;        /* 0 to OT_DTMF_FLASH */
    uint8_t volume;
} ot_dtmf_notice;

typedef struct {
    uint32_t count;
    ot_dtmf_notice notices[OT_DTMF_NOTICES_MAX]; /* in the order in which they happened */
} ot_dtmf_told;

/* Embed it. */
typedef struct {
    uint32_t clock_hz;
    uint32_t ssrc;
    uint32_t timestamp; /* of the segment */
    uint64_t before;    /* units in earlier segments of this event */
    uint16_t duration;  /* the longest reported for the segment */
    uint8_t known;      /* a segment: ssrc and timestamp are set */
    uint8_t active;     /* its end was not told yet */
    uint8_t event;
    uint8_t volume;
    uint8_t quiet_ticks;
} ot_dtmf_receiver;

/* EINVAL: the clock is not 8000, 16000 or 48000 Hz. */
int ot_dtmf_receiver_init(ot_dtmf_receiver *receiver, uint32_t clock_hz);
/* Takes a packet of the events' payload type; late, doubled and unfinished ones do no harm.  The
 * payload is packet->payload_octets long. */
void ot_dtmf_receiver_put(ot_dtmf_receiver *receiver, const ot_rtp *packet,
                          const uint8_t *payload, ot_dtmf_told *told);
/* Once every 10 ms: tells the end of an event whose sender fell silent. */
void ot_dtmf_receiver_tick(ot_dtmf_receiver *receiver, ot_dtmf_told *told);

/* -- sending ------------------------------------------------------------------------------- */

typedef struct {
    uint32_t duration; /* timestamp units */
    uint8_t event;
    uint8_t volume;
} ot_dtmf_wish;

/* Embed it. */
typedef struct {
    uint32_t clock_hz;
    uint32_t started;   /* timestamp of the event's beginning */
    uint32_t segment;   /* and of the segment's */
    uint32_t reached;   /* units of the event told so far */
    uint32_t free_from; /* timestamp at which the gap after the last event is over */
    uint8_t ends_sent;
    uint8_t active;
    uint8_t first;
    uint8_t count;
    ot_dtmf_wish queue[OT_DTMF_QUEUE]; /* the one being sent included */
} ot_dtmf_sender;

typedef struct {
    uint32_t timestamp; /* of the event, not of the packet's time */
    uint8_t marker;
    uint8_t payload[OT_DTMF_OCTETS];
} ot_dtmf_packet;

/* EINVAL: the clock is not 8000, 16000 or 48000 Hz. */
int ot_dtmf_sender_init(ot_dtmf_sender *sender, uint32_t clock_hz);
/* Queues a digit; shorter ones are sent with OT_DTMF_ON_MIN_MS.  EINVAL: out of bounds; ENOBUFS:
 * the queue is full. */
int ot_dtmf_sender_start(ot_dtmf_sender *sender, uint32_t event, uint32_t duration_ms,
                         uint32_t volume_dbm0);
/* Once per packet time, with the timestamp that a voice packet would have and the units it would
 * hold.  Returns 1 with a packet to send instead of voice, 0 when voice is to be sent. */
int ot_dtmf_sender_next(ot_dtmf_sender *sender, uint32_t timestamp, uint32_t units,
                        ot_dtmf_packet *packet);
int ot_dtmf_sender_idle(const ot_dtmf_sender *sender); /* 1: nothing is sent or queued */

/* cdef: end */

#endif
