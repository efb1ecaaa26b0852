// The element-wise parts: a template (see vector.h).

// gelu(x) = x * Phi(x), Phi(x) = 1/2 + x * P(x^2) / Q(x^2) on |x| <= 5.5, a weighted least-squares fit
// against the error function in double precision; Phi is off by 2.5e-7 at most, fp32 rounding included.
INLINE vf NAME(gelu)(vf x) {
  vf z = min_f(max_f(x, set_f(-5.5f)), set_f(5.5f));
  vf u = z * z;
  vf p = set_f(2.222161477050122e-08f);
  p = p * u + set_f(6.514134838653263e-06f);
  p = p * u + set_f(0.00018194233416579664f);
  p = p * u + set_f(0.004756331443786621f);
  p = p * u + set_f(0.03506254777312279f);
  p = p * u + set_f(0.3989420533180237f);
  vf q = set_f(1.1942828281787645e-06f);
  q = q * u + set_f(7.825559441698715e-05f);
  q = q * u + set_f(0.001957530155777931f);
  q = q * u + set_f(0.029351769015192986f);
  q = q * u + set_f(0.25455278158187866f);
  q = q * u + set_f(1.0f);
  return x * (z * (p / q) + set_f(0.5f));
}

// Adds what follows the sum; the tile was stored a moment ago and is still in the first cache.
static void NAME(finish)(enum kernels_epilogue epilogue, size_t rows, size_t stride,
                         const float *residual, float *output) {
  if (epilogue == KERNELS_BIAS) return;
  for (size_t r = 0; r < rows; r++)
    for (size_t c = 0; c < PANEL; c += VECTOR) {
      size_t at = r * stride + c;
      vf v = load_f(output + at);
      v = epilogue == KERNELS_BIAS_GELU ? NAME(gelu)(v) : v + load_f(residual + at);
      store_f(output + at, v);
    }
}
