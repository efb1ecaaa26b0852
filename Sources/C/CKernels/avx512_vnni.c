#include "engine.h"

// The level below with one instruction for what takes two there; the rest is shared.
#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq,avx512vnni"
#pragma clang attribute push(__attribute__((target(TARGET))), apply_to = function)

#define NAME(x) avx512_vnni_##x
#include "avx512_vector.h"

// In assembly, because clang makes two instructions of the intrinsic (a multiply-add and an add) where
// it deems the latency to matter, and then the sums do not fit the registers' bandwidth.
INLINE vi dot_s16(vi sum, vi a, vi b) {
  __asm__("vpdpwssd %2, %1, %0" : "+v"(sum) : "v"(a), "v"(b));
  return sum;
}

#include "elements.h"
#include "tiles_s16.h"

#pragma clang attribute pop

void kernels_product_s16_vnni(const struct kernels_product *product, const int16_t *input,
                              const float *scales, size_t rows, const float *residual,
                              float *output) {
  avx512_vnni_product_s16(product, input, scales, rows, residual, output);
}
#endif
