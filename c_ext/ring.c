#include "ring.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "rate.h"

enum {
    FADES_PER_S = 200,  /* 5 ms: the join where samples were skipped, the fall into silence */
    SLACKS_PER_S = 50   /* 20 ms, two blocks: more than that above the target is gross excess */
};

static uint64_t load(const uint64_t *word)
{
    return __atomic_load_n(word, __ATOMIC_ACQUIRE);
}

static void store(uint64_t *word, uint64_t value)
{
    __atomic_store_n(word, value, __ATOMIC_RELEASE);
}

static uint32_t power_of_two(uint32_t at_least)
{
    uint32_t power = 1;

    while (power < at_least)
        power *= 2;
    return power;
}

int ot_sample_ring_init(ot_sample_ring *ring, uint32_t rate_hz, uint32_t limit_ms)
{
    if (ot_rate_tick(rate_hz) == 0 || limit_ms < OT_RING_MS_MIN || limit_ms > OT_RING_MS_MAX)
        return EINVAL;
    uint32_t limit = rate_hz / 1000 * limit_ms;
    uint32_t capacity = power_of_two(limit);

    memset(ring, 0, offsetof(ot_sample_ring, samples) + capacity * sizeof(ring->samples[0]));
    ring->rate_hz = rate_hz;
    ring->limit = limit;
    ring->target = limit / 2;
    ring->mask = capacity - 1;
    ring->lowest = UINT32_MAX;
    return 0;
}

int ot_sample_ring_create(ot_sample_ring **ring, uint32_t rate_hz, uint32_t limit_ms)
{
    ot_sample_ring *made = aligned_alloc(64, sizeof(*made));
    int error = made ? ot_sample_ring_init(made, rate_hz, limit_ms) : ENOMEM;

    if (error) {
        free(made);
        return error;
    }
    *ring = made;
    return 0;
}

void ot_sample_ring_destroy(ot_sample_ring *ring)
{
    free(ring);
}

uint32_t ot_sample_ring_fill(const ot_sample_ring *ring)
{
    uint64_t read = load(&ring->read);
    return (uint32_t)(load(&ring->written) - read);
}

uint32_t ot_sample_ring_target(const ot_sample_ring *ring)
{
    return ring->target;
}

uint64_t ot_sample_ring_underruns(const ot_sample_ring *ring)
{
    return load(&ring->underruns);
}

uint64_t ot_sample_ring_overruns(const ot_sample_ring *ring)
{
    return load(&ring->overruns);
}

uint64_t ot_sample_ring_skips(const ot_sample_ring *ring)
{
    return load(&ring->skips);
}

uint32_t ot_sample_ring_write(ot_sample_ring *ring, const int16_t *pcm, uint32_t samples)
{
    uint32_t room = ring->limit - ot_sample_ring_fill(ring);
    uint32_t taken = samples < room ? samples : room;
    uint32_t at = (uint32_t)ring->written & ring->mask;
    uint32_t end = ring->mask + 1 - at;
    uint32_t straight = taken < end ? taken : end;

    memcpy(ring->samples + at, pcm, straight * sizeof(*pcm));
    memcpy(ring->samples, pcm + straight, (taken - straight) * sizeof(*pcm));
    if (taken < samples)
        store(&ring->overruns, ring->overruns + 1);
    store(&ring->written, ring->written + taken);
    return taken;
}

static void copy_out(const ot_sample_ring *ring, uint64_t from, int16_t *pcm, uint32_t samples)
{
    uint32_t at = (uint32_t)from & ring->mask;
    uint32_t end = ring->mask + 1 - at;
    uint32_t straight = samples < end ? samples : end;

    memcpy(pcm, ring->samples + at, straight * sizeof(*pcm));
    memcpy(pcm + straight, ring->samples, (samples - straight) * sizeof(*pcm));
}

/* Falls from the last sample to silence without a click. */
static void fade_out(ot_sample_ring *ring, int16_t *pcm, uint32_t samples)
{
    int32_t fade = (int32_t)(ring->rate_hz / FADES_PER_S);

    for (uint32_t i = 0; i < samples; i++) {
        int32_t left = (int32_t)i < fade ? fade - 1 - (int32_t)i : 0;
        pcm[i] = (int16_t)(ring->last * left / fade);
    }
    ring->last = 0;
}

/* Blends the first samples of pcm from what `from` would have given. */
static void blend(const ot_sample_ring *ring, uint64_t from, int16_t *pcm, uint32_t samples)
{
    int32_t fade = (int32_t)(ring->rate_hz / FADES_PER_S);

    fade = (int32_t)samples < fade ? (int32_t)samples : fade;
    for (int32_t i = 0; i < fade; i++) {
        int32_t old = ring->samples[(from + (uint64_t)i) & ring->mask];
        pcm[i] = (int16_t)((old * (fade - i) + pcm[i] * i) / fade);
    }
}

/* How many samples to skip.  Fill control (drift.h) keeps the fill at the target; what it could
 * not take away soon is cut out: a ring near its limit at once, and a surplus that was there
 * for all of a second, after a stall of the other side. */
static uint32_t excess(ot_sample_ring *ring, uint32_t fill, uint32_t samples)
{
    uint32_t left = fill - samples;
    uint32_t above = left > ring->target ? left - ring->target : 0;
    uint32_t skip = fill > ring->limit - ring->limit / 8 ? above : 0;

    ring->lowest = left < ring->lowest ? left : ring->lowest;
    ring->window += samples;
    if (ring->window < ring->rate_hz && skip == 0)
        return 0;
    if (skip == 0 && ring->lowest >= ring->target + ring->rate_hz / SLACKS_PER_S)
        skip = ring->lowest - ring->target;
    ring->window = 0;
    ring->lowest = UINT32_MAX;
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
    if (skip) {
        blend(ring, ring->read, pcm, samples);
        store(&ring->skips, ring->skips + 1);
    }
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
