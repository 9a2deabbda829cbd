/* RFC 4733 section 2: the payload, and when a digit begins and ends for each side.
 *
 *     event 8 | end 1, reserved 1, volume 6 | duration 16
 *
 * All packets of an event bear the timestamp of its beginning, so that any one of them tells of
 * it.  A duration over 0xFFFF units goes on in a next segment, whose timestamp is the end of the
 * one before (section 2.5.1.3).
 */
#include "dtmf.h"

#include <errno.h>
#include <string.h>

#include "wire.h"

enum {
    END_BIT = 0x80,
    VOLUME_MASK = 0x3F,
    SEGMENT_MAX = 0xFFFF,
    SEGMENT_NEARLY = 0xF000, /* whoever counts in packets may cut a segment short of the most */
    MS_PER_SECOND = 1000
};

static int is_clock(uint32_t clock_hz)
{
    return clock_hz == 8000 || clock_hz == 16000 || clock_hz == 48000;
}

int ot_dtmf_parse(ot_dtmf *dtmf, const uint8_t *data, size_t octets)
{
    if (octets < OT_DTMF_OCTETS)
        return EBADMSG;
    dtmf->event = data[0];
    dtmf->end = data[1] >> 7;
    dtmf->volume = data[1] & VOLUME_MASK;
    dtmf->duration = ot_read16(data + 2);
    return 0;
}

void ot_dtmf_write(uint8_t *data, const ot_dtmf *dtmf)
{
    data[0] = dtmf->event;
    data[1] = (uint8_t)((dtmf->end ? END_BIT : 0) | (dtmf->volume & VOLUME_MASK));
    ot_write16(data + 2, dtmf->duration);
}

/* -- receiving ----------------------------------------------------------------------------- */

int ot_dtmf_receiver_init(ot_dtmf_receiver *receiver, uint32_t clock_hz)
{
    if (!is_clock(clock_hz))
        return EINVAL;
    memset(receiver, 0, sizeof(*receiver));
    receiver->clock_hz = clock_hz;
    return 0;
}

static void tell(const ot_dtmf_receiver *receiver, ot_dtmf_kind kind, ot_dtmf_told *told)
{
    ot_dtmf_notice *notice = &told->notices[told->count++];
    uint64_t ms = (receiver->before + receiver->duration) * MS_PER_SECOND / receiver->clock_hz;

    notice->kind = (uint8_t)kind;
    notice->event = receiver->event;
    notice->volume = receiver->volume;
    notice->duration_ms = kind == OT_DTMF_START ? 0 : ms > UINT32_MAX ? UINT32_MAX : (uint32_t)ms;
}

static void finish(ot_dtmf_receiver *receiver, ot_dtmf_told *told)
{
    if (!receiver->active)
        return;
    receiver->active = 0;
    tell(receiver, OT_DTMF_END, told);
}

static void begin(ot_dtmf_receiver *receiver, const ot_rtp *packet, const ot_dtmf *dtmf,
                  ot_dtmf_told *told)
{
    finish(receiver, told);
    receiver->ssrc = packet->ssrc;
    receiver->timestamp = packet->timestamp;
    receiver->before = 0;
    receiver->duration = 0;
    receiver->known = 1;
    receiver->active = 1;
    receiver->event = dtmf->event;
    receiver->volume = dtmf->volume;
    tell(receiver, OT_DTMF_START, told);
}

static void continue_segment(ot_dtmf_receiver *receiver, const ot_rtp *packet)
{
    receiver->before += packet->timestamp - receiver->timestamp;
    receiver->timestamp = packet->timestamp;
    receiver->duration = 0;
}

/* Whether a packet that is `ahead` units after the segment's beginning carries the event on. */
static int is_next_segment(const ot_dtmf_receiver *receiver, const ot_rtp *packet,
                           const ot_dtmf *dtmf, uint32_t ahead)
{
    return receiver->active && !packet->marker && dtmf->event == receiver->event &&
           ahead >= SEGMENT_NEARLY && ahead <= SEGMENT_MAX;
}

/* Whether it belongs to an event before the one known: doubled or overtaken on its way. */
static int is_old(const ot_dtmf_receiver *receiver, uint32_t ahead)
{
    uint32_t behind = 0U - ahead;

    return ahead != 0 && behind <= SEGMENT_MAX + receiver->clock_hz;
}

/* Finds the event that a packet belongs to; returns 0 when it is an old one's. */
static int place(ot_dtmf_receiver *receiver, const ot_rtp *packet, const ot_dtmf *dtmf,
                 ot_dtmf_told *told)
{
    uint32_t ahead = packet->timestamp - receiver->timestamp;

    if (!receiver->known || packet->ssrc != receiver->ssrc)
        begin(receiver, packet, dtmf, told);
    else if (is_next_segment(receiver, packet, dtmf, ahead))
        continue_segment(receiver, packet);
    else if (is_old(receiver, ahead))
        return 0;
    else if (ahead != 0)
        begin(receiver, packet, dtmf, told);
    return receiver->active && dtmf->event == receiver->event;
}

void ot_dtmf_receiver_put(ot_dtmf_receiver *receiver, const ot_rtp *packet,
                          const uint8_t *payload, ot_dtmf_told *told)
{
    ot_dtmf dtmf;

    told->count = 0;
    if (ot_dtmf_parse(&dtmf, payload, packet->payload_octets) || dtmf.event > OT_DTMF_FLASH)
        return;
    if (!place(receiver, packet, &dtmf, told))
        return;
    receiver->quiet_ticks = 0;
    receiver->duration = dtmf.duration > receiver->duration ? dtmf.duration : receiver->duration;
    if (dtmf.end)
        finish(receiver, told);
}

void ot_dtmf_receiver_tick(ot_dtmf_receiver *receiver, ot_dtmf_told *told)
{
    told->count = 0;
    if (receiver->active && ++receiver->quiet_ticks >= OT_DTMF_TIMEOUT_TICKS)
        finish(receiver, told);
}

/* -- sending ------------------------------------------------------------------------------- */

int ot_dtmf_sender_init(ot_dtmf_sender *sender, uint32_t clock_hz)
{
    if (!is_clock(clock_hz))
        return EINVAL;
    memset(sender, 0, sizeof(*sender));
    sender->clock_hz = clock_hz;
    return 0;
}

int ot_dtmf_sender_start(ot_dtmf_sender *sender, uint32_t event, uint32_t duration_ms,
                         uint32_t volume_dbm0)
{
    uint32_t ms = duration_ms < OT_DTMF_ON_MIN_MS ? OT_DTMF_ON_MIN_MS : duration_ms;

    if (event > OT_DTMF_FLASH || ms > OT_DTMF_ON_MAX_MS || volume_dbm0 > OT_DTMF_VOLUME_MAX)
        return EINVAL;
    if (sender->count == OT_DTMF_QUEUE)
        return ENOBUFS;
    sender->queue[(sender->first + sender->count) % OT_DTMF_QUEUE] =
        (ot_dtmf_wish){.duration = sender->clock_hz / MS_PER_SECOND * ms,
                       .event = (uint8_t)event,
                       .volume = (uint8_t)volume_dbm0};
    sender->count++;
    return 0;
}

static uint32_t gap_units(const ot_dtmf_sender *sender)
{
    return sender->clock_hz / MS_PER_SECOND * OT_DTMF_GAP_MS;
}

/* A gap that would last longer than gaps do is one of long ago, or of before a timestamp jump. */
static int may_begin(const ot_dtmf_sender *sender, uint32_t timestamp)
{
    uint32_t left = sender->free_from - timestamp;

    return left == 0 || left > gap_units(sender);
}

static void end_event(ot_dtmf_sender *sender)
{
    const ot_dtmf_wish *wish = &sender->queue[sender->first];

    sender->free_from = sender->started + wish->duration + gap_units(sender);
    sender->active = 0;
    sender->first = (uint8_t)((sender->first + 1) % OT_DTMF_QUEUE);
    sender->count--;
}

/* Writes what the event has come to, `elapsed` units after its beginning. */
static void write_update(ot_dtmf_sender *sender, uint32_t elapsed, ot_dtmf_packet *packet)
{
    const ot_dtmf_wish *wish = &sender->queue[sender->first];
    uint32_t reached = elapsed < wish->duration ? elapsed : wish->duration;
    sender->reached = reached > sender->reached ? reached : sender->reached;
    uint32_t in_segment = sender->reached - (sender->segment - sender->started);
    int full = in_segment > SEGMENT_MAX;
    ot_dtmf dtmf = {.event = wish->event,
                    .volume = wish->volume,
                    .duration = (uint16_t)(full ? SEGMENT_MAX : in_segment),
                    .end = !full && sender->reached == wish->duration};

    packet->timestamp = sender->segment;
    ot_dtmf_write(packet->payload, &dtmf);
    if (full)
        sender->segment += SEGMENT_MAX;
    else if (dtmf.end && ++sender->ends_sent == OT_DTMF_ENDS)
        end_event(sender);
}

int ot_dtmf_sender_next(ot_dtmf_sender *sender, uint32_t timestamp, uint32_t units,
                        ot_dtmf_packet *packet)
{
    packet->marker = 0;
    if (!sender->active) {
        if (sender->count == 0 || !may_begin(sender, timestamp))
            return 0;
        sender->active = 1;
        sender->ends_sent = 0;
        sender->reached = 0;
        sender->started = timestamp;
        sender->segment = timestamp;
        packet->marker = 1;
    }
    write_update(sender, timestamp - sender->started + units, packet);
    return 1;
}

int ot_dtmf_sender_idle(const ot_dtmf_sender *sender)
{
    return sender->count == 0;
}
