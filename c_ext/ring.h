/* Rings between two threads, one that writes and one that reads; neither ever waits. */
#ifndef OT_RING_H
#define OT_RING_H

#include <stddef.h>
#include <stdint.h>

enum { OT_RING_SAMPLES = 4096 /* storage of a sample ring, a power of two: 512 ms */ };

/* Samples between a device thread and the tick.  Only the reader ever discards. */
typedef struct {
    uint32_t limit;   /* the most samples that may wait */
    uint32_t target;  /* where reading begins after running dry */
    uint64_t written __attribute__((aligned(64))); /* by the writer */
    uint64_t overruns;
    uint64_t read __attribute__((aligned(64))); /* by the reader from here on */
    uint64_t underruns;
    uint32_t primed;
    uint32_t lowest; /* fill since `window` began, to see delay that has crept in */
    uint32_t window;
    int16_t last;
    int16_t samples[OT_RING_SAMPLES];
} ot_sample_ring;

void ot_sample_ring_init(ot_sample_ring *ring, uint32_t limit);
uint32_t ot_sample_ring_fill(const ot_sample_ring *ring);
uint32_t ot_sample_ring_write(ot_sample_ring *ring, const int16_t *pcm, uint32_t samples);
/* Always fills pcm; returns 0 when it had nothing but silence to give. */
int ot_sample_ring_read(ot_sample_ring *ring, int16_t *pcm, uint32_t samples);

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
