// Products in register tiles: a template. The including file defines, for one instruction set,
//   NAME(x)           the name of x for that set
//   vf, vi            vectors of VECTOR floats and as many int32
//   ROWS_MAX          rows of a tile, so that accumulators and operands fit the registers
//   load_f, store_f, set_f, zero_i, set_i, to_f, dot_s16
// A tile is up to ROWS_MAX rows by one panel, which is two vectors wide.

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
#define PANEL (2 * VECTOR)

#include "activation.h"

// Adds what follows the sum; the tile was stored a moment ago and is still in the first cache.
static void NAME(finish)(enum kernels_epilogue epilogue, size_t rows, size_t stride,
                         const float *residual, float *output) {
  if (epilogue == KERNELS_BIAS) return;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < PANEL; c += VECTOR) {
      float *at = output + r * stride + c;
      vf v = load_f(at);
      if (epilogue == KERNELS_BIAS_GELU)
        v = NAME(gelu)(v);
      else
        v = v + load_f(residual + r * stride + c);
      store_f(at, v);
    }
}

// rows is a constant in every caller: the loops over it unroll, and the sums stay in registers.
// Three rows share a pointer, so that the addresses need few registers.
INLINE void NAME(tile_f32)(const int rows, const float *a, size_t a_stride, const float *panel,
                           size_t k, const float *bias, float *output, size_t output_stride) {
  vf sum[ROWS_MAX][2];
  const float *at[(ROWS_MAX + 2) / 3];
  UNROLL for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = set_f(0);
  UNROLL for (int r = 0; r < rows; r += 3) at[r / 3] = a + (size_t)r * a_stride;
  for (size_t i = 0; i < k; i++) {
    vf b0 = load_f(panel), b1 = load_f(panel + VECTOR);
    panel += PANEL;
    UNROLL for (int r = 0; r < rows; r++) {
      vf x = set_f(at[r / 3][(size_t)(r % 3) * a_stride]);
      sum[r][0] = x * b0 + sum[r][0];
      sum[r][1] = x * b1 + sum[r][1];
    }
    UNROLL for (int r = 0; r < rows; r += 3) at[r / 3]++;
  }
  vf bias0 = bias ? load_f(bias) : set_f(0), bias1 = bias ? load_f(bias + VECTOR) : set_f(0);
  UNROLL for (int r = 0; r < rows; r++) {
    store_f(output + (size_t)r * output_stride, sum[r][0] + bias0);
    store_f(output + (size_t)r * output_stride + VECTOR, sum[r][1] + bias1);
  }
}

INLINE int32_t NAME(pair)(const int16_t *x) {
  int32_t bits;
  __builtin_memcpy(&bits, x, sizeof bits);
  return bits;
}

INLINE void NAME(tile_s16)(const int rows, const int16_t *a, size_t k, const int16_t *panel,
                           const float *scales, const float *steps, const float *bias,
                           float *output, size_t output_stride) {
  vi sum[ROWS_MAX][2];
  const int16_t *at[(ROWS_MAX + 2) / 3];
  UNROLL for (int r = 0; r < rows; r++) sum[r][0] = sum[r][1] = zero_i();
  UNROLL for (int r = 0; r < rows; r += 3) at[r / 3] = a + (size_t)r * k;
  for (size_t i = 0; i < k; i += 2) {
    vi b0 = load_i(panel), b1 = load_i(panel + 2 * VECTOR);
    panel += 2 * PANEL;
    UNROLL for (int r = 0; r < rows; r++) {
      vi x = set_i(NAME(pair)(at[r / 3] + (size_t)(r % 3) * k));
      sum[r][0] = dot_s16(sum[r][0], x, b0);
      sum[r][1] = dot_s16(sum[r][1], x, b1);
    }
    UNROLL for (int r = 0; r < rows; r += 3) at[r / 3] += 2;
  }
  vf step0 = load_f(steps), step1 = load_f(steps + VECTOR);
  vf bias0 = load_f(bias), bias1 = load_f(bias + VECTOR);
  UNROLL for (int r = 0; r < rows; r++) {
    vf scale = set_f(scales[r]);
    float *row = output + (size_t)r * output_stride;
    store_f(row, to_f(sum[r][0]) * (step0 * scale) + bias0);
    store_f(row + VECTOR, to_f(sum[r][1]) * (step1 * scale) + bias1);
  }
}

#if ROWS_MAX > 6
#define EACH_ROW_COUNT(CASE)                                                                  \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) \
      CASE(12) CASE(13) CASE(14)
#else
#define EACH_ROW_COUNT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

static void NAME(any_tile_f32)(size_t rows, const float *a, size_t a_stride, const float *panel,
                               size_t k, const float *bias, float *output, size_t output_stride) {
  switch (rows) {
#define CASE(R)                                                                   \
  case R:                                                                         \
    NAME(tile_f32)(R, a, a_stride, panel, k, bias, output, output_stride);        \
    return;
    EACH_ROW_COUNT(CASE)
#undef CASE
  }
}

static void NAME(any_tile_s16)(size_t rows, const int16_t *a, size_t k, const int16_t *panel,
                               const float *scales, const float *steps, const float *bias,
                               float *output, size_t output_stride) {
  switch (rows) {
#define CASE(R)                                                                       \
  case R:                                                                             \
    NAME(tile_s16)(R, a, k, panel, scales, steps, bias, output, output_stride);       \
    return;
    EACH_ROW_COUNT(CASE)
#undef CASE
  }
}

// Tiles of nearly equal height serve better than full ones and a thin rest: the height of the next.
INLINE size_t NAME(height)(size_t rest) {
  size_t count = (rest + ROWS_MAX - 1) / ROWS_MAX;
  return (rest + count - 1) / count;
}

// A panel stays in the nearest caches while every row passes it; weights are read once a call.
static void NAME(product_f32)(const struct kernels_product *p, const float *input, size_t rows,
                              const float *residual, float *output) {
  const float *panel = p->panels;
  for (size_t c = 0; c < p->n; c += PANEL, panel += PANEL * p->k)
    for (size_t r = 0, height; r < rows; r += height) {
      height = NAME(height)(rows - r);
      size_t at = r * p->n + c;
      NAME(any_tile_f32)
      (height, input + r * p->k, p->k, panel, p->k, p->bias + c, output + at, p->n);
      NAME(finish)(p->epilogue, height, p->n, residual + at, output + at);
    }
}

static void NAME(product_s16)(const struct kernels_product *p, const int16_t *input,
                              const float *scales, size_t rows, const float *residual,
                              float *output) {
  const int16_t *panel = p->panels;
  for (size_t c = 0; c < p->n; c += PANEL, panel += PANEL * p->k)
    for (size_t r = 0, height; r < rows; r += height) {
      height = NAME(height)(rows - r);
      size_t at = r * p->n + c;
      NAME(any_tile_s16)
      (height, input + r * p->k, p->k, panel, scales + r, p->steps + c, p->bias + c, output + at,
       p->n);
      NAME(finish)(p->epilogue, height, p->n, residual + at, output + at);
    }
}
