/* Legs, on the tick's side. */
#include <string.h>

#include "commands.h"

enum { VERIFIED_PACKETS = 64, DIAL_VOLUME_DBM0 = 10 /* below 0 dBm0 */ };

static void add_leg(ot_engine *engine, uint32_t slot)
{
    engine->legs[slot].active = 1;
    ot_port_begin(engine, slot, engine->legs[slot].rate);
    ot_list_add(&engine->legs_active, slot);
}

static void reset_gaps(struct ot_leg *leg)
{
    OT_SET(leg->stats.receive_gap_max_ns, 0);
    OT_SET(leg->stats.send_gap_max_ns, 0);
}

static void restart_jitter(struct ot_leg *leg)
{
    ot_jitter_restart(&leg->jitter, leg->codec, leg->parts ? leg->parts->decoder : NULL,
                      OT_JITTER_MIN_MS, OT_JITTER_MAX_MS);
    leg->last_receive_ns = 0;
    leg->transit_known = 0;
}

static void use_socket(ot_engine *engine, struct ot_leg *leg, int fd)
{
    if (leg->voice >= 0)
        ot_retire(engine, OT_RETIRED_FD, leg->voice);
    leg->voice = fd;
    leg->verify_left = VERIFIED_PACKETS;
    OT_SET(leg->stats.bye_received, 0);
}

/* What buses of each rate heard last: they fall from there when the leg speaks at another rate. */
static void keep_edges(ot_engine *engine, struct ot_leg *leg, uint32_t port, const ot_connection *to)
{
    for (uint32_t rate = 0; rate < OT_RATES; rate++) {
        const int16_t *said = engine->uses[port][rate] ? ot_said_at(engine, port, rate) : NULL;
        int16_t last = said ? said[ot_rate_samples(rate) - 1] : 0;
        if (rate == to->conversion->rate)
            leg->last_said = last;
        else
            to->conversion->fall[rate] = last;
    }
}

/* Other codec, other keys or other optional parts: the old ones go back to who made them. */
static void renew(ot_engine *engine, struct ot_leg *leg, uint16_t slot, const ot_connection *to)
{
    if (to->conversion)
        keep_edges(engine, leg, slot, to);
    ot_retire_memory(engine, OT_RETIRED_PARTS, leg->parts);
    ot_retire_memory(engine, OT_RETIRED_SHIELD, leg->shield);
    leg->parts = to->parts;
    leg->shield = to->shield;
    leg->codec = to->codec;
    ot_stream_change(&leg->stream, engine->tick, to->codec, to->ptime_ticks, slot);
    leg->stream.encoder = to->parts ? to->parts->encoder : NULL;
    leg->stream.pcm = to->parts && to->parts->encodes_packets ? to->parts->pcm : NULL;
    leg->rate = leg->stream.rate;
    leg->fresh = leg->connected;
    engine->rates[slot] = leg->rate;
    if (to->conversion)
        ot_port_convert(engine, slot, to->conversion);
}

static void connect_leg(ot_engine *engine, uint16_t slot, const ot_connection *to)
{
    struct ot_leg *leg = &engine->legs[slot];
    int other_sound = to->fd >= 0 || to->renewed || leg->receive != to->receive;

    if (to->renewed) /* first: a shield lets go of its socket before that is closed */
        renew(engine, leg, slot, to);
    if (to->fd >= 0)
        use_socket(engine, leg, to->fd);
    if (other_sound)
        restart_jitter(leg);
    if (leg->send != to->send) {
        leg->last_send_ns = 0;
        leg->stream.fill = 0;
    }
    if (!leg->connected)
        ot_reports_schedule_first(engine, &leg->reports);
    leg->marked = leg->marked || !leg->connected;
    leg->remote = to->remote;
    leg->reports.remote = to->remote_reports;
    leg->payload_type = to->payload_type;
    leg->receive = to->receive;
    leg->send = to->send;
    leg->connected = 1;
}

static void dial(struct ot_leg *leg, const ot_command *command)
{
    if (leg->parts && leg->parts->event_type)
        ot_dtmf_sender_start(&leg->parts->dialling, command->other, command->with.duration_ms,
                             DIAL_VOLUME_DBM0);
}

static void remove_leg(ot_engine *engine, uint32_t slot)
{
    ot_port_leave_all(engine, slot);
    engine->legs[slot].closing_ticks = OT_RAMP_TICKS + 1;
}

void ot_leg_finish(ot_engine *engine, uint32_t slot)
{
    struct ot_leg *leg = &engine->legs[slot];

    if (leg->connected)
        ot_leg_report(engine, leg, 1);
    ot_port_end(engine, slot);
    ot_list_remove(&engine->legs_active, slot);
    leg->active = 0;
    ot_retire_memory(engine, OT_RETIRED_SHIELD, leg->shield);
    ot_retire_memory(engine, OT_RETIRED_PARTS, leg->parts);
    if (leg->voice >= 0)
        ot_retire(engine, OT_RETIRED_FD, leg->voice);
    ot_retire(engine, OT_RETIRED_FD, leg->door);
    ot_retire(engine, OT_RETIRED_FD, leg->reports.fd);
    ot_retire(engine, OT_RETIRED_LEG, (int)slot);
}

void ot_leg_command(ot_engine *engine, const ot_command *command)
{
    uint16_t slot = command->slot;

    switch (command->kind) {
    case OT_LEG_ADD:
        add_leg(engine, slot);
        break;
    case OT_LEG_CONNECT:
        connect_leg(engine, slot, &command->with.remote);
        break;
    case OT_LEG_DIAL:
        dial(&engine->legs[slot], command);
        break;
    case OT_LEG_RESET_GAPS:
        reset_gaps(&engine->legs[slot]);
        break;
    default:
        remove_leg(engine, slot);
    }
}
