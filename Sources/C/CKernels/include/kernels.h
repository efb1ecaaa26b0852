// The parts of a transformer layer. Matrices are row-major; nothing is allocated; every function is
// pure but for its output. The first group runs on any processor, in loops that the compiler makes
// SIMD code of; the second is written for the levels of x86-64 and picked at run time.
#pragma once
#include <stddef.h>
#include <stdint.h>

// x[r][c] = gelu(x[r][c] + bias[c]), with the error function (not the tanh form); error below 2e-7.
void kernels_bias_gelu(float *x, const float *bias, size_t rows, size_t columns);
// x[r][c] += bias[c]
void kernels_bias(float *x, const float *bias, size_t rows, size_t columns);
// x = layer_norm(x + bias + residual) * gain + offset, a row at a time; variance over `columns`.
void kernels_residual_norm(float *x, const float *bias, const float *residual, const float *gain,
                           const float *offset, float epsilon, size_t rows, size_t columns);
// Each row becomes exp(scale * x - max) / sum.
void kernels_softmax(float *x, float scale, size_t rows, size_t columns);
// output = the mean of the rows, scaled to unit length.
void kernels_mean_unit(const float *x, size_t rows, size_t columns, float *output);

// What a processor can do. Each level includes the ones before it.
enum kernels_level {
  KERNELS_PORTABLE = 0,     // Any processor: nothing below this line.
  KERNELS_AVX2 = 1,         // AVX2 and FMA.
  KERNELS_AVX512 = 2,       // AVX-512 F, BW, VL and DQ.
  KERNELS_AVX512_VNNI = 3,  // And its dot products of int16.
};
// The best level of this processor. Everything below takes a level up to this one, never PORTABLE;
// results of one level are the same bits in every call, whatever rows stand beside.
enum kernels_level kernels_level_best(void);

// What follows the sum of a product.
enum kernels_epilogue {
  KERNELS_BIAS = 0,           // + bias
  KERNELS_BIAS_GELU = 1,      // gelu(. + bias), error function form, to 1e-6 * max(1, |x|).
  KERNELS_BIAS_RESIDUAL = 2,  // + bias + residual
};

// output[rows x n] = epilogue(input[rows x k] * weights[n x k]^T), weights packed for that level.
struct kernels_product {
  enum kernels_level level;
  enum kernels_epilogue epilogue;
  size_t n, k;         // n a multiple of 32, k of 16.
  const void *panels;  // n * k floats, or n * k int16, aligned to 64 bytes.
  const float *steps;  // int16: what one unit of a channel's weights is worth; n of them.
  const float *bias;   // n of them.
};

// Weights [n x k] to panels of fp32.
void kernels_pack_f32(enum kernels_level level, const float *weights, size_t n, size_t k,
                      float *panels);
// Weights [n x k] to panels of int16, quantised per output channel as finely as an int32 sum allows.
void kernels_pack_s16(enum kernels_level level, const float *weights, size_t n, size_t k,
                      int16_t *panels, float *steps);
// The largest magnitude of quantised activations that meet weights of k inputs.
int kernels_activation_limit(size_t k);
// Rows of floats to int16 of at most `limit` each: x = output * scales[row], to half a unit.
// columns a multiple of 16.
void kernels_quantise(enum kernels_level level, const float *x, size_t rows, size_t columns,
                      int limit, int16_t *output, float *scales);

// The products. `residual` is [rows x n], for its epilogue only; `output` must not overlap inputs,
// but may be the residual itself.
void kernels_product_f32(const struct kernels_product *product, const float *input, size_t rows,
                         const float *residual, float *output);
void kernels_product_s16(const struct kernels_product *product, const int16_t *input,
                         const float *scales, size_t rows, const float *residual, float *output);

// Layer norm of each row, in place: columns a multiple of 16.
void kernels_norm(enum kernels_level level, float *x, const float *gain, const float *offset,
                  float epsilon, size_t rows, size_t columns);

// Scaled dot-product attention of one text, heads of 32: projected [length x 3 * heads * 32] holds
// query, key and value side by side; output [length x heads * 32]; `scratch` has
// kernels_attention_scratch(length) floats, aligned to 64 bytes.
#define KERNELS_HEAD_SIZE 32
#define KERNELS_ATTENTION_ROWS 14
static inline size_t kernels_attention_scratch(size_t length) {
  size_t padded = (length + 31) / 32 * 32;
  return padded * (2 * KERNELS_HEAD_SIZE + KERNELS_ATTENTION_ROWS);
}
void kernels_attention(enum kernels_level level, const float *projected, size_t length,
                       size_t heads, float scale, float *scratch, float *output);
