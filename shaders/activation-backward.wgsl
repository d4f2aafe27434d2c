// grad_pre = grad_out * activate'(.), from the activated value y (relu, tanh, sigmoid) or the value before it.
// Grid: one invocation per element, 64 a workgroup, folded.
// Output: grad_pre.
struct Params { size: u32 }
#include "common/grid.wgsl"
#include "common/activation.wgsl"
@group(0) @binding(0) var<storage, read> grad_out: array<f32>;
@group(0) @binding(1) var<storage, read> saved: array<f32>;
@group(0) @binding(2) var<storage, read_write> grad_pre: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let x = saved[i];
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
  grad_pre[i] = grad_out[i] * slope;
}
