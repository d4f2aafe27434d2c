// pairs[i, j] = grad_out[i, j] for two different valid nodes, else 0: the diagonal is constant, padding holds anything.
// Grid: one invocation per element of pairs, 64 a workgroup, folded.
// Rows of pairs are whole vec4s, so that both products with it read four at a time.
// Output: pairs [B, V, N, stride] of the batches from first_batch on.
struct Params { size: u32, nodes: u32, stride: u32, views: u32, first_batch: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> grad_out: array<f32>; // [B, V, N, N]
@group(0) @binding(1) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(2) var<storage, read_write> pairs: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let at = group_index(group, grid) * 64u + lane;
  if (at >= params.size) { return; }
  let j = at % params.stride;
  let row = at / params.stride;
  let i = row % params.nodes;
  let square = params.first_batch * params.views + row / params.nodes;
  let nodes = u32(lengths[square / params.views]);
  var value = 0.0;
  if (i < nodes && j < nodes && i != j) { value = grad_out[(square * params.nodes + i) * params.nodes + j]; }
  pairs[at] = value;
}
