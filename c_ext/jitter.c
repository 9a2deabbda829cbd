/* Puts RTP packets in order, plays them when their time has come, and makes up what never came.
 *
 * Delay.  A packet's delay is the time at which it was put (frames taken, in units of the RTP
 * clock) less its timestamp; only differences of it mean anything.  `base` is the least of late,
 * and a histogram that forgets tells by how much others exceed it (`spread`, 99 of 100).  The
 * target is a packet and that spread, within what was asked for: it grows at once and shrinks
 * slowly.  Play-out has a delay of its own, now - play_timestamp; it is led to base + target
 * - one packet by taking out or putting in a pitch period now and then, as soon as it is off by
 * more than a tick: seldom while there is speech, often where it is quiet.
 *
 * Holes.  A hole with newer packets behind it is a loss: its time passes, concealed, towards what
 * is known to follow.  The same without a number missing is a pause of the sender: its time passes
 * in comfort noise or silence.  An empty buffer is a delay: time stands still while concealment
 * plays, so what comes late is still played; what proves to be a loss or a pause after all has
 * passed already.  After 120 ms of that playing starts afresh.
 *
 * A new SSRC, or a jump of sequence or timestamp, is followed when two packets agree on it.
 */
#include "jitter.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "kernels.h"
#include "stretch.h"

enum {
    MAX_DROPOUT = 3000, /* RFC 3550 appendix A.1 */
    MAX_MISORDER = 100,
    EMPTY_FRAMES_MAX = 12, /* then playing starts afresh */
    FRAMES_A_SECOND = 100,
    EAGER_FIRST = 60, /* frames: the socket is drained at each */
    EAGER_TROUBLE = 1000,
    EAGER_PROBE = 30, /* once in CALM_FRAMES, to see how long packets travel now */
    CALM_FRAMES = 1000,
    ADAPT_FRAMES = 10,
    ADAPT_FRAMES_LATER = 20, /* while there is too much: a pause may come */
    ADAPT_FRAMES_FULL = 6,
    ADAPT_FRAMES_SHORT = 5, /* while there is too little: more may come late */
    ADAPT_FRAMES_QUIET = 3,
    FAR_TICKS = 6, /* of delay beside the wanted */
    STRETCH_MS = 30,
    HOLD_TICKS = 500, /* after a rise, before it shrinks again */
    SHRINK_MS = 5, /* of the target, a second, and */
    SHRINK_PART = 8, /* this part of what is too much */
    BIN_WEIGHT = 256,
    BIN_DECAY = 8, /* seconds */
    BIN_FIRST = 8,  /* where the first packet is put: earlier ones find room */
    REVIEW_LEAST = 20, /* packets from which a review forgets */
    BEYOND_PACKETS = 10,
    REDUNDANCY_TICKS = 1000,
    LOSS_ALL = 1 << 24,
    LOSS_OFTEN = LOSS_ALL / 100,
    LOSS_MEMORY = 256, /* packets */
    QUIET_ENERGY = 60 * 60, /* a sample; about -55 dBFS */
    CACHE_LINE = 64,
    WARM_OCTETS = 3 * CACHE_LINE, /* of a frame; the prefetcher of the processor finds the rest */
    MILLISECONDS = 1000
};

enum { SLOT_EMPTY = 0, SLOT_VOICE = 1, SLOT_NOISE = 2 };

enum {
    BUSY_GAP = 1,     /* something is being concealed: what comes is to be joined to it */
    BUSY_JUMP = 2,    /* something was cut out */
    BUSY_PENDING = 4, /* stretched or made samples come first */
    BUSY_NOISE = 8    /* the far end is silent and has said how its silence sounds */
};

/* A frame in the making. */
typedef struct {
    int16_t *pcm;
    uint32_t at;
    uint8_t voice;
    uint8_t concealed;
    uint8_t noise;
} ot_making;

/* -- small things ---------------------------------------------------------------------------- */

static uint16_t newer_by(uint16_t sequence, uint16_t than)
{
    return (uint16_t)(sequence - than);
}

static ot_jitter_slot *slot_of(ot_jitter *jitter, uint16_t sequence)
{
    return &jitter->slots[sequence % OT_JITTER_SLOTS];
}

static int is_soundless(const ot_jitter_slot *slot)
{
    return slot->kind == SLOT_VOICE && slot->samples == 0;
}

static int holds(ot_jitter *jitter, uint16_t sequence)
{
    const ot_jitter_slot *slot = slot_of(jitter, sequence);
    return slot->kind != SLOT_EMPTY && slot->sequence == sequence;
}

static uint32_t to_units(const ot_jitter *jitter, uint32_t samples)
{
    return samples * jitter->down / jitter->up;
}

static uint32_t to_samples(const ot_jitter *jitter, uint32_t units)
{
    return units * jitter->up / jitter->down;
}

static uint32_t scale_of(const ot_jitter *jitter)
{
    return jitter->tick_samples / 80U;
}

static uint32_t to_ms(const ot_jitter *jitter, uint32_t units)
{
    return (uint32_t)((uint64_t)units * OT_TICK_MS / jitter->tick_units);
}

static uint32_t from_ms(const ot_jitter *jitter, uint32_t ms)
{
    return ms * jitter->tick_units / OT_TICK_MS;
}

static int is_opus(const ot_jitter *jitter)
{
    return jitter->codec >= OT_OPUS_8K;
}

/* While nothing happens the socket need not be drained: each look costs a system call. */
static void be_eager(ot_jitter *jitter, uint16_t frames)
{
    if (jitter->eager_ticks == 0)
        jitter->untimed = 1;
    if (jitter->eager_ticks < frames)
        jitter->eager_ticks = frames;
}

/* -- making and ending ----------------------------------------------------------------------- */

static void set_codec(ot_jitter *jitter, int codec)
{
    const ot_codec_traits *traits = ot_codec_find(codec);

    if (traits == NULL)
        traits = ot_codec_find(OT_PCMU);
    jitter->codec = (uint8_t)codec;
    jitter->framed = traits->frame_octets != 0 && codec != OT_G722;
    jitter->tick_samples = (uint16_t)(traits->rate_hz / FRAMES_A_SECOND);
    jitter->tick_units = (uint16_t)(traits->clock_hz / FRAMES_A_SECOND);
    jitter->up = (uint8_t)(traits->rate_hz > traits->clock_hz ? traits->rate_hz / traits->clock_hz
                                                              : 1);
    jitter->down = (uint8_t)(traits->clock_hz > traits->rate_hz
                                 ? traits->clock_hz / traits->rate_hz
                                 : 1);
}

void ot_jitter_init(ot_jitter *jitter, int codec, ot_decoder *decoder, uint32_t minimum_ms,
                    uint32_t maximum_ms)
{
    memset(jitter, 0, offsetof(ot_jitter, suspect_payload));
    set_codec(jitter, codec);
    jitter->decoder = decoder;
    jitter->minimum = from_ms(jitter, minimum_ms);
    jitter->maximum = from_ms(jitter, maximum_ms);
    jitter->target = jitter->minimum;
    jitter->packet_units = 2U * jitter->tick_units;
    jitter->free_chunks = UINT64_MAX;
    jitter->adapt_ticks = ADAPT_FRAMES;
    jitter->eager_ticks = EAGER_FIRST;
    ot_comfort_init(&jitter->comfort, jitter->tick_samples * (uint32_t)FRAMES_A_SECOND);
}

void ot_jitter_restart(ot_jitter *jitter, int codec, ot_decoder *decoder, uint32_t minimum_ms,
                       uint32_t maximum_ms)
{
    uint64_t expected = ot_jitter_expected(jitter);
    ot_jitter_stats stats = jitter->stats;

    ot_jitter_init(jitter, codec, decoder, minimum_ms, maximum_ms);
    jitter->expected_before = expected;
    jitter->stats = stats;
}

int ot_jitter_create(ot_jitter **jitter, int codec, uint32_t minimum_ms, uint32_t maximum_ms)
{
    ot_decoder *decoder = NULL;

    if (ot_codec_find(codec) == NULL || minimum_ms < OT_TICK_MS || minimum_ms > maximum_ms ||
        maximum_ms > OT_JITTER_MAXIMUM_MS)
        return EINVAL;
    int error = ot_decoder_create(&decoder, codec);
    if (error)
        return error;
    *jitter = malloc(sizeof(**jitter));
    if (*jitter == NULL) {
        ot_decoder_destroy(decoder);
        return ENOMEM;
    }
    ot_jitter_init(*jitter, codec, decoder, minimum_ms, maximum_ms);
    return 0;
}

void ot_jitter_destroy(ot_jitter *jitter)
{
    if (jitter)
        ot_decoder_destroy(jitter->decoder);
    free(jitter);
}

/* -- the target ------------------------------------------------------------------------------ */

static void forget_delays(ot_jitter *jitter, uint32_t delay)
{
    memset(jitter->bins, 0, sizeof(jitter->bins));
    jitter->base = delay;
    jitter->anchor = delay - BIN_FIRST * (uint32_t)jitter->tick_units;
    jitter->counted = 0;
    jitter->beyond = 0;
    jitter->reviews = 0;
    jitter->reviewed_at = jitter->now;
    jitter->counted_at = jitter->now - 1;
}

/* Moves the histogram so that what was bin `from` becomes bin `to`. */
static void shift_bins(ot_jitter *jitter, uint32_t from, uint32_t to)
{
    uint32_t kept = OT_JITTER_BINS - (from > to ? from : to);

    memmove(jitter->bins + to, jitter->bins + from, kept * sizeof(*jitter->bins));
    if (to > from)
        memset(jitter->bins, 0, to * sizeof(*jitter->bins));
    else
        memset(jitter->bins + kept + to, 0, (OT_JITTER_BINS - kept - to) * sizeof(*jitter->bins));
    jitter->anchor += (from - to) * (uint32_t)jitter->tick_units;
}

static void count_delay(ot_jitter *jitter, uint32_t delay)
{
    int32_t from_anchor = (int32_t)(delay - jitter->anchor);
    int32_t reach = OT_JITTER_BINS * (int32_t)jitter->tick_units;

    if (from_anchor >= reach || from_anchor < -reach / 2) {
        forget_delays(jitter, delay); /* the far end's clock was set, or the route is another */
        from_anchor = (int32_t)(delay - jitter->anchor);
    } else if (from_anchor < 0) {
        uint32_t bins = (uint32_t)-from_anchor / jitter->tick_units + 1;
        shift_bins(jitter, 0, bins);
        from_anchor = (int32_t)(delay - jitter->anchor);
    }
    jitter->bins[(uint32_t)from_anchor / jitter->tick_units] += BIN_WEIGHT;
    jitter->counted++;
    jitter->counted_at = jitter->now;
    jitter->counted_delay = delay;
}

static uint32_t bin_reaching(const ot_jitter *jitter, uint32_t weight)
{
    uint32_t sum = 0;

    for (uint32_t bin = 0; bin < OT_JITTER_BINS; bin++) {
        sum += jitter->bins[bin];
        if (sum > weight)
            return bin;
    }
    return OT_JITTER_BINS - 1;
}

static void forget_a_little(ot_jitter *jitter)
{
    if (jitter->counted < REVIEW_LEAST)
        return;
    for (uint32_t bin = 0; bin < OT_JITTER_BINS; bin++)
        jitter->bins[bin] -= (jitter->bins[bin] + BIN_DECAY - 1) / BIN_DECAY;
    jitter->counted = 0;
}

/* What the target should be above one packet: room for late ones; for redundancy, which comes
 * after its original; and while packets are lost often, for the one that follows a gap, since
 * concealment towards something known is worth far more than it delays. */
static uint32_t reserve(const ot_jitter *jitter)
{
    uint32_t most = jitter->spread;
    int redundant = jitter->redundancy && jitter->now - jitter->redundant_at <
                                              REDUNDANCY_TICKS * (uint32_t)jitter->tick_units;
    if (redundant && jitter->redundancy > most)
        most = jitter->redundancy;
    if (jitter->loss > LOSS_OFTEN && jitter->packet_units > most)
        most = jitter->packet_units;
    return most;
}

static void aim(ot_jitter *jitter)
{
    uint32_t wanted = jitter->packet_units + reserve(jitter);

    wanted = wanted < jitter->minimum ? jitter->minimum : wanted;
    wanted = wanted > jitter->maximum ? jitter->maximum : wanted;
    int held = jitter->raised && jitter->now - jitter->raised_at <
                                     HOLD_TICKS * (uint32_t)jitter->tick_units;
    if (jitter->target <= wanted || (!held && jitter->target <= wanted + from_ms(jitter, SHRINK_MS)))
        jitter->target = wanted;
    else if (!held)
        jitter->target -= from_ms(jitter, SHRINK_MS) + (jitter->target - wanted) / SHRINK_PART;
}

/* Once a second: what the delays say now. */
static void review(ot_jitter *jitter)
{
    uint32_t total = 0;

    jitter->reviewed_at = jitter->now;
    jitter->reviews++;
    for (uint32_t bin = 0; bin < OT_JITTER_BINS; bin++)
        total += jitter->bins[bin];
    if (total > BIN_WEIGHT) {
        uint32_t above = total / 100 > BIN_WEIGHT ? total / 100 : BIN_WEIGHT; /* one may stray */
        uint32_t low = bin_reaching(jitter, total / 128);
        uint32_t high = bin_reaching(jitter, total - above - 1);
        jitter->base = jitter->anchor + low * jitter->tick_units;
        jitter->spread = (high - low) * jitter->tick_units;
        forget_a_little(jitter);
        if (low > 2 * BIN_FIRST)
            shift_bins(jitter, low, BIN_FIRST);
    }
    aim(jitter);
}

/* Something came later than the target allows for: that may happen again soon. */
static void raise_target(ot_jitter *jitter, uint32_t delay)
{
    int32_t over = (int32_t)(delay - jitter->base + jitter->packet_units - jitter->target);

    be_eager(jitter, EAGER_TROUBLE);
    if (over <= 0)
        return;
    uint32_t wanted = jitter->target + (uint32_t)over;
    jitter->target = wanted < jitter->maximum ? wanted : jitter->maximum;
    jitter->raised_at = jitter->now;
    jitter->raised = 1;
}

/* One packet after the other comes later than may ever be waited for: the route is another. */
static void follow_route(ot_jitter *jitter, uint32_t delay)
{
    int32_t late = (int32_t)(delay - jitter->base + jitter->packet_units - jitter->maximum);

    if (late <= 0) {
        jitter->beyond = 0;
        return;
    }
    if (jitter->beyond == 0 || (int32_t)(jitter->beyond_least - delay) > 0)
        jitter->beyond_least = delay;
    if (++jitter->beyond < BEYOND_PACKETS)
        return;
    forget_delays(jitter, jitter->beyond_least);
    jitter->spread = 0;
    jitter->raised = 0;
}

/* Earlier than ever is believed at once, unless it is absurd; later only by many.  Packets that
 * come together were held up together, which counts once. */
static void note_delay(ot_jitter *jitter, const ot_rtp *packet, uint32_t flags)
{
    uint32_t delay = jitter->now - packet->timestamp;
    int32_t earlier = (int32_t)(jitter->base - delay);

    if (earlier > 0 && earlier <= 10 * (int32_t)jitter->tick_units)
        jitter->base = delay;
    if ((flags & OT_PUT_AS_UNTIMED) || jitter->untimed)
        return;
    int behind_another = jitter->counted_at == jitter->now &&
                         (int32_t)(jitter->counted_delay - delay) >= 0;
    if (!behind_another) {
        count_delay(jitter, delay);
        follow_route(jitter, delay);
    }
    if (jitter->starved)
        raise_target(jitter, delay);
}

/* -- putting --------------------------------------------------------------------------------- */

static void release(ot_jitter *jitter, ot_jitter_slot *slot)
{
    if (slot->kind != SLOT_EMPTY)
        jitter->free_chunks |= 1ULL << slot->chunk;
    slot->kind = SLOT_EMPTY;
}

static void release_current(ot_jitter *jitter)
{
    if (jitter->current_used)
        jitter->free_chunks |= 1ULL << jitter->current_chunk;
    jitter->current_used = 0;
}

static void drop_pending(ot_jitter *jitter)
{
    jitter->pending_samples = 0;
    jitter->pending_at = 0;
    jitter->busy &= (uint8_t)~BUSY_PENDING;
}

static void stop(ot_jitter *jitter)
{
    jitter->playing = 0;
    jitter->waited_ticks = 0;
    jitter->stalled_frames = 0;
    jitter->stalled = 0;
    jitter->busy &= BUSY_NOISE;
}

static void empty(ot_jitter *jitter)
{
    for (uint32_t i = 0; i < OT_JITTER_SLOTS; i++)
        jitter->slots[i].kind = SLOT_EMPTY;
    jitter->current_used = 0;
    jitter->decoded_set = 0;
    jitter->free_chunks = UINT64_MAX;
    drop_pending(jitter);
    stop(jitter);
}

/* Sequence numbers in here may be shifted; see splice(). */
static uint16_t as_sent(const ot_jitter *jitter, uint16_t sequence)
{
    return (uint16_t)(sequence - jitter->sequence_shift);
}

uint64_t ot_jitter_expected(const ot_jitter *jitter)
{
    if (!jitter->started)
        return jitter->expected_before;
    return jitter->expected_before + (ot_jitter_highest(jitter) - jitter->base_sequence + 1);
}

uint32_t ot_jitter_highest(const ot_jitter *jitter)
{
    return jitter->cycles + as_sent(jitter, jitter->highest_sequence);
}

static void push_fate(ot_jitter *jitter, int lost)
{
    if (jitter->fate_count == 64) {
        jitter->fates >>= 1;
        jitter->fate_count--;
    }
    if (lost)
        jitter->fates |= 1ULL << jitter->fate_count;
    int32_t to = lost ? LOSS_ALL : 0;
    jitter->loss = (uint32_t)((int32_t)jitter->loss + (to - (int32_t)jitter->loss) / LOSS_MEMORY);
    jitter->fate_count++;
}

uint32_t ot_jitter_outcomes(ot_jitter *jitter, uint64_t *bits)
{
    uint32_t count = jitter->fate_count;

    *bits = jitter->fates;
    jitter->fates = 0;
    jitter->fate_count = 0;
    return count;
}

/* Play-out goes on with `sequence`: what was to come before it is lost. */
static void pass_to(ot_jitter *jitter, uint16_t sequence)
{
    for (uint32_t i = newer_by(sequence, jitter->play_sequence); i > 0 && i < 0x8000; i--)
        push_fate(jitter, 1);
    jitter->play_sequence = sequence;
}

static void begin(ot_jitter *jitter, const ot_rtp *packet)
{
    jitter->expected_before = ot_jitter_expected(jitter);
    empty(jitter);
    jitter->busy = 0;
    jitter->ssrc = packet->ssrc;
    jitter->sequence_shift = 0;
    jitter->timestamp_shift = 0;
    jitter->cycles = 0;
    jitter->base_sequence = packet->sequence;
    jitter->highest_sequence = packet->sequence;
    jitter->sound_sequence = packet->sequence;
    jitter->sound_timestamp = packet->timestamp;
    jitter->play_sequence = packet->sequence;
    jitter->seen = 0;
    jitter->started = 1;
    jitter->suspect_set = 0;
    jitter->raised = 0;
    forget_delays(jitter, jitter->now - packet->timestamp);
    be_eager(jitter, EAGER_FIRST);
}

static uint32_t samples_in(const ot_jitter *jitter, const uint8_t *payload, size_t octets)
{
    if (jitter->codec == OT_PCMU || jitter->codec == OT_PCMA)
        return (uint32_t)octets;
    size_t samples = octets ? ot_decoder_samples(jitter->codec, payload, octets) : 0;
    return samples <= OT_JITTER_PACKET_MAX ? (uint32_t)samples : 0;
}

static void hold(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload, uint32_t flags,
                 uint32_t samples)
{
    ot_jitter_slot *slot = slot_of(jitter, packet->sequence);

    release(jitter, slot);
    if (jitter->free_chunks == 0)
        return;
    slot->chunk = (uint8_t)__builtin_ctzll(jitter->free_chunks);
    jitter->free_chunks &= jitter->free_chunks - 1;
    slot->kind = flags & OT_PUT_AS_NOISE ? SLOT_NOISE : SLOT_VOICE;
    slot->sequence = packet->sequence;
    slot->timestamp = packet->timestamp;
    slot->octets = packet->payload_octets;
    slot->samples = (uint16_t)samples;
    memcpy(jitter->chunks[slot->chunk], payload, packet->payload_octets);
}

static void note_highest(ot_jitter *jitter, uint16_t sequence)
{
    uint16_t ahead = newer_by(sequence, jitter->highest_sequence);

    if (as_sent(jitter, sequence) < as_sent(jitter, jitter->highest_sequence))
        jitter->cycles += 0x10000;
    jitter->seen = ahead < 64 ? jitter->seen << ahead : 0;
    jitter->seen |= 1;
    jitter->highest_sequence = sequence;
}

/* Telephone events and packets of other types have timestamps of their own kind: only sound
 * moves the clock. */
static void note_sound(ot_jitter *jitter, const ot_rtp *packet, uint32_t samples)
{
    if (packet->payload_octets == 0)
        return;
    jitter->sound_sequence = packet->sequence;
    jitter->sound_timestamp = packet->timestamp;
    if (samples)
        jitter->packet_units = to_units(jitter, samples);
}

static uint32_t sound_end(const ot_jitter *jitter)
{
    return jitter->sound_timestamp + jitter->packet_units;
}

static int settle_put(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload,
                      uint32_t flags);

/* Lets another stream follow the one that was: what waits is still played, and the numbers of the
 * new one are shifted so that it goes on where the old one ended, or where the time is by now. */
static void splice(ot_jitter *jitter, const ot_rtp *first)
{
    uint32_t start = sound_end(jitter);
    uint32_t time = jitter->suspect_at - jitter->base;
    uint16_t next = (uint16_t)(jitter->highest_sequence + 1);
    uint16_t sequence = as_sent(jitter, first->sequence);

    start = (int32_t)(time - start) > 0 ? time : start;
    jitter->expected_before = ot_jitter_expected(jitter);
    jitter->ssrc = first->ssrc;
    jitter->sequence_shift = (uint16_t)(next - sequence);
    jitter->timestamp_shift += start - first->timestamp;
    jitter->base_sequence = sequence;
    jitter->cycles = sequence ? 0 : 0U - 0x10000; /* highest is one before it */
    jitter->seen = 0;
    jitter->sound_sequence = next;
    jitter->sound_timestamp = start;
    be_eager(jitter, EAGER_FIRST);
}

/* Whether two packets that do not fit what was follow each other. */
static int agree(const ot_jitter *jitter, const ot_rtp *first, const ot_rtp *second)
{
    return jitter->suspect_set && second->ssrc == first->ssrc &&
           second->sequence == (uint16_t)(first->sequence + 1) &&
           second->timestamp - first->timestamp <=
               FRAMES_A_SECOND * (uint32_t)jitter->tick_units;
}

static void shift(ot_rtp *packet, uint16_t sequence, uint32_t timestamp)
{
    packet->sequence = (uint16_t)(packet->sequence + sequence);
    packet->timestamp += timestamp;
}

static void follow(ot_jitter *jitter, ot_rtp *first, ot_rtp *second)
{
    uint16_t sequence_shift = jitter->sequence_shift;
    uint32_t timestamp_shift = jitter->timestamp_shift;

    if (jitter->playing) {
        splice(jitter, first);
    } else {
        ot_rtp sent = *first;
        shift(&sent, (uint16_t)-sequence_shift, 0U - timestamp_shift);
        begin(jitter, &sent);
    }
    sequence_shift = (uint16_t)(jitter->sequence_shift - sequence_shift);
    timestamp_shift = jitter->timestamp_shift - timestamp_shift;
    shift(first, sequence_shift, timestamp_shift);
    shift(second, sequence_shift, timestamp_shift);
    jitter->stats.resets++;
}

/* Remembers a packet that does not fit; two that agree with each other are believed. */
static int suspect(ot_jitter *jitter, ot_rtp *packet, const uint8_t *payload, uint32_t flags)
{
    ot_rtp first = jitter->suspect;

    if (agree(jitter, &first, packet)) {
        follow(jitter, &first, packet);
        settle_put(jitter, &first, jitter->suspect_payload,
                   jitter->suspect_flags | OT_PUT_AS_UNTIMED);
        settle_put(jitter, packet, payload, flags);
        return OT_PUT_RESET;
    }
    jitter->suspect_set = 1;
    jitter->suspect = *packet;
    jitter->suspect_at = jitter->now;
    jitter->suspect_flags = flags;
    memcpy(jitter->suspect_payload, payload, packet->payload_octets);
    return OT_PUT_PROBATION;
}

/* Whether sequence and timestamp moved as one stream's would.  After a pause the timestamp may be
 * where the time is instead of where the sequence is. */
static int fits(const ot_jitter *jitter, const ot_rtp *packet)
{
    int16_t steps = (int16_t)(packet->sequence - jitter->highest_sequence);
    int16_t sounds = (int16_t)(packet->sequence - jitter->sound_sequence);
    uint32_t passed = packet->timestamp - jitter->sound_timestamp;
    uint32_t likely = (uint32_t)(sounds * (int32_t)jitter->packet_units);
    uint32_t off_base = jitter->now - packet->timestamp - jitter->base;
    uint32_t second = FRAMES_A_SECOND * (uint32_t)jitter->tick_units;

    if (packet->ssrc != jitter->ssrc || steps > MAX_DROPOUT || steps < -MAX_MISORDER)
        return 0;
    if (packet->payload_octets == 0)
        return 1;
    return passed - likely + second <= 2 * second || off_base + second <= 2 * second;
}

/* -- too much waits -------------------------------------------------------------------------- */

/* Throws the oldest packet away that ends before `timestamp`; 0 when there is none. */
static int discard_one(ot_jitter *jitter, uint32_t timestamp)
{
    ot_jitter_slot *slot = slot_of(jitter, jitter->play_sequence);
    int here = holds(jitter, jitter->play_sequence);

    if (jitter->play_sequence == jitter->highest_sequence)
        return 0;
    if (here && (int32_t)(slot->timestamp + to_units(jitter, slot->samples) - timestamp) > 0)
        return 0;
    if (here)
        release(jitter, slot);
    jitter->stats.discarded += (uint64_t)here;
    push_fate(jitter, 1);
    jitter->play_sequence++;
    return 1;
}

static void skip_current(ot_jitter *jitter, uint32_t units)
{
    uint32_t samples = to_samples(jitter, units);

    if (!jitter->current_used)
        return;
    if (samples >= (uint32_t)(jitter->current_samples - jitter->current_at))
        release_current(jitter);
    else
        jitter->current_at = (uint16_t)(jitter->current_at + samples);
}

/* In extremis: the oldest goes, so that half of what is allowed beyond the target is left. */
static void skip(ot_jitter *jitter)
{
    uint32_t keep = (jitter->target + jitter->maximum) / 2;
    uint32_t from = sound_end(jitter) - keep;

    jitter->stats.skipped_samples += ot_jitter_buffered(jitter) - to_samples(jitter, keep);
    drop_pending(jitter);
    if (jitter->playing) {
        jitter->busy |= BUSY_JUMP;
        if ((int32_t)(from - jitter->play_timestamp) <= 0)
            return;
        skip_current(jitter, from - jitter->play_timestamp);
        jitter->play_timestamp = from;
        jitter->stalled = 0;
    }
    while (discard_one(jitter, from)) {
    }
}

static void limit_delay(ot_jitter *jitter)
{
    uint32_t most = to_samples(jitter, jitter->maximum);

    if (ot_jitter_buffered(jitter) > most)
        skip(jitter);
}

/* -- putting, continued ---------------------------------------------------------------------- */

/* Makes room for a sequence number beyond the slots. */
static void slide(ot_jitter *jitter, uint16_t sequence)
{
    uint16_t ahead = newer_by(sequence, jitter->play_sequence);

    if (ahead < OT_JITTER_SLOTS)
        return;
    empty(jitter);
    pass_to(jitter, sequence);
}

/* Time has gone on and the far end's numbers have not, as through a pause that its timestamps leave
 * out: what is newest would be past for ever. */
static void catch_up(ot_jitter *jitter, const ot_rtp *packet, uint32_t samples)
{
    int32_t behind = (int32_t)(jitter->play_timestamp - packet->timestamp);

    if (samples == 0 || !jitter->playing ||
        behind <= (int32_t)(jitter->maximum + to_units(jitter, samples)))
        return;
    empty(jitter);
    pass_to(jitter, packet->sequence);
    forget_delays(jitter, jitter->now - packet->timestamp);
}

static int put_newer(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload,
                     uint32_t flags, uint32_t samples)
{
    catch_up(jitter, packet, samples);
    note_highest(jitter, packet->sequence);
    note_sound(jitter, packet, samples);
    slide(jitter, packet->sequence);
    hold(jitter, packet, payload, flags, samples);
    limit_delay(jitter);
    return OT_PUT_STORED;
}

/* The first packets came in disorder: the count of expected ones begins with the oldest. */
static void lower_base(ot_jitter *jitter, uint16_t sequence)
{
    uint32_t highest = ot_jitter_highest(jitter);
    int16_t before = (int16_t)(sequence - (uint16_t)jitter->base_sequence);

    if (before < 0 && highest - jitter->base_sequence < MAX_MISORDER)
        jitter->base_sequence += (uint32_t)(int32_t)before;
}

static int came_late(ot_jitter *jitter, const ot_rtp *packet)
{
    jitter->stats.late++;
    raise_target(jitter, jitter->now - packet->timestamp);
    return OT_PUT_LATE;
}

static int put_older(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload,
                     uint32_t flags, uint32_t samples)
{
    uint16_t behind = newer_by(jitter->highest_sequence, packet->sequence);
    uint64_t bit = behind < 64 ? 1ULL << behind : 0;

    jitter->seen |= bit;
    lower_base(jitter, as_sent(jitter, packet->sequence));
    int16_t ahead = (int16_t)(packet->sequence - jitter->play_sequence);
    if (!jitter->playing && ahead < 0 && behind < OT_JITTER_SLOTS) {
        jitter->play_sequence = packet->sequence;
        ahead = 0;
    }
    if (ahead < 0)
        return came_late(jitter, packet);
    if (!holds(jitter, packet->sequence))
        hold(jitter, packet, payload, flags, samples);
    limit_delay(jitter);
    return OT_PUT_REORDERED;
}

static int came_before(const ot_jitter *jitter, uint16_t sequence)
{
    uint16_t behind = newer_by(jitter->highest_sequence, sequence);

    return behind < 64 && (jitter->seen >> behind & 1);
}

static int settle_put(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload,
                      uint32_t flags)
{
    uint16_t ahead = newer_by(packet->sequence, jitter->highest_sequence);
    uint32_t samples = flags & OT_PUT_AS_NOISE
                           ? 0
                           : samples_in(jitter, payload, packet->payload_octets);

    jitter->suspect_set = 0;
    if (came_before(jitter, packet->sequence))
        return OT_PUT_DUPLICATE;
    if (samples)
        note_delay(jitter, packet, flags);
    if (ahead < 0x8000)
        return put_newer(jitter, packet, payload, flags, samples);
    return put_older(jitter, packet, payload, flags, samples);
}

/* RFC 2198 repeats what was sent before: to be of use it must come in time, so play-out waits. */
static void note_redundancy(ot_jitter *jitter, const ot_rtp *packet)
{
    uint32_t behind = jitter->sound_timestamp - packet->timestamp;

    if (behind > jitter->maximum)
        return;
    jitter->redundancy = behind;
    jitter->redundant_at = jitter->now;
    if (jitter->packet_units + behind > jitter->target)
        aim(jitter);
}

static int put_redundant(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload)
{
    uint32_t samples = samples_in(jitter, payload, packet->payload_octets);
    uint16_t ahead = newer_by(packet->sequence, jitter->play_sequence);

    if (!jitter->started || samples == 0 || !fits(jitter, packet))
        return OT_PUT_LATE;
    note_redundancy(jitter, packet);
    if (ahead >= OT_JITTER_SLOTS ||
        newer_by(jitter->highest_sequence, packet->sequence) >= 0x8000)
        return OT_PUT_LATE;
    if (holds(jitter, packet->sequence))
        return OT_PUT_DUPLICATE;
    hold(jitter, packet, payload, 0, samples);
    jitter->stats.recovered++;
    return OT_PUT_STORED;
}

int ot_jitter_put(ot_jitter *jitter, const ot_rtp *packet, const uint8_t *payload,
                  uint32_t flags)
{
    ot_rtp here = *packet;

    if (packet->payload_octets > OT_JITTER_PAYLOAD_MAX)
        return OT_PUT_LATE;
    if (!jitter->started && !(flags & OT_PUT_AS_REDUNDANT))
        begin(jitter, packet);
    shift(&here, jitter->sequence_shift, jitter->timestamp_shift);
    if (flags & OT_PUT_AS_REDUNDANT)
        return put_redundant(jitter, &here, payload);
    if (!fits(jitter, &here))
        return suspect(jitter, &here, payload, flags);
    return settle_put(jitter, &here, payload, flags);
}

/* -- what waits ------------------------------------------------------------------------------ */

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

/* Where play-out really is: time that stood still while nothing was there may have been the time
 * of a loss or a pause. */
static uint32_t settled(const ot_jitter *jitter, uint32_t next_timestamp)
{
    int32_t gap = (int32_t)(next_timestamp - jitter->play_timestamp);

    if (gap <= 0)
        return jitter->play_timestamp;
    uint32_t known = (uint32_t)gap < jitter->stalled ? (uint32_t)gap : jitter->stalled;
    return jitter->play_timestamp + known;
}

static const ot_jitter_slot *first_sound(const ot_jitter *jitter)
{
    uint16_t left = newer_by(jitter->highest_sequence, jitter->play_sequence);

    if (left >= OT_JITTER_SLOTS)
        return NULL;
    for (uint16_t i = 0; i <= left; i++) {
        uint16_t sequence = (uint16_t)(jitter->play_sequence + i);
        const ot_jitter_slot *slot = &jitter->slots[sequence % OT_JITTER_SLOTS];
        if (slot->kind == SLOT_VOICE && slot->samples && slot->sequence == sequence)
            return slot;
    }
    return NULL;
}

uint32_t ot_jitter_buffered(const ot_jitter *jitter)
{
    uint32_t from = jitter->play_timestamp;

    if (!jitter->started)
        return 0;
    if (!jitter->playing || jitter->stalled) {
        const ot_jitter_slot *first = first_sound(jitter);
        if (first == NULL)
            return 0;
        from = jitter->playing ? settled(jitter, first->timestamp) : first->timestamp;
    }
    int32_t units = (int32_t)(sound_end(jitter) - from);
    uint32_t pending = jitter->pending_samples - jitter->pending_at;
    return (units > 0 ? to_samples(jitter, (uint32_t)units) : 0) + pending;
}

int ot_jitter_reading(const ot_jitter *jitter)
{
    if (jitter->eager_ticks || !jitter->playing || jitter->stalled)
        return OT_READ_ALL;
    uint32_t left = jitter->current_used
                        ? (uint32_t)(jitter->current_samples - jitter->current_at)
                        : 0;
    if (left + jitter->pending_samples - jitter->pending_at >= jitter->tick_samples)
        return OT_READ_NONE;
    const ot_jitter_slot *next = &jitter->slots[jitter->play_sequence % OT_JITTER_SLOTS];
    if (next->kind == SLOT_EMPTY || next->sequence != jitter->play_sequence)
        return OT_READ_ENOUGH;
    uint32_t due = jitter->now - jitter->base - jitter->tick_units; /* came a tick ago at least */
    return (int32_t)(due - sound_end(jitter)) >= 0 ? OT_READ_ENOUGH : OT_READ_NONE;
}

void ot_jitter_read(const ot_jitter *jitter, ot_jitter_stats *stats)
{
    uint32_t waiting = to_units(jitter, ot_jitter_buffered(jitter));

    *stats = jitter->stats;
    stats->target_ms = to_ms(jitter, jitter->target);
    stats->spread_ms = to_ms(jitter, jitter->spread);
    stats->waiting_ms = to_ms(jitter, waiting);
}

void ot_jitter_warm(const ot_jitter *jitter)
{
    const ot_jitter_slot *next = &jitter->slots[jitter->play_sequence % OT_JITTER_SLOTS];
    uint32_t chunk = jitter->current_used ? jitter->current_chunk : next->chunk;
    uint32_t at = jitter->current_used && jitter->framed ? jitter->current_at : 0;
    const uint8_t *code = jitter->chunks[chunk % OT_JITTER_SLOTS] + at % OT_JITTER_PAYLOAD_MAX;
    uint32_t frame_octets = (uint32_t)jitter->tick_samples * (uint32_t)sizeof(int16_t);
    const char *frame =
        (const char *)jitter->ring + (size_t)((jitter->newest + 1U) % OT_JITTER_FRAMES) * frame_octets;

    __builtin_prefetch(code);
    __builtin_prefetch(code + CACHE_LINE);
    for (uint32_t line = 0; line < frame_octets && line < WARM_OCTETS; line += CACHE_LINE)
        __builtin_prefetch(frame + line, 1);
}

/* -- the past -------------------------------------------------------------------------------- */

static int16_t *frame_at(ot_jitter *jitter, uint32_t index)
{
    return jitter->ring + (size_t)index * jitter->tick_samples;
}

/* Copies the last `samples` played before sample `at` of the newest frame. */
static void copy_past(ot_jitter *jitter, uint32_t at, int16_t *past, uint32_t samples)
{
    uint32_t total = OT_JITTER_FRAMES * (uint32_t)jitter->tick_samples;
    uint32_t end = jitter->newest * (uint32_t)jitter->tick_samples + at;
    uint32_t from = (end + total - samples) % total;

    for (uint32_t i = 0; i < samples; i++)
        past[i] = jitter->ring[(from + i) % total];
}

/* Concealment starts here; what it has done so far in this gap still counts. */
static void begin_gap(ot_jitter *jitter, uint32_t at)
{
    int16_t past[OT_SYNTH_PAST * OT_SYNTH_SCALE_MAX];
    uint32_t scale = scale_of(jitter);
    uint32_t samples = (uint32_t)ot_synth_past_samples(scale);
    uint32_t run = jitter->busy & BUSY_GAP ? jitter->gap.run : 0;

    copy_past(jitter, at, past, samples);
    for (uint32_t i = 0; i < samples; i++)
        jitter->gap.synth.past[i] = past[i];
    ot_conceal_begin(&jitter->gap, scale, run);
    jitter->busy |= BUSY_GAP;
    jitter->bridged = 0;
}

/* -- decoding -------------------------------------------------------------------------------- */

static void decode_framed(const ot_jitter *jitter, int16_t *pcm, const uint8_t *code, uint32_t at,
                          uint32_t samples)
{
    if (jitter->codec == OT_PCMU)
        ot_kernel->ulaw_decode(pcm, code + at, samples);
    else if (jitter->codec == OT_PCMA)
        ot_kernel->alaw_decode(pcm, code + at, samples);
    else
        ot_decoder_run(jitter->codec, NULL, pcm, samples, code + 2 * (size_t)at,
                       2 * (size_t)samples);
}

/* Decodes a whole packet, once. */
static uint32_t decode_whole(ot_jitter *jitter, uint16_t sequence)
{
    const ot_jitter_slot *slot = slot_of(jitter, sequence);

    if (jitter->decoded_set && jitter->decoded_sequence == sequence)
        return jitter->decoded_samples;
    size_t samples = ot_decoder_run(jitter->codec, jitter->decoder, jitter->decoded,
                                    OT_JITTER_PACKET_MAX, jitter->chunks[slot->chunk],
                                    slot->octets);
    jitter->decoded_set = 1;
    jitter->decoded_sequence = sequence;
    jitter->decoded_samples = (uint16_t)samples;
    return (uint32_t)samples;
}

static void open_voice(ot_jitter *jitter, const ot_jitter_slot *slot, uint32_t passed)
{
    uint32_t samples = jitter->framed || slot->samples == 0
                           ? slot->samples
                           : decode_whole(jitter, slot->sequence);
    uint32_t from = to_samples(jitter, passed);

    if (samples == 0 || from >= samples) { /* no sound, or its time went by */
        push_fate(jitter, slot->samples != 0);
        jitter->free_chunks |= 1ULL << slot->chunk;
        return;
    }
    push_fate(jitter, 0);
    jitter->busy &= (uint8_t)~BUSY_NOISE;
    jitter->current_used = 1;
    jitter->current_chunk = slot->chunk;
    jitter->current_samples = (uint16_t)samples;
    jitter->current_at = (uint16_t)from;
    jitter->current_end = slot->timestamp + to_units(jitter, samples);
}

static void open_noise(ot_jitter *jitter, const ot_jitter_slot *slot)
{
    push_fate(jitter, 0);
    jitter->free_chunks |= 1ULL << slot->chunk;
    if (slot->octets == 0)
        return;
    ot_comfort_set(&jitter->comfort, jitter->chunks[slot->chunk], slot->octets);
    jitter->busy = (jitter->busy & (uint8_t)~BUSY_GAP) | BUSY_NOISE;
}

static void open_packet(ot_jitter *jitter, uint16_t sequence)
{
    ot_jitter_slot *slot = slot_of(jitter, sequence);
    uint32_t passed = jitter->play_timestamp - slot->timestamp;
    int noise = slot->kind == SLOT_NOISE;

    release_current(jitter);
    pass_to(jitter, sequence);
    jitter->play_sequence = (uint16_t)(sequence + 1);
    jitter->stalled = 0;
    jitter->stalled_frames = 0;
    jitter->starved = 0;
    slot->kind = SLOT_EMPTY;
    if (noise)
        open_noise(jitter, slot);
    else
        open_voice(jitter, slot, passed);
}

/* Takes up to `room` samples of the current packet. */
static uint32_t take(ot_jitter *jitter, int16_t *pcm, uint32_t room)
{
    uint32_t left = (uint32_t)(jitter->current_samples - jitter->current_at);
    uint32_t samples = left < room ? left : room;

    if (jitter->framed)
        decode_framed(jitter, pcm, jitter->chunks[jitter->current_chunk], jitter->current_at,
                      samples);
    else
        memcpy(pcm, jitter->decoded + jitter->current_at, samples * sizeof(*pcm));
    jitter->current_at = (uint16_t)(jitter->current_at + samples);
    jitter->play_timestamp = jitter->current_end - to_units(jitter, left - samples);
    if (samples == left)
        release_current(jitter);
    return samples;
}

/* -- holes ----------------------------------------------------------------------------------- */

/* What is known of the sound from packet `sequence` on, as far as it hangs together. */
static uint32_t peek(ot_jitter *jitter, uint16_t sequence, int16_t *pcm, uint32_t most)
{
    uint32_t timestamp = slot_of(jitter, sequence)->timestamp;
    uint32_t known = 0;

    if (!jitter->framed) {
        uint32_t samples = decode_whole(jitter, sequence);
        known = samples < most ? samples : most;
        memcpy(pcm, jitter->decoded, known * sizeof(*pcm));
        return known;
    }
    for (; known < most && holds(jitter, sequence); sequence++) {
        const ot_jitter_slot *slot = slot_of(jitter, sequence);
        uint32_t samples = slot->samples < most - known ? slot->samples : most - known;
        if (slot->kind != SLOT_VOICE || slot->timestamp != timestamp)
            break;
        decode_framed(jitter, pcm + known, jitter->chunks[slot->chunk], 0, samples);
        known += samples;
        timestamp += to_units(jitter, slot->samples);
    }
    return known;
}

/* The gap ends in `left` samples with packet `sequence`, unless another comes before it. */
static void bridge(ot_jitter *jitter, uint16_t sequence, uint32_t left, uint32_t at)
{
    int16_t future[OT_FUTURE_MAX * OT_SYNTH_SCALE_MAX];
    uint32_t scale = scale_of(jitter);

    if (jitter->bridged && jitter->bridge_sequence != sequence)
        begin_gap(jitter, at);
    if (jitter->bridged || left > OT_BRIDGE_MAX * scale ||
        slot_of(jitter, sequence)->kind != SLOT_VOICE)
        return;
    uint32_t known = peek(jitter, sequence, future, OT_FUTURE_MAX * scale);
    ot_conceal_bridge(&jitter->gap, left, future, known);
    jitter->bridged = 1;
    jitter->bridge_sequence = sequence;
}

static uint32_t conceal(ot_jitter *jitter, ot_making *making, uint32_t samples)
{
    ot_conceal_run(&jitter->gap, making->pcm + making->at, samples);
    jitter->stats.concealed_samples += samples;
    making->concealed = 1;
    return samples;
}

/* Opus conceals by itself, in steps of 2.5 ms; what is made waits in `pending`. */
static void conceal_opus(ot_jitter *jitter, uint32_t samples, const ot_jitter_slot *next,
                         uint8_t kind)
{
    uint32_t step = jitter->tick_samples / 4U;
    uint32_t whole = (samples + step - 1) / step * step;
    const uint8_t *code = next ? jitter->chunks[next->chunk] : NULL;

    if (ot_decoder_conceal(jitter->codec, jitter->decoder, jitter->pending, whole, code,
                           next ? next->octets : 0) != 0)
        memset(jitter->pending, 0, whole * sizeof(*jitter->pending));
    jitter->pending_at = 0;
    jitter->pending_samples = samples;
    jitter->pending_kind = kind;
    jitter->busy |= BUSY_PENDING;
    if (kind == OT_GET_CONCEALED)
        jitter->stats.concealed_samples += samples;
}

/* The redundancy of the packet behind the hole stands for the one before it. */
static void lose_opus(ot_jitter *jitter, uint16_t sequence, uint32_t hole)
{
    const ot_jitter_slot *next = slot_of(jitter, sequence);
    int last = next->kind == SLOT_VOICE && hole <= next->samples && hole > 0;
    uint32_t samples = last || hole < jitter->tick_samples ? hole : jitter->tick_samples;

    conceal_opus(jitter, samples, last ? next : NULL, OT_GET_CONCEALED);
    jitter->play_timestamp += to_units(jitter, samples);
}

static uint32_t lose(ot_jitter *jitter, ot_making *making, uint16_t sequence, uint32_t hole)
{
    uint32_t room = jitter->tick_samples - making->at;
    uint32_t samples = hole < room ? hole : room;

    if (is_opus(jitter)) {
        lose_opus(jitter, sequence, hole);
        return 0;
    }
    if (!(jitter->busy & BUSY_GAP))
        begin_gap(jitter, making->at);
    bridge(jitter, sequence, hole, making->at);
    jitter->play_timestamp += to_units(jitter, samples);
    return conceal(jitter, making, samples);
}

/* The far end says nothing: noise as it described it, or the last sound fading. */
static uint32_t make_noise(ot_jitter *jitter, ot_making *making, uint32_t samples)
{
    int16_t *pcm = making->pcm + making->at;

    making->noise = 1;
    if (jitter->busy & BUSY_NOISE) {
        ot_comfort_make(&jitter->comfort, pcm, samples);
        return samples;
    }
    if (is_opus(jitter)) {
        conceal_opus(jitter, samples, NULL, OT_GET_NOISE);
        return 0;
    }
    if (!(jitter->busy & BUSY_GAP))
        begin_gap(jitter, making->at);
    ot_conceal_run(&jitter->gap, pcm, samples);
    return samples;
}

/* By how much play-out is later than it should be, `at` samples into a frame. */
static int32_t excess(const ot_jitter *jitter, uint32_t at)
{
    uint32_t pending = to_units(jitter, jitter->pending_samples - jitter->pending_at);
    uint32_t time = jitter->now - jitter->tick_units + to_units(jitter, at);
    uint32_t delay = time - jitter->play_timestamp + pending;

    return (int32_t)(delay - jitter->base - jitter->target + jitter->packet_units);
}

/* Nobody hears when a pause is a little longer or shorter: the delay is corrected in it. */
static uint32_t pause(ot_jitter *jitter, ot_making *making, uint32_t gap)
{
    uint32_t room = jitter->tick_samples - making->at;
    int32_t over = excess(jitter, making->at);

    if (over > 0) {
        uint32_t cut = (uint32_t)over < gap ? (uint32_t)over : gap;
        jitter->play_timestamp += cut;
        gap -= cut;
    }
    uint32_t hole = to_samples(jitter, gap);
    uint32_t samples = hole < room ? hole : room;
    if (over > -(int32_t)jitter->tick_units)
        jitter->play_timestamp += samples ? to_units(jitter, samples) : gap;
    return samples ? make_noise(jitter, making, samples) : 0;
}

/* Nothing waits at all. */
static uint32_t starve(ot_jitter *jitter, ot_making *making)
{
    uint32_t room = jitter->tick_samples - making->at;

    jitter->starved = 1;
    jitter->stalled += to_units(jitter, room);
    jitter->stalled_frames += jitter->stalled_frames < UINT8_MAX;
    if (jitter->busy & BUSY_NOISE)
        return make_noise(jitter, making, room);
    be_eager(jitter, EAGER_TROUBLE);
    if (is_opus(jitter)) {
        conceal_opus(jitter, room, NULL, OT_GET_CONCEALED);
        return 0;
    }
    if (!(jitter->busy & BUSY_GAP))
        begin_gap(jitter, making->at);
    return conceal(jitter, making, room);
}

/* Makes what stands before the next packet, or opens it; returns the samples made. */
static uint32_t advance(ot_jitter *jitter, ot_making *making)
{
    uint16_t sequence;

    if (!next_held(jitter, &sequence))
        return starve(jitter, making);
    const ot_jitter_slot *slot = slot_of(jitter, sequence);
    if (jitter->stalled) {
        uint32_t before = jitter->play_timestamp;
        jitter->play_timestamp = settled(jitter, slot->timestamp);
        jitter->stalled -= jitter->play_timestamp - before;
    }
    int32_t gap = (int32_t)(slot->timestamp - jitter->play_timestamp);
    uint32_t hole = gap > 0 ? to_samples(jitter, (uint32_t)gap) : 0;
    if (hole == 0 || is_soundless(slot)) {
        open_packet(jitter, sequence);
        return 0;
    }
    if (sequence == jitter->play_sequence || (jitter->busy & BUSY_NOISE))
        return pause(jitter, making, (uint32_t)gap);
    be_eager(jitter, EAGER_TROUBLE);
    return lose(jitter, making, sequence, hole);
}

/* -- playing --------------------------------------------------------------------------------- */

static uint32_t play_pending(ot_jitter *jitter, ot_making *making)
{
    uint32_t room = jitter->tick_samples - making->at;
    uint32_t left = jitter->pending_samples - jitter->pending_at;
    uint32_t samples = left < room ? left : room;

    memcpy(making->pcm + making->at, jitter->pending + jitter->pending_at,
           samples * sizeof(*making->pcm));
    making->voice |= jitter->pending_kind == OT_GET_VOICE;
    making->concealed |= jitter->pending_kind == OT_GET_CONCEALED;
    making->noise |= jitter->pending_kind == OT_GET_NOISE;
    jitter->pending_at += samples;
    if (samples == left)
        drop_pending(jitter);
    return samples;
}

static uint32_t play_current(ot_jitter *jitter, ot_making *making)
{
    int16_t *pcm = making->pcm + making->at;
    uint32_t samples = take(jitter, pcm, jitter->tick_samples - making->at);

    if (jitter->busy & BUSY_GAP) {
        ot_conceal_end(&jitter->gap, pcm, samples);
        jitter->busy &= (uint8_t)~BUSY_GAP;
    }
    making->voice = 1;
    return samples;
}

static ot_get play(ot_jitter *jitter, int16_t *pcm)
{
    ot_making making = {.pcm = pcm};

    if (jitter->busy & BUSY_JUMP) {
        jitter->busy &= (uint8_t)~BUSY_JUMP;
        begin_gap(jitter, 0);
    }
    while (making.at < jitter->tick_samples) {
        if (jitter->busy & BUSY_PENDING)
            making.at += play_pending(jitter, &making);
        else if (jitter->current_used)
            making.at += play_current(jitter, &making);
        else
            making.at += advance(jitter, &making);
    }
    if (jitter->stalled_frames > EMPTY_FRAMES_MAX)
        stop(jitter);
    return making.concealed ? OT_GET_CONCEALED : making.noise ? OT_GET_NOISE : OT_GET_VOICE;
}

/* The first packet to play; those that only carry a number are passed over. */
static int first_to_play(ot_jitter *jitter, uint16_t *first)
{
    while (next_held(jitter, first)) {
        if (!is_soundless(slot_of(jitter, *first)))
            return 1;
        open_packet(jitter, *first);
    }
    return 0;
}

static int may_start(ot_jitter *jitter)
{
    uint16_t first;

    if (!jitter->started || !first_to_play(jitter, &first))
        return 0;
    uint32_t timestamp = slot_of(jitter, first)->timestamp;
    int32_t waited = (int32_t)(jitter->now - jitter->tick_units - timestamp - jitter->base);
    int32_t wanted = (int32_t)(jitter->target - jitter->packet_units);
    jitter->waited_ticks++;
    if (waited < wanted && jitter->waited_ticks * jitter->tick_units < 2 * jitter->target)
        return 0;
    stop(jitter);
    pass_to(jitter, first);
    jitter->play_timestamp = timestamp;
    jitter->playing = 1;
    jitter->adapt_ticks = ADAPT_FRAMES;
    return 1;
}

/* Nothing to play: silence, or the noise of a far end that is silent. */
static const int16_t *rest(ot_jitter *jitter, int16_t *pcm, ot_get *got)
{
    if (jitter->busy & BUSY_NOISE) {
        ot_comfort_make(&jitter->comfort, pcm, jitter->tick_samples);
        *got = OT_GET_NOISE;
        return pcm;
    }
    memset(pcm, 0, jitter->tick_samples * sizeof(*pcm));
    *got = OT_GET_SILENCE;
    return pcm;
}

/* -- stretching ------------------------------------------------------------------------------ */

/* Decodes ahead into `pending` what hangs together, at most `most` samples. */
static uint32_t gather(ot_jitter *jitter, uint32_t most)
{
    uint32_t got = 0;

    while (got < most) {
        if (jitter->current_used) {
            got += take(jitter, jitter->pending + got, most - got);
            continue;
        }
        uint16_t next = jitter->play_sequence;
        const ot_jitter_slot *slot = slot_of(jitter, next);
        if (!holds(jitter, next) || slot->kind != SLOT_VOICE || slot->samples == 0 ||
            slot->timestamp != jitter->play_timestamp)
            break;
        open_packet(jitter, next);
    }
    return got;
}

static void stretch(ot_jitter *jitter, int shorter, int force)
{
    int16_t past[OT_PITCH_MAX * OT_SYNTH_SCALE_MAX];
    uint32_t rate_hz = jitter->tick_samples * (uint32_t)FRAMES_A_SECOND;
    uint32_t most = rate_hz * STRETCH_MS / MILLISECONDS;
    uint32_t reach = OT_PITCH_MAX * scale_of(jitter);
    uint32_t got = gather(jitter, most);
    size_t now;

    if (got == 0)
        return;
    copy_past(jitter, 0, past, reach);
    if (shorter)
        now = ot_stretch_shorten(jitter->pending, got, rate_hz, force);
    else
        now = ot_stretch_lengthen(jitter->pending, got, past, rate_hz, force);
    jitter->stats.shortened_samples += now < got ? got - now : 0;
    jitter->stats.lengthened_samples += now > got ? now - got : 0;
    jitter->pending_at = 0;
    jitter->pending_samples = (uint32_t)now;
    jitter->pending_kind = OT_GET_VOICE;
    jitter->busy |= BUSY_PENDING;
}

static int is_quiet(ot_jitter *jitter)
{
    uint32_t before = (jitter->newest + OT_JITTER_FRAMES - 1U) % OT_JITTER_FRAMES;
    uint64_t energy = ot_kernel->energy(frame_at(jitter, before), jitter->tick_samples);

    return energy < (uint64_t)QUIET_ENERGY * jitter->tick_samples;
}

/* When to look again: soon where stretching is not heard or cannot wait. */
static uint16_t until_next_look(const ot_jitter *jitter, int32_t over, int quiet)
{
    if (quiet)
        return ADAPT_FRAMES_QUIET;
    if (over > (int32_t)(jitter->maximum - jitter->target) / 2)
        return ADAPT_FRAMES_FULL;
    if (over <= -(int32_t)jitter->tick_units)
        return ADAPT_FRAMES_SHORT;
    return over > 0 ? ADAPT_FRAMES_LATER : ADAPT_FRAMES;
}

static void adapt(ot_jitter *jitter)
{
    uint32_t second = FRAMES_A_SECOND * (uint32_t)jitter->tick_units;
    int32_t tick = (int32_t)jitter->tick_units;

    if (jitter->now - jitter->reviewed_at >= (jitter->reviews < 8 ? second / 4 : second))
        review(jitter);
    int32_t over = excess(jitter, 0);
    int quiet = is_quiet(jitter);
    jitter->adapt_ticks = until_next_look(jitter, over, quiet);
    if (jitter->busy)
        return;
    if (over > (quiet ? tick / 2 : tick + tick / 2))
        stretch(jitter, 1, over > FAR_TICKS * tick);
    else if (over <= -tick)
        stretch(jitter, 0, over <= -FAR_TICKS * tick);
}

/* -- the frame ------------------------------------------------------------------------------- */

static void tell_time(ot_jitter *jitter)
{
    jitter->now += jitter->tick_units;
    jitter->untimed = 0;
    if (jitter->eager_ticks) {
        if (--jitter->eager_ticks == 0)
            jitter->calm_ticks = CALM_FRAMES;
    } else if (jitter->calm_ticks == 0 || --jitter->calm_ticks == 0) {
        be_eager(jitter, EAGER_PROBE);
    }
}

const int16_t *ot_jitter_frame(ot_jitter *jitter, ot_get *got)
{
    jitter->newest = (uint8_t)(jitter->newest + 1 < OT_JITTER_FRAMES ? jitter->newest + 1 : 0);
    int16_t *pcm = frame_at(jitter, jitter->newest);

    tell_time(jitter);
    if (!jitter->playing && !may_start(jitter))
        return rest(jitter, pcm, got);
    if (--jitter->adapt_ticks == 0)
        adapt(jitter);
    *got = play(jitter, pcm);
    return pcm;
}

int ot_jitter_get(ot_jitter *jitter, int16_t *pcm)
{
    ot_get got;
    const int16_t *frame = ot_jitter_frame(jitter, &got);

    memcpy(pcm, frame, jitter->tick_samples * sizeof(*pcm));
    return (int)got;
}
