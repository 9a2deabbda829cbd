/* PJMEDIA doing the legs' part of the work: streams over UDP on its conference bridge.
 *
 *   pjmedia <warm-up ms> <measured ms> <legs> <mesh: 0 or 1>
 *
 * In the mesh everyone hears all others, as on the engine; in the star the first leg hears all and
 * all hear the first.  Nothing is recorded.  The bridge is driven from this loop, without a sound
 * device or a clock thread; PJMEDIA's own worker thread receives.
 */
#include <pjlib.h>
#include <pjlib-util.h>
#include <pjmedia.h>
#include <pjmedia-codec.h>

#include "work.h"

enum { FRAME_NS = 2 * TICK_NS, FRAME_SAMPLES = 2 * TICK_SAMPLES, RATE_HZ = 8000 };

static int leg_count;
static pj_caching_pool caching;
static pj_pool_t *pool;
static pjmedia_endpt *endpoint;
static pjmedia_conf *bridge;
static pjmedia_stream *streams[LEGS_MAX];
static unsigned slots[LEGS_MAX];

static void check(pj_status_t status, const char *what)
{
    if (status == PJ_SUCCESS)
        return;
    char reason[PJ_ERR_MSG_SIZE];
    pj_strerror(status, reason, sizeof(reason));
    fprintf(stderr, "%s: %s\n", what, reason);
    exit(2);
}

static void open_library(void)
{
    pj_log_set_level(1);
    check(pj_init(), "pj_init");
    pj_caching_pool_init(&caching, NULL, 0);
    pool = pj_pool_create(&caching.factory, "benchmark", 4096, 4096, NULL);
    check(pjmedia_endpt_create2(&caching.factory, NULL, 1, &endpoint), "endpoint");
    check(pjmedia_event_mgr_create(pool, PJMEDIA_EVENT_MGR_NO_THREAD, NULL), "events");
    check(pjmedia_codec_g711_init(endpoint), "G.711");
    check(pjmedia_conf_create(pool, (unsigned)leg_count + 1, RATE_HZ, 1, FRAME_SAMPLES, 16,
                              PJMEDIA_CONF_NO_DEVICE, &bridge),
          "bridge");
}

static pjmedia_transport *open_transport(int number)
{
    pj_str_t address = pj_str("127.0.0.1");
    pjmedia_transport *transport;

    check(pjmedia_transport_udp_create3(endpoint, pj_AF_INET(), NULL, &address,
                                        LEG_PORT + 2 * number, 0, &transport),
          "transport");
    return transport;
}

static void describe(pjmedia_stream_info *info, int number)
{
    const pj_str_t address = pj_str("127.0.0.1");
    pjmedia_codec_mgr *codecs = pjmedia_endpt_get_codec_mgr(endpoint);
    const pjmedia_codec_info *codec;

    memset(info, 0, sizeof(*info));
    check(pjmedia_codec_mgr_get_codec_info(codecs, PJMEDIA_RTP_PT_PCMU, &codec), "codec");
    info->type = PJMEDIA_TYPE_AUDIO;
    info->proto = PJMEDIA_TP_PROTO_RTP_AVP;
    info->dir = PJMEDIA_DIR_ENCODING_DECODING;
    info->fmt = *codec;
    info->tx_pt = PJMEDIA_RTP_PT_PCMU;
    info->rx_pt = PJMEDIA_RTP_PT_PCMU;
    info->ssrc = (pj_uint32_t)number + 1;
    info->param = PJ_POOL_ZALLOC_T(pool, pjmedia_codec_param);
    check(pjmedia_codec_mgr_get_default_param(codecs, codec, info->param), "codec parameters");
    info->param->setting.vad = 0; /* send every frame */
    pj_sockaddr_init(pj_AF_INET(), &info->rem_addr, &address,
                     (pj_uint16_t)(FAR_PORT + 2 * number));
    pj_sockaddr_init(pj_AF_INET(), &info->rem_rtcp, &address,
                     (pj_uint16_t)(FAR_PORT + 2 * number + 1));
}

static void open_leg(int number)
{
    pjmedia_stream_info info;
    pjmedia_transport *transport = open_transport(number);
    pjmedia_port *port;

    describe(&info, number);
    check(pjmedia_stream_create(endpoint, pool, &info, transport, NULL, &streams[number]),
          "stream");
    check(pjmedia_transport_media_start(transport, pool, NULL, NULL, 0), "start of transport");
    check(pjmedia_stream_start(streams[number]), "start");
    check(pjmedia_stream_get_port(streams[number], &port), "port");
    check(pjmedia_conf_add_port(bridge, pool, port, NULL, &slots[number]), "add to the bridge");
}

static void join(int mesh)
{
    for (int from = 0; from < leg_count; from++)
        for (int to = 0; to < leg_count; to++)
            if (from != to && (mesh || from == 0 || to == 0))
                check(pjmedia_conf_connect_port(bridge, slots[from], slots[to], 0), "connect");
}

static int64_t trouble(void)
{
    int64_t sum = 0;

    for (int i = 0; i < leg_count; i++) {
        pjmedia_rtcp_stat stat;
        check(pjmedia_stream_get_stat(streams[i], &stat), "statistics");
        sum += stat.rx.loss + stat.rx.discard;
    }
    return sum;
}

static void pull(void)
{
    pj_int16_t samples[FRAME_SAMPLES];
    pjmedia_frame frame = {.buf = samples, .size = sizeof(samples)};

    check(pjmedia_port_get_frame(pjmedia_conf_get_master_port(bridge), &frame), "frame");
}

int main(int count, char **arguments)
{
    int64_t warm = argument(count, arguments, 1, 0, 3600000, 500) / 20;
    int64_t measured = argument(count, arguments, 2, 20, 3600000, 10000) / 20;
    int64_t begun_ns = 0;
    int64_t lost = 0;

    leg_count = argument(count, arguments, 3, HANDSETS, LEGS_MAX, LEGS);
    open_library();
    for (int i = 0; i < leg_count; i++)
        open_leg(i);
    join(argument(count, arguments, 4, 0, 1, 0));
    int64_t due = next_boundary();
    for (int64_t frames = 0; frames < warm + measured; frames++) {
        due += FRAME_NS;
        sleep_until(due);
        if (frames == warm) {
            lost = trouble();
            begun_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        }
        pull();
    }
    int64_t cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID) - begun_ns;
    say_result(cpu_ns, 2 * measured, trouble() - lost);
    _exit(fflush(stdout));
}
