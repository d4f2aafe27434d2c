// out = (s - mean) * rstd * weight + bias with s = x + residual and rstd = 1 / sqrt(var + eps), over each row.
// Grid: one row per lane, or one per workgroup, linear, folded. Three walks: sum, deviations and their squares, output.
// The mean is a pair: what f32 gives, and the mean deviation from it, so that rounding of a mean far from 0 costs nothing.
// Outputs: out [rows, n]; mean, rstd [rows] for the backward.
struct Params { rows: u32, n: u32, width: f32, eps: f32 } // n counts f32 or, with VEC, vec4f columns; width f32
#include "common/grid.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> x: array<Columns>; // [rows, n]
#if RESIDUAL
@group(0) @binding(1) var<storage, read> residual: array<Columns>; // [rows, n]
#endif
@group(0) @binding($(1 + RESIDUAL)) var<storage, read> weight: array<Columns>; // [n]
@group(0) @binding($(2 + RESIDUAL)) var<storage, read> bias: array<Columns>; // [n]
@group(0) @binding($(3 + RESIDUAL)) var<storage, read_write> out: array<Columns>;
@group(0) @binding($(4 + RESIDUAL)) var<storage, read_write> mean: array<vec2f>;
@group(0) @binding($(5 + RESIDUAL)) var<storage, read_write> rstd: array<f32>;
@group(0) @binding($(6 + RESIDUAL)) var<uniform> params: Params;

const SMALLEST = 1e-37; // keeps a constant row finite when eps is 0
const LARGEST = 3e38; // beyond it is infinity: a row whose squares f32 does not hold, of which the bias alone is left

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

  var sum = Columns(0.0);
  for (var j = first; j < params.n; j += STEP) { sum += load(base + j); }
  let center = row_sum(sum, lane) / params.width;

  var deviations = Columns(0.0);
  var squares = Columns(0.0);
  for (var j = first; j < params.n; j += STEP) {
    let deviation = load(base + j) - center;
    deviations += deviation;
    squares = fma(deviation, deviation, squares);
  }
  let rest = row_sum(deviations, lane) / params.width;
  let square = row_sum(squares, lane) / params.width;
  let variance = select(square - rest * rest, square, square > LARGEST);
  let scale = inverseSqrt(max(variance + params.eps, SMALLEST));

  for (var j = first; j < params.n; j += STEP) {
    out[base + j] = fma((load(base + j) - center - rest) * scale, weight[j], bias[j]);
  }
  if (first == 0u) {
    mean[row] = vec2f(center, rest);
    rstd[row] = scale;
  }
}
