// grad_weight[slab, j] = sum over the slab's rows of grad_out * z, grad_bias[slab, j] = sum of grad_out, where
// z = (x + residual - mean) * rstd. Grid: (slab, block of 64 columns) linear, folded; one invocation per column of a slab.
// Slabs keep many invocations busy and the order of additions fixed; column-sum.wgsl adds the slabs.
// Outputs: grad_weight, grad_bias [slabs, n].
struct Params { rows: u32, n: u32, blocks: u32, groups: u32, slab: u32 }
#include "common/grid.wgsl"
@group(0) @binding(0) var<storage, read> x: array<f32>; // [rows, n]
#if RESIDUAL
@group(0) @binding(1) var<storage, read> residual: array<f32>; // [rows, n]
#endif
@group(0) @binding($(1 + RESIDUAL)) var<storage, read> mean: array<f32>; // [rows]
@group(0) @binding($(2 + RESIDUAL)) var<storage, read> rstd: array<f32>; // [rows]
@group(0) @binding($(3 + RESIDUAL)) var<storage, read> grad_out: array<f32>; // [rows, n]
@group(0) @binding($(4 + RESIDUAL)) var<storage, read_write> grad_weight: array<f32>;
@group(0) @binding($(5 + RESIDUAL)) var<storage, read_write> grad_bias: array<f32>;
@group(0) @binding($(6 + RESIDUAL)) var<uniform> params: Params;

@compute @workgroup_size(64)
fn main(@builtin(workgroup_id) group: vec3u, @builtin(num_workgroups) grid: vec3u,
        @builtin(local_invocation_index) lane: u32) {
  let linear = group_index(group, grid);
  if (linear >= params.groups) { return; }
  let slab = linear / params.blocks;
  let col = (linear % params.blocks) * 64u + lane;
  if (col >= params.n) { return; }
  let first = slab * params.slab;
  let last = min(first + params.slab, params.rows);
  var sum_weight = 0.0;
  var sum_bias = 0.0;
  for (var row = first; row < last; row += 1u) {
    let i = row * params.n + col;
#if RESIDUAL
    let s = x[i] + residual[i];
#else
    let s = x[i];
#endif
    let g = grad_out[i];
    sum_weight = fma(g, (s - mean[row]) * rstd[row], sum_weight);
    sum_bias += g;
  }
  grad_weight[slab * params.n + col] = sum_weight;
  grad_bias[slab * params.n + col] = sum_bias;
}
