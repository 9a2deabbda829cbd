#include "srtp.h"

#include <errno.h>
#include <pthread.h>
#include <srtp2/srtp.h>
#include <stdlib.h>
#include <string.h>

#include "wire.h"

enum {
    VERSION_MASK = 0xC0,
    VERSION_2 = 0x80,
    RTP_SSRC = 8, /* where the source's identifier stands */
    REPORT_SSRC = 4,
    REPORT_HEADER = 8,
    REPORT_INDEX = 4 /* RFC 3711 section 3.4: behind every report, with the E bit */
};

_Static_assert(OT_SRTP_ROOM >= OT_SRTP_PLAIN_MAX + SRTP_MAX_TRAILER_LEN + REPORT_INDEX,
               "libsrtp writes behind the packet");

typedef struct {
    int suite;
    const char *name;
    uint32_t key_octets;
    uint32_t tag_octets;
    uint32_t report_tag_octets; /* 80 bits even where RTP has 32 (RFC 4568 section 6.2.2) */
    void (*media)(srtp_crypto_policy_t *policy);
    void (*report)(srtp_crypto_policy_t *policy);
} suite_traits;

static const suite_traits SUITES[] = {
    {OT_AEAD_AES_256_GCM, "AEAD_AES_256_GCM", 44, 16, 16,
     srtp_crypto_policy_set_aes_gcm_256_16_auth, srtp_crypto_policy_set_aes_gcm_256_16_auth},
    {OT_AEAD_AES_128_GCM, "AEAD_AES_128_GCM", 28, 16, 16,
     srtp_crypto_policy_set_aes_gcm_128_16_auth, srtp_crypto_policy_set_aes_gcm_128_16_auth},
    {OT_AES_CM_128_HMAC_SHA1_80, "AES_CM_128_HMAC_SHA1_80", 30, 10, 10,
     srtp_crypto_policy_set_rtp_default, srtp_crypto_policy_set_rtcp_default},
    {OT_AES_CM_128_HMAC_SHA1_32, "AES_CM_128_HMAC_SHA1_32", 30, 4, 10,
     srtp_crypto_policy_set_aes_cm_128_hmac_sha1_32, srtp_crypto_policy_set_rtcp_default},
};

enum { SUITE_COUNT = sizeof(SUITES) / sizeof(SUITES[0]) };

struct ot_srtp {
    srtp_t library;
    const suite_traits *suite;
    int direction;
    uint32_t source_count;
    uint32_t sources[OT_SRTP_SOURCES_MAX];
};

static pthread_once_t library_once = PTHREAD_ONCE_INIT;
static int library_error;

static void set_library_up(void)
{
    library_error = srtp_init() == srtp_err_status_ok ? 0 : EIO;
}

/* -- life ---------------------------------------------------------------------------------- */

int ot_srtp_find(const char *name)
{
    for (int i = 0; name && i < SUITE_COUNT; i++)
        if (strcmp(SUITES[i].name, name) == 0)
            return SUITES[i].suite;
    return 0;
}

static const suite_traits *traits_of(int suite)
{
    for (int i = 0; i < SUITE_COUNT; i++)
        if (SUITES[i].suite == suite)
            return &SUITES[i];
    return NULL;
}

uint32_t ot_srtp_key_octets(int suite)
{
    const suite_traits *traits = traits_of(suite);

    return traits ? traits->key_octets : 0;
}

static int create_library(ot_srtp *session, const uint8_t *key)
{
    uint8_t copy[SRTP_MAX_KEY_LEN]; /* the library's pointer is not const */
    srtp_policy_t policy = {
        .ssrc.type = session->direction == OT_SRTP_IN ? ssrc_any_inbound : ssrc_any_outbound,
        .key = copy,
        .window_size = OT_SRTP_WINDOW,
    };

    memcpy(copy, key, session->suite->key_octets);
    session->suite->media(&policy.rtp);
    session->suite->report(&policy.rtcp);
    srtp_err_status_t status = srtp_create(&session->library, &policy);
    explicit_bzero(copy, sizeof(copy));
    if (status == srtp_err_status_ok)
        return 0;
    return status == srtp_err_status_alloc_fail ? ENOMEM : EIO;
}

int ot_srtp_create(ot_srtp **session, int suite, int direction, const uint8_t *key, size_t octets)
{
    const suite_traits *traits = traits_of(suite);

    *session = NULL;
    if (!traits || octets != traits->key_octets ||
        (direction != OT_SRTP_IN && direction != OT_SRTP_OUT))
        return EINVAL;
    pthread_once(&library_once, set_library_up);
    if (library_error)
        return library_error;
    ot_srtp *made = calloc(1, sizeof(*made));
    if (!made)
        return ENOMEM;
    made->suite = traits;
    made->direction = direction;
    int error = create_library(made, key);
    if (error)
        free(made);
    else
        *session = made;
    return error;
}

void ot_srtp_destroy(ot_srtp *session)
{
    if (!session)
        return;
    srtp_dealloc(session->library);
    free(session);
}

/* -- packets ------------------------------------------------------------------------------- */

static int errno_of(srtp_err_status_t status)
{
    switch (status) {
    case srtp_err_status_ok:
        return 0;
    case srtp_err_status_auth_fail:
    case srtp_err_status_cipher_fail: /* what a wrong tag is called depends on the cipher */
    case srtp_err_status_algo_fail:
        return EACCES;
    case srtp_err_status_replay_fail:
    case srtp_err_status_replay_old:
    case srtp_err_status_pkt_idx_old:
        return EALREADY;
    case srtp_err_status_bad_param:
    case srtp_err_status_parse_err:
    case srtp_err_status_cant_check:
    case srtp_err_status_bad_mki:
        return EBADMSG;
    case srtp_err_status_key_expired:
        return EKEYEXPIRED;
    default:
        return EIO;
    }
}

static int knows(const ot_srtp *session, uint32_t ssrc)
{
    for (uint32_t i = 0; i < session->source_count; i++)
        if (session->sources[i] == ssrc)
            return 1;
    return 0;
}

/* The library keeps the state of every source for good, and must: to forget one would allow its
 * packets to be replayed.  So their number is bounded here. */
static int admit(const ot_srtp *session, uint32_t ssrc)
{
    return session->source_count == OT_SRTP_SOURCES_MAX && !knows(session, ssrc) ? ENOSPC : 0;
}

static void remember(ot_srtp *session, uint32_t ssrc)
{
    if (!knows(session, ssrc))
        session->sources[session->source_count++] = ssrc;
}

typedef srtp_err_status_t library_call(srtp_t library, void *packet, int *octets);

static int run(ot_srtp *session, ot_srtp_packet *packet, uint32_t ssrc_at, library_call *call)
{
    int octets = (int)packet->octets;
    uint32_t ssrc = ot_read32(packet->data + ssrc_at);
    int error = admit(session, ssrc);

    if (!error)
        error = errno_of(call(session->library, packet->data, &octets));
    if (error)
        return error;
    remember(session, ssrc);
    packet->octets = (uint32_t)octets;
    return 0;
}

/* The library trusts what it protects, and does not look at the version of either kind.
 * `header` is the least a packet has, `added` what protection adds to it. */
static int check(const ot_srtp *session, const ot_srtp_packet *packet, int direction,
                 uint32_t header, uint32_t added)
{
    uint32_t trailer = direction == OT_SRTP_IN ? added : 0;

    if (session->direction != direction)
        return EPERM;
    if (packet->octets > OT_SRTP_PLAIN_MAX + trailer)
        return EMSGSIZE;
    if (packet->octets < header + trailer || (packet->data[0] & VERSION_MASK) != VERSION_2)
        return EBADMSG;
    return 0;
}

static int run_media(ot_srtp *session, ot_srtp_packet *packet, int direction, library_call *call)
{
    int error = check(session, packet, direction, OT_RTP_HEADER, session->suite->tag_octets);

    return error ? error : run(session, packet, RTP_SSRC, call);
}

static int run_report(ot_srtp *session, ot_srtp_packet *packet, int direction, library_call *call)
{
    uint32_t added = REPORT_INDEX + session->suite->report_tag_octets;
    int error = check(session, packet, direction, REPORT_HEADER, added);

    return error ? error : run(session, packet, REPORT_SSRC, call);
}

int ot_srtp_protect(ot_srtp *session, ot_srtp_packet *packet)
{
    return run_media(session, packet, OT_SRTP_OUT, srtp_protect);
}

int ot_srtp_unprotect(ot_srtp *session, ot_srtp_packet *packet)
{
    return run_media(session, packet, OT_SRTP_IN, srtp_unprotect);
}

int ot_srtp_protect_report(ot_srtp *session, ot_srtp_packet *packet)
{
    return run_report(session, packet, OT_SRTP_OUT, srtp_protect_rtcp);
}

int ot_srtp_unprotect_report(ot_srtp *session, ot_srtp_packet *packet)
{
    return run_report(session, packet, OT_SRTP_IN, srtp_unprotect_rtcp);
}
