// row_loss = weight * (log sum exp(logits) - logits[target]), 0 where the target is ignore_index.
// Grid: one row per lane, or one per workgroup, linear, folded. Two walks: maximum, exponentials of the others.
// The target stays out of the sum: of a row that is almost certain, the loss is log1p of what the others hold.
// Output: row_loss [rows]; column-sum.wgsl adds it up.
struct Params { rows: u32, n: u32, ignore_index: i32, weight: f32 } // weight is 1 / (rows that count)
#include "common/grid.wgsl"
#include "common/log1p.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> logits: array<Columns>; // [rows, n]
@group(0) @binding(1) var<storage, read> targets: array<i32>; // [rows]
@group(0) @binding(2) var<storage, read_write> row_loss: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = row_of(group_index(group, grid), lane);
  if (row >= params.rows) { return; }
  let first = first_of(lane);
  if (targets[row] == params.ignore_index) {
    if (first == 0u) { row_loss[row] = 0.0; }
    return;
  }
  let base = row * params.n;
  let label = u32(targets[row]);

  var high = LOWEST;
  for (var j = first; j < params.n; j += STEP) { high = max(high, logits[base + j]); }
  let top = row_max(high, lane);

  var sum = 0.0;
  for (var j = first; j < params.n; j += STEP) {
    let below = logits[base + j] - top;
    if (j != label) { sum += or_nan(exp(below), below); }
  }
  let others = row_sum(sum, lane);
  if (first == 0u) {
    let gap = top - logits[base + label];
    row_loss[row] = params.weight * (gap + log1p(others + (exp(-gap) - 1.0)));
  }
}
