// out[i] = OP of a[i] (and b[i]): 0 fill with `factor`, 1 add, 2 mul, 3 scale by `factor`, 4 out += a, 5 scale and add
// `offset`, 6 a. Grid: one invocation per element, 64 a workgroup, folded.
// Bound by memory, one element an invocation: neighbours read and write neighbouring elements. VEC: `out` in vec4fs (OP 0).
// Output: out; OP 6 also second, the same.
struct Params { size: u32, factor: f32, offset: f32 }
#include "common/grid.wgsl"
#if OP == 0
#if VEC
alias Value = vec4f;
#else
alias Value = f32;
#endif
@group(0) @binding(0) var<storage, read_write> out: array<Value>;
@group(0) @binding(1) var<uniform> params: Params;
#elif OP == 6
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<storage, read_write> second: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;
#elif OP >= 3
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read_write> out: array<f32>;
@group(0) @binding(2) var<uniform> params: Params;
#else
@group(0) @binding(0) var<storage, read> a: array<f32>;
@group(0) @binding(1) var<storage, read> b: array<f32>;
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
@group(0) @binding(3) var<uniform> params: Params;
#endif

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let i = group_index(group, grid) * 64u + lane;
  if (i >= params.size) { return; }
#if OP == 0
  out[i] = Value(params.factor);
#elif OP == 1
  out[i] = a[i] + b[i];
#elif OP == 2
  out[i] = a[i] * b[i];
#elif OP == 3
  out[i] = a[i] * params.factor;
#elif OP == 6
  out[i] = a[i];
  second[i] = a[i];
#elif OP == 5
  out[i] = fma(a[i], params.factor, params.offset);
#else
  out[i] += a[i];
#endif
}
