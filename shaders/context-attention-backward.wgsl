// dS_ij = exp(S_ij) (x . v_j - y) summed over the spans behind key j and those before it, x and y the sums of query i.
// Grid: one invocation per (batch row, head, key, query), 64 a workgroup, linear, folded.
// In place: the products that follow need dS alone. Neighbours are queries, as the scores lie.
// Output: scores [batch-head][key][key_stride] hold dS, 0 for padded keys and queries.
struct Params {
  lanes: u32, rows: u32, mask_row: u32, heads: u32, keys: u32, key_stride: u32, first_query: u32,
  first_column: u32, row_columns: u32,
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read> lengths: array<i32>; // [batches]
@group(0) @binding(1) var<storage, read> key_slots: array<i32>; // [batches, keys, 2], -1: no such span
@group(0) @binding(2) var<storage, read> sums: array<lanes>; // [slot][head][row][WIDTH]
@group(0) @binding(3) var<storage, read> stats: array<vec2f>; // [slot][head][row]
@group(0) @binding(4) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(5) var<storage, read_write> scores: array<f32>;
@group(0) @binding(6) var<uniform> params: Params;

#if LANES == 4
fn total(v: lanes) -> f32 { return (v.x + v.y) + (v.z + v.w); }
#else
fn total(v: lanes) -> f32 { return v; }
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.lanes) { return; }
  let row = index % params.rows;
  let key = index / params.rows % params.keys;
  let batch_head = index / (params.rows * params.keys);
  let head = batch_head % params.heads;
  let batch = batch_head / params.heads;
  let at = (batch_head * params.keys + key) * params.key_stride + row;
  let length = u32(lengths[batch]);
  var grad = 0.0;
  if (key < length && (row == params.mask_row || params.first_query + row < length)) {
    let score = scores[at];
    let value = params.first_column + (batch * params.keys + key) * params.row_columns + head * $(WIDTH)u;
    for (var side = 0u; side < 2u; side += 1u) {
      let slot = key_slots[(batch * params.keys + key) * 2u + side];
      if (slot < 0) { continue; }
      let state = (u32(slot) * params.heads + head) * params.rows + row;
      var dot = lanes();
      for (var i = 0u; i < $(WIDTH)u; i += 1u) { dot = fma(sums[state * $(WIDTH)u + i], v[value + i], dot); }
      let stat = stats[state];
      let below = score + stat.x;
      grad = fma(or_nan(exp(below), below), total(dot) - stat.y, grad);
    }
  }
  scores[at] = grad;
}
