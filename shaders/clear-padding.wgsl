// x[row, col] = 0 for rows past the length of their batch row, and with SQUARE for columns past it too.
// Grid: one invocation per element of x, 64 a workgroup, folded; those that clear nothing end at once.
// After a product over padded operands, which may hold anything, so that the product stays the one of the library.
// Output: x [..., B, inner, rows, width], its padding alone.
struct Params { size: u32, rows: u32, width: u32, inner: u32, batch: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(1) var<storage, read_write> x: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let row = i / params.width;
  let length = u32(lengths[row / (params.rows * params.inner) % params.batch]);
#if SQUARE
  let last = max(row % params.rows, i % params.width);
#else
  let last = row % params.rows;
#endif
  if (last >= length) { x[i] = 0.0; }
}
