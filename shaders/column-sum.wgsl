// out[slab, n] = sum over the slab's rows m of x[m, n]; a second dispatch with one slab finishes the sum.
// Grid: (slab, block of 64 columns) linear, folded; one invocation per column of a slab, rows in order.
// Slabs of SLAB rows keep many invocations busy and the order of additions fixed.
// Output: out [slabs, N].
struct Params { m: u32, n: u32, blocks: u32, groups: u32, slab: u32, offset: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> x: array<f32>; // [M, N]
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let slab = linear / params.blocks;
  let col = (linear % params.blocks) * 64u + lane;
  if (col >= params.n) { return; }
  let first = slab * params.slab;
  let last = min(first + params.slab, params.m);
  var sum = 0.0;
  for (var row = first; row < last; row += 1u) { sum += x[params.offset + row * params.n + col]; }
  out[slab * params.n + col] = sum;
}
