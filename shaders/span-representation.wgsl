// out[s, :] = [x[b, start, :], x[b, end - 1, :], width_embedding[end - start - 1, :]] for the span s = (b, start, end).
// Grid: one invocation per `lanes` of out, 64 a workgroup, folded.
// One copy an invocation: the kernel is bound by memory. Its gradient is a segment-sum (kernels/shared/segments.ts).
// Output: out [S, 2 d + dw].
struct Params { size: u32, length: u32, hidden: u32, width_size: u32 } // size, hidden d, width_size dw in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> spans: array<i32>; // [S, 3] = (b, start, end)
@group(0) @binding(1) var<storage, read> x: array<lanes>; // [B, L, d]
@group(0) @binding(2) var<storage, read> width_embedding: array<lanes>; // [maxWidth, dw]
@group(0) @binding(3) var<storage, read_write> out: array<lanes>; // [S, 2 d + dw]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let row_size = 2u * params.hidden + params.width_size;
  let span = 3u * (i / row_size);
  let col = i % row_size;
  let base = u32(spans[span]) * params.length;
  let start = u32(spans[span + 1u]);
  let last = u32(spans[span + 2u]) - 1u;
  if (col < params.hidden) {
    out[i] = x[(base + start) * params.hidden + col];
  } else if (col < 2u * params.hidden) {
    out[i] = x[(base + last) * params.hidden + col - params.hidden];
  } else {
    out[i] = width_embedding[(last - start) * params.width_size + col - 2u * params.hidden];
  }
}
