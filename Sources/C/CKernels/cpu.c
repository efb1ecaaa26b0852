#include "engine.h"

// The features of each level; the compiler's own table knows whether the system saves the registers.
enum kernels_level kernels_level_best(void) {
#if defined(__x86_64__)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return KERNELS_PORTABLE;
  if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
      !__builtin_cpu_supports("avx512vl") || !__builtin_cpu_supports("avx512dq"))
    return KERNELS_AVX2;
  return __builtin_cpu_supports("avx512vnni") ? KERNELS_AVX512_VNNI : KERNELS_AVX512;
#else
  return KERNELS_PORTABLE;
#endif
}

const struct kernels_engine *kernels_engine_of(enum kernels_level level) {
  switch (level) {
#if defined(__x86_64__)
    case KERNELS_AVX2:
      return &kernels_engine_avx2;
    case KERNELS_AVX512:
      return &kernels_engine_avx512;
    case KERNELS_AVX512_VNNI:
      return &kernels_engine_avx512_vnni;
#endif
    default:
      return 0;
  }
}

void kernels_product_f32(const struct kernels_product *product, const float *input, size_t rows,
                         const float *residual, float *output) {
  kernels_engine_of(product->level)->product_f32(product, input, rows, residual, output);
}

void kernels_product_s16(const struct kernels_product *product, const int16_t *input,
                         const float *scales, size_t rows, const float *residual, float *output) {
  kernels_engine_of(product->level)
      ->product_s16(product, input, scales, rows, residual, output);
}

void kernels_quantise(enum kernels_level level, const float *x, size_t rows, size_t columns,
                      int limit, int16_t *output, float *scales) {
  kernels_engine_of(level)->quantise(x, rows, columns, limit, output, scales);
}

void kernels_norm(enum kernels_level level, float *x, const float *gain, const float *offset,
                  float epsilon, size_t rows, size_t columns) {
  kernels_engine_of(level)->norm(x, gain, offset, epsilon, rows, columns);
}

void kernels_attention(enum kernels_level level, const float *projected, size_t length,
                       size_t heads, float scale, float *scratch, float *output) {
  kernels_engine_of(level)->attention(projected, length, heads, scale, scratch, output);
}
