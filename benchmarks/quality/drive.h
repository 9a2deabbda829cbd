/* What the programs of this folder have in common: a trace on standard input, sound on standard
 * output, one line of counts on standard error.  Time is virtual: a tick is 10 ms. */
#ifndef DRIVE_H
#define DRIVE_H

#include <stdint.h>
#include <stdio.h>

enum { RATE_HZ = 8000, TICK_SAMPLES = 80, PACKET_SAMPLES = 160 };

/* Little endian, as run.py packs it. */
typedef struct {
    uint32_t tick; /* the packet is there from this tick on */
    uint32_t timestamp;
    uint32_t ssrc;
    uint16_t sequence;
    uint8_t marker;
    uint8_t unused;
    uint8_t payload[PACKET_SAMPLES]; /* PCMU */
} packet_t;

static inline int16_t ulaw_value(uint8_t code)
{
    int plain = ~code & 0xFF;
    int magnitude = ((((plain & 15) << 3) + 132) << ((plain >> 4) & 7)) - 132;
    return (int16_t)(plain & 0x80 ? -magnitude : magnitude);
}

static inline void decode(int16_t *pcm, const uint8_t *code, size_t samples)
{
    for (size_t i = 0; i < samples; i++)
        pcm[i] = ulaw_value(code[i]);
}

static inline void say(const int16_t *pcm, size_t samples)
{
    fwrite(pcm, sizeof(*pcm), samples, stdout);
}

#endif
