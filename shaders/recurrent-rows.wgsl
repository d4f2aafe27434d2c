// out[b, t, col] = source[b, t + ahead - back, col] where both tokens are valid, else 0: padding never enters a product.
// Grid: one invocation per element of out, 64 a workgroup, folded.
// ahead = back = 0 copies x without its padding; back = 1 (ahead = 1 in reverse) gives the hidden state before each token.
// Output: out [B, L, width].
struct Params { size: u32, length: u32, width: u32, source_row: u32, source_offset: u32, ahead: u32, back: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> source: array<f32>; // [B, L, source_row]
@group(0) @binding(1) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let col = i % params.width;
  let row = i / params.width;
  let t = row % params.length;
  let valid = u32(lengths[row / params.length]);
  var value = 0.0;
  if (t < valid && t + params.ahead >= params.back && t + params.ahead - params.back < valid) {
    value = source[(row + params.ahead - params.back) * params.source_row + params.source_offset + col];
  }
  out[i] = value;
}
