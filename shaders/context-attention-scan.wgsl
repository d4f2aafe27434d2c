// Flash states O = sum_j p_j v_j and lse over the keys of prefixes (chains of the first direction) and suffixes.
// Grid: GROUP invocations per (chain, head, query), COLS columns of the head each, 64 a workgroup, linear, folded.
// A chain adds key after key and leaves its state at every slot, so that a prefix costs what it is longer than the last.
// Outputs: states [slot][head][row][WIDTH] and state_lse [slot][head][row], -1e30 without keys; the last row is mask_query.
struct Params {
  lanes: u32, rows: u32, heads: u32, batches: u32, first_query: u32, keys: u32, key_stride: u32,
  first_column: u32, row_columns: u32,
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read> chains: array<i32>; // [2 * batches + 1]: first slot
@group(0) @binding(1) var<storage, read> ranges: array<i32>; // [slots, 2]: keys from, to
@group(0) @binding(2) var<storage, read> lengths: array<i32>; // [batches]
@group(0) @binding(3) var<storage, read> scores: array<f32>; // [batch-head][key][key_stride], queries first
@group(0) @binding(4) var<storage, read> v: array<lanes>; // [B, L, D]
@group(0) @binding(5) var<storage, read_write> states: array<lanes>;
@group(0) @binding(6) var<storage, read_write> state_lse: array<f32>;
@group(0) @binding(7) var<uniform> params: Params;

// Below every score; also the lse of no keys.
const NOTHING = -1e30;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.lanes) { return; }
  let first = index % $(GROUP)u;
  let row = index / $(GROUP)u % params.rows;
  let head = index / ($(GROUP)u * params.rows) % params.heads;
  let chain = index / ($(GROUP)u * params.rows * params.heads);
  let batch = chain % params.batches;
  if (row + 1u < params.rows && params.first_query + row >= u32(lengths[batch])) { return; }
#for i in 0..COLS
  let column_$i = first + $(i * GROUP)u;
  var sum_$i = lanes();
#endfor

  let first_score = (batch * params.heads + head) * params.keys * params.key_stride + row;
  let first_value = params.first_column + batch * params.keys * params.row_columns + head * $(WIDTH)u;
  var largest = NOTHING;
  var total = 0.0;
  let end_slot = u32(chains[chain + 1u]);
  for (var slot = u32(chains[chain]); slot < end_slot; slot += 1u) {
    let end_key = u32(ranges[2u * slot + 1u]);
    for (var key = u32(ranges[2u * slot]); key < end_key; key += 1u) {
      let score = scores[first_score + key * params.key_stride];
      // One exp of a number that is never positive: what shrinks is the new term or all before it.
      let apart = -abs(score - largest);
      let e = or_nan(exp(apart), apart);
      let grows = score > largest;
      let keep = select(1.0, e, grows);
      let weight = select(e, 1.0, grows);
      largest = max(largest, score);
      total = fma(total, keep, weight);
      let value = first_value + key * params.row_columns;
#for i in 0..COLS
      sum_$i = fma(sum_$i, lanes(keep), weight * v[value + column_$i]);
#endfor
    }
    // Where there is any key the total is at least 1, the largest score's own term.
    let state = (slot * params.heads + head) * params.rows + row;
    let divisor = or_nan(max(total, 1.0), total);
    let inverse = 1.0 / divisor;
#for i in 0..COLS
    states[state * $(WIDTH)u + column_$i] = inverse * sum_$i;
#endfor
    if (first == 0u) { state_lse[state] = largest + or_nan(log(divisor), divisor); }
  }
}
