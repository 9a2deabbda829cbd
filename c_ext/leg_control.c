/* RTP legs: the control side. */
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "control.h"

enum { SRTP_KEY_MAX = 64 };

static uint16_t slot_of(const ot_leg *leg)
{
    return (uint16_t)(leg - leg->control.engine->legs);
}

/* -- what a leg needs beyond plain packets ----------------------------------------------------- */

void ot_leg_parts_free(ot_leg_parts *parts)
{
    if (parts == NULL)
        return;
    ot_decoder_destroy(parts->decoder);
    ot_encoder_destroy(parts->encoder);
    ot_inband_destroy(parts->inband);
    ot_rate_destroy(parts->inband_rate);
    free(parts);
}

static int needs_parts(const ot_leg_remote *settings, const ot_codec_traits *traits)
{
    int stateful = settings->codec == OT_G722 || traits->frame_octets == 0;

    return stateful || settings->event_type || settings->noise_type || settings->redundant_type ||
           settings->inband_digits;
}

static int make_coders(ot_leg_parts *parts, const ot_leg_remote *settings,
                       const ot_codec_traits *traits)
{
    int error = ot_encoder_create(&parts->encoder, settings->codec, settings->ptime_ms,
                                  &settings->encoding);

    if (!error)
        error = ot_decoder_create(&parts->decoder, settings->codec);
    if (!error && settings->inband_digits)
        error = ot_inband_create(&parts->inband);
    if (!error && settings->inband_digits && traits->rate_hz != OT_RATE_HZ)
        error = ot_rate_create(&parts->inband_rate, traits->rate_hz, OT_RATE_HZ);
    return error;
}

static int make_parts(ot_leg_parts **out, const ot_leg_remote *settings)
{
    const ot_codec_traits *traits = ot_codec_find(settings->codec);

    *out = NULL;
    if (!needs_parts(settings, traits))
        return 0;
    ot_leg_parts *parts = calloc(1, sizeof(*parts));
    if (parts == NULL)
        return ENOMEM;
    parts->encodes_packets = traits->frame_octets == 0;
    parts->event_type = settings->event_type;
    parts->noise_type = settings->noise_type;
    parts->redundant_type = settings->redundant_type;
    parts->redundancy = settings->redundant_type ? settings->redundancy : 0;
    ot_red_sender_init(&parts->older, parts->redundancy, traits->clock_hz);
    ot_dtmf_sender_init(&parts->dialling, traits->clock_hz);
    ot_dtmf_receiver_init(&parts->dialled, traits->clock_hz);
    ot_comfort_sender_init(&parts->pauses, traits->rate_hz);
    int error = make_coders(parts, settings, traits);
    if (error)
        ot_leg_parts_free(parts);
    else
        *out = parts;
    return error;
}

/* -- SRTP -------------------------------------------------------------------------------------- */

static int make_sessions(ot_srtp *sessions[2], const ot_leg_remote *settings)
{
    int error = ot_srtp_create(&sessions[0], settings->srtp_suite, OT_SRTP_IN,
                               settings->srtp_receive, settings->srtp_octets);

    if (!error)
        error = ot_srtp_create(&sessions[1], settings->srtp_suite, OT_SRTP_OUT,
                               settings->srtp_send, settings->srtp_octets);
    return error;
}

static int make_shield(ot_shield_slot **slot, ot_leg *leg, const ot_connection *to,
                       const ot_leg_remote *settings)
{
    ot_srtp *sessions[2] = {NULL, NULL};

    *slot = NULL;
    if (settings->srtp_suite == 0)
        return 0;
    int error = make_sessions(sessions, settings);
    ot_shield_path path = {
        .rtp_fd = to->fd >= 0 ? to->fd : leg->control.voice,
        .rtcp_fd = leg->reports.fd,
        .remote_address = to->remote_reports.sin_addr.s_addr,
        .remote_rtcp_port = ntohs(to->remote_reports.sin_port),
        .inbound = sessions[0],
        .outbound = sessions[1],
    };
    if (!error)
        error = ot_shield_add(leg->control.engine->shield, slot, &path);
    if (error) {
        ot_srtp_destroy(sessions[0]);
        ot_srtp_destroy(sessions[1]);
    }
    return error;
}

/* -- opening ----------------------------------------------------------------------------------- */

static ot_leg *claim(ot_engine *engine)
{
    for (uint32_t i = 0; i < OT_LEGS_MAX; i++)
        if (!engine->legs[i].control.used)
            return &engine->legs[i];
    return NULL;
}

/* Writes only what the tick has given back, statistics by word in case one is being read. */
static void clear(ot_leg *leg)
{
    for (size_t i = 0; i < sizeof(leg->stats) / sizeof(uint64_t); i++)
        OT_SET(((uint64_t *)&leg->stats)[i], 0);
    size_t first = offsetof(ot_leg, connected); /* `active` stays the tick's */
    size_t after = offsetof(ot_leg, reports);
    memset((char *)leg + first, 0, offsetof(ot_leg, stats) - first);
    memset((char *)leg + after, 0, offsetof(ot_leg, jitter) - after);
    memset(&leg->control, 0, sizeof(leg->control));
    leg->voice = -1;
    leg->control.voice = -1;
}

static int set_up(ot_engine *engine, ot_leg *leg, const char *address, uint16_t rtp_port)
{
    struct sockaddr_in local;
    int error = ot_seed_stream(&leg->stream);

    if (!error)
        error = ot_address(&local, address, rtp_port);
    if (!error)
        error = ot_watch(engine, leg->door, OT_EVENT_DOOR, slot_of(leg));
    if (!error)
        error = ot_watch(engine, leg->reports.fd, OT_EVENT_LEG_REPORT, slot_of(leg));
    if (error)
        return error;
    OT_SET(leg->stats.ssrc, leg->stream.ssrc);
    leg->control.local = local.sin_addr;
    leg->control.rtp_port = rtp_port;
    ot_port_opened(engine, slot_of(leg), leg->rate);
    return ot_hand_over_plain(engine, OT_LEG_ADD, slot_of(leg), 0);
}

/* Any part of G.711 or L16 that was negotiated needs nothing but this; the rest comes on connect. */
static void begin(ot_engine *engine, ot_leg *leg, int codec, uint32_t ptime_ms)
{
    leg->control.engine = engine;
    leg->control.settings.codec = (uint8_t)codec;
    leg->control.settings.ptime_ms = (uint8_t)ptime_ms;
    ot_stream_init(&leg->stream, codec, 1, ptime_ms / OT_TICK_MS, slot_of(leg));
    ot_jitter_init(&leg->jitter, codec, NULL, OT_JITTER_MIN_MS, OT_JITTER_MAX_MS);
    ot_activity_init(&leg->receive_activity);
    ot_activity_init(&leg->transmit_activity);
    ot_quality_init(&leg->quality);
    leg->codec = (uint8_t)codec;
    leg->rate = leg->stream.rate;
}

static int open_leg(ot_leg **out, ot_engine *engine, const char *address, uint16_t rtp_port,
                    int codec, uint32_t ptime_ms)
{
    int door = -1;
    int reports = -1;
    int error = ot_bind_pair(engine, &door, &reports, address, rtp_port);
    ot_leg *leg = error ? NULL : claim(engine);

    if (error)
        return error;
    if (leg) {
        clear(leg);
        begin(engine, leg, codec, ptime_ms);
        leg->door = door;
        leg->reports.fd = reports;
        error = set_up(engine, leg, address, rtp_port);
    }
    if (leg == NULL || error) {
        ot_socket_close(door);
        ot_socket_close(reports);
        return leg ? error : ENOSPC;
    }
    leg->control.used = 1;
    leg->control.open = 1;
    *out = leg;
    return 0;
}

int ot_leg_open(ot_leg **leg, ot_engine *engine, const char *address, uint16_t rtp_port, int codec,
                uint32_t ptime_ms)
{
    if (ot_codec_for(codec, ptime_ms, 1) == NULL)
        return EINVAL;
    ot_lock(engine);
    return ot_unlock(engine, open_leg(leg, engine, address, rtp_port, codec, ptime_ms));
}

/* -- connecting -------------------------------------------------------------------------------- */

static int same_address(const struct sockaddr_in *a, const struct sockaddr_in *b)
{
    return a->sin_port == b->sin_port && a->sin_addr.s_addr == b->sin_addr.s_addr;
}

static int same_keys(const ot_leg *leg, const ot_leg_remote *settings)
{
    size_t octets = settings->srtp_octets;

    return settings->srtp_suite == leg->control.settings.srtp_suite &&
           (settings->srtp_suite == 0 ||
            (octets == leg->control.settings.srtp_octets &&
             memcmp(settings->srtp_send, leg->control.keys[0], octets) == 0 &&
             memcmp(settings->srtp_receive, leg->control.keys[1], octets) == 0));
}

static int same_parts(const ot_leg_remote *a, const ot_leg_remote *b)
{
    return a->codec == b->codec && a->ptime_ms == b->ptime_ms && a->event_type == b->event_type &&
           a->noise_type == b->noise_type && a->redundant_type == b->redundant_type &&
           a->redundancy == b->redundancy && a->inband_digits == b->inband_digits &&
           memcmp(&a->encoding, &b->encoding, sizeof(a->encoding)) == 0;
}

/* Reports of a protected leg wake the shield, not the tick. */
static void share_reports(ot_leg *leg, int shielded)
{
    if (shielded)
        ot_unwatch(leg->control.engine, leg->reports.fd);
    else
        ot_watch(leg->control.engine, leg->reports.fd, OT_EVENT_LEG_REPORT, slot_of(leg));
}

static void keep(ot_leg *leg, const ot_leg_remote *settings, const ot_connection *to)
{
    if (!settings->srtp_suite != !leg->control.settings.srtp_suite)
        share_reports(leg, settings->srtp_suite != 0);
    leg->control.settings = *settings;
    if (settings->srtp_suite) {
        memcpy(leg->control.keys[0], settings->srtp_send, settings->srtp_octets);
        memcpy(leg->control.keys[1], settings->srtp_receive, settings->srtp_octets);
    }
    leg->control.remote = to->remote;
    leg->control.remote_reports = to->remote_reports;
    if (to->fd >= 0)
        leg->control.voice = to->fd;
}

/* A leg that comes to speak at another rate gets resamplers for the buses that it may be on. */
static int convert(ot_leg *leg, ot_connection *to)
{
    uint32_t port = slot_of(leg);
    uint32_t rate = ot_rate_index(ot_codec_find(to->codec)->rate_hz);

    to->conversion = NULL;
    return rate == leg->control.engine->port_rate[port] ? 0
                                                        : ot_conversion_make(&to->conversion, rate);
}

static void drop(ot_leg *leg, const ot_connection *to)
{
    ot_leg_parts_free(to->parts);
    ot_conversion_free(to->conversion);
    if (to->shield)
        ot_shield_remove(leg->control.engine->shield, to->shield);
    ot_socket_close(to->fd);
}

static int make(ot_leg *leg, ot_connection *to, const ot_leg_remote *settings)
{
    int moved = !same_address(&to->remote, &leg->control.remote);
    int moved_reports = !same_address(&to->remote_reports, &leg->control.remote_reports);
    int error = 0;

    to->renewed = !same_parts(settings, &leg->control.settings) || !same_keys(leg, settings) ||
                  (settings->srtp_suite && (moved || moved_reports)) || leg->control.voice < 0;
    if (moved)
        error = ot_socket_beside(&to->fd, leg->door, &leg->control.local, leg->control.rtp_port,
                                 &to->remote);
    if (!error && to->renewed)
        error = make_parts(&to->parts, settings);
    if (!error && to->renewed)
        error = convert(leg, to);
    if (!error && to->renewed)
        error = make_shield(&to->shield, leg, to, settings);
    return error;
}

static int connect_leg(ot_leg *leg, ot_command *command, const ot_leg_remote *settings)
{
    ot_engine *engine = leg->control.engine;
    ot_connection *to = &command->with.remote;
    int error = make(leg, to, settings);

    if (!error)
        error = ot_hand_over(engine, command);
    if (error) {
        drop(leg, to);
        return error;
    }
    if (to->conversion) {
        engine->port_rate[slot_of(leg)] = to->conversion->rate;
        engine->port_converted[slot_of(leg)] = 1;
    }
    keep(leg, settings, to);
    return 0;
}

static int are_types(const ot_leg_remote *settings)
{
    return (settings->payload_type | settings->event_type | settings->noise_type |
            settings->redundant_type) <= 127;
}

static int is_sane(const ot_leg_remote *settings)
{
    return ot_codec_for(settings->codec, settings->ptime_ms, 1) && are_types(settings) &&
           settings->rtp_port && settings->redundancy <= OT_REDUNDANCY_MAX &&
           (settings->srtp_suite == 0 ||
            (settings->srtp_send && settings->srtp_receive &&
             settings->srtp_octets <= SRTP_KEY_MAX &&
             settings->srtp_octets == ot_srtp_key_octets(settings->srtp_suite)));
}

static int name_far_end(ot_connection *to, const ot_leg_remote *settings)
{
    uint16_t rtcp_port =
        settings->rtcp_port ? settings->rtcp_port : (uint16_t)(settings->rtp_port + 1);

    to->fd = -1;
    to->codec = settings->codec;
    to->payload_type = settings->payload_type;
    to->ptime_ticks = settings->ptime_ms / OT_TICK_MS;
    to->send = settings->send != 0;
    to->receive = settings->receive != 0;
    int error = ot_address(&to->remote, settings->address, settings->rtp_port);
    if (!error)
        error = ot_address(&to->remote_reports, settings->address, rtcp_port);
    return error;
}

int ot_leg_connect(ot_leg *leg, const ot_leg_remote *remote)
{
    ot_engine *engine = leg->control.engine;
    ot_command command = {.kind = OT_LEG_CONNECT, .slot = slot_of(leg)};

    if (!is_sane(remote) || name_far_end(&command.with.remote, remote) != 0)
        return EINVAL;
    ot_lock(engine);
    return ot_unlock(engine, leg->control.open ? connect_leg(leg, &command, remote) : EBADF);
}

/* -- the rest ---------------------------------------------------------------------------------- */

int ot_leg_read(ot_leg *leg, ot_leg_stats *stats)
{
    return ot_read_words(leg->control.engine, stats, &leg->stats, sizeof(*stats));
}

static int dial(ot_leg *leg, uint32_t event, uint32_t duration_ms)
{
    ot_command command = {
        .kind = OT_LEG_DIAL,
        .slot = slot_of(leg),
        .other = (uint16_t)event,
        .with.duration_ms = duration_ms,
    };

    if (!leg->control.open)
        return EBADF;
    if (!leg->control.settings.event_type)
        return ENOTSUP;
    return ot_hand_over(leg->control.engine, &command);
}

int ot_leg_dial(ot_leg *leg, uint32_t event, uint32_t duration_ms)
{
    if (event > OT_DTMF_FLASH || duration_ms > OT_DTMF_ON_MAX_MS)
        return EINVAL;
    ot_lock(leg->control.engine);
    return ot_unlock(leg->control.engine, dial(leg, event, duration_ms));
}

int ot_leg_reset_gaps(ot_leg *leg)
{
    ot_engine *engine = leg->control.engine;

    ot_lock(engine);
    return ot_unlock(engine, leg->control.open
                                 ? ot_hand_over_plain(engine, OT_LEG_RESET_GAPS, slot_of(leg), 0)
                                 : EBADF);
}

uint32_t ot_leg_port(const ot_leg *leg)
{
    return slot_of(leg);
}

uint32_t ot_leg_ssrc(const ot_leg *leg)
{
    return (uint32_t)__atomic_load_n(&leg->stats.ssrc, __ATOMIC_RELAXED);
}

int ot_leg_close(ot_leg *leg)
{
    return ot_hand_over_close(leg->control.engine, &leg->control.open, OT_LEG_REMOVE, slot_of(leg));
}
