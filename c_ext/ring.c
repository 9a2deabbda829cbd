#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

enum {
    MASK = OT_RING_SAMPLES - 1,
    FADE_SAMPLES = 40,      /* 5 ms: the join where samples were skipped, the fall into silence */
    WINDOW_SAMPLES = 8000,  /* 1 s: how long too much must wait before some of it is skipped */
    SLACK_SAMPLES = 160,
    SKIP_SAMPLES = 80
};

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

void ot_sample_ring_init(ot_sample_ring *ring, uint32_t limit)
{
    memset(ring, 0, sizeof(*ring));
    ring->limit = limit > OT_RING_SAMPLES ? OT_RING_SAMPLES : limit;
    ring->target = ring->limit / 2;
    ring->lowest = UINT32_MAX;
}

uint32_t ot_sample_ring_fill(const ot_sample_ring *ring)
{
    uint64_t read = load(&ring->read);
    return (uint32_t)(load(&ring->written) - read);
}

uint32_t ot_sample_ring_write(ot_sample_ring *ring, const int16_t *pcm, uint32_t samples)
{
    uint32_t room = ring->limit - ot_sample_ring_fill(ring);
    uint32_t taken = samples < room ? samples : room;
    uint32_t at = (uint32_t)ring->written & MASK;
    uint32_t straight = taken < OT_RING_SAMPLES - at ? taken : OT_RING_SAMPLES - at;

    memcpy(ring->samples + at, pcm, straight * sizeof(*pcm));
    memcpy(ring->samples, pcm + straight, (taken - straight) * sizeof(*pcm));
    if (taken < samples)
        store(&ring->overruns, ring->overruns + 1);
    store(&ring->written, ring->written + taken);
    return taken;
}

static void copy_out(const ot_sample_ring *ring, uint64_t from, int16_t *pcm, uint32_t samples)
{
    uint32_t at = (uint32_t)from & MASK;
    uint32_t straight = samples < OT_RING_SAMPLES - at ? samples : OT_RING_SAMPLES - at;

    memcpy(pcm, ring->samples + at, straight * sizeof(*pcm));
    memcpy(pcm + straight, ring->samples, (samples - straight) * sizeof(*pcm));
}

/* Falls from the last sample to silence without a click. */
static void fade_out(ot_sample_ring *ring, int16_t *pcm, uint32_t samples)
{
    for (uint32_t i = 0; i < samples; i++) {
        int32_t left = i < FADE_SAMPLES ? FADE_SAMPLES - 1 - (int32_t)i : 0;
        pcm[i] = (int16_t)(ring->last * left / FADE_SAMPLES);
    }
    ring->last = 0;
}

/* Blends the first samples of pcm from what `from` would have given. */
static void blend(const ot_sample_ring *ring, uint64_t from, int16_t *pcm, uint32_t samples)
{
    int32_t fade = samples < FADE_SAMPLES ? (int32_t)samples : FADE_SAMPLES;

    for (int32_t i = 0; i < fade; i++) {
        int32_t old = ring->samples[(from + (uint64_t)i) & MASK];
        pcm[i] = (int16_t)((old * (fade - i) + pcm[i] * i) / fade);
    }
}

/* How many samples to skip: all above the target when full, a little when never near empty. */
static uint32_t excess(ot_sample_ring *ring, uint32_t fill, uint32_t samples)
{
    uint32_t keep = ring->target + samples;
    uint32_t skip = 0;

    if (fill > ring->limit - ring->limit / 8 && fill > keep)
        skip = fill - keep;
    ring->lowest = fill < ring->lowest ? fill : ring->lowest;
    ring->window += samples;
    if (ring->window >= WINDOW_SAMPLES) {
        if (skip == 0 && ring->lowest >= ring->target + SLACK_SAMPLES &&
            fill >= SKIP_SAMPLES + samples)
            skip = SKIP_SAMPLES;
        ring->window = 0;
        ring->lowest = UINT32_MAX;
    }
    return skip;
}

static int run_dry(ot_sample_ring *ring, int16_t *pcm, uint32_t samples)
{
    int fading = ring->last != 0;

    if (ring->primed)
        store(&ring->underruns, ring->underruns + 1);
    ring->primed = 0;
    fade_out(ring, pcm, samples);
    return fading;
}

int ot_sample_ring_read(ot_sample_ring *ring, int16_t *pcm, uint32_t samples)
{
    uint32_t fill = ot_sample_ring_fill(ring);

    if (fill < samples || (!ring->primed && fill < ring->target))
        return run_dry(ring, pcm, samples);
    ring->primed = 1;
    uint32_t skip = excess(ring, fill, samples);
    copy_out(ring, ring->read + skip, pcm, samples);
    if (skip)
        blend(ring, ring->read, pcm, samples);
    if (samples)
        ring->last = pcm[samples - 1];
    store(&ring->read, ring->read + skip + samples);
    return 1;
}

int ot_item_ring_init(ot_item_ring *ring, uint32_t item_octets, uint32_t capacity)
{
    memset(ring, 0, sizeof(*ring));
    ring->items = calloc(capacity, item_octets);
    ring->item_octets = item_octets;
    ring->capacity = capacity;
    return ring->items ? 0 : ENOMEM;
}

void ot_item_ring_free(ot_item_ring *ring)
{
    free(ring->items);
    ring->items = NULL;
}

static void *slot(ot_item_ring *ring, uint32_t index)
{
    return ring->items + (size_t)(index & (ring->capacity - 1)) * ring->item_octets;
}

int ot_item_ring_push(ot_item_ring *ring, const void *item)
{
    if (ring->head - __atomic_load_n(&ring->tail, __ATOMIC_ACQUIRE) == ring->capacity)
        return EAGAIN;
    memcpy(slot(ring, ring->head), item, ring->item_octets);
    __atomic_store_n(&ring->head, ring->head + 1, __ATOMIC_RELEASE);
    return 0;
}

int ot_item_ring_pop(ot_item_ring *ring, void *item)
{
    if (ring->tail == __atomic_load_n(&ring->head, __ATOMIC_ACQUIRE))
        return EAGAIN;
    memcpy(item, slot(ring, ring->tail), ring->item_octets);
    __atomic_store_n(&ring->tail, ring->tail + 1, __ATOMIC_RELEASE);
    return 0;
}
