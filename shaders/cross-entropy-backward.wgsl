// grad_logits = grad_loss * weight * (softmax(logits) - onehot(target)), 0 where the target is ignore_index.
// Grid: one row per lane, or one per workgroup, linear, folded. Three walks: maximum, exponentials, scale.
// The target's p - 1 is minus the sum of the other probabilities, which does not cancel where p is close to 1.
// Output: grad_logits [rows, n]; each lane reads back only what it wrote itself.
struct Params { rows: u32, n: u32, ignore_index: i32, weight: f32 } // weight is 1 / (rows that count)
#include "common/grid.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> logits: array<Columns>; // [rows, n]
@group(0) @binding(1) var<storage, read> targets: array<i32>; // [rows]
@group(0) @binding(2) var<storage, read> grad_loss: array<f32>; // []
@group(0) @binding(3) var<storage, read_write> grad_logits: array<Columns>;
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = row_of(group_index(group, grid), lane);
  if (row >= params.rows) { return; }
  let first = first_of(lane);
  let base = row * params.n;
  if (targets[row] == params.ignore_index) {
    for (var j = first; j < params.n; j += STEP) { grad_logits[base + j] = 0.0; }
    return;
  }
  let label = u32(targets[row]);

  var high = LOWEST;
  for (var j = first; j < params.n; j += STEP) { high = max(high, logits[base + j]); }
  let top = row_max(high, lane);

  var sum = 0.0;
  for (var j = first; j < params.n; j += STEP) {
    if (j != label) {
      let below = logits[base + j] - top;
      let e = or_nan(exp(below), below);
      grad_logits[base + j] = e;
      sum += e;
    }
  }
  let others = row_sum(sum, lane);
  let below = logits[base + label] - top;
  let scale = grad_loss[0] * params.weight / (others + or_nan(exp(below), below));
  // By the lane that scales it: a branch in the loop costs a software device a tenth of the whole.
  if (label % STEP == first) { grad_logits[base + label] = -others; }
  for (var j = first; j < params.n; j += STEP) { grad_logits[base + j] *= scale; }
}
