// Running sums over spans of x = exp(-lse) grad_out and y = exp(-lse) delta: by start from the last, by end from the first.
// Grid: GROUP invocations per (chain, head, query), COLS columns of the head each, 64 a workgroup, linear, folded.
// As the prefixes of the forward. Scaled by exp(-peak), peak the largest -lse so far: no weight exp(score + peak) is over 1.
// Outputs: sums [slot][head][row][WIDTH] = x, stats [slot][head][row] = (peak, y); the last row is mask_query where MASK.
struct Params {
  lanes: u32, rows: u32, heads: u32, batches: u32, first_query: u32, tokens: u32, all_heads: u32, first_head: u32,
  row_columns: u32,
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read> chains: array<i32>; // [2 * batches + 1]: first slot, then [slots + 1]: first item
@group(0) @binding(1) var<storage, read> items: array<vec4i>; // place among the strip's spans, number, start, end
@group(0) @binding(2) var<storage, read> grad_out: array<lanes>; // [S, L, D]
@group(0) @binding(3) var<storage, read> lse: array<f32>; // [S, H, L]
@group(0) @binding(4) var<storage, read> delta: array<f32>; // [spans of the strip][head][row]
@group(0) @binding(5) var<storage, read_write> sums: array<lanes>;
@group(0) @binding(6) var<storage, read_write> stats: array<vec2f>;
#if MASK
@group(0) @binding(7) var<storage, read> inside: array<lanes>; // [spans of the strip][head][WIDTH]
#endif
@group(0) @binding($(7 + MASK)) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.lanes) { return; }
  let first = index % $(GROUP)u;
  let row = index / $(GROUP)u % params.rows;
  let head = index / ($(GROUP)u * params.rows) % params.heads;
  let chain = index / ($(GROUP)u * params.rows * params.heads);
  let own_query = params.first_query + row;
#if MASK
  let is_mask = row + 1u == params.rows;
#endif
#for i in 0..COLS
  let column_$i = first + $(i * GROUP)u;
  var sum_$i = lanes();
#endfor

  var peak = -1e30;
  var sum_delta = 0.0;
  let slot_starts = 2u * params.batches + 1u;
  let end_slot = u32(chains[chain + 1u]);
  for (var slot = u32(chains[chain]); slot < end_slot; slot += 1u) {
    let end_item = u32(chains[slot_starts + slot + 1u]);
    for (var i = u32(chains[slot_starts + slot]); i < end_item; i += 1u) {
      let item = vec4u(items[i]);
      let is_inside = item.z <= own_query && own_query < item.w;
#if MASK
      if (is_inside && !is_mask) { continue; }
      let query = select(own_query, item.z, is_mask);
#else
      if (is_inside) { continue; }
      let query = own_query;
#endif
      let place = item.x * params.heads + head;
      let x = -lse[(item.y * params.all_heads + params.first_head + head) * params.tokens + query];
      let apart = -abs(x - peak);
      let e = or_nan(exp(apart), apart);
      let keep = select(1.0, e, x > peak);
      let weight = select(e, 1.0, x > peak);
      peak = max(peak, x);
      sum_delta = fma(sum_delta, keep, weight * delta[place * params.rows + row]);
#if MASK
      if (is_mask) {
#for c in 0..COLS
        sum_$c = fma(sum_$c, lanes(keep), weight * inside[place * $(WIDTH)u + column_$c]);
#endfor
        continue;
      }
#endif
      let source = (item.y * params.tokens + query) * params.row_columns + (params.first_head + head) * $(WIDTH)u;
#for c in 0..COLS
      sum_$c = fma(sum_$c, lanes(keep), weight * grad_out[source + column_$c]);
#endfor
    }
    let state = (slot * params.heads + head) * params.rows + row;
#for i in 0..COLS
    sums[state * $(WIDTH)u + column_$i] = sum_$i;
#endfor
    if (first == 0u) { stats[state] = vec2f(peak, sum_delta); }
  }
}
