#include "common/nan.wgsl"
// log(1 + x) for x >= 0 with a small relative error also where 1 + x rounds to 1. Up to x = 1 it is the series
// 2 (z + z^3/3 + z^5/5 + ...) with z = x / (2 + x) <= 1/3, whose first term left out is below 2e-8 of the sum.
fn log1p(x: f32) -> f32 {
  let z = x / (2.0 + x);
  let q = z * z;
  var p = 0.076923077;
  p = p * q + 0.090909091;
  p = p * q + 0.11111111;
  p = p * q + 0.14285714;
  p = p * q + 0.2;
  p = p * q + 0.33333333;
  p = p * q + 1.0;
  return or_nan(select(log(1.0 + x), 2.0 * z * p, x <= 1.0), x);
}
