// partial[p] = weight * sum of softplus(-x) where the label is 1, softplus(x) where it is 0, over elements p + k * P.
// Grid: one invocation per partial sum, 64 a workgroup, folded.
// A run of 16 elements a lane keeps the second pass short; a stride of P between them keeps reads side by side.
// Output: partial [P]; column-sum.wgsl adds it up. A negative label does not count.
struct Params { size: u32, partials: u32, weight: f32 } // weight is 1 / (elements that count)
#include "common/grid.wgsl"
#include "common/log1p.wgsl"
@group(0) @binding(0) var<storage, read> logits: array<f32>; // [size]
@group(0) @binding(1) var<storage, read> labels: array<i32>; // [size]: 0, 1, or negative
@group(0) @binding(2) var<storage, read_write> partial: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let p = group_index(group, grid) * 64u + lane;
  if (p >= params.partials) { return; }
  var sum = 0.0;
  for (var i = p; i < params.size; i += params.partials) {
    let label = labels[i];
    if (label >= 0) {
      let x = logits[i];
      // No exponent is positive, and no term is a difference: stable at any magnitude.
      sum += or_nan(max(select(x, -x, label == 1), 0.0) + log1p(exp(-abs(x))), x);
    }
  }
  partial[p] = params.weight * sum;
}
