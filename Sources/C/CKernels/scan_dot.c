#include "search_internal.h"

#include <math.h>
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

// --- Bytes

void search_quantise_i8(const float *rows, size_t count, size_t d, int8_t *out, float *scales) {
  for (size_t r = 0; r < count; r++) {
    const float *row = rows + r * d;
    float most = 0;
    for (size_t c = 0; c < d; c++) most = fabsf(row[c]) > most ? fabsf(row[c]) : most;
    scales[r] = most / 127.0f;
    for (size_t c = 0; c < d; c++) {
      // A denormal scale can round the quotient past the range.
      float step = scales[r] > 0 ? rintf(row[c] / scales[r]) : 0;
      out[r * d + c] = (int8_t)(step > 127 ? 127 : step < -127 ? -127 : step);
    }
  }
}

SHARED int32_t tail_i8(const int8_t *query, const int8_t *row, size_t from, size_t d) {
  int32_t sum = 0;
  for (size_t c = from; c < d; c++) sum += (int32_t)query[c] * row[c];
  return sum;
}

SHARED float scaled(int32_t sum, float query_scale, const float *scales, size_t row) {
  return query_scale * scales[row] * (float)sum;
}

static void dot_i8_portable(const int8_t *query, float query_scale, const int8_t *rows,
                            const float *scales, const uint32_t *indexes, size_t n, size_t d,
                            float *out) {
  for (size_t i = 0; i < n; i++) {
    ask(rows, indexes, i, n, d);
    size_t row = row_of(indexes, i);
    out[i] = scaled(tail_i8(query, rows + row * d, 0, d), query_scale, scales, row);
  }
}

#if defined(SEARCH_X86)

AVX2 static inline int32_t sum_8_i32(__m256i x) {
  __m128i four = _mm_add_epi32(_mm256_castsi256_si128(x), _mm256_extracti128_si256(x, 1));
  __m128i two = _mm_add_epi32(four, _mm_shuffle_epi32(four, 0x4E));
  return _mm_cvtsi128_si32(_mm_add_epi32(two, _mm_shuffle_epi32(two, 0xB1)));
}

AVX2 static inline __m256i widened(const int8_t *from) {
  return _mm256_cvtepi8_epi16(_mm_loadu_si128((const __m128i *)from));
}

AVX2 static void dot_i8_avx2(const int8_t *query, float query_scale, const int8_t *rows,
                             const float *scales, const uint32_t *indexes, size_t n, size_t d,
                             float *out) {
  for (size_t i = 0; i < n; i++) {
    ask(rows, indexes, i, n, d);
    size_t row = row_of(indexes, i), c = 0;
    const int8_t *at = rows + row * d;
    __m256i a = _mm256_setzero_si256(), b = a;
    for (; c + 32 <= d; c += 32) {
      a = _mm256_add_epi32(a, _mm256_madd_epi16(widened(query + c), widened(at + c)));
      b = _mm256_add_epi32(b, _mm256_madd_epi16(widened(query + c + 16), widened(at + c + 16)));
    }
    int32_t sum = sum_8_i32(_mm256_add_epi32(a, b)) + tail_i8(query, at, c, d);
    out[i] = scaled(sum, query_scale, scales, row);
  }
}

// VNNI multiplies unsigned by signed bytes: 128 is added to the row's and, times the query's sum,
// taken off at the end.
AVX512 static void dot_i8_avx512(const int8_t *query, float query_scale, const int8_t *rows,
                                 const float *scales, const uint32_t *indexes, size_t n, size_t d,
                                 float *out) {
  const __m512i sign = _mm512_set1_epi8((char)0x80);
  size_t whole = d / 64 * 64;
  int32_t excess = 0;
  for (size_t c = 0; c < whole; c++) excess += 128 * (int32_t)query[c];
  for (size_t i = 0; i < n; i++) {
    ask(rows, indexes, i, n, d);
    size_t row = row_of(indexes, i);
    const int8_t *at = rows + row * d;
    __m512i sums = _mm512_setzero_si512();
    for (size_t c = 0; c < whole; c += 64)
      sums = _mm512_dpbusd_epi32(sums, _mm512_xor_si512(_mm512_loadu_si512(at + c), sign),
                                 _mm512_loadu_si512(query + c));
    __m256i half = _mm256_add_epi32(_mm512_castsi512_si256(sums),
                                    _mm512_extracti64x4_epi64(sums, 1));
    int32_t sum = sum_8_i32(half) - excess + tail_i8(query, at, whole, d);
    out[i] = scaled(sum, query_scale, scales, row);
  }
}

#endif

void search_dot_i8(const int8_t *query, float query_scale, const int8_t *rows, const float *scales,
                   const uint32_t *indexes, size_t n, size_t d, float *out) {
  SEARCH_DISPATCH(dot_i8, query, query_scale, rows, scales, indexes, n, d, out);
}
