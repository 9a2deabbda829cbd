/* spandsp's concealment alone: every packet comes in time or never does. */
#include <stdlib.h>
#include <string.h>

#include <spandsp.h>

#include "drive.h"

int main(int count, char **arguments)
{
    uint32_t ticks = count > 2 ? (uint32_t)atoi(arguments[1]) : 0;
    uint32_t counted = count > 2 ? (uint32_t)atoi(arguments[2]) : 0; /* ticks */
    plc_state_t *plc = plc_init(NULL);
    unsigned concealed = 0;
    packet_t packet;
    int16_t pcm[PACKET_SAMPLES];

    int more = fread(&packet, sizeof(packet), 1, stdin) == 1;
    for (uint32_t tick = 0; tick < ticks; tick += 2) {
        if (more && packet.tick <= tick) {
            decode(pcm, packet.payload, PACKET_SAMPLES);
            plc_rx(plc, pcm, PACKET_SAMPLES);
            more = fread(&packet, sizeof(packet), 1, stdin) == 1;
        } else {
            plc_fillin(plc, pcm, PACKET_SAMPLES);
            concealed += tick < counted ? PACKET_SAMPLES : 0;
        }
        say(pcm, PACKET_SAMPLES);
    }
    fprintf(stderr, "%u 0\n", concealed);
    return 0;
}
