// grad_s = (g - avg(g) - z * avg(g * z)) * rstd with g = grad_out * weight, z = (x + residual - mean) * rstd.
// Grid: one row per lane, or one per workgroup, linear, folded. Two walks: the two averages, the gradient.
// x and residual enter as one sum and share the gradient: a second output costs one store, no second kernel.
// Outputs: grad_s [rows, n], with COPY also grad_copy; ADD, ADD_COPY: added to what they hold.
struct Params { rows: u32, n: u32, width: f32 } // n counts f32 or, with VEC, vec4f columns; width f32
#include "common/grid.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> x: array<Columns>; // [rows, n]
#if RESIDUAL
@group(0) @binding(1) var<storage, read> residual: array<Columns>; // [rows, n]
#endif
@group(0) @binding($(1 + RESIDUAL)) var<storage, read> weight: array<Columns>; // [n]
@group(0) @binding($(2 + RESIDUAL)) var<storage, read> mean: array<vec2f>; // [rows], mean and what it lacks
@group(0) @binding($(3 + RESIDUAL)) var<storage, read> rstd: array<f32>; // [rows]
@group(0) @binding($(4 + RESIDUAL)) var<storage, read> grad_out: array<Columns>; // [rows, n]
@group(0) @binding($(5 + RESIDUAL)) var<storage, read_write> grad_s: array<Columns>;
#if COPY
@group(0) @binding($(6 + RESIDUAL)) var<storage, read_write> grad_copy: array<Columns>;
#endif
@group(0) @binding($(6 + RESIDUAL + COPY)) var<uniform> params: Params;

fn load(i: u32) -> Columns {
#if RESIDUAL
  return x[i] + residual[i];
#else
  return x[i];
#endif
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = row_of(group_index(group, grid), lane);
  if (row >= params.rows) { return; }
  let base = row * params.n;
  let first = first_of(lane);
  let center = mean[row];
  let scale = rstd[row];

  var sum_g = Columns(0.0);
  var sum_gz = Columns(0.0);
  for (var j = first; j < params.n; j += STEP) {
    let g = grad_out[base + j] * weight[j];
    sum_g += g;
    sum_gz = fma(g, (load(base + j) - center.x - center.y) * scale, sum_gz);
  }
  let mean_g = row_sum(sum_g, lane) / params.width;
  let mean_gz = row_sum(sum_gz, lane) / params.width;

  for (var j = first; j < params.n; j += STEP) {
    let z = (load(base + j) - center.x - center.y) * scale;
    let gradient = (fma(grad_out[base + j], weight[j], Columns(-mean_g)) - z * mean_gz) * scale;
#if ADD
    grad_s[base + j] += gradient;
#else
    grad_s[base + j] = gradient;
#endif
#if COPY && ADD_COPY
    grad_copy[base + j] += gradient;
#elif COPY
    grad_copy[base + j] = gradient;
#endif
  }
}
