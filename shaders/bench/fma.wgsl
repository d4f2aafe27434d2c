// x ← a·x + b, `steps` times, on $CHAINS independent vec4 an invocation; out = the sum of the chains.
// Grid: one invocation per vec4 of out, 64 a workgroup, folded.
// Nothing but multiply-adds in registers: the rate is the device's arithmetic peak. CHAINS hides their latency.
// Output: out [size] of vec4, the same every 64 elements.
struct Params { size: u32, steps: u32, a: f32, b: f32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read_write> out: array<vec4f>;
@group(0) @binding(1) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
  let a = vec4f(params.a);
  let b = vec4f(params.b);
#for c in 0..CHAINS
  var x_$c = f32(lane) + vec4f($(c)) + vec4f(0.0, 0.25, 0.5, 0.75);
#endfor
  for (var step = 0u; step < params.steps; step += 8u) {
#for u in 0..8
#for c in 0..CHAINS
    x_$c = fma(a, x_$c, b);
#endfor
#endfor
  }
  var sum = vec4f(0.0);
#for c in 0..CHAINS
  sum += x_$c;
#endfor
  out[i] = sum;
}
