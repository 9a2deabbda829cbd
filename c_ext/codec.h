/* How samples travel in a payload: what each codec is, and its encoders and decoders.
 *
 * Encoders and decoders are made and destroyed by the control side and run by the tick; running
 * one allocates nothing.  G.711 and L16 remember nothing between frames: their encoder and decoder
 * are NULL, and every function here accepts that.
 */
#ifndef OT_CODEC_H
#define OT_CODEC_H

#include <stddef.h>
#include <stdint.h>

/* cdef: begin */

/* Numbers below 128 are the static payload types of RFC 3551.  The three of Opus are one codec on
 * the wire; they differ in the rate at which our end of it works. */
typedef enum {
    OT_PCMU = 0,
    OT_PCMA = 8,
    OT_G722 = 9,
    OT_L16_8K = 128,
    OT_L16_16K = 129,
    OT_L16_48K = 130,
    OT_OPUS_8K = 131,
    OT_OPUS_16K = 132,
    OT_OPUS_48K = 133
} ot_codec;

typedef struct ot_encoder ot_encoder;
typedef struct ot_decoder ot_decoder;

typedef struct {
    const char *name;      /* as in an rtpmap */
    uint32_t rate_hz;      /* of the samples: 8000, 16000 or 48000 */
    uint32_t clock_hz;     /* of RTP timestamps: for G.722 8000 (RFC 3551), for Opus 48000 */
    uint16_t frame_octets; /* of 10 ms; 0: it varies, and whole packets are encoded at once */
} ot_codec_traits;

typedef struct {
    uint32_t bitrate_bps;  /* Opus only: 6000 to 510000; 0: 24, 32, 40 kbit/s at 8, 16, 48 kHz,
                            * below which there is no room for fec */
    uint8_t loss_percent;  /* Opus only: what the far end is expected to lose; 0 with fec: 10 */
    uint8_t fec;           /* Opus only: carry the packet before once more, at low rate */
    uint8_t dtx;           /* Opus only: let silence pass unsent */
} ot_encoder_options;

const ot_codec_traits *ot_codec_find(int codec); /* NULL: no such codec */

/* `options` may be NULL.  EINVAL: no such codec, an option out of bounds, or Opus with a packet
 * time other than 10 or 20 ms (it knows none of 30). */
int ot_encoder_create(ot_encoder **encoder, int codec, uint32_t ptime_ms,
                      const ot_encoder_options *options);
void ot_encoder_destroy(ot_encoder *encoder);
/* Encodes a whole number of 10 ms frames (Opus: exactly a packet).  Returns octets, 0 when there
 * is nothing to send (DTX) or `room` is too small (Opus makes do with less: give it 480). */
size_t ot_encoder_run(int codec, ot_encoder *encoder, uint8_t *code, size_t room,
                      const int16_t *pcm, size_t samples);

int ot_decoder_create(ot_decoder **decoder, int codec);
void ot_decoder_destroy(ot_decoder *decoder);
/* How many samples a payload holds, without decoding it; 0 when it is malformed. */
size_t ot_decoder_samples(int codec, const uint8_t *code, size_t octets);
/* Decodes a payload; returns samples, 0 when it is malformed or `room` samples do not suffice.
 * The longest packet of Opus holds 120 ms, whatever packet time was agreed on; stereo comes out
 * as mono. */
size_t ot_decoder_run(int codec, ot_decoder *decoder, int16_t *pcm, size_t room,
                      const uint8_t *code, size_t octets);
/* What a lost packet of `samples` may have sounded like, by the codec's own means: Opus takes it
 * from the redundancy in `next`, the packet right after it, when there is some (octets > 0), and
 * continues what it heard otherwise.  Of several packets lost in a row, only the last has a
 * `next`.  ENOTSUP: the codec has none; EINVAL: not a multiple of 2.5 ms up to 120. */
int ot_decoder_conceal(int codec, ot_decoder *decoder, int16_t *pcm, size_t samples,
                       const uint8_t *next, size_t octets);

/* cdef: end */

#endif
