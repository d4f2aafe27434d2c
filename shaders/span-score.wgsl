// out[s, :] = tokens[0, b, start, :] + tokens[1, b, end - 1, :] + widths[end - start - 1, :] for the span s = (b, start, end).
// Grid: one invocation per `lanes` of out, 64 a workgroup, folded.
// The three projections are made per token and per width (kernels/span-score.ts); a span only adds three short rows.
// Output: out [S, N].
struct Params { size: u32, width: u32, length: u32, tokens: u32 } // size, width N in lanes; tokens = B * L
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> spans: array<i32>; // [S, 3] = (b, start, end)
@group(0) @binding(1) var<storage, read> tokens: array<lanes>; // [2, B, L, N]
@group(0) @binding(2) var<storage, read> widths: array<lanes>; // [maxWidth, N], bias included
@group(0) @binding(3) var<storage, read_write> out: array<lanes>; // [S, N]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let span = 3u * (i / params.width);
  let col = i % params.width;
  let base = u32(spans[span]) * params.length;
  let start = u32(spans[span + 1u]);
  let last = u32(spans[span + 2u]) - 1u;
  out[i] = tokens[(base + start) * params.width + col]
         + tokens[(params.tokens + base + last) * params.width + col]
         + widths[(last - start) * params.width + col];
}
