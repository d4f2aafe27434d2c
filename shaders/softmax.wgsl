// out = exp(x - max) / sum exp(x - max) over each row: stable at any magnitude, since no exponent is positive.
// Grid: one row per lane, or one per workgroup, linear, folded. Three walks: maximum, exponentials and sum, scale.
// A workgroup per row reads whole cache lines; a lane per row needs no barrier (software devices, short rows).
// Output: out [rows, n]; each lane reads back only what it wrote itself.
struct Params { rows: u32, n: u32 } // n counts f32 or, with VEC, vec4f columns
#include "common/grid.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> x: array<Columns>; // [rows, n]
@group(0) @binding(1) var<storage, read_write> out: array<Columns>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = row_of(group_index(group, grid), lane);
  if (row >= params.rows) { return; }
  let first = row * params.n + first_of(lane);
  let end = (row + 1u) * params.n;

  var high = Columns(LOWEST);
  for (var i = first; i < end; i += STEP) { high = max(high, x[i]); }
  let top = row_max(high, lane);

  var sum = Columns(0.0);
  var trace = Columns(0.0); // NaN where any is: cheaper than to test each
  for (var i = first; i < end; i += STEP) {
    let below = x[i] - top;
    let e = exp(below);
    out[i] = e;
    sum += e;
    trace += below;
  }
  let scale = 1.0 / row_sum(columns_or_nan(sum, trace), lane);
  for (var i = first; i < end; i += STEP) { out[i] *= scale; }
}
