#include "search_internal.h"

#include <string.h>

// Rows ahead that are asked for while one is worked on: enough to keep memory busy, few enough to
// stay within the line buffers of a core.
#define AHEAD 4

SHARED size_t row_of(const uint32_t *indexes, size_t i) { return indexes ? indexes[i] : i; }

// Asks for a gathered row; a sequential scan is left to the processor's own prefetching.
SHARED void ask(const void *rows, const uint32_t *indexes, size_t i, size_t n, size_t bytes) {
  if (!indexes || i + AHEAD >= n) return;
  const char *row = (const char *)rows + (size_t)indexes[i + AHEAD] * bytes;
  for (size_t at = 0; at < bytes; at += 64) __builtin_prefetch(row + at, 0, 3);
}

// --- Floats. Component c goes to partial sum c % 64; the 64 sums are added pairwise, halves first.

static float row_dot_portable(const float *query, const float *row, size_t d) {
  float sums[64] = {0};
  size_t c = 0;
  for (; c + 64 <= d; c += 64)
    for (size_t k = 0; k < 64; k++) sums[k] += query[c + k] * row[c + k];
  for (size_t k = 0; c + k < d; k++) sums[k] += query[c + k] * row[c + k];
  for (size_t k = 0; k < 16; k++)
    sums[k] = (sums[k] + sums[16 + k]) + (sums[32 + k] + sums[48 + k]);
  for (size_t half = 8; half > 0; half /= 2)
    for (size_t k = 0; k < half; k++) sums[k] += sums[half + k];
  return sums[0];
}

static void dot_portable(const float *query, const float *rows, const uint32_t *indexes, size_t n,
                         size_t d, float *out) {
  for (size_t i = 0; i < n; i++) {
    ask(rows, indexes, i, n, d * sizeof(float));
    out[i] = row_dot_portable(query, rows + row_of(indexes, i) * d, d);
  }
}

#if defined(SEARCH_X86)

AVX2 static inline float sum_8(__m256 x) {
  __m128 four = _mm_add_ps(_mm256_castps256_ps128(x), _mm256_extractf128_ps(x, 1));
  __m128 two = _mm_add_ps(four, _mm_movehl_ps(four, four));
  return _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)));
}

// The last d % 64 components with zeros behind them: adding 0 * 0 changes no sum.
SHARED void pad_64(const float *from, size_t count, float to[64]) {
  memset(to, 0, 64 * sizeof *to);
  memcpy(to, from, count * sizeof *to);
}

AVX2 static inline void step_avx2(const float *query, const float *row, __m256 sums[8]) {
  for (size_t k = 0; k < 8; k++)
    sums[k] = _mm256_fmadd_ps(_mm256_loadu_ps(query + 8 * k), _mm256_loadu_ps(row + 8 * k), sums[k]);
}

AVX2 static inline float row_dot_avx2(const float *query, const float *row, size_t d) {
  __m256 sums[8];
  for (size_t k = 0; k < 8; k++) sums[k] = _mm256_setzero_ps();
  size_t c = 0;
  for (; c + 64 <= d; c += 64) step_avx2(query + c, row + c, sums);
  if (c < d) {
    float a[64], b[64];
    pad_64(query + c, d - c, a);
    pad_64(row + c, d - c, b);
    step_avx2(a, b, sums);
  }
  __m256 low = _mm256_add_ps(_mm256_add_ps(sums[0], sums[2]), _mm256_add_ps(sums[4], sums[6]));
  __m256 high = _mm256_add_ps(_mm256_add_ps(sums[1], sums[3]), _mm256_add_ps(sums[5], sums[7]));
  return sum_8(_mm256_add_ps(low, high));
}

AVX2 static void dot_avx2(const float *query, const float *rows, const uint32_t *indexes, size_t n,
                          size_t d, float *out) {
  for (size_t i = 0; i < n; i++) {
    ask(rows, indexes, i, n, d * sizeof(float));
    out[i] = row_dot_avx2(query, rows + row_of(indexes, i) * d, d);
  }
}

AVX512 static inline void step_avx512(const float *query, const float *row, __m512 sums[4]) {
  for (size_t k = 0; k < 4; k++)
    sums[k] =
        _mm512_fmadd_ps(_mm512_loadu_ps(query + 16 * k), _mm512_loadu_ps(row + 16 * k), sums[k]);
}

AVX512 static inline float row_dot_avx512(const float *query, const float *row, size_t d) {
  __m512 sums[4];
  for (size_t k = 0; k < 4; k++) sums[k] = _mm512_setzero_ps();
  size_t c = 0;
  for (; c + 64 <= d; c += 64) step_avx512(query + c, row + c, sums);
  if (c < d) {
    float a[64], b[64];
    pad_64(query + c, d - c, a);
    pad_64(row + c, d - c, b);
    step_avx512(a, b, sums);
  }
  __m512 sum = _mm512_add_ps(_mm512_add_ps(sums[0], sums[1]), _mm512_add_ps(sums[2], sums[3]));
  return sum_8(_mm256_add_ps(_mm512_castps512_ps256(sum), _mm512_extractf32x8_ps(sum, 1)));
}

AVX512 static void dot_avx512(const float *query, const float *rows, const uint32_t *indexes,
                              size_t n, size_t d, float *out) {
  for (size_t i = 0; i < n; i++) {
    ask(rows, indexes, i, n, d * sizeof(float));
    out[i] = row_dot_avx512(query, rows + row_of(indexes, i) * d, d);
  }
}

#endif

void search_dot(const float *query, const float *rows, const uint32_t *indexes, size_t n, size_t d,
                float *out) {
  SEARCH_DISPATCH(dot, query, rows, indexes, n, d, out);
}
