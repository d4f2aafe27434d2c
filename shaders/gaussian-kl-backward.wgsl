// With g the gradient of KL off the diagonal, by_row = g right, by_column = gT left, r and c the sums of g's rows and columns:
// dm = m (r + g y) - g (m / s^2) + (m c - gT m) / s^2; sigma dsigma = s^2 g y + x r - y c - (gT (x + m^2) - 2 m gT m + m^2 c) / s^2.
// Grid: one invocation per vector of dimensions of a node, 64 a workgroup, folded. m, s, x, y as in gaussian-kl.wgsl.
// Outputs: grad_mu = dm / width and grad_sigma [B, N, V, n] of the batches from first_batch on, 0 in padding.
struct Params { size: u32, n: u32, stride: u32, views: u32, nodes: u32, first_batch: u32, moments: u32 }
#include "common/grid.wgsl"
#include "common/lanes.wgsl"
@group(0) @binding(0) var<storage, read> mu: array<lanes>; // [B, N, V, n]
@group(0) @binding(1) var<storage, read> sigma: array<lanes>; // [B, N, V, n]
@group(0) @binding(2) var<storage, read> moments: array<lanes>; // [2, B, V, n]
@group(0) @binding(3) var<storage, read> lengths: array<i32>; // [B]
@group(0) @binding(4) var<storage, read> by_row: array<lanes>; // [B, N, V, stride], columns as right
@group(0) @binding(5) var<storage, read> by_column: array<lanes>; // [B, N, V, stride], columns as left
#if GRAD_MU
@group(0) @binding(6) var<storage, read_write> grad_mu: array<lanes>;
#endif
#if GRAD_SIGMA
@group(0) @binding($(6 + GRAD_MU)) var<storage, read_write> grad_sigma: array<lanes>;
#endif
@group(0) @binding($(6 + GRAD_MU + GRAD_SIGMA)) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let index = group_index(group, grid) * 64u + lane;
  if (index >= params.size) { return; }
  let i = index % params.n;
  let row = index / params.n;
  let node = row / params.views % params.nodes;
  let batch = params.first_batch + row / (params.views * params.nodes);
  let at = params.first_batch * params.nodes * params.views * params.n + index;
  var dm = lanes(0.0);
  var dsigma = lanes(0.0);
  if (node < u32(lengths[batch])) {
    let moment = (batch * params.views + row % params.views) * params.n + i;
    let width = moments[params.moments + moment];
    let m = (mu[at] - moments[moment]) / width;
    let s = sigma[at] / width;
    let tau = 1.0 / (s * s);
    let x = (s - 1.0) * (s + 1.0);
    let y = -x * tau;
    let base = row * params.stride;
    let end = base + 2u * params.n;
#if LANES == 4
    let r = by_row[end].y;
    let c = by_column[end].x;
#else
    let r = by_row[end + 1u];
    let c = by_column[end];
#endif
    let row_y = by_row[base + i];
    let column_m = by_column[base + params.n + i]; // of -m
    dm = m * (r + row_y) - by_row[base + params.n + i] + (m * c + column_m) * tau;
    dm /= width;
    dsigma = s * s * row_y + x * r - y * c - (2.0 * (by_column[base + i] + m * column_m) + m * m * c) * tau;
    dsigma /= sigma[at];
  }
#if GRAD_MU
  grad_mu[at] = dm;
#endif
#if GRAD_SIGMA
  grad_sigma[at] = dsigma;
#endif
}
