/* RFC 4733: any packets in, starts and ends in turn out; any digits queued, each is sent and ends. */
#include <string.h>

#include "dtmf.h"
#include "input.h"

enum { STEPS_MAX = 300, PACKET_UNITS = 160, IDLE_MAX = 100000 };

/* -- receiving ------------------------------------------------------------------------------- */

typedef struct {
    ot_dtmf_receiver receiver;
    ot_rtp packet;
    int open; /* a start was told, its end was not */
    uint8_t event;
} ear;

static void heed(ear *ear, const ot_dtmf_told *told)
{
    PROMISE(told->count <= OT_DTMF_NOTICES_MAX);
    for (uint32_t i = 0; i < told->count; i++) {
        const ot_dtmf_notice *notice = &told->notices[i];
        PROMISE(notice->event <= OT_DTMF_FLASH);
        PROMISE(notice->kind == (ear->open ? OT_DTMF_END : OT_DTMF_START));
        PROMISE(!ear->open || notice->event == ear->event);
        ear->open = !ear->open;
        ear->event = notice->event;
    }
}

static void receive(ear *ear, input *in)
{
    uint8_t payload[64] = {0};
    uint8_t what = take8(in);
    size_t octets = what & 0x80 ? what & 63 : OT_DTMF_OCTETS;
    ot_dtmf_told told = {0};

    ear->packet.sequence = (uint16_t)(ear->packet.sequence + (what >> 4 & 3));
    ear->packet.timestamp += what & 0x40 ? (uint32_t)(int8_t)take8(in) * 40 : 0;
    const uint8_t *from = take(in, &octets);
    if (octets)
        memcpy(payload, from, octets);
    ear->packet.payload_octets = (uint16_t)octets;
    ear->packet.marker = what & 1;
    ot_dtmf_receiver_put(&ear->receiver, &ear->packet, payload, &told);
    heed(ear, &told);
}

static void pass_time(ear *ear)
{
    ot_dtmf_told told = {0};

    ot_dtmf_receiver_tick(&ear->receiver, &told);
    heed(ear, &told);
}

/* Whatever came: once the far end is silent, no digit stays pressed. */
static void fall_silent(ear *ear)
{
    for (int i = 0; i <= OT_DTMF_TIMEOUT_TICKS; i++)
        pass_time(ear);
    PROMISE(!ear->open);
}

static void hear(input *in)
{
    ear ear = {.packet = {.ssrc = 1}};

    PROMISE(ot_dtmf_receiver_init(&ear.receiver, 8000) == 0);
    for (int i = 0; i < STEPS_MAX && in->left; i++) {
        uint8_t what = take8(in);
        if (what < 0xA0)
            receive(&ear, in);
        else if (what < 0xF0)
            pass_time(&ear);
        else
            ear.packet.ssrc = what;
    }
    fall_silent(&ear);
}

/* -- sending, to an ear of ours ---------------------------------------------------------------- */

typedef struct {
    ot_dtmf_sender sender;
    ear ear;
    uint32_t timestamp;
    uint32_t queued;
    uint32_t ended;
} mouth;

static void listen(mouth *mouth, const ot_dtmf_packet *packet)
{
    ot_dtmf_told told = {0};

    mouth->ear.packet.timestamp = packet->timestamp;
    mouth->ear.packet.marker = packet->marker;
    mouth->ear.packet.payload_octets = OT_DTMF_OCTETS;
    ot_dtmf_receiver_put(&mouth->ear.receiver, &mouth->ear.packet, packet->payload, &told);
    mouth->ear.packet.sequence++;
    for (uint32_t i = 0; i < told.count; i++)
        mouth->ended += told.notices[i].kind == OT_DTMF_END;
    heed(&mouth->ear, &told);
}

static void send_next(mouth *mouth)
{
    ot_dtmf_packet packet;

    if (ot_dtmf_sender_next(&mouth->sender, mouth->timestamp, PACKET_UNITS, &packet))
        listen(mouth, &packet);
    mouth->timestamp += PACKET_UNITS;
}

static void press(mouth *mouth, input *in)
{
    uint32_t event = take8(in) % 24;
    uint32_t duration_ms = take16(in) % 3000;
    uint32_t volume = take8(in) % 70;

    if (ot_dtmf_sender_start(&mouth->sender, event, duration_ms, volume) == 0)
        mouth->queued++;
}

static void speak(input *in)
{
    mouth mouth = {.timestamp = take32(in), .ear = {.packet = {.ssrc = 1}}};

    PROMISE(ot_dtmf_sender_init(&mouth.sender, 8000) == 0);
    PROMISE(ot_dtmf_receiver_init(&mouth.ear.receiver, 8000) == 0);
    for (int i = 0; i < STEPS_MAX && in->left; i++)
        if (take8(in) & 1)
            press(&mouth, in);
        else
            send_next(&mouth);
    for (int i = 0; i < IDLE_MAX && !ot_dtmf_sender_idle(&mouth.sender); i++)
        send_next(&mouth);
    PROMISE(ot_dtmf_sender_idle(&mouth.sender));
    PROMISE(mouth.ended == mouth.queued && !mouth.ear.open);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};

    if (take8(&in) & 1)
        hear(&in);
    else
        speak(&in);
    return 0;
}
