#include <math.h>

#include "engine.h"

// Panels: `panel_width` columns of the output side by side, so that one step of a tile reads one
// contiguous run: fp32 [n / width][k][width], int16 [n / width][k / 2][width][2].

int kernels_activation_limit(size_t k) { return k <= 512 ? 8191 : 4095; }

void kernels_pack_f32(enum kernels_level level, const float *weights, size_t n, size_t k,
                      float *panels) {
  size_t width = kernels_engine_of(level)->panel_width;
  for (size_t from = 0; from < n; from += width)
    for (size_t i = 0; i < k; i++)
      for (size_t c = 0; c < width; c++) *panels++ = weights[(from + c) * k + i];
}

// The step of one output channel. With A the activations' limit and |w_i| <= |weight_i| / step + 1/2,
//   |any partial sum| <= A * sum |w_i| <= A * (sum |weight_i| / step + k / 2) <= 2^31 - 1,
// where the last holds by the choice of step below: an int32 sum cannot overflow, in any order.
// (A little room is left for the rounding of the step itself.)
static float step_of(const float *row, size_t k) {
  double sum = 0, max = 0;
  for (size_t i = 0; i < k; i++) {
    double a = fabs((double)row[i]);
    sum += a;
    max = a > max ? a : max;
  }
  double room = floor(2147483647.0 / kernels_activation_limit(k)) - (double)k / 2 - 1;
  double by_sum = sum / room, by_max = max / 32767.0;
  return (float)((by_sum > by_max ? by_sum : by_max) * (1 + 1e-6));
}

void kernels_pack_s16(enum kernels_level level, const float *weights, size_t n, size_t k,
                      int16_t *panels, float *steps) {
  size_t width = kernels_engine_of(level)->panel_width;
  for (size_t from = 0; from < n; from += width) {
    int16_t *panel = panels + from * k;
    for (size_t c = 0; c < width; c++) {
      const float *row = weights + (from + c) * k;
      float step = step_of(row, k);
      double inverse = step > 0 ? 1.0 / (double)step : 0;
      steps[from + c] = step;
      for (size_t i = 0; i < k; i++)
        panel[(i / 2 * width + c) * 2 + i % 2] = (int16_t)lrint((double)row[i] * inverse);
    }
  }
}
