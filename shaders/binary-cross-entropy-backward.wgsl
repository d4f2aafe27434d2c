// grad_logits = grad_loss * weight * (sigmoid(x) - label), 0 where the label is negative (does not count).
// Grid: one invocation per element, 64 a workgroup, folded.
// With label 1, sigmoid(x) - 1 is -sigmoid(-x), which does not cancel where x is large.
// Output: grad_logits [size].
struct Params { size: u32, weight: f32 } // weight is 1 / (elements that count)
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> logits: array<f32>; // [size]
@group(0) @binding(1) var<storage, read> labels: array<i32>; // [size]: 0, 1, or negative
@group(0) @binding(2) var<storage, read> grad_loss: array<f32>; // []
@group(0) @binding(3) var<storage, read_write> grad_logits: array<f32>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  var gradient = 0.0;
  if (labels[i] >= 0) {
    let side = select(1.0, -1.0, labels[i] == 1);
    let x = side * logits[i];
    let e = exp(-abs(x));
    gradient = side * grad_loss[0] * params.weight * (select(e, 1.0, x >= 0.0) / (1.0 + e));
  }
  grad_logits[i] = gradient;
}
