// grad_v_j = sum_i exp(S_ij) (sums over the spans behind key j, and over those before it) of query i.
// Grid: GROUP invocations per (batch row, head, key), COLS columns of the head each, 64 a workgroup, linear, folded.
// One pass over the queries for all spans; each weight is made by the GROUP invocations that need it.
// Output: grad_v [B, L, D], added to where ACCUMULATE; 0 past the length.
struct Params {
  lanes: u32, rows: u32, mask_row: u32, heads: u32, keys: u32, key_stride: u32, first_query: u32,
  first_column: u32, row_columns: u32,
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read> lengths: array<i32>; // [batches]
@group(0) @binding(1) var<storage, read> key_slots: array<i32>; // [batches, keys, 2], -1: no such span
@group(0) @binding(2) var<storage, read> scores: array<f32>; // [batch-head][key][key_stride], queries first
@group(0) @binding(3) var<storage, read> sums: array<lanes>; // [slot][head][row][WIDTH]
@group(0) @binding(4) var<storage, read> stats: array<vec2f>; // [slot][head][row]
@group(0) @binding(5) var<storage, read_write> grad_v: array<lanes>;
@group(0) @binding(6) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.lanes) { return; }
  let first = index % $(GROUP)u;
  let key = index / $(GROUP)u % params.keys;
  let batch_head = index / ($(GROUP)u * params.keys);
  let head = batch_head % params.heads;
  let batch = batch_head / params.heads;
  let length = u32(lengths[batch]);
#for i in 0..COLS
  let column_$i = first + $(i * GROUP)u;
  var sum_$i = lanes();
#endfor

  let first_score = (batch_head * params.keys + key) * params.key_stride;
  for (var side = 0u; side < 2u; side += 1u) {
    let slot = key_slots[(batch * params.keys + key) * 2u + side];
    if (slot < 0) { continue; }
    let first_state = (u32(slot) * params.heads + head) * params.rows;
    for (var row = 0u; row < params.rows; row += 1u) {
      if (row != params.mask_row && params.first_query + row >= length) { continue; }
      let state = first_state + row;
      let below = scores[first_score + row] + stats[state].x;
      let weight = or_nan(exp(below), below);
#for i in 0..COLS
      sum_$i = fma(lanes(weight), sums[state * $(WIDTH)u + column_$i], sum_$i);
#endfor
    }
  }
  let to = params.first_column + (batch * params.keys + key) * params.row_columns + head * $(WIDTH)u;
#for i in 0..COLS
#if ACCUMULATE
  sum_$i += grad_v[to + column_$i];
#endif
  grad_v[to + column_$i] = sum_$i;
#endfor
}
