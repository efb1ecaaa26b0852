// AVX-512: 32 registers of 16 floats. A tile of 14 rows by 32 columns uses 28 of them for sums.
// Private header of the two files for AVX-512; see vector.h.
#pragma once
#include <immintrin.h>
#include <math.h>

typedef __m512 vf;
typedef __m512i vi;
#define VECTOR 16
#define ROWS_MAX 14

#include "vector.h"

INLINE vf load_f(const float *x) { return _mm512_loadu_ps(x); }
INLINE void store_f(float *x, vf v) { _mm512_storeu_ps(x, v); }
INLINE vf set_f(float x) { return _mm512_set1_ps(x); }
INLINE vf min_f(vf a, vf b) { return _mm512_min_ps(a, b); }
INLINE vf max_f(vf a, vf b) { return _mm512_max_ps(a, b); }
INLINE vi load_i(const void *x) { return _mm512_loadu_si512(x); }
INLINE vi zero_i(void) { return _mm512_setzero_si512(); }
INLINE vi set_i(int32_t x) { return _mm512_set1_epi32(x); }
INLINE vf to_f(vi x) { return _mm512_cvtepi32_ps(x); }
