/* One bus for one tick: sum the talkers, give every listener the sum without itself. */
#include "kernels.h"
#include "state.h"

typedef struct {
    float first;
    float last;
} gain_move;

static gain_move ramp_step(ot_ramp *ramp)
{
    gain_move move = {ramp->now, ramp->target};

    if (ramp->ticks_left > 1)
        move.last = ramp->now + (ramp->target - ramp->now) / (float)ramp->ticks_left;
    if (ramp->ticks_left)
        ramp->ticks_left--;
    ramp->now = move.last;
    return move;
}

static int is_off(gain_move gain)
{
    return gain.first == 0.0F && gain.last == 0.0F;
}

static int is_unity(gain_move gain)
{
    return gain.first == 1.0F && gain.last == 1.0F;
}

static void take(ot_engine *engine, struct ot_bus *bus, ot_member *member, int32_t *sum)
{
    const int16_t *said = engine->said[member->port];
    gain_move gain = ramp_step(&member->talk);
    int32_t *own = engine->own[member->port];

    member->own = OT_OWN_NOTHING;
    if (said == NULL || is_off(gain))
        return;
    if (is_unity(gain)) {
        member->own = OT_OWN_PLAIN;
        (bus->talkers ? ot_kernel->add16 : ot_kernel->set16)(sum, said, OT_TICK_SAMPLES);
    } else {
        member->own = OT_OWN_SCALED;
        ot_kernel->set16(own, said, OT_TICK_SAMPLES);
        ot_kernel->scale(own, own, gain.first, gain.last, OT_TICK_SAMPLES);
        if (bus->talkers == 0)
            ot_kernel->set16(sum, ot_silence, OT_TICK_SAMPLES);
        ot_kernel->add32(sum, own, OT_TICK_SAMPLES);
    }
    bus->talkers++;
}

/* The sum without the member's own part, in out. */
static void without_self(const ot_engine *engine, const ot_member *member, const int32_t *sum,
                         int32_t *out)
{
    if (member->own == OT_OWN_PLAIN)
        ot_kernel->less16(out, sum, engine->said[member->port], OT_TICK_SAMPLES);
    else if (member->own == OT_OWN_SCALED)
        ot_kernel->less32(out, sum, engine->own[member->port], OT_TICK_SAMPLES);
    else
        ot_kernel->less16(out, sum, ot_silence, OT_TICK_SAMPLES);
}

static void give(ot_engine *engine, const struct ot_bus *bus, ot_member *member,
                 const int32_t *sum)
{
    gain_move gain = ramp_step(&member->listen);
    uint32_t others = bus->talkers - (member->own != OT_OWN_NOTHING);
    int32_t *heard = engine->heard[member->port];

    if (is_off(gain) || others == 0)
        return;
    int32_t *part = engine->heard_any[member->port] ? engine->scratch : heard;
    without_self(engine, member, sum, part);
    if (!is_unity(gain))
        ot_kernel->scale(part, part, gain.first, gain.last, OT_TICK_SAMPLES);
    if (part != heard)
        ot_kernel->add32(heard, part, OT_TICK_SAMPLES);
    engine->heard_any[member->port] = 1;
}

static int is_gone(const ot_member *member)
{
    return member->leaving && member->talk.now == 0.0F && member->listen.now == 0.0F;
}

void ot_bus_mix(ot_engine *engine, struct ot_bus *bus, int32_t *sum)
{
    bus->talkers = 0;
    for (uint32_t i = 0; i < bus->count; i++)
        take(engine, bus, &bus->members[i], sum);
    for (uint32_t i = 0; i < bus->count; i++)
        give(engine, bus, &bus->members[i], sum);
    for (uint32_t i = bus->count; i-- > 0;)
        if (is_gone(&bus->members[i]))
            bus->members[i] = bus->members[--bus->count];
}
