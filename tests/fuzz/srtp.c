/* SRTP: anything unprotected is refused or plain; what was protected comes back, once. */
#include <errno.h>
#include <string.h>

#include "input.h"
#include "srtp.h"

enum { PACKETS_MAX = 40, KEY_MAX = 64 };

static const int SUITES[] = {OT_AES_CM_128_HMAC_SHA1_80, OT_AES_CM_128_HMAC_SHA1_32,
                             OT_AEAD_AES_128_GCM, OT_AEAD_AES_256_GCM};
static const uint8_t KEY[KEY_MAX] = {1, 2, 3, 4, 5, 6, 7, 8, 9};

typedef struct {
    ot_srtp *in;
    ot_srtp *out;
    uint16_t sequence;
    uint32_t index; /* of SRTCP: counted by the session */
} pair;

static void fill(ot_srtp_packet *packet, input *in)
{
    size_t octets = take8(in);
    const uint8_t *from = take(in, &octets);

    memset(packet, 0, sizeof(*packet));
    packet->octets = (uint32_t)octets;
    if (octets)
        memcpy(packet->data, from, octets);
}

static void unprotect_anything(pair *pair, input *in, int report)
{
    ot_srtp_packet packet;

    fill(&packet, in);
    uint32_t before = packet.octets;
    int error = report ? ot_srtp_unprotect_report(pair->in, &packet)
                       : ot_srtp_unprotect(pair->in, &packet);
    PROMISE(error); /* nobody without the key makes a tag that fits */
    PROMISE(packet.octets <= before || packet.octets <= OT_SRTP_ROOM);
}

/* There and back; then back once more, which is a replay; then with a bit changed. */
static void there_and_back(pair *pair, input *in)
{
    ot_srtp_packet plain;
    ot_srtp_packet sent;

    fill(&plain, in);
    if (plain.octets < 12)
        plain.octets = 12;
    plain.data[0] = 0x80;
    plain.data[1] &= 127;
    plain.data[2] = (uint8_t)(pair->sequence >> 8);
    plain.data[3] = (uint8_t)pair->sequence++;
    memset(plain.data + 4, 0, 8);
    sent = plain;
    PROMISE(ot_srtp_protect(pair->out, &sent) == 0);
    PROMISE(sent.octets > plain.octets && sent.octets <= OT_SRTP_ROOM);
    ot_srtp_packet changed = sent;
    changed.data[take8(in) % changed.octets] ^= (uint8_t)(1 << take8(in) % 8);
    ot_srtp_packet again = sent;
    PROMISE(ot_srtp_unprotect(pair->in, &changed) != 0);
    PROMISE(ot_srtp_unprotect(pair->in, &sent) == 0);
    PROMISE(sent.octets == plain.octets && memcmp(sent.data, plain.data, plain.octets) == 0);
    PROMISE(ot_srtp_unprotect(pair->in, &again) == EALREADY);
}

static void report_there_and_back(pair *pair, input *in)
{
    ot_srtp_packet plain;
    ot_srtp_packet sent;

    fill(&plain, in);
    plain.octets = plain.octets < 8 ? 8 : plain.octets / 4 * 4;
    memcpy(plain.data, (uint8_t[]){0x80, 201, 0, 1, 0, 0, 0, 9}, 8);
    sent = plain;
    PROMISE(ot_srtp_protect_report(pair->out, &sent) == 0);
    ot_srtp_packet again = sent;
    PROMISE(ot_srtp_unprotect_report(pair->in, &sent) == 0);
    PROMISE(sent.octets == plain.octets && memcmp(sent.data, plain.data, plain.octets) == 0);
    PROMISE(ot_srtp_unprotect_report(pair->in, &again) == EALREADY);
}

static int open_pair(pair *pair, int suite)
{
    uint32_t octets = ot_srtp_key_octets(suite);

    memset(pair, 0, sizeof(*pair));
    if (ot_srtp_create(&pair->in, suite, OT_SRTP_IN, KEY, octets) != 0)
        return 0;
    PROMISE(ot_srtp_create(&pair->out, suite, OT_SRTP_OUT, KEY, octets) == 0);
    return 1;
}

/* The library loads its ciphers with the first session and unloads them with the last. */
static void keep_ciphers_loaded(void)
{
    static ot_srtp *kept;

    if (kept == NULL)
        PROMISE(ot_srtp_create(&kept, SUITES[0], OT_SRTP_OUT, KEY,
                               ot_srtp_key_octets(SUITES[0])) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t octets)
{
    input in = {data, octets};
    pair pair;

    keep_ciphers_loaded();
    if (!open_pair(&pair, SUITES[take8(&in) & 3]))
        return 0;
    for (int i = 0; i < PACKETS_MAX && in.left; i++) {
        uint8_t what = take8(&in);
        if (what < 0x60)
            unprotect_anything(&pair, &in, what & 1);
        else if (what < 0xC0)
            there_and_back(&pair, &in);
        else
            report_there_and_back(&pair, &in);
    }
    ot_srtp_destroy(pair.in);
    ot_srtp_destroy(pair.out);
    return 0;
}
