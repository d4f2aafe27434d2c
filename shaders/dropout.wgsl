// out[i] = x[i] * factor where word i mod 4 of philox(counter (i >> 2, offset, 0, 0), key (seed, 0)) >= threshold, else 0.
// Grid: one invocation per 4 elements, which is one Philox block, 64 a workgroup, folded.
// The backward is the same dispatch on grad_out: the mask is computed again (some 100 integer operations), never stored.
// Output: out.
struct Params { size: u32, threshold: u32, seed: u32, offset: u32, factor: f32 }
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
#include "common/philox.wgsl"
@group(0) @binding(0) var<storage, read> x: array<lanes>;
@group(0) @binding(1) var<storage, read_write> out: array<lanes>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let block = group_index(group, grid) * 64u + lane;
  if (block * 4u >= params.size) { return; }
  let keep = philox(vec4u(block, params.offset, 0u, 0u), vec2u(params.seed, 0u)) >= vec4u(params.threshold);
#if LANES == 4
  out[block] = select(vec4f(0.0), x[block] * params.factor, keep);
#else
  for (var j = 0u; j < min(4u, params.size - block * 4u); j += 1u) {
    let i = block * 4u + j;
    out[i] = select(0.0, x[i] * params.factor, keep[j]);
  }
#endif
}
