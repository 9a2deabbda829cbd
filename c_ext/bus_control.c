/* Buses, who may join them, and the resampling that joining may need: the control side. */
#include <errno.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

static const float GAIN_MAX_DB = 20.0F;

/* -- resampling -------------------------------------------------------------------------------- */

/* Makes what is not there yet between one rate and the two others. */
int ot_rates_make(ot_rate *rates[OT_RATES], uint32_t rate, int towards)
{
    int error = 0;

    for (uint32_t other = 0; other < OT_RATES && !error; other++)
        if (other != rate && rates[other] == NULL)
            error = ot_rate_create(&rates[other], ot_rate_hz(towards ? other : rate),
                                   ot_rate_hz(towards ? rate : other));
    return error;
}

void ot_conversion_free(ot_conversion *conversion)
{
    if (conversion == NULL)
        return;
    for (uint32_t rate = 0; rate < OT_RATES; rate++) {
        ot_rate_destroy(conversion->said_rates[rate]);
        ot_rate_destroy(conversion->heard_rates[rate]);
    }
    free(conversion);
}

int ot_conversion_make(ot_conversion **conversion, uint32_t rate)
{
    *conversion = aligned_alloc(OT_CACHE_LINE, sizeof(**conversion));
    if (*conversion == NULL)
        return ENOMEM;
    memset(*conversion, 0, sizeof(**conversion));
    (*conversion)->rate = (uint8_t)rate;
    memset((*conversion)->said_quiet, UINT8_MAX, OT_RATES);
    memset((*conversion)->heard_quiet, UINT8_MAX, OT_RATES);
    int error = ot_rates_make((*conversion)->said_rates, rate, 0);
    if (!error)
        error = ot_rates_make((*conversion)->heard_rates, rate, 1);
    if (error) {
        ot_conversion_free(*conversion);
        *conversion = NULL;
    }
    return error;
}

/* -- ports ------------------------------------------------------------------------------------- */

void ot_port_opened(ot_engine *engine, uint32_t port, uint32_t rate)
{
    engine->port_rate[port] = (uint8_t)rate;
    engine->port_converted[port] = 0;
}

int ot_port_is_open(const ot_engine *engine, uint32_t port)
{
    if (port < OT_FIRST_DEVICE)
        return engine->legs[port].control.open;
    if (port < OT_FIRST_SOURCE)
        return engine->devices[port - OT_FIRST_DEVICE].control.open;
    return port < OT_PORTS_MAX && engine->sources[port - OT_FIRST_SOURCE].control.open;
}

int ot_ports_of(const ot_engine *engine, ot_ports *set, const uint32_t *ports, uint32_t count)
{
    memset(set, 0, sizeof(*set));
    for (uint32_t i = 0; i < count; i++) {
        if (!ot_port_is_open(engine, ports[i]))
            return EBADF;
        set->words[ports[i] / 64] |= 1ULL << ports[i] % 64;
    }
    return 0;
}

/* A port on a bus of another rate gets its resamplers before it joins. */
static int convert(ot_engine *engine, uint32_t port, uint32_t rate)
{
    ot_command command = {.kind = OT_PORT_CONVERT, .other = (uint16_t)port};

    if (engine->port_rate[port] == rate || engine->port_converted[port])
        return 0;
    int error = ot_conversion_make(&command.with.conversion, engine->port_rate[port]);
    if (!error)
        error = ot_hand_over(engine, &command);
    if (error)
        ot_conversion_free(command.with.conversion);
    else
        engine->port_converted[port] = 1;
    return error;
}

/* -- buses ------------------------------------------------------------------------------------- */

static uint16_t slot_of(const ot_bus *bus)
{
    return (uint16_t)(bus - bus->control.engine->buses);
}

static int open_bus(ot_bus **out, ot_engine *engine, uint32_t rate)
{
    for (uint32_t i = 0; i < OT_BUSES_MAX; i++) {
        ot_bus *bus = &engine->buses[i];
        if (bus->control.used)
            continue;
        bus->control.engine = engine;
        bus->control.rate = (uint8_t)rate;
        int error = ot_hand_over_plain(engine, OT_BUS_ADD, (uint16_t)i, (uint16_t)rate);
        bus->control.used = bus->control.open = error == 0;
        *out = bus;
        return error;
    }
    return ENOSPC;
}

int ot_bus_open(ot_bus **bus, ot_engine *engine, uint32_t rate_hz)
{
    if (!ot_is_rate(rate_hz))
        return EINVAL;
    ot_lock(engine);
    return ot_unlock(engine, open_bus(bus, engine, ot_rate_index(rate_hz)));
}

static float linear(float gain_db)
{
    return powf(10.0F, gain_db / 20.0F);
}

static int join(ot_bus *bus, const ot_command *command)
{
    ot_engine *engine = bus->control.engine;

    if (!bus->control.open || !ot_port_is_open(engine, command->other))
        return EBADF;
    int error = convert(engine, command->other, bus->control.rate);
    return error ? error : ot_hand_over(engine, command);
}

int ot_bus_join(ot_bus *bus, uint32_t port, float talk_db, float listen_db)
{
    ot_command command = {
        .kind = OT_BUS_JOIN,
        .slot = slot_of(bus),
        .other = (uint16_t)port,
        .with.gains = {.talk = linear(talk_db), .listen = linear(listen_db)},
    };

    if (!(talk_db <= GAIN_MAX_DB) || !(listen_db <= GAIN_MAX_DB)) /* NaN too */
        return EINVAL;
    if (port >= OT_PORTS_MAX)
        return EBADF;
    ot_lock(bus->control.engine);
    return ot_unlock(bus->control.engine, join(bus, &command));
}

static int plain(ot_bus *bus, ot_command_kind kind, uint32_t other)
{
    ot_engine *engine = bus->control.engine;

    ot_lock(engine);
    return ot_unlock(engine, bus->control.open ? ot_hand_over_plain(engine, kind, slot_of(bus),
                                                                    (uint16_t)other)
                                               : EBADF);
}

int ot_bus_leave(ot_bus *bus, uint32_t port)
{
    return port < OT_PORTS_MAX ? plain(bus, OT_BUS_LEAVE, port) : EBADF;
}

int ot_bus_loudest(ot_bus *bus, uint32_t count)
{
    return count <= OT_PORTS_MAX ? plain(bus, OT_BUS_LOUDEST, count) : EINVAL;
}

int ot_bus_close(ot_bus *bus)
{
    return ot_hand_over_close(bus->control.engine, &bus->control.open, OT_BUS_REMOVE,
                              slot_of(bus));
}
