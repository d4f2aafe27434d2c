// out[row, :] = table[ids[row], :]; with PADDING 1, 0 where the id is -1.
// Grid: one invocation per `lanes` of out, 64 a workgroup, folded.
// One copy an invocation: the kernel is bound by memory, and neighbours read neighbouring columns of one table row.
// Output: out [rows, d].
struct Params { size: u32, width: u32 } // in lanes
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> ids: array<i32>; // [rows]
#if F16 && LANES == 4
@group(0) @binding(1) var<storage, read> table: array<vec2u>; // [V, d], f16, two a word
#elif F16
@group(0) @binding(1) var<storage, read> table: array<u32>; // [V, d], f16, two a word
#else
@group(0) @binding(1) var<storage, read> table: array<lanes>; // [V, d]
#endif
@group(0) @binding(2) var<storage, read_write> out: array<lanes>; // [rows, d]
@group(0) @binding(3) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let id = ids[i / params.width];
#if PADDING
  if (id < 0) {
    out[i] = lanes();
    return;
  }
#endif
  let at = u32(id) * params.width + i % params.width;
#if F16 && LANES == 4
  let words = table[at];
  out[i] = vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
#elif F16
  out[i] = unpack2x16float(table[at >> 1u])[at & 1u];
#else
  out[i] = table[at];
#endif
}
