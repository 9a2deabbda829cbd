/* Rings between two threads, one that writes and one that reads; neither ever waits. */
#ifndef OT_RING_H
#define OT_RING_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

typedef struct ot_sample_ring ot_sample_ring;

/* A ring that stands alone; a device embeds its own.  EINVAL: no rate or length of ours. */
int ot_sample_ring_create(ot_sample_ring **ring, uint32_t rate_hz, uint32_t limit_ms);
void ot_sample_ring_destroy(ot_sample_ring *ring);
/* Returns the samples taken: fewer than given is an overrun. */
uint32_t ot_sample_ring_write(ot_sample_ring *ring, const int16_t *pcm, uint32_t samples);
/* Always fills pcm; returns 0 when it had nothing but silence to give. */
int ot_sample_ring_read(ot_sample_ring *ring, int16_t *pcm, uint32_t samples);
uint32_t ot_sample_ring_fill(const ot_sample_ring *ring);   /* samples that wait */
uint32_t ot_sample_ring_target(const ot_sample_ring *ring); /* samples, half of the limit */
uint64_t ot_sample_ring_underruns(const ot_sample_ring *ring);
uint64_t ot_sample_ring_overruns(const ot_sample_ring *ring);
uint64_t ot_sample_ring_skips(const ot_sample_ring *ring); /* times too much delay was cut out */

/* cdef: end */

enum {
    OT_RING_MS_MIN = 20,
    OT_RING_MS_MAX = 512,
    OT_RING_SAMPLES = 32768 /* a power of two, over 512 ms at 48 kHz */
};

/* Samples between a device thread and the tick.  Only the reader ever discards.  Storage is for
 * the highest rate, but only as much as the rate and the limit need is ever touched. */
struct ot_sample_ring {
    uint32_t rate_hz;
    uint32_t limit;   /* the most samples that may wait */
    uint32_t target;  /* where reading begins after running dry */
    uint32_t mask;    /* of the storage in use */
    uint64_t written __attribute__((aligned(64))); /* by the writer */
    uint64_t overruns;
    uint64_t read __attribute__((aligned(64))); /* by the reader from here on */
    uint64_t underruns;
    uint64_t skips;
    uint32_t primed;
    uint32_t lowest; /* what was left since `window` began, to see delay that has crept in */
    uint32_t window;
    int16_t last;
    int16_t samples[OT_RING_SAMPLES];
};

int ot_sample_ring_init(ot_sample_ring *ring, uint32_t rate_hz, uint32_t limit_ms);

/* Fixed-size items; `capacity` is a power of two. */
typedef struct {
    unsigned char *items;
    uint32_t item_octets;
    uint32_t capacity;
    uint32_t head __attribute__((aligned(64)));
    uint32_t tail __attribute__((aligned(64)));
} ot_item_ring;

int ot_item_ring_init(ot_item_ring *ring, uint32_t item_octets, uint32_t capacity);
void ot_item_ring_free(ot_item_ring *ring);
int ot_item_ring_push(ot_item_ring *ring, const void *item); /* EAGAIN when full */
int ot_item_ring_pop(ot_item_ring *ring, void *item);        /* EAGAIN when empty */

#endif
