// out[i] = x[i].
// Grid: one invocation per vec4, 64 a workgroup, folded.
// As little as a kernel can do with memory: the rate is the device's peak for streaming kernels.
// Output: out [size] of vec4.
struct Params { size: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> x: array<vec4f>;
@group(0) @binding(1) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(2) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  out[i] = x[i];
}
