// Quantisation, layer norm and attention: a template (see vector.h).

static void NAME(quantise)(const float *x, size_t rows, size_t columns, int limit, int16_t *output,
                           float *scales) {
  for (size_t r = 0; r < rows; r++, x += columns, output += columns) {
    vf max = set_f(0);
    for (size_t c = 0; c < columns; c += VECTOR) max = max_f(max, abs_f(load_f(x + c)));
    float largest = maximum_f(max);
    scales[r] = largest / (float)limit;
    vf inverse = set_f(largest > 1e-30f ? (float)limit / largest : 0);
    for (size_t c = 0; c < columns; c += 16) store_s16(output + c, x + c, inverse);
  }
}

static void NAME(norm)(float *x, const float *gain, const float *offset, float epsilon, size_t rows,
                       size_t columns) {
  for (size_t r = 0; r < rows; r++, x += columns) {
    vf sum = set_f(0), squares = set_f(0);
    for (size_t c = 0; c < columns; c += VECTOR) sum = sum + load_f(x + c);
    vf mean = set_f(sum_f(sum) / (float)columns);
    for (size_t c = 0; c < columns; c += VECTOR) {
      vf d = load_f(x + c) - mean;
      squares = d * d + squares;
    }
    vf scale = set_f(1.0f / sqrtf(sum_f(squares) / (float)columns + epsilon));
    for (size_t c = 0; c < columns; c += VECTOR)
      store_f(x + c, (load_f(x + c) - mean) * (scale * load_f(gain + c)) + load_f(offset + c));
  }
}

// exp(x) for -87 <= x <= 0, less gives exp(-87): 2^n * p(r) as in kernels.c.
INLINE vf NAME(exp)(vf x) {
  x = max_f(x, set_f(-87.0f));
  vf n = round_f(x * set_f(1.44269504f));
  vf r = x - n * set_f(0.693359375f) + n * set_f(2.12194440e-4f);
  vf p = set_f(1.9875691500e-4f);
  p = p * r + set_f(1.3981999507e-3f);
  p = p * r + set_f(8.3334519073e-3f);
  p = p * r + set_f(4.1665795894e-2f);
  p = p * r + set_f(1.6666665459e-1f);
  p = p * r + set_f(5.0000001201e-1f);
  p = p * r * r + r + set_f(1.0f);
  return p * power_f(n);
}

// Each row becomes exp(scale * (x - max)) over its first `columns`, the rest is scratch; what the row
// is still to be divided by goes to `sums`: less work after the values than before.
static void NAME(softmax)(float *x, float scale, size_t rows, size_t columns, size_t stride,
                          float *sums) {
  for (size_t r = 0; r < rows; r++, x += stride) {
    for (size_t c = columns; c < stride; c++) x[c] = -1e30f;
    vf max = load_f(x), sum = set_f(0);
    for (size_t c = VECTOR; c < columns; c += VECTOR) max = max_f(max, load_f(x + c));
    vf largest = set_f(maximum_f(max)), factor = set_f(scale);
    for (size_t c = 0; c < columns; c += VECTOR) {
      vf v = NAME(exp)((load_f(x + c) - largest) * factor);
      sum = sum + v;
      store_f(x + c, v);
    }
    sums[r] = sum_f(sum);
  }
}

// Keys as the columns of panels [padded / PANEL][32][PANEL], zero beyond the last; values as panels
// [32 / PANEL][length][PANEL].
static void NAME(pack_head)(const float *projected, size_t length, size_t padded, size_t hidden,
                            float *keys, float *values) {
  for (size_t j = 0; j < padded; j += 4) {
    float *panel = keys + j / PANEL * PANEL * KERNELS_HEAD_SIZE + j % PANEL;
    for (size_t d = 0; d < KERNELS_HEAD_SIZE; d += 4) {
      __m128 row[4];
      for (size_t i = 0; i < 4; i++)
        row[i] = j + i < length ? _mm_loadu_ps(projected + (j + i) * 3 * hidden + hidden + d)
                                : _mm_setzero_ps();
      _MM_TRANSPOSE4_PS(row[0], row[1], row[2], row[3]);
      for (size_t i = 0; i < 4; i++) _mm_storeu_ps(panel + (d + i) * PANEL, row[i]);
    }
  }
  for (size_t d = 0; d < KERNELS_HEAD_SIZE; d += PANEL)
    for (size_t j = 0; j < length; j++)
      for (size_t c = 0; c < PANEL; c += VECTOR)
        store_f(values + (d * length + j * PANEL) + c,
                load_f(projected + j * 3 * hidden + 2 * hidden + d + c));
}

// Head by head: a few queries against every key, their softmax, then against every value.
static void NAME(attention)(const float *projected, size_t length, size_t heads, float scale,
                            float *scratch, float *output) {
  size_t padded = (length + 31) / 32 * 32, hidden = heads * KERNELS_HEAD_SIZE;
  float *keys = scratch, *values = keys + padded * KERNELS_HEAD_SIZE;
  float *scores = values + padded * KERNELS_HEAD_SIZE, sums[ROWS_MAX];
  for (size_t head = 0; head < heads; head++) {
    const float *part = projected + head * KERNELS_HEAD_SIZE;
    NAME(pack_head)(part, length, padded, hidden, keys, values);
    for (size_t r = 0, height; r < length; r += height) {
      height = NAME(height)(length - r);
      for (size_t c = 0; c < padded; c += PANEL)
        NAME(any_tile_f32)
        (height, part + r * 3 * hidden, 3 * hidden, keys + c * KERNELS_HEAD_SIZE,
         KERNELS_HEAD_SIZE, 0, scores + c, padded);
      NAME(softmax)(scores, scale, height, length, padded, sums);
      float *mixed = output + r * hidden + head * KERNELS_HEAD_SIZE;
      for (size_t d = 0; d < KERNELS_HEAD_SIZE; d += PANEL)
        NAME(any_tile_f32)
        (height, scores, padded, values + d * length, length, 0, mixed + d, hidden);
      for (size_t i = 0; i < height; i++)
        for (size_t d = 0; d < KERNELS_HEAD_SIZE; d += VECTOR) {
          float *at = mixed + i * hidden + d;
          store_f(at, load_f(at) * set_f(1.0f / sums[i]));
        }
    }
  }
}
