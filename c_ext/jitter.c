/* Reorders RTP packets by sequence, plays them by timestamp, conceals the ones that never came.
 *
 * Playing starts when `target` samples wait.  A hole with newer packets behind it is a loss: its
 * time passes, concealed.  An empty buffer is a delay: concealment plays but time stands still,
 * so what comes late is still played; if the hole proves to be a loss after all, the time already
 * concealed is taken off it.  Delay that has grown is cut in one go when it is large, and by
 * 10 ms a second when it is small.  A new SSRC, or a jump of sequence or timestamp, is followed
 * when two packets agree on it.
 */
#include "jitter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"

enum {
    MAX_DROPOUT = 3000, /* RFC 3550 appendix A.1 */
    MAX_MISORDER = 100,
    TIMESTAMP_JUMP = OT_RATE_HZ, /* 1 s beside what the sequence says */
    SLACK = 80 * OT_RATE_HZ / 1000, /* above the target before the excess is cut in one go */
    EMPTY_TICKS_MAX = 12,           /* then playing starts afresh */
    WINDOW_TICKS = 100,
    PITCH_MIN = 40, /* 200 Hz */
    PITCH_MAX = 160,
    FADE_AFTER = 80, /* concealment: 10 ms at full level, silent at 60 ms */
    FADE_SAMPLES = 400,
    JOIN = 24 /* 3 ms blend where concealment begins and ends */
};

static uint16_t newer_by(uint16_t sequence, uint16_t than)
{
    return (uint16_t)(sequence - than);
}

static ot_jitter_slot *slot_of(ot_jitter *jitter, uint16_t sequence)
{
    return &jitter->slots[sequence % OT_JITTER_SLOTS];
}

static int holds(ot_jitter *jitter, uint16_t sequence)
{
    const ot_jitter_slot *slot = slot_of(jitter, sequence);
    return slot->used && slot->sequence == sequence;
}

void ot_jitter_init(ot_jitter *jitter, int codec, uint32_t target_ms)
{
    memset(jitter, 0, sizeof(*jitter));
    jitter->codec = (uint8_t)codec;
    jitter->target = target_ms * OT_RATE_HZ / 1000;
    jitter->free_chunks = UINT32_MAX;
}

int ot_jitter_create(ot_jitter **jitter, int codec, uint32_t target_ms)
{
    if ((codec != OT_PCMU && codec != OT_PCMA) || target_ms < OT_TICK_MS || target_ms > 200)
        return EINVAL;
    *jitter = malloc(sizeof(**jitter));
    if (*jitter == NULL)
        return ENOMEM;
    ot_jitter_init(*jitter, codec, target_ms);
    return 0;
}

void ot_jitter_destroy(ot_jitter *jitter)
{
    free(jitter);
}

/* The sample `back` before sample `at` of the frame being made (at may be 0 to 80). */
static int32_t earlier(ot_jitter *jitter, uint32_t at, uint32_t back)
{
    uint32_t total = OT_JITTER_HISTORY * OT_TICK_SAMPLES;
    return jitter->history[(jitter->frame * OT_TICK_SAMPLES + at + total - back) % total];
}

/* The lag at which the last 10 ms are most like what came before them. */
static uint32_t find_pitch(ot_jitter *jitter, uint32_t at)
{
    int64_t best = 0;
    uint32_t lag_best = OT_TICK_SAMPLES;

    for (uint32_t lag = PITCH_MIN; lag <= PITCH_MAX; lag++) {
        int64_t product = 0;
        int64_t energy = 1;
        for (uint32_t i = 1; i <= OT_TICK_SAMPLES - JOIN; i += 2) {
            int32_t past = earlier(jitter, at, i + lag);
            product += (int64_t)earlier(jitter, at, i) * past;
            energy += (int64_t)past * past;
        }
        int64_t score = product > 0 ? product / 1024 * (product / 1024) / (energy / 1024 + 1) : 0;
        if (score > best) {
            best = score;
            lag_best = lag;
        }
    }
    return lag_best;
}

/* -- putting ------------------------------------------------------------------------------- */

static void release(ot_jitter *jitter, ot_jitter_slot *slot)
{
    if (slot->used)
        jitter->free_chunks |= 1U << slot->chunk;
    slot->used = 0;
}

static void release_current(ot_jitter *jitter)
{
    if (jitter->current_used)
        jitter->free_chunks |= 1U << jitter->current_chunk;
    jitter->current_used = 0;
}

static void empty(ot_jitter *jitter)
{
    for (uint32_t i = 0; i < OT_JITTER_SLOTS; i++)
        jitter->slots[i].used = 0;
    jitter->current_used = 0;
    jitter->free_chunks = UINT32_MAX;
    jitter->playing = 0;
    jitter->waited_ticks = 0;
    jitter->empty_ticks = 0;
    jitter->stretched = 0;
}

uint64_t ot_jitter_expected(const ot_jitter *jitter)
{
    if (!jitter->started)
        return jitter->expected_before;
    uint32_t highest = jitter->cycles + jitter->highest_sequence;
    return jitter->expected_before + (highest - jitter->base_sequence + 1);
}

static void begin(ot_jitter *jitter, const ot_rtp *packet)
{
    jitter->expected_before = ot_jitter_expected(jitter);
    empty(jitter);
    jitter->ssrc = packet->ssrc;
    jitter->cycles = 0;
    jitter->base_sequence = packet->sequence;
    jitter->highest_sequence = packet->sequence;
    jitter->highest_timestamp = packet->timestamp;
    jitter->highest_octets = packet->payload_octets;
    jitter->play_sequence = packet->sequence;
    jitter->seen = 0;
    jitter->started = 1;
    jitter->suspect_set = 0;
}

static void hold(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload)
{
    ot_jitter_slot *slot = slot_of(jitter, packet->sequence);

    release(jitter, slot);
    if (jitter->free_chunks == 0)
        return;
    slot->chunk = (uint8_t)__builtin_ctz(jitter->free_chunks);
    jitter->free_chunks &= jitter->free_chunks - 1;
    slot->used = 1;
    slot->sequence = packet->sequence;
    slot->timestamp = packet->timestamp;
    slot->octets = packet->payload_octets;
    memcpy(jitter->chunks[slot->chunk], payload, packet->payload_octets);
}

static void note_highest(ot_jitter *jitter, const ot_rtp *packet)
{
    uint16_t ahead = newer_by(packet->sequence, jitter->highest_sequence);

    if (packet->sequence < jitter->highest_sequence)
        jitter->cycles += 0x10000;
    jitter->seen = ahead < 64 ? jitter->seen << ahead : 0;
    jitter->highest_sequence = packet->sequence;
    jitter->highest_timestamp = packet->timestamp;
    jitter->highest_octets = packet->payload_octets;
}

/* Remembers a packet that does not fit; two that agree with each other are believed. */
static int suspect(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload)
{
    int agrees = jitter->suspect_set && packet->ssrc == jitter->suspect_ssrc &&
                 packet->sequence == jitter->suspect_next &&
                 packet->timestamp - jitter->suspect_timestamp <= TIMESTAMP_JUMP;
    ot_rtp first = *packet;

    if (agrees) {
        first.sequence = (uint16_t)(packet->sequence - 1);
        first.timestamp = jitter->suspect_timestamp;
        first.payload_octets = jitter->suspect_octets;
        begin(jitter, &first);
        jitter->seen = 1;
        hold(jitter, &first, jitter->suspect_payload);
        note_highest(jitter, packet);
        jitter->seen |= 1;
        hold(jitter, packet, payload);
        return OT_PUT_RESET;
    }
    jitter->suspect_set = 1;
    jitter->suspect_ssrc = packet->ssrc;
    jitter->suspect_next = (uint16_t)(packet->sequence + 1);
    jitter->suspect_timestamp = packet->timestamp;
    jitter->suspect_octets = packet->payload_octets;
    memcpy(jitter->suspect_payload, payload, packet->payload_octets);
    return OT_PUT_PROBATION;
}

/* Whether sequence and timestamp moved as one stream's would. */
static int fits(const ot_jitter *jitter, const ot_rtp *packet)
{
    int16_t steps = (int16_t)(packet->sequence - jitter->highest_sequence);
    uint32_t passed = packet->timestamp - jitter->highest_timestamp;
    uint32_t likely = (uint32_t)(steps * (int32_t)jitter->highest_octets);

    if (packet->ssrc != jitter->ssrc || steps > MAX_DROPOUT || steps < -MAX_MISORDER)
        return 0;
    return passed - likely + TIMESTAMP_JUMP <= 2 * TIMESTAMP_JUMP; /* modulo 2^32 */
}

/* Too much waits: the oldest goes, so that the delay is the target again. */
static void cut(ot_jitter *jitter)
{
    uint32_t end = jitter->highest_timestamp + jitter->highest_octets;

    jitter->play_timestamp = end - jitter->target;
    jitter->stretched = 0;
    if (jitter->concealed_run == 0)
        jitter->pitch = find_pitch(jitter, OT_TICK_SAMPLES);
    jitter->concealed_run += 1; /* the next samples are blended in */
    release_current(jitter);
    while (jitter->play_sequence != jitter->highest_sequence) {
        ot_jitter_slot *slot = slot_of(jitter, jitter->play_sequence);
        int here = holds(jitter, jitter->play_sequence);
        if (here && (int32_t)(slot->timestamp + slot->octets - jitter->play_timestamp) > 0)
            return;
        if (here) {
            release(jitter, slot);
            jitter->dropped++;
        }
        jitter->play_sequence++;
    }
}

/* Makes room for a sequence number beyond the slots. */
static void slide(ot_jitter *jitter, const ot_rtp *packet)
{
    if (newer_by(packet->sequence, jitter->play_sequence) < OT_JITTER_SLOTS)
        return;
    empty(jitter);
    jitter->play_sequence = packet->sequence;
}

static int put_newer(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload)
{
    note_highest(jitter, packet);
    jitter->seen |= 1;
    slide(jitter, packet);
    hold(jitter, packet, payload);
    if (jitter->playing && ot_jitter_buffered(jitter) > jitter->target + SLACK)
        cut(jitter);
    return OT_PUT_STORED;
}

/* The first packets came in disorder: the count of expected ones begins with the oldest. */
static void lower_base(ot_jitter *jitter, uint16_t sequence)
{
    uint32_t highest = jitter->cycles + jitter->highest_sequence;
    int16_t before = (int16_t)(sequence - (uint16_t)jitter->base_sequence);

    if (before < 0 && highest - jitter->base_sequence < MAX_MISORDER)
        jitter->base_sequence += (uint32_t)(int32_t)before;
}

static int put_older(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload)
{
    uint16_t behind = newer_by(jitter->highest_sequence, packet->sequence);
    uint64_t bit = behind < 64 ? 1ULL << behind : 0;

    if (jitter->seen & bit)
        return OT_PUT_DUPLICATE;
    jitter->seen |= bit;
    lower_base(jitter, packet->sequence);
    int16_t ahead = (int16_t)(packet->sequence - jitter->play_sequence);
    if (!jitter->playing && ahead < 0 && behind < OT_JITTER_SLOTS) {
        jitter->play_sequence = packet->sequence;
        ahead = 0;
    }
    if (ahead < 0)
        return OT_PUT_LATE;
    hold(jitter, packet, payload);
    return OT_PUT_REORDERED;
}

int ot_jitter_put(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload)
{
    if (packet->payload_octets > OT_PAYLOAD_MAX)
        return OT_PUT_LATE;
    if (!jitter->started)
        begin(jitter, packet);
    else if (!fits(jitter, packet))
        return suspect(jitter, packet, payload);
    jitter->suspect_set = 0;
    uint16_t ahead = newer_by(packet->sequence, jitter->highest_sequence);
    if (ahead == 0 && (jitter->seen & 1))
        return OT_PUT_DUPLICATE;
    if (ahead < 0x8000)
        return put_newer(jitter, packet, payload);
    return put_older(jitter, packet, payload);
}

/* -- getting ------------------------------------------------------------------------------- */

uint32_t ot_jitter_buffered(const ot_jitter *jitter)
{
    if (!jitter->started)
        return 0;
    uint32_t end = jitter->highest_timestamp + jitter->highest_octets;
    uint32_t from = jitter->play_timestamp;
    if (!jitter->playing) {
        const ot_jitter_slot *first = &jitter->slots[jitter->play_sequence % OT_JITTER_SLOTS];
        if (!first->used || first->sequence != jitter->play_sequence)
            return 0;
        from = first->timestamp;
    }
    return (int32_t)(end - from) > 0 ? end - from : 0;
}

int ot_jitter_wants(const ot_jitter *jitter)
{
    return !jitter->playing || !jitter->current_used ||
           jitter->current_octets - jitter->current_at < OT_TICK_SAMPLES;
}

void ot_jitter_warm(const ot_jitter *jitter)
{
    const ot_jitter_slot *next = &jitter->slots[jitter->play_sequence % OT_JITTER_SLOTS];
    uint32_t chunk = jitter->current_used ? jitter->current_chunk : next->chunk;
    uint32_t at = jitter->current_used ? jitter->current_at : 0;
    const uint8_t *code = jitter->chunks[chunk % OT_JITTER_CHUNKS] + at % OT_PAYLOAD_MAX;

    __builtin_prefetch(code);
    __builtin_prefetch(code + OT_TICK_SAMPLES);
}

static int16_t *history_frame(ot_jitter *jitter, uint32_t back)
{
    uint32_t index = (jitter->frame + OT_JITTER_HISTORY - back) % OT_JITTER_HISTORY;
    return jitter->history + (size_t)index * OT_TICK_SAMPLES;
}

static void decode(const ot_jitter *jitter, int16_t *pcm, const uint8_t *code, uint32_t samples)
{
    if (jitter->codec == OT_PCMA)
        ot_kernel->alaw_decode(pcm, code, samples);
    else
        ot_kernel->ulaw_decode(pcm, code, samples);
}

/* The level of concealment after `run` samples of it, of 4096. */
static int32_t fade(uint32_t run)
{
    if (run < FADE_AFTER)
        return 1 << 12;
    if (run >= FADE_AFTER + FADE_SAMPLES)
        return 0;
    return (int32_t)((FADE_AFTER + FADE_SAMPLES - run) * (1 << 12) / FADE_SAMPLES);
}

/* The sample one pitch period ago, as loud as concealment may still be. */
static int32_t repeat(ot_jitter *jitter, uint32_t at, uint32_t run)
{
    int32_t before = run >= jitter->pitch ? fade(run - jitter->pitch) : 1 << 12;
    return before ? earlier(jitter, at, jitter->pitch) * fade(run) / before : 0;
}

/* Repeats the last pitch period, ever softer, into pcm[at..at+samples). */
static void conceal(ot_jitter *jitter, int16_t *pcm, uint32_t at, uint32_t samples)
{
    if (jitter->concealed_run == 0)
        jitter->pitch = find_pitch(jitter, at);
    for (uint32_t i = at; i < at + samples; i++)
        pcm[i] = (int16_t)repeat(jitter, i, jitter->concealed_run++);
}

/* Blends what was received into the concealment that would have gone on. */
static void join(ot_jitter *jitter, int16_t *pcm, uint32_t at, uint32_t samples)
{
    int32_t length = samples < JOIN ? (int32_t)samples : JOIN;

    for (int32_t i = 0; i < length; i++) {
        uint32_t here = at + (uint32_t)i;
        int32_t past = repeat(jitter, here, jitter->concealed_run + (uint32_t)i);
        pcm[here] = (int16_t)((past * (length - i) + pcm[here] * i) / length);
    }
    jitter->concealed_run = 0;
}

/* The oldest packet that waits, from play_sequence on; 0 when none does. */
static int next_held(ot_jitter *jitter, uint16_t *sequence)
{
    uint16_t left = newer_by(jitter->highest_sequence, jitter->play_sequence);

    if (left >= OT_JITTER_SLOTS)
        return 0;
    for (uint16_t i = 0; i <= left; i++) {
        *sequence = (uint16_t)(jitter->play_sequence + i);
        if (holds(jitter, *sequence))
            return 1;
    }
    return 0;
}

static void open_packet(ot_jitter *jitter, uint16_t sequence)
{
    ot_jitter_slot *slot = slot_of(jitter, sequence);
    uint32_t passed = jitter->play_timestamp - slot->timestamp;

    release_current(jitter);
    jitter->play_sequence = (uint16_t)(sequence + 1);
    jitter->stretched = 0;
    jitter->empty_ticks = 0;
    slot->used = 0;
    if (passed >= slot->octets) { /* its time went by, or it carries no sound */
        jitter->free_chunks |= 1U << slot->chunk;
        return;
    }
    jitter->current_used = 1;
    jitter->current_chunk = slot->chunk;
    jitter->current_octets = slot->octets;
    jitter->current_at = (uint16_t)passed;
}

/* The samples to conceal before the next packet's time, at most `room`; 0: one was opened. */
static uint32_t seek(ot_jitter *jitter, uint32_t room)
{
    uint16_t sequence;

    if (!next_held(jitter, &sequence)) {
        jitter->stretched += room;
        return room;
    }
    int32_t gap = (int32_t)(slot_of(jitter, sequence)->timestamp - jitter->play_timestamp);
    if (gap > 0 && jitter->stretched > 0) {
        uint32_t known = (uint32_t)gap < jitter->stretched ? (uint32_t)gap : jitter->stretched;
        jitter->play_timestamp += known;
        jitter->stretched -= known;
        gap -= (int32_t)known;
    }
    if (gap > 0) {
        uint32_t hole = (uint32_t)gap < room ? (uint32_t)gap : room;
        jitter->play_timestamp += hole;
        return hole;
    }
    open_packet(jitter, sequence);
    return 0;
}

static uint32_t play_current(ot_jitter *jitter, int16_t *pcm, uint32_t at)
{
    uint32_t room = OT_TICK_SAMPLES - at;
    uint32_t left = (uint32_t)(jitter->current_octets - jitter->current_at);
    uint32_t samples = left < room ? left : room;

    decode(jitter, pcm + at, jitter->chunks[jitter->current_chunk] + jitter->current_at, samples);
    if (jitter->concealed_run)
        join(jitter, pcm, at, samples);
    jitter->current_at = (uint16_t)(jitter->current_at + samples);
    jitter->play_timestamp += samples;
    if (samples == left)
        release_current(jitter);
    return samples;
}

static ot_get play(ot_jitter *jitter, int16_t *pcm)
{
    uint32_t at = 0;
    uint32_t concealed = 0;

    while (at < OT_TICK_SAMPLES) {
        if (jitter->current_used) {
            at += play_current(jitter, pcm, at);
            continue;
        }
        uint32_t hole = seek(jitter, OT_TICK_SAMPLES - at);
        if (hole)
            conceal(jitter, pcm, at, hole);
        concealed += hole;
        at += hole;
    }
    if (concealed == OT_TICK_SAMPLES && jitter->stretched &&
        ++jitter->empty_ticks > EMPTY_TICKS_MAX)
        empty(jitter);
    return concealed ? OT_GET_CONCEALED : OT_GET_VOICE;
}

static int may_start(ot_jitter *jitter)
{
    uint16_t first;

    if (!jitter->started || !next_held(jitter, &first))
        return 0;
    jitter->play_sequence = first;
    jitter->waited_ticks++;
    if (ot_jitter_buffered(jitter) < jitter->target &&
        jitter->waited_ticks * OT_TICK_SAMPLES < 2 * jitter->target)
        return 0;
    jitter->play_timestamp = slot_of(jitter, first)->timestamp;
    jitter->playing = 1;
    jitter->waited_ticks = 0;
    jitter->empty_ticks = 0;
    jitter->stretched = 0;
    jitter->lowest = UINT32_MAX;
    jitter->window = 0;
    return 1;
}

/* Once a second: when more than the target always waited, 10 ms are folded into the next 10. */
static void shrink(ot_jitter *jitter, int16_t *pcm)
{
    uint32_t buffered = ot_jitter_buffered(jitter);

    jitter->lowest = buffered < jitter->lowest ? buffered : jitter->lowest;
    if (++jitter->window < WINDOW_TICKS)
        return;
    int fold = jitter->lowest != UINT32_MAX && jitter->lowest >= jitter->target &&
               jitter->current_used &&
               jitter->current_octets - jitter->current_at >= OT_TICK_SAMPLES;
    jitter->window = fold ? 0 : WINDOW_TICKS - 1;
    if (!fold && jitter->lowest < jitter->target)
        jitter->window = 0;
    if (jitter->window == 0)
        jitter->lowest = UINT32_MAX;
    if (!fold)
        return;
    int16_t next[OT_TICK_SAMPLES];
    play_current(jitter, next, 0);
    for (int32_t i = 0; i < OT_TICK_SAMPLES; i++)
        pcm[i] = (int16_t)((pcm[i] * (OT_TICK_SAMPLES - i) + next[i] * i) / OT_TICK_SAMPLES);
}

const int16_t *ot_jitter_frame(ot_jitter *jitter, ot_get *got)
{
    jitter->frame = (jitter->frame + 1) % OT_JITTER_HISTORY;
    int16_t *pcm = history_frame(jitter, 0);

    if (!jitter->playing && !may_start(jitter)) {
        *got = OT_GET_SILENCE;
        memset(pcm, 0, OT_TICK_SAMPLES * sizeof(*pcm));
        jitter->concealed_run = 0;
        return pcm;
    }
    *got = play(jitter, pcm);
    if (*got == OT_GET_VOICE)
        shrink(jitter, pcm);
    return pcm;
}

int ot_jitter_get(ot_jitter *jitter, int16_t *pcm)
{
    ot_get got;
    const int16_t *frame = ot_jitter_frame(jitter, &got);

    memcpy(pcm, frame, OT_TICK_SAMPLES * sizeof(*pcm));
    return (int)got;
}
