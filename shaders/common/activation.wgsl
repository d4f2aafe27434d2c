// Activations by code: 0 none, 1 relu, 2 gelu (exact), 3 tanh, 4 sigmoid, 5 gelu by tanh, 6 softplus. erf has a relative error below 2e-7.
const SQRT_HALF = 0.70710678118654752;
const INV_SQRT_2PI = 0.39894228040143268;
const SQRT_2_PI = 0.79788456080286536;
const GELU_CUBIC = 0.044715;

// Complementary error function of |x| as t * exp(-x^2 + P(t)), t = 1 / (1 + |x| / 2): fractional error 1.2e-7.
fn erf(x: f32) -> f32 {
  let z = abs(x);
  let t = 1.0 / (1.0 + 0.5 * z);
  var p = 0.17087277;
  p = p * t - 0.82215223;
  p = p * t + 1.48851587;
  p = p * t - 1.13520398;
  p = p * t + 0.27886807;
  p = p * t - 0.18628806;
  p = p * t + 0.09678418;
  p = p * t + 0.37409196;
  p = p * t + 1.00002368;
  p = p * t - 1.26551223;
  let erfc = t * exp(-z * z + p);
  return select(erfc - 1.0, 1.0 - erfc, x >= 0.0);
}

fn safe_tanh(x: f32) -> f32 {
  return tanh(clamp(x, -15.0, 15.0));
}

fn sigmoid(x: f32) -> f32 {
  let e = exp(-abs(x));
  return select(e, 1.0, x >= 0.0) / (1.0 + e);
}

// tanh(sqrt(2 / pi) (x + 0.044715 x^3)), which stands for erf(x / sqrt(2)).
fn gelu_inner(x: f32) -> f32 {
  return safe_tanh(SQRT_2_PI * x * (1.0 + GELU_CUBIC * x * x));
}

#if ACTIVATION == 1
fn activate(x: f32) -> f32 { return max(x, 0.0); }
#elif ACTIVATION == 2
fn activate(x: f32) -> f32 { return 0.5 * x * (1.0 + erf(x * SQRT_HALF)); }
#elif ACTIVATION == 3
fn activate(x: f32) -> f32 { return safe_tanh(x); }
#elif ACTIVATION == 4
fn activate(x: f32) -> f32 { return sigmoid(x); }
#elif ACTIVATION == 5
fn activate(x: f32) -> f32 { return 0.5 * x * (1.0 + gelu_inner(x)); }
#elif ACTIVATION == 6
#include "common/log1p.wgsl"
fn activate(x: f32) -> f32 { return max(x, 0.0) + log1p(exp(-abs(x))); }
#else
fn activate(x: f32) -> f32 { return x; }
#endif
