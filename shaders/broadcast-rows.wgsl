// out[m, n] = row[n].
// Grid: one invocation per element, 64 a workgroup, folded.
// Output: out [M, N].
struct Params { size: u32, n: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> row: array<f32>; // [N]
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  out[i] = row[i % params.n];
}
