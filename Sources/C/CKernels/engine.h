// What the instruction sets share: the table of functions that each of them fills (private header).
#pragma once
#include "kernels.h"

struct kernels_engine {
  // Columns of a panel of weights: what one tile of a product computes at once.
  size_t panel_width;
  void (*product_f32)(const struct kernels_product *, const float *input, size_t rows,
                      const float *residual, float *output);
  void (*product_s16)(const struct kernels_product *, const int16_t *input, const float *scales,
                      size_t rows, const float *residual, float *output);
  void (*quantise)(const float *x, size_t rows, size_t columns, int limit, int16_t *output,
                   float *scales);
  void (*norm)(float *x, const float *gain, const float *offset, float epsilon, size_t rows,
               size_t columns);
  void (*attention)(const float *projected, size_t length, size_t heads, float scale,
                    float *scratch, float *output);
};

#if defined(__x86_64__)
extern const struct kernels_engine kernels_engine_avx2, kernels_engine_avx512,
    kernels_engine_avx512_vnni;

// The one function of the last level that differs from the one before.
void kernels_product_s16_vnni(const struct kernels_product *, const int16_t *input,
                              const float *scales, size_t rows, const float *residual,
                              float *output);
#endif

// The engine of a level that the processor has; NULL where the level is portable.
const struct kernels_engine *kernels_engine_of(enum kernels_level level);
