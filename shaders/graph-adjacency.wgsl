// out[i, j] = (w[i, j] + (i == j)) / (1 + sum_j w[i, j]) among the valid nodes, 0 beyond; BACKWARD: from g = grad_out,
// grad_w[i, j] = (g[i, j] - sum_k g[i, k] out[i, k]) / (1 + sum_j w[i, j]).
// Grid: a row (square, i) per lane or workgroup, linear, folded. Two walks: the sums, the row.
// Output: out or grad_weights [B, V, N, N].
struct Params { rows: u32, n: u32, views: u32 }
#include "common/grid.wgsl"
#include "common/reduce.wgsl"
@group(0) @binding(0) var<storage, read> weights: array<f32>; // [B, V, N, N]
@group(0) @binding(1) var<storage, read> lengths: array<i32>; // [B]
#if BACKWARD
@group(0) @binding(2) var<storage, read> grad_out: array<f32>; // [B, V, N, N]
@group(0) @binding(3) var<storage, read_write> grad_weights: array<f32>;
#else
@group(0) @binding(2) var<storage, read_write> out: array<f32>;
#endif
@group(0) @binding($(3 + BACKWARD)) var<uniform> params: Params;

fn store(at: u32, value: f32) {
#if BACKWARD
  grad_weights[at] = value;
#else
  out[at] = value;
#endif
}

@compute @workgroup_size($WG)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let row = row_of(group_index(group, grid), lane);
  if (row >= params.rows) { return; }
  let i = row % params.n;
  let length = u32(lengths[row / (params.views * params.n)]);
  let nodes = select(0u, length, i < length);
  let base = row * params.n;

  var sum = 0.0;
  for (var j = first_of(lane); j < nodes; j += STEP) { sum += weights[base + j]; }
  let scale = 1.0 / (1.0 + row_sum(sum, lane));
#if BACKWARD
  var products = 0.0;
  for (var j = first_of(lane); j < nodes; j += STEP) {
    products = fma(grad_out[base + j], weights[base + j] + f32(i == j), products);
  }
  let mean = row_sum(products, lane) * scale;
  for (var j = first_of(lane); j < nodes; j += STEP) { store(base + j, (grad_out[base + j] - mean) * scale); }
#else
  for (var j = first_of(lane); j < nodes; j += STEP) { store(base + j, (weights[base + j] + f32(i == j)) * scale); }
#endif
  // The lane's own columns go on past the length.
  var j = first_of(lane);
  if (nodes > j) { j += (nodes - j + STEP - 1u) / STEP * STEP; }
  for (; j < params.n; j += STEP) { store(base + j, 0.0); }
}
