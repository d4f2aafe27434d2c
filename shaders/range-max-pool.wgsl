// out[r, :] = max over rows start..end-1 of x[b]; 0 where end <= start. argmax: the first maximal row (or NaN), -1 if empty.
// Grid: one invocation per `lanes` of a range's row, 64 a workgroup, (range, column) linear, folded.
// Rows in order: ranges are short (pieces of a word, tokens between two spans), and neighbours read neighbouring columns.
// Outputs: out [R, d]; argmax i32 [R, d] for the backward.
struct Params { size: u32, width: u32, length: u32 } // width in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/nan.wgsl"
@group(0) @binding(0) var<storage, read> ranges: array<i32>; // [R, 3] = (b, start, end)
@group(0) @binding(1) var<storage, read> x: array<lanes>; // [B, L, d]
@group(0) @binding(2) var<storage, read_write> out: array<lanes>; // [R, d]
@group(0) @binding(3) var<storage, read_write> argmax: array<int_lanes>; // [R, d]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let range = 3u * (i / params.width);
  let start = ranges[range + 1u];
  let end = ranges[range + 2u];
  var best = lanes();
  var best_row = int_lanes(-1);
  if (start < end) {
    let base = u32(ranges[range]) * params.length * params.width + i % params.width;
    best = x[base + u32(start) * params.width];
    best_row = int_lanes(start);
    for (var row = start + 1; row < end; row += 1) {
      let value = x[base + u32(row) * params.width];
#if LANES == 4
      let greater = (value > best) | (is_nan4(value) & !is_nan4(best));
#else
      let greater = (value > best) | (is_nan(value) & !is_nan(best));
#endif
      best = select(best, value, greater);
      best_row = select(best_row, int_lanes(row), greater);
    }
  }
  out[i] = best;
  argmax[i] = best_row;
}
