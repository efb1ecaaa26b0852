#include "kernels.h"

#include <math.h>

// One function, several instruction sets: the loader picks by the processor (ELF ifunc).
#if defined(__x86_64__)
#define KERNEL __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#else
#define KERNEL
#endif

// exp for |x| <= 87: 2^n * p(r), p of degree 6 (Cephes expf); relative error below 2e-7.
static inline float exp_fast(float x) {
  x = x < -87.0f ? -87.0f : x > 87.0f ? 87.0f : x;
  float n = rintf(x * 1.44269504f);
  float r = x - n * 0.693359375f + n * 2.12194440e-4f;
  float p = 1.9875691500e-4f;
  p = p * r + 1.3981999507e-3f;
  p = p * r + 8.3334519073e-3f;
  p = p * r + 4.1665795894e-2f;
  p = p * r + 1.6666665459e-1f;
  p = p * r + 5.0000001201e-1f;
  p = p * r * r + r + 1.0f;
  union {
    int bits;
    float value;
  } power = {((int)n + 127) << 23};
  return p * power.value;
}

// erf by Abramowitz and Stegun 7.1.26: absolute error below 1.5e-7.
static inline float erf_fast(float x) {
  float a = fabsf(x);
  float t = 1.0f / (1.0f + 0.3275911f * a);
  float p = 1.061405429f;
  p = p * t - 1.453152027f;
  p = p * t + 1.421413741f;
  p = p * t - 0.284496736f;
  p = p * t + 0.254829592f;
  float y = 1.0f - p * t * exp_fast(-a * a);
  return copysignf(y, x);
}

KERNEL void kernels_bias_gelu(float *x, const float *bias, size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; r++) {
    float *row = x + r * columns;
    for (size_t c = 0; c < columns; c++) {
      float v = row[c] + bias[c];
      row[c] = 0.5f * v * (1.0f + erf_fast(v * 0.70710678f));
    }
  }
}

KERNEL void kernels_bias(float *x, const float *bias, size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++) x[r * columns + c] += bias[c];
}

KERNEL void kernels_residual_norm(float *x, const float *bias, const float *residual,
                                  const float *gain, const float *offset, float epsilon,
                                  size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; r++) {
    float *row = x + r * columns;
    const float *other = residual + r * columns;
    // Eight partial sums let the compiler use SIMD without reordering a float sum by itself.
    float sums[8] = {0}, squares[8] = {0};
    for (size_t c = 0; c + 8 <= columns; c += 8)
      for (size_t k = 0; k < 8; k++) {
        row[c + k] += bias[c + k] + other[c + k];
        sums[k] += row[c + k];
      }
    float mean = 0;
    for (size_t k = 0; k < 8; k++) mean += sums[k];
    mean /= (float)columns;
    for (size_t c = 0; c + 8 <= columns; c += 8)
      for (size_t k = 0; k < 8; k++) {
        float d = row[c + k] - mean;
        squares[k] += d * d;
      }
    float variance = 0;
    for (size_t k = 0; k < 8; k++) variance += squares[k];
    float scale = 1.0f / sqrtf(variance / (float)columns + epsilon);
    for (size_t c = 0; c < columns; c++) row[c] = (row[c] - mean) * scale * gain[c] + offset[c];
  }
}

KERNEL void kernels_softmax(float *x, float scale, size_t rows, size_t columns) {
  for (size_t r = 0; r < rows; r++) {
    float *row = x + r * columns;
    float max = row[0];
    for (size_t c = 1; c < columns; c++) max = row[c] > max ? row[c] : max;
    for (size_t c = 0; c < columns; c++) row[c] = exp_fast((row[c] - max) * scale);
    float sum = 0;
    for (size_t c = 0; c < columns; c++) sum += row[c];
    float inverse = 1.0f / sum;
    for (size_t c = 0; c < columns; c++) row[c] *= inverse;
  }
}

KERNEL void kernels_mean_unit(const float *x, size_t rows, size_t columns, float *output) {
  for (size_t c = 0; c < columns; c++) output[c] = 0;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < columns; c++) output[c] += x[r * columns + c];
  double square = 0;
  for (size_t c = 0; c < columns; c++) square += (double)output[c] * output[c];
  float scale = square > 0 ? (float)(1.0 / sqrt(square)) : 0;
  for (size_t c = 0; c < columns; c++) output[c] *= scale;
}
