// inside = the sum of grad_out over the rows inside a span: all of them are the one query mask_query.
// Grid: GROUP invocations per (span, head), COLS columns of the head each, 64 a workgroup, linear, folded.
// Summed before the scan over spans, whose invocations then have as much to do for mask_query as for any other query.
// Output: inside [spans of the strip][head][WIDTH].
struct Params { lanes: u32, heads: u32, tokens: u32, row_columns: u32, first_column: u32 }
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/context-span.wgsl"
@group(0) @binding(0) var<storage, read> spans: array<i32>; // [spans, 8]
@group(0) @binding(1) var<storage, read> grad_out: array<lanes>; // [S, L, D]
@group(0) @binding(2) var<storage, read_write> inside: array<lanes>;
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.lanes) { return; }
  let first = index % $(GROUP)u;
  let head = index / $(GROUP)u % params.heads;
  let span = span_at(index / ($(GROUP)u * params.heads));
#for i in 0..COLS
  let column_$i = first + $(i * GROUP)u;
  var sum_$i = lanes();
#endfor
  for (var query = span.start; query < span.end; query += 1u) {
    let source = (span.number * params.tokens + query) * params.row_columns + params.first_column + head * $(WIDTH)u;
#for i in 0..COLS
    sum_$i += grad_out[source + column_$i];
#endfor
  }
#for i in 0..COLS
  inside[index / $(GROUP)u * $(WIDTH)u + column_$i] = sum_$i;
#endfor
}
