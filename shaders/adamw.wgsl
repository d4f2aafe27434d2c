// m = beta1 m + (1 - beta1) g, v = beta2 v + (1 - beta2) g^2, p -= decay p + step_size m / (sqrt(v) inv_sqrt_bias2 + eps).
// Grid: PER Values a lane (vec4s where all runs lie on multiples of 4, else floats), 64 lanes a workgroup, run by run, folded.
// Memory-bound: 28 bytes move per element and nothing is kept; vec4 loads use the bus whole. g = grad * grad_scale.
// Outputs: param, m, v and param's copy in f16, in place, in the runs alone; none where found_inf is not 0.
struct Params {
  runs: u32, groups: u32,
  beta1: f32, one_minus_beta1: f32,
  beta2: f32, one_minus_beta2: f32,
  eps: f32,
}
struct Run {
  group: u32, // its first workgroup
  first: u32, size: u32, // in Values
  step_size: f32,      // lr / (1 - beta1^step)
  inv_sqrt_bias2: f32, // 1 / sqrt(1 - beta2^step)
  decay: f32,          // lr * weightDecay
}
#include "common/grid.wgsl"
#include "common/runs.wgsl"
#if VEC
alias Value = vec4f;
#else
alias Value = f32;
#endif

@group(0) @binding(0) var<storage, read> runs: array<Run>;
@group(0) @binding(1) var<storage, read_write> param: array<Value>;
@group(0) @binding(2) var<storage, read> grad: array<Value>;
@group(0) @binding(3) var<storage, read_write> m: array<Value>;
@group(0) @binding(4) var<storage, read_write> v: array<Value>;
#if SCALED
@group(0) @binding(5) var<storage, read> grad_scale: array<f32>; // [1]
#endif
#if FOUND_INF
@group(0) @binding($(5 + SCALED)) var<storage, read> found_inf: array<f32>; // [1]
#endif
#if COPY
#include "common/f16.wgsl"
@group(0) @binding($(5 + SCALED + FOUND_INF)) var<storage, read_write> copy: array<vec2u>; // f16, two a word
#endif
@group(0) @binding($(5 + SCALED + FOUND_INF + COPY)) var<uniform> params: Params;

const LANES = 64u;
const PER = $(PER)u;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
#if FOUND_INF
  if (found_inf[0] != 0.0) { return; }
#endif
  let run = runs[run_of(linear)];
  let start = (linear - run.group) * LANES * PER;
  let end = run.first + min(start + LANES * PER, run.size);
#if SCALED
  let scale = grad_scale[0];
#endif
  for (var i = run.first + start + lane; i < end; i += LANES) {
#if SCALED
    let g = grad[i] * scale;
#else
    let g = grad[i];
#endif
    let p = param[i];
    let next_m = params.beta1 * m[i] + params.one_minus_beta1 * g;
    let next_v = params.beta2 * v[i] + params.one_minus_beta2 * g * g;
    m[i] = next_m;
    v[i] = next_v;
    let direction = next_m / (sqrt(next_v) * run.inv_sqrt_bias2 + params.eps);
    // One rounding of the parameter: a factor 1 - lr * weightDecay would lose most digits of a small decay.
#if COPY
    let next = p - (run.decay * p + run.step_size * direction);
    param[i] = next;
    copy[i] = narrowed(next);
#else
    param[i] = p - (run.decay * p + run.step_size * direction);
#endif
  }
}
