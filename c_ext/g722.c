/* ITU-T G.722 at 64 kbit/s by spandsp: two samples of 16 kHz in an octet.
 *
 * RTP clocks it at 8000 Hz by an old mistake that RFC 3551 section 4.5.2 keeps.
 */
#define SPANDSP_EXPOSE_INTERNAL_STRUCTURES
#include <errno.h>
#include <spandsp.h>
#include <stdlib.h>

#include "codecs.h"

enum { BIT_RATE_BPS = 64000, SAMPLES_PER_OCTET = 2 };

int ot_g722_encoder_create(ot_encoder **encoder)
{
    g722_encode_state_t *state = calloc(1, sizeof(*state));

    if (!state)
        return ENOMEM;
    g722_encode_init(state, BIT_RATE_BPS, 0);
    *encoder = (ot_encoder *)state;
    return 0;
}

size_t ot_g722_encode(ot_encoder *encoder, uint8_t *code, size_t room, const int16_t *pcm,
                      size_t samples)
{
    if (samples % SAMPLES_PER_OCTET || samples / SAMPLES_PER_OCTET > room || samples > INT16_MAX)
        return 0;
    return (size_t)g722_encode((g722_encode_state_t *)encoder, code, pcm, (int)samples);
}

int ot_g722_decoder_create(ot_decoder **decoder)
{
    g722_decode_state_t *state = calloc(1, sizeof(*state));

    if (!state)
        return ENOMEM;
    g722_decode_init(state, BIT_RATE_BPS, 0);
    *decoder = (ot_decoder *)state;
    return 0;
}

size_t ot_g722_decode(ot_decoder *decoder, int16_t *pcm, size_t room, const uint8_t *code,
                      size_t octets)
{
    if (octets > room / SAMPLES_PER_OCTET || octets > INT16_MAX)
        return 0;
    return (size_t)g722_decode((g722_decode_state_t *)decoder, pcm, code, (int)octets);
}
