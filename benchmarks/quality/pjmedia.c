/* PJMEDIA's jitter buffer and concealment, driven as its own audio stream drives them (stream.c of
 * pjproject: adaptive, from 1 to 20 packets of 20 ms, 25 at most; 240 ms of concealment). */
#include <arpa/inet.h>
#include <stdlib.h>
#include <string.h>

#include <pjlib.h>
#include <pjmedia/jbuf.h>
#include <pjmedia/plc.h>
#include <pjmedia/rtp.h>

#include "drive.h"

enum { PACKETS_MAX = 25, CONCEALED_MAX = 240 / 20 };

typedef struct {
    pjmedia_jbuf *buffer;
    pjmedia_plc *plc;
    pjmedia_rtp_session session;
    int concealed_run;
    unsigned concealed;
    unsigned refused;
} receiver_t;

static void prepare(receiver_t *receiver, pj_pool_t *pool)
{
    pj_str_t name = pj_str((char *)"quality");

    pjmedia_jbuf_create(pool, &name, PACKET_SAMPLES, 20, PACKETS_MAX, &receiver->buffer);
    pjmedia_jbuf_set_adaptive(receiver->buffer, 0, 1, PACKETS_MAX * 4 / 5);
    pjmedia_plc_create(pool, RATE_HZ, PACKET_SAMPLES, 0, &receiver->plc);
    pjmedia_rtp_session_init(&receiver->session, 0, 1);
    receiver->concealed_run = CONCEALED_MAX;
}

static void put(receiver_t *receiver, const packet_t *packet)
{
    pjmedia_rtp_hdr header = {0};
    pjmedia_rtp_status status;
    pj_bool_t discarded = PJ_FALSE;

    header.v = 2;
    header.m = packet->marker & 1;
    header.seq = htons(packet->sequence);
    header.ts = htonl(packet->timestamp);
    header.ssrc = htonl(packet->ssrc);
    pjmedia_rtp_session_update2(&receiver->session, &header, &status, PJ_FALSE);
    if (status.status.flag.restart)
        pjmedia_jbuf_reset(receiver->buffer);
    if (status.status.flag.bad)
        return;
    pjmedia_jbuf_put_frame3(receiver->buffer, packet->payload, PACKET_SAMPLES, 0,
                            packet->sequence, packet->timestamp, &discarded);
    receiver->refused += discarded != 0;
}

static void get(receiver_t *receiver, int16_t *pcm)
{
    uint8_t code[PACKET_SAMPLES];
    pj_size_t octets = sizeof(code);
    char kind = 0;
    pj_uint32_t bits = 0;
    pj_uint32_t timestamp = 0;

    pjmedia_jbuf_get_frame3(receiver->buffer, code, &octets, &kind, &bits, &timestamp, NULL);
    if (kind == PJMEDIA_JB_NORMAL_FRAME) {
        decode(pcm, code, PACKET_SAMPLES);
        pjmedia_plc_save(receiver->plc, pcm);
        receiver->concealed_run = 0;
        return;
    }
    if (receiver->concealed_run >= CONCEALED_MAX) {
        memset(pcm, 0, PACKET_SAMPLES * sizeof(*pcm));
        return;
    }
    pjmedia_plc_generate(receiver->plc, pcm);
    receiver->concealed_run++;
    receiver->concealed++;
}

int main(int count, char **arguments)
{
    uint32_t ticks = count > 2 ? (uint32_t)atoi(arguments[1]) : 0;
    uint32_t counted = count > 2 ? (uint32_t)atoi(arguments[2]) : 0; /* ticks */
    receiver_t receiver = {0};
    unsigned concealed = 0;
    pj_caching_pool caching;
    packet_t packet;
    int16_t pcm[PACKET_SAMPLES];

    pj_log_set_level(0);
    pj_init();
    pj_caching_pool_init(&caching, NULL, 0);
    prepare(&receiver, pj_pool_create(&caching.factory, "quality", 4000, 4000, NULL));
    int more = fread(&packet, sizeof(packet), 1, stdin) == 1;
    for (uint32_t tick = 0; tick < ticks; tick++) {
        for (; more && packet.tick <= tick; more = fread(&packet, sizeof(packet), 1, stdin) == 1)
            put(&receiver, &packet);
        if (tick <= counted)
            concealed = receiver.concealed;
        if (tick % 2 == 0) {
            get(&receiver, pcm);
            say(pcm, PACKET_SAMPLES);
        }
    }
    fprintf(stderr, "%u %u\n", concealed * PACKET_SAMPLES, receiver.refused);
    return 0;
}
