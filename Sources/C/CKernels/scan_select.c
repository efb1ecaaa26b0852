#include "search_internal.h"

#include <string.h>

// --- The rows at or below a distance, as bits

SHARED void at_most_tail(const uint16_t *distances, size_t count, uint16_t most, uint64_t *mask) {
  uint64_t word = 0;
  for (size_t r = 0; r < count; r++) word |= (uint64_t)(distances[r] <= most) << r;
  *mask = word;
}

static void at_most_portable(const uint16_t *distances, size_t count, uint16_t most,
                             uint64_t *masks) {
  for (size_t r = 0; r < count; r += 64)
    at_most_tail(distances + r, count - r < 64 ? count - r : 64, most, masks + r / 64);
}

#if defined(SEARCH_X86)
AVX2 static void at_most_avx2(const uint16_t *distances, size_t count, uint16_t most,
                              uint64_t *masks) {
  const __m256i bound = _mm256_set1_epi16((short)most);
  size_t r = 0;
  for (; r + 64 <= count; r += 64) {
    uint64_t word = 0;
    for (unsigned half = 0; half < 2; half++) {
      const uint16_t *from = distances + r + 32 * half;
      __m256i a = _mm256_loadu_si256((const __m256i *)from);
      __m256i b = _mm256_loadu_si256((const __m256i *)(from + 16));
      a = _mm256_cmpeq_epi16(_mm256_min_epu16(a, bound), a);
      b = _mm256_cmpeq_epi16(_mm256_min_epu16(b, bound), b);
      __m256i bytes = _mm256_permute4x64_epi64(_mm256_packs_epi16(a, b), 0xD8);
      word |= (uint64_t)(unsigned)_mm256_movemask_epi8(bytes) << (32 * half);
    }
    masks[r / 64] = word;
  }
  if (r < count) at_most_tail(distances + r, count - r, most, masks + r / 64);
}

AVX512 static void at_most_avx512(const uint16_t *distances, size_t count, uint16_t most,
                                  uint64_t *masks) {
  const __m512i bound = _mm512_set1_epi16((short)most);
  size_t r = 0;
  for (; r + 64 <= count; r += 64) {
    uint64_t low = _mm512_cmple_epu16_mask(_mm512_loadu_si512(distances + r), bound);
    uint64_t high = _mm512_cmple_epu16_mask(_mm512_loadu_si512(distances + r + 32), bound);
    masks[r / 64] = low | high << 32;
  }
  if (r < count) at_most_tail(distances + r, count - r, most, masks + r / 64);
}
#endif

#define CHUNK 4096  // Rows whose masks are made at a time: 8 KB of distances, 512 bytes of masks.

// masks = rows at or below `most` among `allowed`, for the rows from...from + count, count <= CHUNK.
static void masks_of(const uint16_t *distances, const uint64_t *allowed, size_t from, size_t count,
                     uint16_t most, uint64_t *masks) {
  if (most == SEARCH_DISTANCE_MAX) most = UINT16_MAX;
  SEARCH_DISPATCH(at_most, distances + from, count, most, masks);
  if (!allowed) return;
  for (size_t w = 0; w < (count + 63) / 64; w++) masks[w] &= allowed[from / 64 + w];
}

static size_t min_size(size_t a, size_t b) { return a < b ? a : b; }

static uint16_t clamped(uint16_t distance) {
  return distance < SEARCH_DISTANCE_MAX ? distance : SEARCH_DISTANCE_MAX;
}

// --- How many bits are set: a plain loop, which every compiler turns into vectors

SHARED void count_words(const uint64_t *a, size_t words, size_t *count) {
  size_t sum = 0;
  for (size_t w = 0; w < words; w++) sum += (size_t)__builtin_popcountll(a[w]);
  *count = sum;
}

static void count_portable(const uint64_t *a, size_t words, size_t *count) {
  count_words(a, words, count);
}

#if defined(SEARCH_X86)
AVX2 static void count_avx2(const uint64_t *a, size_t words, size_t *count) {
  count_words(a, words, count);
}

AVX512 static void count_avx512(const uint64_t *a, size_t words, size_t *count) {
  count_words(a, words, count);
}
#endif

static size_t bits_count(const uint64_t *a, size_t words) {
  size_t count = 0;
  SEARCH_DISPATCH(count, a, words, &count);
  return count;
}

// --- Selection

// How many of the first `count` bits are set; all of them where there is no set.
static size_t allowed_count(const uint64_t *allowed, size_t count) {
  if (!allowed) return count;
  size_t sum = bits_count(allowed, count / 64);
  if (count % 64) sum += (size_t)__builtin_popcountll(allowed[count / 64] << (64 - count % 64));
  return sum;
}

// A distance that probably a little more than `wanted` rows keep to, from a sample of the rows; a
// wrong guess costs time, never the result.
static uint16_t guess_bound(const uint16_t *distances, const uint64_t *allowed, size_t count,
                            size_t wanted, size_t total) {
  enum { PIECES = 16, PIECE_MAX = 1024 };
  const size_t piece = count < 1 << 18 ? PIECE_MAX / 4 : PIECE_MAX;
  if (count < 4 * piece * PIECES || total / 8 < wanted) return SEARCH_DISTANCE_MAX;
  size_t stride = count / PIECES / 64 * 64;
  uint64_t masks[PIECE_MAX / 64];
  size_t low = 0, high = SEARCH_DISTANCE_MAX, sampled = 0;
  for (size_t p = 0; p < PIECES; p++) {
    masks_of(distances, allowed, p * stride, piece, SEARCH_DISTANCE_MAX, masks);
    sampled += bits_count(masks, piece / 64);
  }
  // Half as many again and some, for the luck of the sample.
  size_t aim = (size_t)((double)wanted * (double)sampled / (double)total * 1.5) + 8;
  if (aim >= sampled) return SEARCH_DISTANCE_MAX;
  while (low < high) {
    size_t middle = (low + high) / 2, reached = 0;
    for (size_t p = 0; p < PIECES; p++) {
      masks_of(distances, allowed, p * stride, piece, (uint16_t)middle, masks);
      reached += bits_count(masks, piece / 64);
    }
    if (reached >= aim) {
      high = middle;
    } else {
      low = middle + 1;
    }
  }
  return (uint16_t)high;
}

// Counts the allowed rows of each distance up to the bound; returns how many they are together.
static size_t count_distances(const uint16_t *distances, const uint64_t *allowed, size_t count,
                              uint16_t bound, uint32_t *counts) {
  memset(counts, 0, ((size_t)bound + 1) * sizeof *counts);
  size_t sum = 0;
  uint64_t masks[CHUNK / 64];
  for (size_t from = 0; from < count; from += CHUNK) {
    size_t rows = min_size(count - from, CHUNK);
    masks_of(distances, allowed, from, rows, bound, masks);
    for (size_t w = 0; w < (rows + 63) / 64; w++)
      for (uint64_t rest = masks[w]; rest; rest &= rest - 1) {
        counts[clamped(distances[from + 64 * w + (size_t)__builtin_ctzll(rest)])]++;
        sum++;
      }
  }
  return sum;
}

// Writes the rows below the distance `last`, and the first `ties` of those at it.
static size_t gather(const uint16_t *distances, const uint64_t *allowed, size_t count,
                     uint16_t last, size_t ties, uint32_t *out) {
  size_t written = 0;
  uint64_t masks[CHUNK / 64];
  for (size_t from = 0; from < count; from += CHUNK) {
    size_t rows = min_size(count - from, CHUNK);
    masks_of(distances, allowed, from, rows, last, masks);
    for (size_t w = 0; w < (rows + 63) / 64; w++)
      for (uint64_t rest = masks[w]; rest; rest &= rest - 1) {
        size_t row = from + 64 * w + (size_t)__builtin_ctzll(rest);
        if (clamped(distances[row]) == last) {
          if (ties == 0) continue;
          ties--;
        }
        out[written++] = (uint32_t)row;
      }
  }
  return written;
}

size_t search_select(const uint16_t *distances, const uint64_t *allowed, size_t count,
                     size_t wanted, uint32_t *out) {
  size_t total = allowed_count(allowed, count);
  if (wanted == 0 || total == 0) return 0;
  if (total <= wanted)
    return gather(distances, allowed, count, SEARCH_DISTANCE_MAX, total, out);
  uint32_t counts[SEARCH_DISTANCE_MAX + 1];
  uint16_t bound = guess_bound(distances, allowed, count, wanted, total);
  size_t reached = count_distances(distances, allowed, count, bound, counts);
  if (reached < wanted)
    count_distances(distances, allowed, count, SEARCH_DISTANCE_MAX, counts);
  uint16_t last = 0;
  size_t below = 0;
  while (below + counts[last] < wanted) below += counts[last++];
  return gather(distances, allowed, count, last, wanted - below, out);
}

// --- The best floats

SHARED size_t reach_count(const float *values, size_t count, uint32_t least) {
  size_t sum = 0;
  for (size_t i = 0; i < count; i++) sum += search_order(values[i]) >= least;
  return sum;
}

// Bisection over the 32 bits of the order: each step is one pass of comparisons without branches.
SHARED uint32_t nth_order(const float *values, size_t count, size_t wanted) {
  uint32_t order = 0;
  for (uint32_t bit = 0x80000000u; bit; bit >>= 1)
    if (reach_count(values, count, order | bit) >= wanted) order |= bit;
  return order;
}

static void nth_portable(const float *values, size_t count, size_t wanted, uint32_t *order) {
  *order = nth_order(values, count, wanted);
}

#if defined(SEARCH_X86)
AVX2 static void nth_avx2(const float *values, size_t count, size_t wanted, uint32_t *order) {
  *order = nth_order(values, count, wanted);
}

AVX512 static void nth_avx512(const float *values, size_t count, size_t wanted, uint32_t *order) {
  *order = nth_order(values, count, wanted);
}
#endif

uint32_t search_nth_order(const float *values, size_t count, size_t wanted) {
  uint32_t order = 0;
  SEARCH_DISPATCH(nth, values, count, wanted, &order);
  return order;
}

size_t search_best(const float *values, size_t count, size_t wanted, uint32_t *out) {
  if (wanted == 0 || count == 0) return 0;
  if (wanted > count) wanted = count;
  uint32_t least = search_nth_order(values, count, wanted);
  size_t ties = wanted;
  for (size_t i = 0; i < count; i++) ties -= search_order(values[i]) > least;
  size_t written = 0;
  for (size_t i = 0; i < count; i++) {
    uint32_t order = search_order(values[i]);
    if (order < least) continue;
    if (order == least) {
      if (ties == 0) continue;
      ties--;
    }
    out[written++] = (uint32_t)i;
  }
  return written;
}
