// Products of fp32 in register tiles: a template (see vector.h).

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
    NAME(fetch)(panel);
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
      NAME(finish)(p->epilogue, height, p->n, residual ? residual + at : 0, output + at);
    }
}
