#include "engine.h"

// AVX2 and FMA: 16 registers of 8 floats. A tile of 6 rows by 16 columns uses 12 of them for sums.
#if defined(__x86_64__)
#include <immintrin.h>
#include <math.h>

#pragma clang attribute push(__attribute__((target("avx2,fma"))), apply_to = function)

typedef __m256 vf;
typedef __m256i vi;
#define VECTOR 8
#define ROWS_MAX 6
#define NAME(x) avx2_##x

#include "vector.h"

INLINE vf load_f(const float *x) { return _mm256_loadu_ps(x); }
INLINE void store_f(float *x, vf v) { _mm256_storeu_ps(x, v); }
INLINE vf set_f(float x) { return _mm256_set1_ps(x); }
INLINE vf min_f(vf a, vf b) { return _mm256_min_ps(a, b); }
INLINE vf max_f(vf a, vf b) { return _mm256_max_ps(a, b); }
INLINE vf abs_f(vf x) { return _mm256_andnot_ps(_mm256_set1_ps(-0.0f), x); }
INLINE vf round_f(vf x) { return _mm256_round_ps(x, _MM_FROUND_TO_NEAREST_INT | _MM_FROUND_NO_EXC); }
INLINE vi load_i(const void *x) { return _mm256_loadu_si256(x); }
INLINE vi zero_i(void) { return _mm256_setzero_si256(); }
INLINE vi set_i(int32_t x) { return _mm256_set1_epi32(x); }
INLINE vf to_f(vi x) { return _mm256_cvtepi32_ps(x); }

// 2^n for whole n in -126...127.
INLINE vf power_f(vf n) {
  vi bits = _mm256_add_epi32(_mm256_cvtps_epi32(n), _mm256_set1_epi32(127));
  return _mm256_castsi256_ps(_mm256_slli_epi32(bits, 23));
}

INLINE float sum_f(vf v) {
  __m128 x = _mm_add_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_add_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_add_ss(x, _mm_movehdup_ps(x)));
}

INLINE float maximum_f(vf v) {
  __m128 x = _mm_max_ps(_mm256_castps256_ps128(v), _mm256_extractf128_ps(v, 1));
  x = _mm_max_ps(x, _mm_movehl_ps(x, x));
  return _mm_cvtss_f32(_mm_max_ss(x, _mm_movehdup_ps(x)));
}

// Sixteen floats times `inverse`, rounded, as int16.
INLINE void store_s16(int16_t *output, const float *x, vf inverse) {
  vi low = _mm256_cvtps_epi32(load_f(x) * inverse);
  vi high = _mm256_cvtps_epi32(load_f(x + 8) * inverse);
  vi packed = _mm256_permute4x64_epi64(_mm256_packs_epi32(low, high), 0xD8);
  _mm256_storeu_si256((void *)output, packed);
}

INLINE vi dot_s16(vi sum, vi a, vi b) { return _mm256_add_epi32(sum, _mm256_madd_epi16(a, b)); }

#include "elements.h"
#include "tiles_f32.h"
#include "tiles_s16.h"
#include "rows.h"

#pragma clang attribute pop

const struct kernels_engine kernels_engine_avx2 = {
    .panel_width = PANEL,
    .product_f32 = avx2_product_f32,
    .product_s16 = avx2_product_s16,
    .quantise = avx2_quantise,
    .norm = avx2_norm,
    .attention = avx2_attention,
};
#endif
