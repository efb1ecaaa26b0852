#pragma once
#include <cblas.h>

// OpenBLAS reads its environment when it is loaded, before main can set it; other BLAS libraries do not
// have these functions, hence weak.
extern void openblas_set_num_threads(int count) __attribute__((weak));
extern char *openblas_get_config(void) __attribute__((weak));

static inline void cblas_use_one_thread(void) {
  if (openblas_set_num_threads) openblas_set_num_threads(1);
}
static inline const char *cblas_library(void) {
  return openblas_get_config ? openblas_get_config() : "reference BLAS or another";
}
