// spans: every (b, start, end) of at most max_width tokens of sentence b, end exclusive, ordered by b, start, end.
// Grid: one invocation per (b, start, width) of the longest sentence, 64 a workgroup, folded; those of no span do nothing.
// A span's place follows from its sentence's first place (host table) and two closed sums: no scan, no atomics.
// Output: spans i32 [S, 3].
struct Params { size: u32, longest: u32, max_width: u32 } // max_width is at most longest
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> sentences: array<i32>; // [B, 2] = (length, place of its first span)
@group(0) @binding(1) var<storage, read_write> spans: array<i32>; // [S, 3]
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let width = i % params.max_width + 1u;
  let start = i / params.max_width % params.longest;
  let b = i / (params.max_width * params.longest);
  let length = u32(sentences[2u * b]);
  if (start + width > length) { return; }
  // The first length - rest starts have max_width spans each; the k-th start after them has rest - k.
  let rest = min(length, params.max_width - 1u);
  let whole = min(start, length - rest);
  let k = start - whole;
  let before = whole * params.max_width + k * (2u * rest + 1u - k) / 2u;
  let at = 3u * (u32(sentences[2u * b + 1u]) + before + width - 1u);
  spans[at] = i32(b);
  spans[at + 1u] = i32(start);
  spans[at + 2u] = i32(start + width);
}
