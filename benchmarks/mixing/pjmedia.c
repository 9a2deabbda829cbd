/* PJMEDIA's conference bridge: N ports, each connected to all others, driven by its master port. */
#include <pjlib.h>
#include <pjmedia.h>
#include <string.h>

#include "work.h"

static int16_t voices[STREAMS_MAX * FRAME_SAMPLES];
static int32_t heard_any;

static pj_status_t speak(pjmedia_port *port, pjmedia_frame *frame)
{
    frame->type = PJMEDIA_FRAME_TYPE_AUDIO;
    frame->size = FRAME_SAMPLES * sizeof(int16_t);
    memcpy(frame->buf, port->port_data.pdata, frame->size);
    return PJ_SUCCESS;
}

static pj_status_t hear(pjmedia_port *port, pjmedia_frame *frame)
{
    PJ_UNUSED_ARG(port);
    if (frame->type == PJMEDIA_FRAME_TYPE_AUDIO && frame->size)
        heard_any |= ((const int16_t *)frame->buf)[0];
    return PJ_SUCCESS;
}

static void must(pj_status_t status, const char *what)
{
    if (status != PJ_SUCCESS)
        give_up(what);
}

static unsigned add_port(pj_pool_t *pool, pjmedia_conf *bridge, int stream)
{
    pj_str_t name = pj_str("stream");
    pjmedia_port *port = PJ_POOL_ZALLOC_T(pool, pjmedia_port);
    unsigned slot;

    must(pjmedia_port_info_init(&port->info, &name, PJMEDIA_SIGNATURE('O', 'T', 'B', 'M'), RATE_HZ,
                                1, 16, FRAME_SAMPLES), "port");
    port->port_data.pdata = voices + stream * FRAME_SAMPLES;
    port->get_frame = speak;
    port->put_frame = hear;
    must(pjmedia_conf_add_port(bridge, pool, port, NULL, &slot), "add a port");
    return slot;
}

static void connect_all(pjmedia_conf *bridge, const unsigned *slots, int streams)
{
    for (int from = 0; from < streams; from++)
        for (int to = 0; to < streams; to++)
            if (from != to)
                must(pjmedia_conf_connect_port(bridge, slots[from], slots[to], 0), "connect");
}

static void run_frame(void *master)
{
    static int16_t nobody[FRAME_SAMPLES];
    pjmedia_frame frame = {.buf = nobody, .size = sizeof(nobody)};

    must(pjmedia_port_get_frame(master, &frame), "get a frame");
}

int main(int argc, char **argv)
{
    work asked = read_work(argc, argv);
    unsigned slots[STREAMS_MAX];
    pj_caching_pool memory;
    pjmedia_conf *bridge;

    pj_log_set_level(1);
    fill_voices(voices, asked.streams);
    must(pj_init(), "pjlib");
    pj_caching_pool_init(&memory, NULL, 0);
    pj_pool_t *pool = pj_pool_create(&memory.factory, "bench", 1 << 16, 1 << 16, NULL);
    must(pjmedia_conf_create(pool, (unsigned)asked.streams + 1, RATE_HZ, 1, FRAME_SAMPLES, 16,
                             PJMEDIA_CONF_NO_DEVICE | PJMEDIA_CONF_NO_MIC, &bridge), "bridge");
    for (int i = 0; i < asked.streams; i++)
        slots[i] = add_port(pool, bridge, i);
    run_frame(pjmedia_conf_get_master_port(bridge)); /* ports are added by the bridge's own thread */
    connect_all(bridge, slots, asked.streams);
    measure(asked, run_frame, pjmedia_conf_get_master_port(bridge));
    if (heard_any == 0)
        give_up("nobody heard anything");
    return 0;
}
