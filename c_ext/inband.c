/* In-band DTMF by spandsp's receiver: Goertzel filters over 102 samples, two blocks to agree. */
#define SPANDSP_EXPOSE_INTERNAL_STRUCTURES
#include "inband.h"

#include <errno.h>
#include <spandsp.h>
#include <stdlib.h>

struct ot_inband {
    dtmf_rx_state_t receiver;
};

int ot_inband_create(ot_inband **inband)
{
    *inband = calloc(1, sizeof(**inband));
    if (!*inband)
        return ENOMEM;
    dtmf_rx_init(&(*inband)->receiver, NULL, NULL);
    return 0;
}

void ot_inband_destroy(ot_inband *inband)
{
    free(inband);
}

int ot_inband_run(ot_inband *inband, const int16_t *pcm, size_t samples, char *digit)
{
    char found[2]; /* spandsp ends its strings */

    dtmf_rx(&inband->receiver, pcm, (int)samples);
    if (dtmf_rx_get(&inband->receiver, found, 1) == 0)
        return 0;
    *digit = found[0];
    return 1;
}
