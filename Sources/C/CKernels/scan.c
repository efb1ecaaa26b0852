#include "search_internal.h"

#include <math.h>
#include <stdatomic.h>
#include <string.h>

// --- The level

static _Thread_local int limit = SEARCH_LEVEL_AVX512;
// The processor's best level plus 1; 0 until asked.
static _Atomic int found;

static int detect(void) {
#if defined(SEARCH_X86)
  __builtin_cpu_init();
  if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma") ||
      !__builtin_cpu_supports("popcnt") || !__builtin_cpu_supports("bmi") ||
      !__builtin_cpu_supports("bmi2"))
    return SEARCH_LEVEL_PORTABLE;
  if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
      __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
      __builtin_cpu_supports("avx512vnni") && __builtin_cpu_supports("avx512vpopcntdq"))
    return SEARCH_LEVEL_AVX512;
  return SEARCH_LEVEL_AVX2;
#else
  return SEARCH_LEVEL_PORTABLE;
#endif
}

int search_kernels_level(void) {
  // Two threads that both detect store the same value.
  int level = atomic_load_explicit(&found, memory_order_relaxed);
  if (level == 0) {
    level = detect() + 1;
    atomic_store_explicit(&found, level, memory_order_relaxed);
  }
  return level - 1 < limit ? level - 1 : limit;
}

void search_kernels_limit(int level) {
  limit = level < SEARCH_LEVEL_PORTABLE ? SEARCH_LEVEL_PORTABLE : level;
}

// --- Signs and planes

size_t search_words(size_t d) { return (d + 63) / 64; }

// One word of signs from up to 64 floats.
SHARED uint64_t sign_word(const float *x, size_t count) {
  uint64_t word = 0;
  for (size_t c = 0; c < count; c++) word |= (uint64_t)(x[c] > 0) << c;
  return word;
}

static void sign_bits_portable(const float *rows, size_t count, size_t d, uint64_t *bits) {
  for (size_t r = 0; r < count; r++)
    for (size_t c = 0; c < d; c += 64)
      *bits++ = sign_word(rows + r * d + c, d - c < 64 ? d - c : 64);
}

#if defined(SEARCH_X86)
AVX2 static void sign_bits_avx2(const float *rows, size_t count, size_t d, uint64_t *bits) {
  __m256 zero = _mm256_setzero_ps();
  for (size_t r = 0; r < count; r++)
    for (size_t c = 0; c < d; c += 64) {
      const float *x = rows + r * d + c;
      uint64_t word = 0;
      if (d - c < 64) {
        word = sign_word(x, d - c);
      } else {
        for (unsigned k = 0; k < 64; k += 8) {
          __m256 above = _mm256_cmp_ps(_mm256_loadu_ps(x + k), zero, _CMP_GT_OQ);
          word |= (uint64_t)(unsigned)_mm256_movemask_ps(above) << k;
        }
      }
      *bits++ = word;
    }
}

AVX512 static void sign_bits_avx512(const float *rows, size_t count, size_t d, uint64_t *bits) {
  __m512 zero = _mm512_setzero_ps();
  for (size_t r = 0; r < count; r++)
    for (size_t c = 0; c < d; c += 64) {
      const float *x = rows + r * d + c;
      uint64_t word = 0;
      if (d - c < 64) {
        word = sign_word(x, d - c);
      } else {
        for (unsigned k = 0; k < 64; k += 16)
          word |= (uint64_t)_mm512_cmp_ps_mask(_mm512_loadu_ps(x + k), zero, _CMP_GT_OQ) << k;
      }
      *bits++ = word;
    }
}
#endif

void search_sign_bits(const float *rows, size_t count, size_t d, uint64_t *bits) {
  SEARCH_DISPATCH(sign_bits, rows, count, d, bits);
}

void search_planes(const float *query, size_t d, size_t plane_count, uint64_t *planes) {
  if (plane_count == 1) {
    sign_bits_portable(query, 1, d, planes);
    return;
  }
  // The reach of the steps in root mean squares: measured, the best recall for each count of planes.
  static const double reaches[SEARCH_PLANES_MAX + 1] = {0, 0, 1.6, 2.3, 2.7};
  double square = 0;
  for (size_t c = 0; c < d; c++) square += (double)query[c] * query[c];
  double reach = reaches[plane_count] * sqrt(square / (double)(d ? d : 1));
  double top = (double)((1u << plane_count) - 1);
  size_t words = search_words(d);
  memset(planes, 0, plane_count * words * sizeof *planes);
  for (size_t c = 0; c < d; c++) {
    double step = reach > 0 ? rint((query[c] / reach + 1) / 2 * top) : 0;
    unsigned level = (unsigned)(step < 0 ? 0 : step > top ? top : step);
    for (size_t p = 0; p < plane_count; p++)
      planes[p * words + c / 64] |= (uint64_t)(level >> p & 1) << (c % 64);
  }
}

// --- Hamming distances

// One row of any width, with the popcount that the caller's instruction set has.
SHARED uint16_t row_distance(const uint64_t *planes, size_t plane_count, const uint64_t *row,
                             size_t words) {
  unsigned sum = 0;
  for (size_t p = plane_count; p-- > 0;) {
    sum += sum;
    for (size_t w = 0; w < words; w++)
      sum += (unsigned)__builtin_popcountll(planes[p * words + w] ^ row[w]);
  }
  return (uint16_t)sum;
}

SHARED void hamming_rows(const uint64_t *planes, size_t plane_count, const uint64_t *rows,
                         size_t words, size_t from, size_t count, uint16_t *distances) {
  for (size_t r = from; r < count; r++)
    distances[r] = row_distance(planes, plane_count, rows + r * words, words);
}

static void hamming_portable(const uint64_t *planes, size_t plane_count, const uint64_t *rows,
                             size_t words, size_t count, uint16_t *distances) {
  hamming_rows(planes, plane_count, rows, words, 0, count, distances);
}

#if defined(SEARCH_X86)

// The bits of each byte by two look-ups of four bits.
AVX2 static inline __m256i popcount_bytes(__m256i x) {
  const __m256i table = _mm256_setr_epi8(0, 1, 1, 2, 1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4, 0, 1, 1, 2,
                                         1, 2, 2, 3, 1, 2, 2, 3, 2, 3, 3, 4);
  const __m256i low = _mm256_set1_epi8(15);
  __m256i a = _mm256_shuffle_epi8(table, _mm256_and_si256(x, low));
  __m256i b = _mm256_shuffle_epi8(table, _mm256_and_si256(_mm256_srli_epi16(x, 4), low));
  return _mm256_add_epi8(a, b);
}

// Four rows of 6 words are 6 vectors; the query's words follow the same pattern every 3 vectors.
AVX2 static inline __attribute__((always_inline)) void hamming6_avx2(
    const uint64_t *planes, size_t plane_count, const uint64_t *rows, size_t count,
    uint16_t *distances) {
  __m256i query[SEARCH_PLANES_MAX][3];
  for (size_t p = 0; p < plane_count; p++) {
    uint64_t turned[12];
    for (size_t k = 0; k < 12; k++) turned[k] = planes[p * 6 + k % 6];
    for (size_t j = 0; j < 3; j++)
      query[p][j] = _mm256_loadu_si256((const __m256i *)(turned + 4 * j));
  }
  size_t r = 0;
  for (; r + 4 <= count; r += 4) {
    __m256i sums[6];
    for (size_t j = 0; j < 6; j++) {
      __m256i row = _mm256_loadu_si256((const __m256i *)(rows + r * 6 + 4 * j));
      // At most 8 x 15 a byte: the planes' weights fit before the bytes are added up.
      __m256i bytes = _mm256_setzero_si256();
      for (size_t p = plane_count; p-- > 0;)
        bytes = _mm256_add_epi8(_mm256_add_epi8(bytes, bytes),
                                popcount_bytes(_mm256_xor_si256(row, query[p][j % 3])));
      sums[j] = _mm256_sad_epu8(bytes, _mm256_setzero_si256());
    }
    // Vectors 0, 1, 2 hold rows 0 and 1: row 0 in both halves of 0 and the low half of 1.
    __m256i pairs[2];
    for (size_t h = 0; h < 2; h++) {
      __m256i first = _mm256_permute2x128_si256(sums[3 * h], sums[3 * h + 2], 0x20);
      __m256i second = _mm256_permute2x128_si256(sums[3 * h], sums[3 * h + 2], 0x31);
      pairs[h] = _mm256_add_epi64(_mm256_add_epi64(first, second), sums[3 * h + 1]);
    }
    __m256i four = _mm256_add_epi64(_mm256_unpacklo_epi64(pairs[0], pairs[1]),
                                    _mm256_unpackhi_epi64(pairs[0], pairs[1]));
    distances[r] = (uint16_t)_mm256_extract_epi64(four, 0);
    distances[r + 1] = (uint16_t)_mm256_extract_epi64(four, 2);
    distances[r + 2] = (uint16_t)_mm256_extract_epi64(four, 1);
    distances[r + 3] = (uint16_t)_mm256_extract_epi64(four, 3);
  }
  hamming_rows(planes, plane_count, rows, 6, r, count, distances);
}

AVX2 static void hamming_avx2(const uint64_t *planes, size_t plane_count, const uint64_t *rows,
                              size_t words, size_t count, uint16_t *distances) {
  if (words != 6) {
    hamming_rows(planes, plane_count, rows, words, 0, count, distances);
  } else if (plane_count == 1) {
    hamming6_avx2(planes, 1, rows, count, distances);
  } else if (plane_count == 2) {
    hamming6_avx2(planes, 2, rows, count, distances);
  } else if (plane_count == 3) {
    hamming6_avx2(planes, 3, rows, count, distances);
  } else {
    hamming6_avx2(planes, 4, rows, count, distances);
  }
}

// Adds up the words of 4 rows of 6, which lie in 3 vectors; each lane holds four 16-bit counts.
AVX512 static inline __m256i sum_rows(const __m512i counts[3]) {
  // Lanes 0...3 take an even word of rows 0...3, lanes 4...7 the odd word after it.
  const __m512i from01[3] = {_mm512_setr_epi64(0, 6, 12, 0, 1, 7, 13, 0),
                             _mm512_setr_epi64(2, 8, 14, 0, 3, 9, 15, 0),
                             _mm512_setr_epi64(4, 10, 0, 0, 5, 11, 0, 0)};
  const __m512i from2[3] = {_mm512_setr_epi64(0, 0, 0, 2, 0, 0, 0, 3),
                            _mm512_setr_epi64(0, 0, 0, 4, 0, 0, 0, 5),
                            _mm512_setr_epi64(0, 0, 0, 6, 0, 0, 1, 7)};
  __m512i a = _mm512_permutex2var_epi64(counts[0], from01[0], counts[1]);
  __m512i b = _mm512_permutex2var_epi64(counts[0], from01[1], counts[1]);
  __m512i c = _mm512_permutex2var_epi64(counts[0], from01[2], counts[1]);
  a = _mm512_mask_permutexvar_epi64(a, 0x88, from2[0], counts[2]);
  b = _mm512_mask_permutexvar_epi64(b, 0x88, from2[1], counts[2]);
  c = _mm512_mask_permutexvar_epi64(c, 0xCC, from2[2], counts[2]);
  __m512i sum = _mm512_add_epi64(_mm512_add_epi64(a, b), c);
  return _mm256_add_epi64(_mm512_castsi512_si256(sum), _mm512_extracti64x4_epi64(sum, 1));
}

// Sixteen rows of 6 words are 12 vectors. The counts of a lane stay below 2^16, so four groups of
// four rows share the lanes, and the words of a row are added up once for all four.
AVX512 static inline __attribute__((always_inline)) void hamming6_avx512(
    const uint64_t *planes, size_t plane_count, const uint64_t *rows, size_t count,
    uint16_t *distances) {
  __m512i query[SEARCH_PLANES_MAX][3];
  for (size_t p = 0; p < plane_count; p++) {
    uint64_t turned[24];
    for (size_t k = 0; k < 24; k++) turned[k] = planes[p * 6 + k % 6];
    for (size_t j = 0; j < 3; j++) query[p][j] = _mm512_loadu_si512(turned + 8 * j);
  }
  // Lane r holds row 4 * g + r in its 16-bit part g.
  const __m256i order = _mm256_setr_epi16(0, 4, 8, 12, 1, 5, 9, 13, 2, 6, 10, 14, 3, 7, 11, 15);
  size_t r = 0;
  for (; r + 16 <= count; r += 16) {
    __m512i counts[3];
    for (size_t j = 0; j < 3; j++) {
      counts[j] = _mm512_setzero_si512();
      for (size_t g = 4; g-- > 0;) {
        __m512i row = _mm512_loadu_si512(rows + r * 6 + g * 24 + j * 8);
        __m512i lane = _mm512_popcnt_epi64(_mm512_xor_si512(row, query[plane_count - 1][j]));
        for (size_t p = plane_count - 1; p-- > 0;)
          lane = _mm512_add_epi64(_mm512_add_epi64(lane, lane),
                                  _mm512_popcnt_epi64(_mm512_xor_si512(row, query[p][j])));
        counts[j] = _mm512_add_epi64(_mm512_slli_epi64(counts[j], 16), lane);
      }
    }
    __m256i sums = _mm256_permutexvar_epi16(order, sum_rows(counts));
    _mm256_storeu_si256((__m256i *)(distances + r), sums);
  }
  hamming_rows(planes, plane_count, rows, 6, r, count, distances);
}

AVX512 static void hamming_avx512(const uint64_t *planes, size_t plane_count, const uint64_t *rows,
                                  size_t words, size_t count, uint16_t *distances) {
  if (words != 6) {
    hamming_rows(planes, plane_count, rows, words, 0, count, distances);
  } else if (plane_count == 1) {
    hamming6_avx512(planes, 1, rows, count, distances);
  } else if (plane_count == 2) {
    hamming6_avx512(planes, 2, rows, count, distances);
  } else if (plane_count == 3) {
    hamming6_avx512(planes, 3, rows, count, distances);
  } else {
    hamming6_avx512(planes, 4, rows, count, distances);
  }
}

#endif

void search_hamming(const uint64_t *planes, size_t plane_count, const uint64_t *rows, size_t words,
                    size_t count, uint16_t *distances) {
  SEARCH_DISPATCH(hamming, planes, plane_count, rows, words, count, distances);
}
