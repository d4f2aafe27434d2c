// grad_x = out * (grad_out - sum over the row of grad_out * out).
// Grid: one row per lane, or one per workgroup, linear, folded. Two walks: the sum, the gradient.
// Sizes as in softmax.wgsl.
// Output: grad_x [rows, n].
struct Params { rows: u32, n: u32 } // n counts f32 or, with VEC, vec4f columns
#include "common/grid.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> out: array<Columns>; // [rows, n]
@group(0) @binding(1) var<storage, read> grad_out: array<Columns>; // [rows, n]
@group(0) @binding(2) var<storage, read_write> grad_x: array<Columns>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = row_of(group_index(group, grid), lane);
  if (row >= params.rows) { return; }
  let first = row * params.n + first_of(lane);
  let end = (row + 1u) * params.n;

  var sum = Columns(0.0);
  for (var i = first; i < end; i += STEP) { sum = fma(grad_out[i], out[i], sum); }
  let dot_product = row_sum(sum, lane);
  for (var i = first; i < end; i += STEP) { grad_x[i] = out[i] * (grad_out[i] - dot_product); }
}
