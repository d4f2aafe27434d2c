// grad_x[b, l, :] = sum over the ranges r that cover row l of b, in order, of grad_out[r, :] where argmax[r, :] == l.
// Grid: one invocation per `lanes` of grad_x, 64 a workgroup, (row, column) linear, folded.
// The host lists the ranges over each row (starts, covering), so every element is written once and nothing is scanned.
// Output: grad_x [B, L, d].
struct Params { size: u32, width: u32, length: u32 } // size, width in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> starts: array<i32>; // [B * L + 1]
@group(0) @binding(1) var<storage, read> covering: array<i32>; // ranges, by row
@group(0) @binding(2) var<storage, read> argmax: array<int_lanes>; // [R, d]
@group(0) @binding(3) var<storage, read> grad_out: array<lanes>; // [R, d]
@group(0) @binding(4) var<storage, read_write> grad_x: array<lanes>; // [B, L, d]
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let token = i / params.width;
  let row = int_lanes(i32(token % params.length));
  var sum = lanes();
  for (var e = starts[token]; e < starts[token + 1u]; e += 1) {
    let at = u32(covering[e]) * params.width + i % params.width;
    sum += select(lanes(), grad_out[at], argmax[at] == row);
  }
  grad_x[i] = sum;
}
