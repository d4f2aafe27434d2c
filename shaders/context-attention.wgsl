// out of query i and span [s, e) = the merge, by log-sum-exp, of the states of prefix s and suffix e (context-attention-scan).
// Grid: GROUP invocations per (span, query, head), COLS columns of the head each, 64 a workgroup, linear, folded.
// One exp a row: the share of a state is the logistic function of the difference of the two lse.
// Outputs: out [S, L, D], lse [S, H, L]; 0 and -1e30 past the length and without keys.
struct Params {
  lanes: u32, queries: u32, heads: u32, tokens: u32, all_heads: u32, first_query: u32, first_head: u32,
  row_columns: u32,
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"
#include "common/context-span.wgsl"
@group(0) @binding(0) var<storage, read> spans: array<i32>; // [spans, 8]
@group(0) @binding(1) var<storage, read> states: array<lanes>; // [slot][head][queries + 1][WIDTH]
@group(0) @binding(2) var<storage, read> state_lse: array<f32>; // [slot][head][queries + 1]
@group(0) @binding(3) var<storage, read_write> out: array<lanes>;
@group(0) @binding(4) var<storage, read_write> lse: array<f32>;
@group(0) @binding(5) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.lanes) { return; }
  let first = index % $(GROUP)u;
  let head = index / $(GROUP)u % params.heads;
  let row = index / ($(GROUP)u * params.heads) % params.queries;
  let span = span_at(index / ($(GROUP)u * params.heads * params.queries));
  let query = params.first_query + row;
  let to = (span.number * params.tokens + query) * params.row_columns + (params.first_head + head) * $(WIDTH)u;
  let to_lse = (span.number * params.all_heads + params.first_head + head) * params.tokens + query;
#for i in 0..COLS
  let column_$i = first + $(i * GROUP)u;
#endfor
  if (query >= span.length) {
#for i in 0..COLS
    out[to + column_$i] = lanes();
#endfor
    if (first == 0u) { lse[to_lse] = -1e30; }
    return;
  }

  let state_row = select(row, params.queries, span.start <= query && query < span.end);
  let before = (span.before * params.heads + head) * (params.queries + 1u) + state_row;
  let behind = (span.behind * params.heads + head) * (params.queries + 1u) + state_row;
  let lse_before = state_lse[before];
  let lse_behind = state_lse[behind];
  let apart = -abs(lse_before - lse_behind);
  let e = or_nan(exp(apart), apart);
  let larger = 1.0 / (1.0 + e);
  let share_before = select(e * larger, larger, lse_before > lse_behind);
  let share_behind = select(larger, e * larger, lse_before > lse_behind);
#for i in 0..COLS
  out[to + column_$i] = fma(lanes(share_before), states[before * $(WIDTH)u + column_$i],
                            share_behind * states[behind * $(WIDTH)u + column_$i]);
#endfor
  if (first == 0u) { lse[to_lse] = or_nan(max(lse_before, lse_behind) + log(1.0 + e), e); }
}
