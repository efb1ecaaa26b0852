// The element-wise parts of a transformer layer, in loops that the compiler makes SIMD code of.
// Matrices are row-major; nothing is allocated; every function is pure but for its output.
#pragma once
#include <stddef.h>

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
