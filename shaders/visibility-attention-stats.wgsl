// stats[row] = (lse, sum_c grad_out out) of every (token, head): all that the backward passes know of a row's softmax.
// Grid: one invocation per row, 64 a workgroup, linear, folded.
// Saves the other passes two bindings and dh terms a tile. Rows of padding hold what nobody reads.
// Output: stats [B, L, H].
struct Params { rows: u32, head: u32 } // head in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> lse: array<f32>; // [B, L, H]
@group(0) @binding(1) var<storage, read> out: array<lanes>; // [B, L, D]
@group(0) @binding(2) var<storage, read> grad_out: array<lanes>; // [B, L, D]
@group(0) @binding(3) var<storage, read_write> stats: array<vec2f>; // [B, L, H]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = group_index(group, grid) * 64u + lane;
  if (row >= params.rows) { return; }
  var sum = lanes();
  for (var at = row * params.head; at < (row + 1u) * params.head; at += 1u) { sum = fma(grad_out[at], out[at], sum); }
#if LANES == 4
  let delta = (sum.x + sum.y) + (sum.z + sum.w);
#else
  let delta = sum;
#endif
  stats[row] = vec2f(lse[row], delta);
}
