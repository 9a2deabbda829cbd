/* Reads a fuzzer's bytes as a little program: a number here, some octets there, zeros at the end. */
#ifndef INPUT_H
#define INPUT_H

#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

typedef struct {
    const uint8_t *at;
    size_t left;
} input;

static inline uint8_t take8(input *in)
{
    if (in->left == 0)
        return 0;
    in->left--;
    return *in->at++;
}

static inline uint16_t take16(input *in)
{
    uint8_t high = take8(in);
    return (uint16_t)(high << 8 | take8(in));
}

static inline uint32_t take32(input *in)
{
    uint32_t high = take16(in);
    return high << 16 | take16(in);
}

/* Points at up to *octets octets of the input and takes them; *octets becomes what there is. */
static inline const uint8_t *take(input *in, size_t *octets)
{
    const uint8_t *from = in->at;

    *octets = *octets < in->left ? *octets : in->left;
    in->at += *octets;
    in->left -= *octets;
    return from;
}

/* A broken promise: says which and ends as a crash does, so that the fuzzer keeps the input. */
#define PROMISE(holds)                                                                            \
    do {                                                                                          \
        if (!(holds)) {                                                                           \
            fprintf(stderr, "%s:%d: broken promise: %s\n", __FILE__, __LINE__, #holds);           \
            abort();                                                                              \
        }                                                                                         \
    } while (0)

#endif
