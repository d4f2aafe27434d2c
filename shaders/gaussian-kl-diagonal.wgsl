// out[i, i] = 0 in every square: a Gaussian does not differ from itself, whatever rounding says.
// Grid: one invocation per element of a diagonal, 64 a workgroup, folded.
// One pass over N elements a square, so that the product before it stays the one of the library.
// Output: out [squares, N, N], its diagonals alone.
struct Params { size: u32, nodes: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read_write> out: array<f32>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  out[i * params.nodes + i % params.nodes] = 0.0;
}
