// What the search kernels share: how a function is compiled for an instruction set.
#pragma once
#include "search_kernels.h"

#if defined(__x86_64__)
#include <immintrin.h>
#define SEARCH_X86 1
#define AVX2 __attribute__((target("avx2,fma,popcnt,bmi,bmi2")))
#define AVX512                                                                                     \
  __attribute__((target("avx2,fma,popcnt,bmi,bmi2,avx512f,avx512bw,avx512dq,avx512vl,"       \
                        "avx512vnni,avx512vpopcntdq,no-prefer-256-bit")))
#endif

// A body written once and compiled in each level's function that calls it.
#define SHARED static inline __attribute__((always_inline))

// Picks the level's form: a table of functions would have to be kept in step with this by hand.
#if defined(SEARCH_X86)
#define SEARCH_DISPATCH(name, ...)                                                                 \
  do {                                                                                             \
    int level = search_kernels_level();                                                            \
    if (level == SEARCH_LEVEL_AVX512) {                                                            \
      name##_avx512(__VA_ARGS__);                                                                  \
    } else if (level == SEARCH_LEVEL_AVX2) {                                                       \
      name##_avx2(__VA_ARGS__);                                                                    \
    } else {                                                                                       \
      name##_portable(__VA_ARGS__);                                                                \
    }                                                                                              \
  } while (0)
#else
#define SEARCH_DISPATCH(name, ...) name##_portable(__VA_ARGS__)
#endif

// A float's bits as a whole number with the same order (-0 below +0).
SHARED uint32_t search_order(float value) {
  uint32_t bits;
  __builtin_memcpy(&bits, &value, sizeof bits);
  return bits ^ (bits >> 31 ? 0xFFFFFFFFu : 0x80000000u);
}

// The greatest order that at least `wanted` of the values reach; 1 <= wanted <= count.
uint32_t search_nth_order(const float *values, size_t count, size_t wanted);
