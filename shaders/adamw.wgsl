// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p -= decay p + step_size m / (sqrt(v) inv_sqrt_bias2 + eps).
// Grid: one invocation per Value (a vec4 where the size is a multiple of 4, else one float), 64 a workgroup, folded.
// Memory-bound: 28 bytes move per element and nothing is kept; vec4 loads use the bus whole. g = grad * grad_scale.
// Outputs: param, m and v, in place.
struct Params {
  size: u32,
  beta1: f32, one_minus_beta1: f32,
  beta2: f32, one_minus_beta2: f32,
  step_size: f32,      // lr / (1 - beta1^step)
  inv_sqrt_bias2: f32, // 1 / sqrt(1 - beta2^step)
  eps: f32,
  decay: f32,          // lr * weightDecay
}
#include "common/grid.wgsl"
#if VEC
alias Value = vec4f;
#else
alias Value = f32;
#endif

@group(0) @binding(0) var<storage, read_write> param: array<Value>;
@group(0) @binding(1) var<storage, read> grad: array<Value>;
@group(0) @binding(2) var<storage, read_write> m: array<Value>;
@group(0) @binding(3) var<storage, read_write> v: array<Value>;
#if SCALED
@group(0) @binding(4) var<storage, read> grad_scale: array<f32>; // [1]
#endif
@group(0) @binding($(4 + SCALED)) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
#if SCALED
  let g = grad[i] * grad_scale[0];
#else
  let g = grad[i];
#endif
  let next_m = params.beta1 * m[i] + params.one_minus_beta1 * g;
  let next_v = params.beta2 * v[i] + params.one_minus_beta2 * g * g;
  m[i] = next_m;
  v[i] = next_v;
  let direction = next_m / (sqrt(next_v) * params.inv_sqrt_bias2 + params.eps);
  // One rounding of the parameter: a factor 1 - lr * weightDecay would lose most digits of a small decay.
  param[i] -= params.decay * param[i] + params.step_size * direction;
}
