// What the templates share (private header). The including file defines, for one instruction set,
//   NAME(x)     the name of x for that set
//   vf, vi      vectors of VECTOR floats and as many int32
//   ROWS_MAX    rows of a tile: its sums and operands must fit the registers
// and the small functions load_f, store_f, set_f, max_f, abs_f, round_f, power_f, sum_f, maximum_f,
// load_i, zero_i, set_i, to_f, store_s16, dot_s16.
#pragma once

#define INLINE static inline __attribute__((always_inline))
#define UNROLL _Pragma("clang loop unroll(full)")
// A tile is up to ROWS_MAX rows by one panel, which is two vectors wide.
#define PANEL (2 * VECTOR)

#if ROWS_MAX > 6
#define EACH_ROW_COUNT(CASE)                                                                  \
  CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6) CASE(7) CASE(8) CASE(9) CASE(10) CASE(11) \
      CASE(12) CASE(13) CASE(14)
#else
#define EACH_ROW_COUNT(CASE) CASE(1) CASE(2) CASE(3) CASE(4) CASE(5) CASE(6)
#endif

// Tiles of nearly equal height serve better than full ones and a thin rest: the height of the next.
INLINE size_t NAME(height)(size_t rest) {
  size_t count = (rest + ROWS_MAX - 1) / ROWS_MAX;
  return (rest + count - 1) / count;
}

// Asks for what a tile reads a while later, in bytes. Weights come from the third cache or from memory,
// and a tall tile by itself touches them too slowly to keep that stream busy. A prefetch past the end
// of the weights does nothing; the address is a number, because no pointer may go there.
#define AHEAD 8192
INLINE void NAME(fetch)(const void *panel) {
  uintptr_t at = (uintptr_t)panel + AHEAD;
  for (size_t i = 0; i < PANEL * sizeof(float); i += 64) __builtin_prefetch((const void *)(at + i));
}
