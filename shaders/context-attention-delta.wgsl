// delta = sum_c grad_out out, the mean gradient of a row's scores; of mask_query with `inside`, the sum of its rows.
// Grid: one invocation per (span, head, query), 64 a workgroup, linear, folded.
// Made once: the scans over spans in both directions need it, and none of them has a whole head in one invocation.
// Output: delta [spans of the strip][head][row], the last row mask_query where MASK; rows past the length keep what they held.
struct Params {
  lanes: u32, rows: u32, heads: u32, tokens: u32, first_query: u32, row_columns: u32, first_column: u32,
}
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/context-span.wgsl"
@group(0) @binding(0) var<storage, read> spans: array<i32>; // [spans, 8]
@group(0) @binding(1) var<storage, read> grad_out: array<lanes>; // [S, L, D]
@group(0) @binding(2) var<storage, read> out: array<lanes>; // [S, L, D]
@group(0) @binding(3) var<storage, read_write> delta: array<f32>;
#if MASK
@group(0) @binding(4) var<storage, read> inside: array<lanes>; // [spans of the strip][head][WIDTH]
#endif
@group(0) @binding($(4 + MASK)) var<uniform> params: Params;

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
  let head = index / params.rows % params.heads;
  let span = span_at(index / (params.rows * params.heads));
  let column = params.first_column + head * $(WIDTH)u;
  var sum = lanes();
#if MASK
  if (row + 1u == params.rows) {
    let source = index / params.rows * $(WIDTH)u;
    let at = (span.number * params.tokens + span.start) * params.row_columns + column;
    for (var i = 0u; i < $(WIDTH)u; i += 1u) { sum = fma(inside[source + i], out[at + i], sum); }
    delta[index] = total(sum);
    return;
  }
#endif
  let query = params.first_query + row;
  if (query >= span.length || (span.start <= query && query < span.end)) { return; }
  let at = (span.number * params.tokens + query) * params.row_columns + column;
  for (var i = 0u; i < $(WIDTH)u; i += 1u) { sum = fma(grad_out[at + i], out[at + i], sum); }
  delta[index] = total(sum);
}
