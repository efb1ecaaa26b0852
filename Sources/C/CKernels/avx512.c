#include "engine.h"

#if defined(__x86_64__)
#include <immintrin.h>

#define TARGET "avx2,fma,avx512f,avx512bw,avx512vl,avx512dq"
#pragma clang attribute push(__attribute__((target(TARGET))), apply_to = function)

#define NAME(x) avx512_##x
#include "avx512_vector.h"

INLINE vf abs_f(vf x) { return _mm512_abs_ps(x); }
INLINE vf round_f(vf x) { return _mm512_roundscale_ps(x, 0); }
INLINE float sum_f(vf v) { return _mm512_reduce_add_ps(v); }
INLINE float maximum_f(vf v) { return _mm512_reduce_max_ps(v); }

// 2^n for whole n in -126...127.
INLINE vf power_f(vf n) {
  vi bits = _mm512_add_epi32(_mm512_cvtps_epi32(n), _mm512_set1_epi32(127));
  return _mm512_castsi512_ps(_mm512_slli_epi32(bits, 23));
}

// Sixteen floats times `inverse`, rounded, as int16.
INLINE void store_s16(int16_t *output, const float *x, vf inverse) {
  vi rounded = _mm512_cvtps_epi32(load_f(x) * inverse);
  _mm256_storeu_si256((void *)output, _mm512_cvtsepi32_epi16(rounded));
}

INLINE vi dot_s16(vi sum, vi a, vi b) { return _mm512_add_epi32(sum, _mm512_madd_epi16(a, b)); }

#include "elements.h"
#include "tiles_f32.h"
#include "tiles_s16.h"
#include "rows.h"

#pragma clang attribute pop

const struct kernels_engine kernels_engine_avx512 = {
    .panel_width = PANEL,
    .product_f32 = avx512_product_f32,
    .product_s16 = avx512_product_s16,
    .quantise = avx512_quantise,
    .norm = avx512_norm,
    .attention = avx512_attention,
};

const struct kernels_engine kernels_engine_avx512_vnni = {
    .panel_width = PANEL,
    .product_f32 = avx512_product_f32,
    .product_s16 = kernels_product_s16_vnni,
    .quantise = avx512_quantise,
    .norm = avx512_norm,
    .attention = avx512_attention,
};
#endif
