/* libre's jitter buffer and librem's audio buffer, driven as baresip drives them with its settings
 * as delivered (jitter buffer of 5 to 10 packets, audio buffer of 20 to 160 ms), and spandsp's
 * concealment, which baresip uses. */
#include <stdlib.h>
#include <string.h>

#include <re.h>
#include <rem_aubuf.h>
#include <spandsp.h>

#include "drive.h"

enum { PACKETS_MIN = 5, PACKETS_MAX = 10, AUDIO_MIN_MS = 20, AUDIO_MAX_MS = 160 };

typedef struct {
    struct jbuf *buffer;
    struct aubuf *audio;
    plc_state_t *plc;
    int known;
    uint16_t next;
    uint32_t ssrc;
    unsigned concealed;
} receiver_t;

typedef struct {
    uint8_t payload[PACKET_SAMPLES];
} held_t;

static void play(receiver_t *receiver, const struct rtp_header *header, const held_t *held)
{
    int16_t pcm[PACKET_SAMPLES];
    uint16_t lost = (uint16_t)(header->seq - receiver->next);

    for (; receiver->known && lost > 0 && lost < 50; lost--) {
        plc_fillin(receiver->plc, pcm, PACKET_SAMPLES);
        aubuf_write_samp(receiver->audio, pcm, PACKET_SAMPLES);
        receiver->concealed += PACKET_SAMPLES;
    }
    receiver->known = 1;
    receiver->next = (uint16_t)(header->seq + 1);
    decode(pcm, held->payload, PACKET_SAMPLES);
    plc_rx(receiver->plc, pcm, PACKET_SAMPLES);
    aubuf_write_samp(receiver->audio, pcm, PACKET_SAMPLES);
}

static void put(receiver_t *receiver, const packet_t *packet)
{
    struct rtp_header header = {.ver = 2,
                                .m = packet->marker,
                                .seq = packet->sequence,
                                .ts = packet->timestamp,
                                .ssrc = packet->ssrc};
    held_t *held = mem_zalloc(sizeof(*held), NULL);
    void *got = NULL;

    if (receiver->ssrc != packet->ssrc) { /* as baresip's stream does */
        jbuf_flush(receiver->buffer);
        receiver->known = 0;
        receiver->ssrc = packet->ssrc;
    }
    memcpy(held->payload, packet->payload, PACKET_SAMPLES);
    jbuf_put(receiver->buffer, &header, held);
    mem_deref(held);
    if (jbuf_get(receiver->buffer, &header, &got) == 0) {
        play(receiver, &header, got);
        mem_deref(got);
    }
}

int main(int count, char **arguments)
{
    uint32_t ticks = count > 2 ? (uint32_t)atoi(arguments[1]) : 0;
    uint32_t counted = count > 2 ? (uint32_t)atoi(arguments[2]) : 0; /* ticks */
    receiver_t receiver = {0};
    unsigned concealed = 0;
    struct jbuf_stat stats = {0};
    packet_t packet;
    int16_t pcm[PACKET_SAMPLES];

    jbuf_alloc(&receiver.buffer, PACKETS_MIN, PACKETS_MAX);
    aubuf_alloc(&receiver.audio, AUDIO_MIN_MS * 16, AUDIO_MAX_MS * 16);
    receiver.plc = plc_init(NULL);
    int more = fread(&packet, sizeof(packet), 1, stdin) == 1;
    for (uint32_t tick = 0; tick < ticks; tick++) {
        for (; more && packet.tick <= tick; more = fread(&packet, sizeof(packet), 1, stdin) == 1)
            put(&receiver, &packet);
        if (tick <= counted)
            concealed = receiver.concealed;
        if (tick % 2 == 0) {
            size_t waits = aubuf_cur_size(receiver.audio) / sizeof(*pcm);
            if (receiver.known && waits < PACKET_SAMPLES)
                receiver.concealed += PACKET_SAMPLES; /* by silence */
            aubuf_read_samp(receiver.audio, pcm, PACKET_SAMPLES);
            say(pcm, PACKET_SAMPLES);
        }
    }
    jbuf_stats(receiver.buffer, &stats);
    fprintf(stderr, "%u %u\n", concealed, stats.n_late);
    return 0;
}
