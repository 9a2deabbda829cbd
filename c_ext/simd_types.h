/* Vectors of samples for one instruction set: a file sets OT_ISA, OT_TARGET and OT_OCTETS, then
 * includes this, writes the few operations that the C of vectors has no sign for, and includes
 * simd_kernels.h.  Everything else is +, -, >> and comparison on whole vectors (GCC and Clang).
 */
#include <stddef.h>
#include <stdint.h>

#define OT_OP static inline __attribute__((always_inline)) OT_TARGET
#define OT_VECTOR(type) type __attribute__((vector_size(OT_OCTETS)))

enum { LANES = OT_OCTETS / 2, HALF = OT_OCTETS / 4 /* samples of 16 and of 32 bits in a vector */ };

typedef OT_VECTOR(int16_t) v16;
typedef OT_VECTOR(uint16_t) vu16;
typedef OT_VECTOR(int32_t) v32;
typedef OT_VECTOR(uint64_t) vu64;
typedef OT_VECTOR(float) vfloat;
/* In memory a vector stands on the boundary of a sample. */
typedef int16_t v16_there __attribute__((vector_size(OT_OCTETS), aligned(2), may_alias));
typedef int32_t v32_there __attribute__((vector_size(OT_OCTETS), aligned(4), may_alias));

OT_OP v16 load16(const int16_t *at) { return *(const v16_there *)at; }
OT_OP v32 load32(const int32_t *at) { return *(const v32_there *)at; }
OT_OP void store16(int16_t *at, v16 value) { *(v16_there *)at = value; }
OT_OP void store32(int32_t *at, v32 value) { *(v32_there *)at = value; }
