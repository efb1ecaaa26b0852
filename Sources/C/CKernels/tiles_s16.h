// Products of int16 in register tiles: a template (see vector.h).

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
    NAME(fetch)(panel);
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
      NAME(finish)(p->epilogue, height, p->n, residual ? residual + at : 0, output + at);
    }
}
