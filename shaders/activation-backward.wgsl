// grad_pre = grad_out * activate'(.), from the activated value y (relu, tanh, sigmoid) or the value before it.
// Grid: one invocation per element, of f16 per four, 64 a workgroup, folded.
// Output: grad_pre.
struct Params { size: u32 } // in invocations
#include "common/grid.wgsl"
#include "common/activation.wgsl"
#if F16
#include "common/f16.wgsl"
@group(0) @binding(0) var<storage, read> grad_out: array<vec2u>; // f16, two a word, all three
@group(0) @binding(1) var<storage, read> saved: array<vec2u>;
@group(0) @binding(2) var<storage, read_write> grad_pre: array<vec2u>;
#else
@group(0) @binding(0) var<storage, read> grad_out: array<f32>;
@group(0) @binding(1) var<storage, read> saved: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_pre: array<f32>;
#endif
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
#if F16
  let xs = widened(saved[i]);
  var grads = widened(grad_out[i]);
#endif
#for e in 0..1+3*F16
#if F16
  {
  let x = xs[$e];
#else
  let x = saved[i];
#endif
#if ACTIVATION == 1
  let slope = select(0.0, 1.0, x > 0.0);
#elif ACTIVATION == 2
  let slope = 0.5 * (1.0 + erf(x * SQRT_HALF)) + x * INV_SQRT_2PI * exp(-0.5 * x * x);
#elif ACTIVATION == 3
  let slope = 1.0 - x * x;
#elif ACTIVATION == 4
  let slope = x * (1.0 - x);
#elif ACTIVATION == 5
  let t = gelu_inner(x);
  let inner_slope = SQRT_2_PI * (1.0 + 3.0 * GELU_CUBIC * x * x);
  let slope = 0.5 * (1.0 + t + x * (1.0 - t * t) * inner_slope);
#elif ACTIVATION == 6
  let slope = sigmoid(x);
#else
  let slope = 1.0;
#endif
#if F16
  grads[$e] *= slope;
  }
#else
  grad_pre[i] = grad_out[i] * slope;
#endif
#endfor
#if F16
  grad_pre[i] = narrowed(grads);
#endif
}
