/* The codecs that remember, one file each; codec.c chooses among them.
 *
 * An encoder or decoder is one block of memory without anything hanging from it, so that free()
 * ends it whatever codec it is of.
 */
#ifndef OT_CODECS_H
#define OT_CODECS_H

#include "codec.h"

/* g722.c */
int ot_g722_encoder_create(ot_encoder **encoder);
size_t ot_g722_encode(ot_encoder *encoder, uint8_t *code, size_t room, const int16_t *pcm,
                      size_t samples);
int ot_g722_decoder_create(ot_decoder **decoder);
size_t ot_g722_decode(ot_decoder *decoder, int16_t *pcm, size_t room, const uint8_t *code,
                      size_t octets);

/* opus.c */
int ot_opus_encoder_create(ot_encoder **encoder, uint32_t rate_hz, uint32_t ptime_ms,
                           const ot_encoder_options *options);
size_t ot_opus_encode(ot_encoder *encoder, uint8_t *code, size_t room, const int16_t *pcm,
                      size_t samples);
int ot_opus_decoder_create(ot_decoder **decoder, uint32_t rate_hz);
size_t ot_opus_samples(uint32_t rate_hz, const uint8_t *code, size_t octets);
size_t ot_opus_decode(ot_decoder *decoder, uint32_t rate_hz, int16_t *pcm, size_t room,
                      const uint8_t *code, size_t octets);
int ot_opus_conceal(ot_decoder *decoder, uint32_t rate_hz, int16_t *pcm, size_t samples,
                    const uint8_t *next, size_t octets);

#endif
