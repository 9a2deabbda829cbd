/* One bus for one tick: sum the talkers, give every listener the sum without itself.
 *
 * A bus may mix only its loudest talkers, as a hoot with dozens of open microphones must.  A place
 * among them is kept for a while and lost only to one clearly louder, so that words are not cut.
 */
#include <string.h>

#include "kernels.h"
#include "state.h"

enum {
    HELD_TICKS = 30,     /* 300 ms: how long a place among the loudest is kept at least */
    LOUDER = 2,          /* in energy, 3 dB: how much louder a newcomer must be */
    AUDIBLE_ENERGY = OT_TICK_SAMPLES * 16 * 16 /* -66 dBFS: less than that asks for no place */
};

typedef struct {
    float first;
    float last;
} gain_move;

void ot_ramp_aim(ot_ramp *ramp, float target)
{
    if (ramp->target == target)
        return;
    ramp->target = target;
    ramp->ticks_left = OT_RAMP_TICKS;
}

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

/* -- the loudest ------------------------------------------------------------------------------- */

typedef struct {
    ot_member *quietest; /* of the chosen that may lose their place */
    ot_member *newcomer; /* the loudest of the others that sound at all */
    uint32_t chosen;
} ranking;

static uint64_t loudness(const ot_engine *engine, const ot_member *member)
{
    return member->talk.target == 0.0F ? 0 : engine->loudness[member->port];
}

static void rank(const ot_engine *engine, ranking *all, ot_member *member)
{
    if (member->chosen) {
        all->chosen++;
        if (member->held_ticks)
            member->held_ticks--;
        else if (!all->quietest || loudness(engine, member) < loudness(engine, all->quietest))
            all->quietest = member;
    } else if (loudness(engine, member) > AUDIBLE_ENERGY &&
               (!all->newcomer || loudness(engine, member) > loudness(engine, all->newcomer))) {
        all->newcomer = member;
    }
}

static void choose(ot_member *member, uint8_t chosen)
{
    member->chosen = chosen;
    member->held_ticks = HELD_TICKS;
    ot_ramp_aim(&member->gate, chosen ? 1.0F : 0.0F);
}

/* At most one takes a place, and one loses it, in a tick. */
static void choose_loudest(const ot_engine *engine, struct ot_bus *bus)
{
    ranking all = {0};

    for (uint32_t i = 0; i < bus->count; i++)
        rank(engine, &all, &bus->members[i]);
    if (all.chosen > bus->loudest && all.quietest)
        choose(all.quietest, 0);
    if (!all.newcomer || all.chosen > bus->loudest)
        return;
    if (all.chosen == bus->loudest) {
        if (!all.quietest ||
            loudness(engine, all.newcomer) <= LOUDER * loudness(engine, all.quietest))
            return;
        choose(all.quietest, 0);
    }
    choose(all.newcomer, 1);
}

static gain_move talk_gain(const struct ot_bus *bus, ot_member *member)
{
    gain_move talk = ramp_step(&member->talk);

    if (bus->loudest == 0 && member->gate.now == 1.0F)
        return talk;
    if (bus->loudest == 0)
        ot_ramp_aim(&member->gate, 1.0F);
    gain_move gate = ramp_step(&member->gate);
    return (gain_move){talk.first * gate.first, talk.last * gate.last};
}

/* -- talking ----------------------------------------------------------------------------------- */

static void add(int32_t *sum, uint32_t talkers, const int32_t *part, uint32_t samples)
{
    if (talkers)
        ot_kernel->add32(sum, part, samples);
    else
        memcpy(sum, part, samples * sizeof(*sum));
}

static void add_local(ot_engine *engine, struct ot_bus *bus, const ot_member *member,
                      const int16_t *said, int32_t *local)
{
    uint32_t samples = ot_rate_samples(bus->rate);
    const int32_t *part = engine->own[member->port];

    if (!bus->split || member->port < OT_FIRST_DEVICE)
        return;
    if (member->own == OT_OWN_PLAIN) {
        ot_kernel->set16(engine->scratch, said, samples);
        part = engine->scratch;
    }
    add(local, bus->local_talkers++, part, samples);
}

static void take(ot_engine *engine, struct ot_bus *bus, ot_member *member, int32_t *sum,
                 int32_t *local)
{
    const int16_t *said = ot_said_at(engine, member->port, bus->rate);
    gain_move gain = talk_gain(bus, member);
    int32_t *own = engine->own[member->port];
    uint32_t samples = ot_rate_samples(bus->rate);

    member->own = OT_OWN_NOTHING;
    if (said == NULL || is_off(gain))
        return;
    if (is_unity(gain)) {
        member->own = OT_OWN_PLAIN;
        (bus->talkers ? ot_kernel->add16 : ot_kernel->set16)(sum, said, samples);
    } else {
        member->own = OT_OWN_SCALED;
        ot_kernel->set16(own, said, samples);
        ot_kernel->scale(own, own, gain.first, gain.last, samples);
        add(sum, bus->talkers, own, samples);
    }
    bus->talkers++;
    add_local(engine, bus, member, said, local);
}

/* -- listening --------------------------------------------------------------------------------- */

static void give_scaled(ot_engine *engine, const struct ot_bus *bus, const ot_member *member,
                        const int32_t *sum, gain_move gain)
{
    uint32_t samples = ot_rate_samples(bus->rate);
    int32_t *part = engine->scratch;

    if (member->own == OT_OWN_SCALED)
        ot_kernel->less32(part, sum, engine->own[member->port], samples);
    else if (member->own == OT_OWN_PLAIN)
        ot_kernel->less16(part, sum, ot_said_at(engine, member->port, bus->rate), samples);
    else
        memcpy(part, sum, samples * sizeof(*part));
    if (!is_unity(gain))
        ot_kernel->scale(part, part, gain.first, gain.last, samples);
    ot_hear_part(engine, member->port, bus->rate, part);
}

static void give(ot_engine *engine, const struct ot_bus *bus, ot_member *member,
                 const int32_t *sum)
{
    gain_move gain = ramp_step(&member->listen);
    uint32_t others = bus->talkers - (member->own != OT_OWN_NOTHING);

    if (is_off(gain) || others == 0)
        return;
    if (is_unity(gain) && member->own != OT_OWN_SCALED)
        ot_hear_plain(engine, member->port, bus->rate, sum,
                      member->own == OT_OWN_PLAIN ? ot_said_at(engine, member->port, bus->rate)
                                                  : NULL);
    else
        give_scaled(engine, bus, member, sum, gain);
}

static int is_heard(const ot_member *member)
{
    return member->listen.now != 0.0F || member->listen.target != 0.0F;
}

static int is_gone(const ot_member *member)
{
    return member->leaving && member->talk.now == 0.0F && member->listen.now == 0.0F;
}

static void drop_gone(ot_engine *engine, struct ot_bus *bus)
{
    bus->leaving = 0;
    for (uint32_t i = bus->count; i-- > 0;) {
        if (is_gone(&bus->members[i]))
            ot_bus_drop(engine, bus, i);
        else
            bus->leaving |= bus->members[i].leaving;
    }
}

void ot_bus_mix(ot_engine *engine, struct ot_bus *bus, int32_t *sum, int32_t *local)
{
    int listeners = 0;

    bus->talkers = 0;
    bus->local_talkers = 0;
    if (bus->loudest)
        choose_loudest(engine, bus);
    for (uint32_t i = 0; i < bus->count; i++) {
        take(engine, bus, &bus->members[i], sum, local);
        listeners |= is_heard(&bus->members[i]);
    }
    for (uint32_t i = 0; listeners && i < bus->count; i++) /* nobody listens where one records */
        give(engine, bus, &bus->members[i], sum);
    if (bus->leaving)
        drop_gone(engine, bus);
}
