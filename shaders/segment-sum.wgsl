// out[target, :] = sum over e in first..end of source[items[e] .. items[e] + n], in that order; an empty segment is 0.
// Grid: one invocation per `lanes` of a segment's row, 64 a workgroup, (segment, column) linear, folded.
// Segments are at most 64 items (kernels/shared/segments.ts splits longer ones): short invocations, no atomics.
// Output: the rows of out [rows, n] that segments name; ADD: the sums are added to them.
struct Params { size: u32, width: u32 } // in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> segments: array<i32>; // [segments, 3] = (target, first, end)
@group(0) @binding(1) var<storage, read> items: array<i32>; // element offsets into source
@group(0) @binding(2) var<storage, read> source: array<lanes>;
@group(0) @binding(3) var<storage, read_write> out: array<lanes>; // [rows, n]
@group(0) @binding(4) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let segment = 3u * (i / params.width);
  let col = i % params.width;
  let end = u32(segments[segment + 2u]);
  var sum = lanes();
  for (var e = u32(segments[segment + 1u]); e < end; e += 1u) { sum += source[u32(items[e]) / $(LANES)u + col]; }
  let at = u32(segments[segment]) * params.width + col;
#if ADD
  out[at] += sum;
#else
  out[at] = sum;
#endif
}
