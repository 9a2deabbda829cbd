/* GStreamer's audiomixer, N sources to one mix (it has no minus-self): buffers are pushed into its
 * pads by this thread, its own thread mixes, and a pad of ours takes the result.
 */
#include <gst/gst.h>
#include <string.h>

#include "work.h"

#define CAPS "audio/x-raw,format=S16LE,layout=interleaved,channels=1,rate=8000"

typedef struct {
    int streams;
    GstPad *pads[STREAMS_MAX];
    GstMemory *voices[STREAMS_MAX];
    guint64 pushed;
} mixer;

static gint heard; /* frames that came out */

static GstFlowReturn hear(GstPad *pad, GstObject *parent, GstBuffer *buffer)
{
    (void)pad;
    (void)parent;
    g_atomic_int_inc(&heard);
    gst_buffer_unref(buffer);
    return GST_FLOW_OK;
}

static void start_stream(GstPad *pad, int stream)
{
    char name[16];
    GstCaps *caps = gst_caps_from_string(CAPS);
    GstSegment segment;

    snprintf(name, sizeof(name), "stream%d", stream);
    gst_segment_init(&segment, GST_FORMAT_TIME);
    gst_pad_push_event(pad, gst_event_new_stream_start(name));
    gst_pad_push_event(pad, gst_event_new_caps(caps));
    gst_pad_push_event(pad, gst_event_new_segment(&segment));
    gst_caps_unref(caps);
}

static void add_stream(mixer *mixer, GstElement *element, int16_t *voice, int stream)
{
    gsize octets = FRAME_SAMPLES * sizeof(*voice);
    GstPad *sink = gst_element_request_pad_simple(element, "sink_%u");

    mixer->pads[stream] = gst_pad_new(NULL, GST_PAD_SRC);
    mixer->voices[stream] =
        gst_memory_new_wrapped(GST_MEMORY_FLAG_READONLY, voice, octets, 0, octets, NULL, NULL);
    gst_pad_set_active(mixer->pads[stream], TRUE);
    if (sink == NULL || gst_pad_link(mixer->pads[stream], sink) != GST_PAD_LINK_OK)
        give_up("a pad cannot be linked");
    gst_object_unref(sink);
}

/* Push blocks while the pad still holds the buffer before. */
static void run_frame(void *context)
{
    mixer *all = context;
    GstClockTime length = PTIME_MS * GST_MSECOND;

    for (int i = 0; i < all->streams; i++) {
        GstBuffer *buffer = gst_buffer_new();
        gst_buffer_append_memory(buffer, gst_memory_ref(all->voices[i]));
        GST_BUFFER_PTS(buffer) = all->pushed * length;
        GST_BUFFER_DURATION(buffer) = length;
        if (gst_pad_push(all->pads[i], buffer) != GST_FLOW_OK)
            give_up("a buffer is refused");
    }
    all->pushed++;
}

int main(int argc, char **argv)
{
    static int16_t voices[STREAMS_MAX * FRAME_SAMPLES];
    static mixer all;
    work asked = read_work(argc, argv);

    gst_init(NULL, NULL);
    fill_voices(voices, asked.streams);
    GstElement *element = gst_element_factory_make("audiomixer", NULL);
    if (element == NULL)
        give_up("GStreamer has no audiomixer");
    g_object_set(element, "output-buffer-duration", (guint64)(PTIME_MS * GST_MSECOND), NULL);
    GstPad *out = gst_pad_new(NULL, GST_PAD_SINK);
    gst_pad_set_chain_function(out, hear);
    gst_pad_set_active(out, TRUE);
    GstPad *from = gst_element_get_static_pad(element, "src");
    if (gst_pad_link(from, out) != GST_PAD_LINK_OK)
        give_up("the mix cannot be linked");
    all.streams = asked.streams;
    for (int i = 0; i < asked.streams; i++)
        add_stream(&all, element, voices + i * FRAME_SAMPLES, i);
    gst_element_set_state(element, GST_STATE_PLAYING);
    for (int i = 0; i < asked.streams; i++)
        start_stream(all.pads[i], i);
    measure(asked, run_frame, &all);
    if (g_atomic_int_get(&heard) < asked.frames)
        give_up("frames are missing from the mix");
    return 0;
}
