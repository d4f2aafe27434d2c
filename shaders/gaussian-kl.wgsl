// left_i . right_j = KL(i || j), with m = (mu - mean) / width, s = sigma / width, x = s^2 - 1, y = 1 / s^2 - 1 of a view:
// left = [(x + m^2) / 2, -m, 1, R], right = [y, m / s^2, C, 1], 2 R = sum (f(x) + m^2), 2 C = sum (f(y) + m^2 / s^2).
// Grid: a row (node, view) per lane or workgroup, linear, folded. Here f(x) = x - log(1 + x) is small, not a difference of
// sums over D; with z = x / (2 + x), f(x) = x z - 2 (z^3/3 + z^5/5 + ...). Outputs: left, right [B, N, V, stride], 0 in padding.
struct Params { rows: u32, n: u32, stride: u32, views: u32, nodes: u32, first_batch: u32, moments: u32 }
#include "common/grid.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> mu: array<Columns>; // [B, N, V, n]
@group(0) @binding(1) var<storage, read> sigma: array<Columns>; // [B, N, V, n]
@group(0) @binding(2) var<storage, read> moments: array<Columns>; // [2, B, V, n]
@group(0) @binding(3) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(4) var<storage, read_write> left: array<Columns>; // of the batches from first_batch on
@group(0) @binding(5) var<storage, read_write> right: array<Columns>;
@group(0) @binding(6) var<uniform> params: Params;

// log(1 + x) - 2 z where |z| <= 1/3, -1/2 <= x <= 1.
fn tail(z: Columns) -> Columns {
  let q = z * z;
  var p = Columns(0.076923077);
  p = p * q + 0.090909091;
  p = p * q + 0.11111111;
  p = p * q + 0.14285714;
  p = p * q + 0.2;
  p = p * q + 0.33333333;
  return 2.0 * z * q * p;
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = row_of(group_index(group, grid), lane);
  if (row >= params.rows) { return; }
  let view = row % params.views;
  let node = row / params.views % params.nodes;
  let batch = params.first_batch + row / (params.views * params.nodes);
  let base = row * params.stride;
  if (node >= u32(lengths[batch])) {
    for (var i = first_of(lane); i < params.stride; i += STEP) {
      left[base + i] = Columns(0.0);
      right[base + i] = Columns(0.0);
    }
    return;
  }
  let start = ((batch * params.nodes + node) * params.views + view) * params.n;
  let moment = (batch * params.views + view) * params.n;
  var row_terms = Columns(0.0);
  var column_terms = Columns(0.0);
  for (var i = first_of(lane); i < params.n; i += STEP) {
    let width = moments[params.moments + moment + i];
    let m = (mu[start + i] - moments[moment + i]) / width;
    let s = sigma[start + i] / width;
    let tau = 1.0 / (s * s);
    let x = (s - 1.0) * (s + 1.0);
    let y = -x * tau;
    let z = x / (2.0 + x);
    let rest = tail(z);
    let logarithm = log(s * s);
    let near = abs(z) <= Columns(0.33333334);
    row_terms += select(x - logarithm, x * z - rest, near) + m * m;
    column_terms += select(y + logarithm, rest - y * z, near) + m * m * tau;
    left[base + i] = 0.5 * (x + m * m);
    left[base + params.n + i] = -m;
    right[base + i] = y;
    right[base + params.n + i] = m * tau;
  }
  let r = 0.5 * row_sum(row_terms, lane);
  let c = 0.5 * row_sum(column_terms, lane);
  if (first_of(lane) > 0u) { return; }
  let end = base + 2u * params.n;
#if VEC
  left[end] = vec4f(1.0, r, 0.0, 0.0);
  right[end] = vec4f(c, 1.0, 0.0, 0.0);
#else
  left[end] = 1.0;
  left[end + 1u] = r;
  right[end] = c;
  right[end + 1u] = 1.0;
  for (var i = end + 2u; i < base + params.stride; i += 1u) {
    left[i] = 0.0;
    right[i] = 0.0;
  }
#endif
}
